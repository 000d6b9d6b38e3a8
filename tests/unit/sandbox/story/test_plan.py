"""What the seed decides, and the configuration that the demo writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from poolmaker.cli.judge import judge
from poolmaker.infra.settings import Mode, load
from poolmaker.kernel.money import parse_units
from poolmaker.sandbox.story.model import LOCATION, Evidence, Told
from poolmaker.sandbox.story.plan import configuration, make_plan

VENUE = {
    "rest": "http://127.0.0.1:4001",
    "ws": "ws://127.0.0.1:4001/stream/ws",
    "ws_api": "ws://127.0.0.1:4001/ws-api/v3",
    "accounts": [{"key": "key1", "secret": "s", "ro_key": "ro_key1", "ro_secret": "r"}],
}
EVIDENCE = Evidence(
    trial_balance={"ok": True},
    verification={"ok": True},
    booked={LOCATION: {"BTC": "1.0"}},
    reported={LOCATION: {"BTC": "1"}},
    orders_at_venue=(("BUY", "60000", "0.1"),),
    orders_in_books=(("BUY", "60000.00", "0.10"),),
)


def test_one_seed_is_one_plan_and_another_seed_another() -> None:
    assert make_plan(7) == make_plan(7)
    assert make_plan(7) != make_plan(8)


@pytest.mark.parametrize("seed", range(50))
def test_two_people_bring_different_amounts_of_two_assets(seed: int) -> None:
    one, two = make_plan(seed).people
    assert (one.base, one.quote) != (two.base, two.quote)
    for person in (one, two):
        assert parse_units(person.base, 8) > 0
        assert parse_units(person.quote, 8) > 0
        assert {row["asset"] for row in person.payout} == {"BTC", "USDT"}


def test_the_demo_writes_a_configuration_like_an_operators(tmp_path: Path) -> None:
    file = tmp_path / "demo.toml"
    file.write_text(configuration(VENUE, tmp_path / 'ho"me', 8420), "utf-8")
    settings = load(file, {})
    assert settings.mode is Mode.SANDBOX
    assert settings.home == tmp_path / 'ho"me'
    assert settings.pools[0].account == settings.venue_accounts[0].id
    assert {row.asset for row in settings.payout.networks} == {"BTC", "USDT"}


def test_the_judge_believes_what_was_read_and_nothing_else() -> None:
    verdict = judge(EVIDENCE)
    assert (verdict.trial_balance_ok, verdict.ledger_verify_ok, verdict.custody_ok) == (True,) * 3
    assert verdict.open_orders_unknown == 0
    assert verdict.custody == {LOCATION: {"BTC": {"ledger": "1.0", "reported": "1"}}}
    assert not judge(replace(EVIDENCE, trial_balance={})).trial_balance_ok
    assert not judge(replace(EVIDENCE, verification={"ok": "true"})).ledger_verify_ok
    assert not judge(replace(EVIDENCE, booked={}, reported={})).custody_ok
    assert not judge(replace(EVIDENCE, reported={LOCATION: {"BTC": "1.00000001"}})).custody_ok
    assert judge(replace(EVIDENCE, orders_in_books=())).open_orders_unknown == 1


def _told() -> Told:
    told = Told(seed=1, seconds=50.0, users=2, fills=30, restart_survived=True, finished=True)
    told.verdict = judge(EVIDENCE)
    return told


def test_the_result_is_ok_only_if_everything_holds() -> None:
    assert _told().ok
    for name, value in (
        ("seconds", 90.1),
        ("fills", 29),
        ("restart_survived", False),
        ("finished", False),
        ("verdict", None),
        ("verdict", judge(replace(EVIDENCE, orders_in_books=()))),
    ):
        told = _told()
        setattr(told, name, value)
        assert not told.ok, name


def test_the_last_line_has_all_its_keys_even_when_nothing_was_reached() -> None:
    keys = {
        "seconds", "seed", "users", "orders_placed", "fills", "restart_survived",
        "open_orders_unknown", "trial_balance_ok", "ledger_verify_ok", "custody_ok", "custody",
    }  # fmt: skip
    assert set(_told().document()) == keys == set(Told(seed=1).document())
