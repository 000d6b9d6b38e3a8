"""A running platform: people state wrong things, a place is short, strangers pay in anything."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from poolmaker.sandbox.relay.routes import BY_COIN
from tests.support.platforms import RunningPlatform, running_platform
from tests.support.venue import ccxt_settings

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("platform")]
VENUE = "custody:venue:main"
OPENING = "1000000"
ETHER = "43d61dcd-e413-450d-80b8-101d5e903357"
POL = "b7938396-3f94-4e0a-9179-d3440718156f"
ERC20_USDT = BY_COIN["USDT", "ETH"].asset_id


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path_factory.mktemp("evidence")) as found:
        yield found


def _user(platform: RunningPlatform, name: str, wallet: int) -> dict[str, Any]:
    body = {"name": name, "mixin_id": platform.mixin["users"][wallet]["app_id"]}
    made = platform.post("/users", body)
    assert made.status == 201, made.body
    found: dict[str, Any] = made.json
    return found


@pytest.fixture(scope="module")
def ada(platform: RunningPlatform) -> dict[str, Any]:
    return _user(platform, "ada", 0)


@pytest.fixture(scope="module")
def bo(platform: RunningPlatform) -> dict[str, Any]:
    return _user(platform, "bo", 1)


def _stated(amount: str, reference: str, location: str = VENUE) -> dict[str, str]:
    return {"location": location, "asset": "USDT", "amount": amount, "reference": reference}


def _available(platform: RunningPlatform, user: dict[str, Any]) -> list[str]:
    rows = platform.get("/balances", user["token"])
    return [row["available"] for row in rows if float(row["available"])]


def _approved(platform: RunningPlatform, path: str, body: dict[str, Any]) -> Any:
    """What the answer is when the treasurer has approved what the operator asked."""
    treasurer = (platform.home / "treasurer.token").read_text("utf-8").strip()
    first = platform.post(path, body)
    assert (first.status, first.json["code"]) == (409, "approval_pending"), first.body
    approval = first.json["facts"]["approval_id"]
    assert platform.post(f"/approvals/{approval}/approve", {}, treasurer).status == 201
    return platform.post(path, body)


def _come(platform: RunningPlatform, amount: str, tx_id: str) -> None:
    arrived = {"account": 1, "asset": "USDT", "network": "ETH", "amount": amount, "tx_id": tx_id}
    platform.at_venue("/deposit", arrived)


def _is_well(platform: RunningPlatform, check: str) -> bool:
    checks = platform.get("/health")["checks"]
    return next(bool(row["ok"]) for row in checks if row["name"] == check)


def _incidents(platform: RunningPlatform, kind: str, asset: str = "USDT") -> list[Any]:
    rows = platform.get("/custody/incidents")
    return [
        row
        for row in rows
        if (row["kind"], row["asset"]) == (kind, asset) and not row["closed_at_us"]
    ]


def test_found_27_what_the_venue_does_not_report_is_not_booked(
    platform: RunningPlatform, ada: dict[str, Any]
) -> None:
    _come(platform, "5000", "tx-5000")
    wrong = platform.post("/treasury/operator-in", _stated("50000", "tx-5000"))
    assert (wrong.status, wrong.json["code"]) == (409, "amount_differs")
    facts = wrong.json["facts"]
    assert (facts["stated"], facts["reported"]) == ("50000", "5000.00000000")
    nosuch = platform.post("/treasury/operator-in", _stated("1", "tx-1", "custody:venue:nosuch"))
    assert nosuch.json["code"] == "unknown_place"
    path = f"/users/{ada['user_id']}/deposits"
    nothing = _approved(platform, path, _stated("2000000", "tx-of-nothing"))
    assert (nothing.status, nothing.json["code"]) == (409, "nothing_behind")
    assert _available(platform, ada) == []
    paid = platform.post("/withdrawals", {"asset": "USDT", "amount": "1"}, ada["token"])
    assert paid.status == 201
    platform.until(
        lambda: platform.get("/withdrawals", ada["token"])[0]["state"] == "DECLINED", "a refusal"
    )


def test_found_27_what_was_stated_for_another_is_reversed_and_stated_right(
    platform: RunningPlatform, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    _come(platform, "7", "tx-of-bo")
    wrong = platform.post(f"/users/{ada['user_id']}/deposits", _stated("7", "tx-of-bo"))
    assert wrong.status == 201, wrong.body
    body = {"seq": wrong.json["seq"], "reason": "it is bo's"}
    assert _approved(platform, "/treasury/reversals", body).status == 201
    right = platform.post(f"/users/{bo['user_id']}/deposits", _stated("7", "tx-of-bo"))
    assert right.status == 201, right.body
    assert _available(platform, ada) == []
    assert _available(platform, bo) == ["7.00000000"]


def test_found_28_a_shortfall_stops_what_leaves_until_the_venue_has_it_again(
    platform: RunningPlatform, ada: dict[str, Any]
) -> None:
    """What the account began with is a surplus; two people book it; then somebody takes 1,000."""
    platform.until(lambda: _incidents(platform, "surplus"), "the surplus of the beginning")
    (surplus,) = _incidents(platform, "surplus")
    opening = _stated(surplus["difference"], "the-beginning")
    assert _approved(platform, "/treasury/operator-in", opening).status == 201
    platform.until(lambda: not _incidents(platform, "surplus"), "books that agree")
    out = _stated("10", "out-1")
    trader = ccxt.binance(ccxt_settings(dict(platform.venue), 1))
    trader.withdraw("USDT", 1_000, "0x" + "1" * 40, params={"network": "ETH"})
    platform.until(lambda: _incidents(platform, "shortfall"), "the shortfall")
    platform.until(lambda: not _is_well(platform, "custody"), "health says so")
    stopped = _approved(platform, "/treasury/operator-out", out)
    assert (stopped.status, stopped.json["code"]) == (409, "custody_stopped"), stopped.body
    (short,) = _incidents(platform, "shortfall")
    _come(platform, short["difference"], "tx-back")
    platform.until(lambda: not _incidents(platform, "shortfall"), "the place has it again")
    closed = [row for row in platform.get("/custody/incidents") if row["kind"] == "shortfall"]
    assert closed[0]["evidence"].startswith("reported ")
    assert _approved(platform, "/treasury/operator-out", _stated("10", "out-2")).status == 201


def _held_by(platform: RunningPlatform, wallet: int) -> dict[str, str]:
    with urllib.request.urlopen(platform.mixin["admin"] + "/users") as answer:
        rows = json.load(answer)["users"]
    mine = platform.mixin["users"][wallet]["app_id"]
    found: dict[str, str] = next(row for row in rows if row["user_id"] == mine)["balances"]
    return found


def test_payments_in_assets_that_nobody_configured_go_back_to_their_sender(
    platform: RunningPlatform,
) -> None:
    """60 ERC-20 USDT, 0.5 ETH and 3 POL stayed with the bot, in no list."""
    before = _held_by(platform, 2)
    for asset, amount in ((ERC20_USDT, "60"), (ETHER, "0.5"), (POL, "3")):
        paid = {"user": "3", "asset": asset, "amount": amount}
        assert platform.at_mixin("/pay", paid)["state"] == "spent"
    platform.until(lambda: _held_by(platform, 2) == before, "everything back")
    platform.until(lambda: platform.get("/unlisted") == [], "an empty list")
