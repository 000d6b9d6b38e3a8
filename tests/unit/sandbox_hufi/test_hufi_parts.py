"""The pure parts of the sandbox HuFi."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.hufi import rules
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.hufi.auth import Tokens, signer_of
from poolmaker.sandbox.hufi.fields import Fields, snake_keys
from poolmaker.sandbox.hufi.manifests import InvalidManifest, parse_manifest
from poolmaker.sandbox.hufi.model import User
from poolmaker.sandbox.hufi.refusals import HufiRefusal
from poolmaker.sandbox.hufi.results import gross_of, reserve_of
from poolmaker.sandbox.hufi.texts import camel, iso, milliseconds, number, plain, snake

GOOD: dict[str, Any] = {
    "type": "MARKET_MAKING", "exchange": "mexc", "pair": "HMT/USDT", "daily_volume_target": 10_000,
    "start_date": "2026-11-20T00:00:00.000Z", "end_date": "2026-11-27T00:00:00.000Z",
}  # fmt: skip
FEES = st.tuples(st.integers(0, 25), st.integers(0, 25), st.integers(0, 25))


@given(st.integers(1, 10**24), FEES)
def test_what_the_escrow_leaves_of_a_gross_amount_is_the_reward_to_the_unit(
    net: int, fees: tuple[int, ...]
) -> None:
    gross = gross_of(net, fees)
    assert gross - sum(gross * fee // 100 for fee in fees) == net
    assert reserve_of(net, fees) - gross <= 100


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=30), FEES)
def test_a_pools_reserve_is_enough_for_all_its_parts(
    parts: list[int], fees: tuple[int, ...]
) -> None:
    assert sum(gross_of(part, fees) for part in parts) <= reserve_of(sum(parts), fees)


def test_times_and_numbers_are_written_as_javascript_writes_them() -> None:
    assert iso(milliseconds("2026-11-20T01:02:03.045Z")) == "2026-11-20T01:02:03.045Z"
    assert json.dumps([number(1000.0), number(0.5), number(0.0)]) == "[1000, 0.5, 0]"
    assert (plain(Decimal("96.00")), plain(Decimal("1E-18"))) == ("96", "0.000000000000000001")
    assert (snake("refreshToken"), camel("refresh_token")) == ("refresh_token", "refreshToken")
    assert snake_keys({"aB": [{"cD": 1}]}) == {"a_b": [{"c_d": 1}]}


def test_a_good_manifest_is_understood() -> None:
    found = parse_manifest(json.dumps(GOOD))
    assert found.terms.type is rules.CampaignType.MARKET_MAKING
    assert (found.terms.subject, found.terms.target) == ("HMT/USDT", 10_000.0)
    assert (found.day_ms, found.details) == (rules.DAY_MS, {"daily_volume_target": 10_000})
    assert parse_manifest(json.dumps({**GOOD, "day_s": 20})).day_ms == 20_000


@pytest.mark.parametrize(
    "change",
    [
        {"type": "OTHER"}, {"exchange": "binance"}, {"pair": "hmt/usdt"}, {"pair": "HMT"},
        {"daily_volume_target": 0}, {"daily_volume_target": "10"}, {"daily_volume_target": True},
        {"start_date": "soon"}, {"end_date": "2026-11-19T00:00:00.000Z"}, {"day_s": 0},
        {"day_s": 1.5},
        {"type": "THRESHOLD_MARKET_MAKING", "minimum_volume_target": 1},
        {"type": "THRESHOLD", "symbol": "HMT", "minimum_balance_target": 1, "max_participants": 0},
        {
            "type": "COMPETITIVE_MARKET_MAKING", "minimum_volume_required": 1,
            "rewards_distribution": [60, 41],
        },
    ],
)  # fmt: skip
def test_a_bad_manifest_is_refused_with_its_reason(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(json.dumps({**GOOD, **change}))


def test_text_that_is_no_manifest_is_refused() -> None:
    for text in ("", "https://example.com/manifest.json", "[]", "7"):
        with pytest.raises(InvalidManifest):
            parse_manifest(text)


def test_a_signature_is_of_the_exact_text() -> None:
    wallet = Account.create()
    for text, is_good in (('{"nonce":"signup"}', True), ('{"nonce": "signup"}', False)):
        signature = "0x" + bytes(wallet.sign_message(encode_defunct(text=text)).signature).hex()
        assert (signer_of("signup", signature) == wallet.address.lower()) is is_good
    assert signer_of("signup", "0x" + "00" * 65) is None


def test_tokens_are_forged_late_and_used_once() -> None:
    clock = ManualClock()
    tokens = Tokens(Rng(1), clock, 600, 3_600)
    user = User(tokens.new_id(), "0xabc", tokens.new_nonce())
    first = tokens.issue(user)
    assert tokens.check(f"Bearer {first['access_token']}").wallet_address == "0xabc"
    head, body, signature = first["access_token"].split(".")
    foreign = Tokens(Rng(2), clock, 600, 3_600).issue(user)["access_token"]
    for wrong in (None, "", "Bearer", "Bearer a.b.c", f"Bearer {head}.{body}.{signature[:-4]}AAAA",
                  f"Bearer {foreign}", f"Basic {first['access_token']}"):  # fmt: skip
        with pytest.raises(HufiRefusal) as refused:
            tokens.check(wrong)
        assert refused.value.status == 401
    second = tokens.refresh(user)
    assert second["refresh_token"] != first["refresh_token"]
    clock.advance(600 * SECOND_US)
    with pytest.raises(HufiRefusal):
        tokens.check(f"Bearer {second['access_token']}")
    clock.advance(3_000 * SECOND_US)
    with pytest.raises(HufiRefusal, match="Refresh token expired"):
        tokens.refresh(user)
    with pytest.raises(HufiRefusal, match="Refresh token is not valid"):
        tokens.refresh(None)


def test_all_wrong_fields_are_told_at_once_and_in_camel_case() -> None:
    fields = Fields({"chain_id": 5, "address": "0x12"})
    fields.chain_id()
    fields.address()
    fields.text("api_key")
    with pytest.raises(HufiRefusal) as refused:
        fields.done()
    assert refused.value.more["validation_errors"] == [
        "chainId must be one of the following values: 1, 137, 11155111, 80002, 1338",
        "address must be an Ethereum address",
        "apiKey must be a string",
    ]
