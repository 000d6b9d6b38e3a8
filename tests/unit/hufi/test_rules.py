"""HuFi's scoring, held against cases made by HuFi's own code."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from poolmaker.hufi import rules
from tests.vectors import hufi

_FILE = Path(__file__).parents[2] / "vectors" / "hufi_scores.json"
_CASES = json.loads(_FILE.read_text())["cases"]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case['id']}-{case['name']}")
def test_our_scores_and_rewards_are_hufis_to_the_last_digit(case: dict[str, object]) -> None:
    assert hufi.outcome(case) == case["expected"]


def test_a_runner_that_finds_a_difference_says_so() -> None:
    case = _CASES[0]
    wrong = case | {"expected": case["expected"] | {"reward_pool": "1"}}
    result = hufi.run({"cases": [wrong, case]})
    assert (result.passed, result.failed) == (1, 1)


def test_a_started_day_counts_whole() -> None:
    assert rules.ceil_days(0, 25 * 3_600_000) == 2


def test_a_deposit_address_counts_once_and_a_refused_key_still_occupies_it() -> None:
    plain = rules.Participant("0x1", "a", 0)
    same = rules.Participant("0x2", "a", 0)
    refused = rules.Participant("0x3", "b", 0, access_refused=True)
    behind = rules.Participant("0x4", "b", 0)
    missing = rules.Participant("0x5", "c", 0, key_missing=True)
    other = rules.Participant("0x6", "c", 0)
    found = rules.counted([plain, same, refused, behind, missing, other])
    assert found == [plain, other]


def test_paid_rewards_exceed_the_pool_by_no_more_than_twenty_digits_can_hide() -> None:
    for case in _CASES:
        expected = case["expected"]
        if "error" in expected:
            continue
        paid = sum(
            Decimal(reward["amount"])
            for batch in expected["payout_batches"]
            for reward in batch["rewards"]
        )
        pool = Decimal(expected["reward_pool"])
        assert paid <= pool * (1 + Decimal("1e-17"))
