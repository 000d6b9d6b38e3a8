"""What the seed decides, the configuration that the demo writes, and what its last line says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from poolmaker.infra.settings import Mode, load
from poolmaker.kernel.money import parse_units
from poolmaker.mixin.codec.memos import DepositAction, DepositMemo, read_deposit_memo
from poolmaker.sandbox.mixin.options import INITIAL
from poolmaker.sandbox.story import sums
from poolmaker.sandbox.story.config import Own, Worlds, asset_id, configuration
from poolmaker.sandbox.story.model import CRASHES, ActName, Told
from poolmaker.sandbox.story.plan import broken, make_plan

WORLDS = Worlds(
    venue={
        "rest": "http://127.0.0.1:4001",
        "ws": "ws://127.0.0.1:4001/stream/ws",
        "ws_api": "ws://127.0.0.1:4001/ws-api/v3",
        "accounts": [{"key": "key1", "secret": "s", "ro_key": "ro_key1", "ro_secret": "r"}],
    },
    mixin={
        "api": "http://127.0.0.1:4002",
        "bot": {
            "app_id": "6a4a121d-9673-4a7e-a93e-cb9ca4bb83a2",
            "session_id": "6a4a121d-9673-4a7e-a93e-cb9ca4bb83a3",
            "session_private_key": "11" * 32,
            "server_public_key": "22" * 32,
            "spend_private_key": "33" * 32,
        },
    },
    chain={
        "rpc": "http://127.0.0.1:4003",
        "chain_id": 1338,
        "contracts": {"escrow_factory": "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9"},
    },
    hufi={
        "oracle": "http://127.0.0.1:4004",
        "launcher": "http://127.0.0.1:4005",
        "files": "http://127.0.0.1:4006",
    },
)
VERDICT: dict[str, Any] = {
    "trial_balance_ok": True,
    "ledger_verify_ok": True,
    "allocations_ok": True,
    "custody_ok": True,
    "open_orders_unknown": 0,
    "custody": {"custody:venue:main": {"BTC": {"ledger": "1", "reported": "1"}}},
}


def test_one_seed_is_one_plan_and_another_seed_another() -> None:
    assert make_plan(7) == make_plan(7)
    assert make_plan(7) != make_plan(8)


@pytest.mark.parametrize("seed", range(50))
def test_everybody_brings_two_assets_that_his_wallet_has(seed: int) -> None:
    plan = make_plan(seed)
    everybody = [*plan.people, plan.stranger]
    brought = {(person.base, person.quote) for person in everybody}
    assert len(brought) == len({person.wallet for person in everybody}) == 4
    for person in everybody:
        for asset, amount in (("BTC", person.base), ("USDT", person.quote)):
            assert 0 < parse_units(amount, 8) <= INITIAL[asset_id(asset)]
    assert int(plan.wallet_key, 16) > 0
    assert Account.from_key(plan.wallet_key).address


def test_the_platform_is_killed_in_every_act_from_the_first_deposit_to_the_last_credit() -> None:
    """Twenty seeds in a row do not all crash in the same place."""
    acts = Counter(make_plan(seed).crash_act for seed in range(300))
    assert set(acts) == set(CRASHES)
    assert ActName.BEGIN not in CRASHES
    assert ActName.SETTLE not in CRASHES
    assert len({make_plan(seed).crash_act for seed in range(20)}) > 5


@pytest.mark.parametrize("byte", [0, 1, 17, 255])
def test_a_mistyped_memo_names_no_deposit(byte: int) -> None:
    memo = str(DepositMemo(DepositAction.LEG, bytes([byte]) * 16))
    assert read_deposit_memo(memo.encode().hex()) is not None
    assert broken(memo) != memo
    assert read_deposit_memo(broken(memo).encode().hex()) is None


def test_the_demo_writes_a_configuration_like_an_operators(tmp_path: Path) -> None:
    file = tmp_path / "demo.toml"
    own = Own(home=tmp_path / 'ho"me', port=8420, wallet_key="0x" + "44" * 32)
    file.write_text(configuration(WORLDS, own), "utf-8")
    settings = load(file, {})
    assert settings.mode is Mode.SANDBOX
    assert settings.home == tmp_path / 'ho"me'
    assert settings.pools[0].account == settings.venue_accounts[0].id
    forms = {form.asset: form for form in settings.forms}
    assert set(forms) == {"BTC", "USDT", "HMT"}
    assert forms["HMT"].evm_contract is not None
    assert forms["BTC"].evm_contract is None
    assert {row.network for row in settings.payout.networks} == {"mixin"}
    assert settings.hufi is not None
    assert settings.hufi.file_hosts == ("127.0.0.1:4006",)


def _told() -> Told:
    return Told(
        seed=1, seconds=50.0, users=4, fills=30, restart_survived=True, finished=True,
        verdict=VERDICT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fills", 29),
        ("restart_survived", False),
        ("restart_survived", None),
        ("finished", False),
        ("verdict", {}),
        *[("verdict", VERDICT | {flag: False}) for flag in VERDICT if flag.endswith("_ok")],
        ("verdict", VERDICT | {"open_orders_unknown": 1}),
        ("verdict", VERDICT | {"open_orders_unknown": None}),
        ("verdict", VERDICT | {"custody_ok": "true"}),
    ],
)
def test_the_result_is_ok_only_if_everything_holds(name: str, value: Any) -> None:
    told = _told()
    assert told.ok
    setattr(told, name, value)
    assert not told.ok


def test_the_last_line_has_all_its_keys_even_when_nothing_was_reached() -> None:
    keys = {
        "seconds", "seed", "users", "deposits", "orders_placed", "fills", "rewards_received",
        "rewards_allocated", "withdrawn", "refunded", "restart_survived", "open_orders_unknown",
        "trial_balance_ok", "ledger_verify_ok", "allocations_ok", "custody_ok", "custody",
    }  # fmt: skip
    assert set(_told().document()) == keys == set(Told(seed=1).document())


def test_found_59_what_nobody_judged_is_null_and_not_false() -> None:
    document = Told(seed=1).document()
    flags = ("trial_balance_ok", "ledger_verify_ok", "allocations_ok", "custody_ok")
    unjudged = (*flags, "open_orders_unknown", "custody", "restart_survived")
    assert {document[name] for name in unjudged} == {None}
    bad = Told(seed=1, verdict=VERDICT | {"custody_ok": False}).document()
    assert (bad["custody_ok"], bad["trial_balance_ok"]) == (False, True)


def test_sums_are_exact_and_leave_out_what_is_nothing() -> None:
    rows = [
        {"asset": "HMT", "amount": "0.000000000000000001"},
        {"asset": "HMT", "amount": "99.999999999999999999"},
        {"asset": "BTC", "amount": "0.00"},
    ]
    assert sums.added(rows) == {"HMT": "100"}
    assert sums.less({"HMT": "100", "BTC": "1"}, {"HMT": "0.1", "BTC": "1.0"}) == {"HMT": "99.9"}
    assert sums.less({}, {"BTC": "0.25"}) == {"BTC": "-0.25"}
    assert sums.said({}) == "nothing"
