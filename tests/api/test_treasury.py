"""What people state about money and decide about the operator's own: evidence and two people."""

from __future__ import annotations

from typing import Any

import pytest

from poolmaker.api.ports import ActionReceipt, ActionRefused, BearableView, UnlistedReturn
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.views.model import AmountView
from tests.api.client import Client
from tests.e2e.world import TREASURER_TOKEN, VIEWER_TOKEN, FakeWorld

PLACE = {"location": "custody:venue:main", "asset": "USDT"}
STATED = {**PLACE, "amount": "50000", "reference": "tx1"}
OUT = {**PLACE, "amount": "101", "reference": "out-1"}


async def _asked(client: Client, path: str, body: dict[str, Any], key: str) -> tuple[int, str]:
    answer = await client.post(f"/api/v1{path}", body, key=key)
    return answer.status, answer.json.get("code", "")


async def test_found_27_what_the_place_does_not_confirm_waits_for_a_second_person(
    client: Client, world: FakeWorld
) -> None:
    world.unconfirmed = {"tx1"}
    path, second = "/treasury/operator-in", client.as_(TREASURER_TOKEN)
    assert await _asked(client, path, STATED, "key-00001") == (409, "approval_pending")
    assert await _asked(client, path, STATED, "key-00002") == (409, "approval_pending")
    assert world.calls == []
    (approval,) = (await second.get("/api/v1/approvals")).json
    assert approval["action"] == "treasury.operator_in"
    approved = f"/approvals/{approval['approval_id']}/approve"
    assert (await _asked(second, approved, {}, "key-00003"))[0] == 201
    assert (await _asked(client, path, STATED, "key-00004"))[0] == 201
    assert [name for name, _ in world.calls] == ["OPERATOR_IN"]
    assert await _asked(client, path, STATED, "key-00005") == (409, "approval_pending")


async def test_found_27_both_figures_are_said_where_the_place_reports_another_amount(
    client: Client, world: FakeWorld
) -> None:
    facts = {"asset": "USDT", "stated": "50000", "reported": "5000"}
    world.refuse = ActionRefused("amount_differs", facts)
    answer = await client.post("/api/v1/treasury/operator-in", STATED)
    assert answer.status == 409
    assert answer.json["facts"] == facts
    assert "50000 USDT" in answer.json["detail"]
    assert "5000 USDT" in answer.json["detail"]


async def test_found_40_more_than_the_limit_needs_a_second_person(
    client: Client, world: FakeWorld
) -> None:
    treasurer = client.as_(TREASURER_TOKEN)
    path = "/treasury/operator-out"
    small = {**OUT, "amount": "100"}
    assert (await _asked(treasurer, path, small, "key-00001"))[0] == 201
    assert await _asked(treasurer, path, OUT, "key-00002") == (409, "approval_pending")
    assert (await _asked(client, path, OUT, "key-00003"))[0] == 201
    assert [name for name, _ in world.calls] == ["OPERATOR_OUT", "OPERATOR_OUT"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/treasury/reversals", {"seq": 7, "reason": "it is bob's"}),
        (
            "/custody/incidents/bear",
            {"incident": "shortfall~custody:venue:main~USDT~1", "reason": "r"},
        ),
        (
            "/unlisted/returns",
            {
                "asset_id": "b7938396-3f94-4e0a-9179-d3440718156f",
                "sender": "7766b24c-1a03-4c3a-83a3-b4358266875d",
                "receiver": "7766b24c-1a03-4c3a-83a3-b4358266875d",
                "amount": "0.5",
                "reason": "asked by mail",
            },
        ),
    ],
)
async def test_found_27_what_undoes_or_gives_away_is_done_by_two(
    client: Client, world: FakeWorld, path: str, body: dict[str, Any]
) -> None:
    assert await _asked(client, path, body, "key-00001") == (409, "approval_pending")
    assert world.calls == []
    await _asked(client.as_(TREASURER_TOKEN), path, body, "key-00002")
    assert len(world.calls) == 1


async def test_a_return_is_approved_with_the_sender_the_receiver_and_the_amount(
    client: Client, world: FakeWorld
) -> None:
    body = {
        "asset_id": "b7938396-3f94-4e0a-9179-d3440718156f",
        "receiver": "7766b24c-1a03-4c3a-83a3-b4358266875d",
        "amount": "0.5",
        "reason": "asked by mail",
    }
    path, second = "/unlisted/returns", client.as_(TREASURER_TOKEN)
    assert await _asked(client, path, body, "key-00001") == (409, "approval_pending")
    other = {**body, "amount": "0.6"}
    assert await _asked(second, path, other, "key-00002") == (409, "approval_pending")
    sender = {**body, "sender": body["receiver"]}
    assert await _asked(second, path, sender, "key-00003") == (409, "approval_pending")
    assert world.calls == []
    await _asked(second, path, body, "key-00004")
    (call,) = world.calls
    assert call == (
        "return_unlisted",
        UnlistedReturn(body["asset_id"], "", body["receiver"], "0.5", 1),
    )
    too_fine = {**body, "amount": "0.000000001"}
    assert await _asked(client, path, too_fine, "key-00005") == (422, "invalid")


async def test_what_one_person_takes_out_is_summed_over_all_persons_and_a_refusal_counts_not(
    client: Client, world: FakeWorld
) -> None:
    treasurer, path = client.as_(TREASURER_TOKEN), "/treasury/operator-out"
    part = {**OUT, "amount": "60"}
    world.refuse = ActionRefused("not_free")
    assert (await _asked(client, path, part, "key-00001"))[0] == 409
    world.refuse = None
    world.calls.clear()
    assert (await _asked(client, path, part, "key-00002"))[0] == 201
    more = {**part, "reference": "out-2"}
    assert await _asked(treasurer, path, more, "key-00003") == (409, "approval_pending")
    assert len(world.calls) == 1
    assert (await _asked(client, path, more, "key-00004"))[0] == 201, "now two have agreed"


BEAR = "/custody/incidents/bear"
SHORT = {"incident": "shortfall~custody:venue:main~USDT~1", "reason": "an outage"}


async def test_what_equity_bears_is_approved_by_its_amount(
    client: Client, world: FakeWorld
) -> None:
    treasurer = client.as_(TREASURER_TOKEN)
    assert await _asked(client, BEAR, SHORT, "key-00001") == (409, "approval_pending")
    (approval,) = (await treasurer.get("/api/v1/approvals")).json
    assert (approval["body"]["amount"], approval["body"]["asset"]) == ("7", "USDT")
    world.missing = "7000"
    assert await _asked(treasurer, BEAR, SHORT, "key-00002") == (409, "approval_pending")
    assert world.calls == []
    assert (await _asked(client, BEAR, SHORT, "key-00003"))[0] == 201
    ((_, asked),) = world.calls
    assert asked == (SHORT["incident"], BearableView(AmountView("USDT", "7000"), 1))


async def test_bearing_that_is_repeated_after_a_crash_is_the_same_attempt(
    client: Client, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    treasurer = client.as_(TREASURER_TOKEN)
    await _asked(client, BEAR, SHORT, "key-00001")
    bear = world.bear

    async def lost(
        request_id: str, incident: str, what: BearableView
    ) -> ActionReceipt | ActionRefused:
        await bear(request_id, incident, what)
        raise OutcomeUnknown("the process was killed")

    monkeypatch.setattr(world, "bear", lost)
    assert (await _asked(treasurer, BEAR, SHORT, "key-00002"))[0] == 503
    monkeypatch.undo()
    world.missing = "9"
    assert (await _asked(treasurer, BEAR, SHORT, "key-00002"))[0] == 201
    first, again = (asked for _, asked in world.calls)
    assert first == again


async def test_found_40_fees_settle_and_float_trades_both_ways(
    client: Client, world: FakeWorld
) -> None:
    money = {"asset": "USDT", "amount": "1", "reference": "r1"}
    for account in ("fees", "dust"):
        body = {"account": account, **money}
        assert (await _asked(client, "/treasury/settlements", body, f"key-{account}"))[0] == 201
    for direction in ("in", "out"):
        body = {"direction": direction, **money}
        assert (await _asked(client, "/treasury/float", body, f"key-float-{direction}"))[0] == 201
    kinds = [name for name, _ in world.calls]
    assert kinds == ["SETTLE_FEES", "SETTLE_FEES", "FLOAT_TRADE.v2", "FLOAT_TRADE.v2"]
    settled: list[Any] = [asked for _, asked in world.calls[:2]]
    assert [asked[0] for asked in settled] == ["platform:fees", "platform:dust"]


async def test_incidents_and_what_is_unlisted_are_for_the_staff_to_see(client: Client) -> None:
    viewer = client.as_(VIEWER_TOKEN)
    for path in ("/api/v1/custody/incidents", "/api/v1/unlisted"):
        assert (await viewer.get(path)).json == []
    wish = {"incident": "silence~custody:venue:main~~1"}
    assert (await _asked(client, "/custody/incidents/take", wish, "key-00001"))[0] == 404
    assert await _asked(viewer, "/custody/incidents/take", wish, "key-00002") == (403, "forbidden")
