"""Decisions about money that leaves: two people, exact amounts, each once."""

from __future__ import annotations

import pytest

from poolmaker.api.access import ROLE_SCOPES, Role
from poolmaker.api.ports import OutgoingDecision
from poolmaker.api.server import create_api
from poolmaker.api.tokens import NewToken, token_hash
from poolmaker.kernel.errors import OutcomeUnknown
from tests.api.client import Client
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld

TREASURER = "pm_the_treasurer_of_the_tests_0001"
PATH = "/api/v1/outgoing/wd_1/decision"
REFERENCE = "aa" * 16
SENT = {"decision": "sent", "transaction_id": "0xab", "taken": "1.5", "fee": "0.1"}


def _clients(world: FakeWorld) -> tuple[Client, Client]:
    world.people.granted["tk_t"] = NewToken(
        token_id="tk_t", token_hash=token_hash(TREASURER), role=Role.TREASURER, name="tess",
        user_id=None, scopes=ROLE_SCOPES[Role.TREASURER], expires_us=2**60, granted_by="operator",
        vouched=True,
    )  # fmt: skip
    api = create_api(world.platform())
    return Client(api, OPERATOR_TOKEN), Client(api, TREASURER)


async def test_found_31_a_decision_about_a_doubt_needs_a_second_person(world: FakeWorld) -> None:
    operator, treasurer = _clients(world)
    first = await operator.post(PATH, SENT)
    assert (first.status, first.json["code"]) == (409, "approval_pending")
    again = await operator.post(PATH, SENT)
    assert again.json["code"] == "approval_pending"
    other = await treasurer.post(PATH, {**SENT, "taken": "1.6"})
    assert other.json["code"] == "approval_pending", "another amount is another decision"
    assert world.outgoing.decided == []
    done = await treasurer.post(PATH, SENT)
    assert done.status == 201
    (kept,) = world.outgoing.decided
    assert (kept.payment_id, kept.decision, kept.by) == ("wd_1", "sent", "tess")
    assert (kept.transaction_id, kept.taken, kept.fee) == ("0xab", "1.5", "0.1")


async def test_an_approval_of_one_sending_decides_nothing_about_a_later_one(
    world: FakeWorld,
) -> None:
    operator, treasurer = _clients(world)
    again = {"decision": "again"}
    assert (await operator.post(PATH, again)).json["code"] == "approval_pending"
    world.outgoing.sending = 2
    assert (await treasurer.post(PATH, again)).json["code"] == "approval_pending"
    assert world.outgoing.decided == []
    assert (await operator.post(PATH, again)).status == 201
    assert [one.sending for one in world.outgoing.decided] == [2]


async def test_again_that_is_repeated_after_a_crash_is_about_the_same_sending(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, treasurer = _clients(world)
    again = {"decision": "again"}
    await operator.post(PATH, again)
    decide = world.outgoing.decide

    async def lost(decision: OutgoingDecision) -> None:
        await decide(decision)
        world.outgoing.sending = 2
        raise OutcomeUnknown("the process was killed")

    monkeypatch.setattr(world.outgoing, "decide", lost)
    assert (await treasurer.post(PATH, again, key="the-key-of-it")).status == 503
    monkeypatch.undo()
    await treasurer.post(PATH, again, key="the-key-of-it")
    assert [one.sending for one in world.outgoing.decided] == [1, 1]


async def test_what_does_not_wait_is_said_before_anybody_is_asked_for_approval(
    world: FakeWorld,
) -> None:
    operator, _ = _clients(world)
    unknown = await operator.post("/api/v1/outgoing/wd_2/decision", SENT)
    assert unknown.json["code"] == "unknown_payment"
    assert world.approvals.rows == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "maybe"},
        {**SENT, "taken": 1.5},
        {**SENT, "taken": "-1"},
        {**SENT, "transaction_id": "0x ab"},
        {**SENT, "more": "x"},
    ],
)
async def test_found_31_a_decision_that_is_not_exact_is_refused(
    world: FakeWorld, body: dict[str, object]
) -> None:
    operator, _ = _clients(world)
    assert (await operator.post(PATH, body)).status == 422
    assert world.outgoing.decided == []


async def test_found_16_a_payment_that_no_block_takes_is_retried_or_cancelled(
    world: FakeWorld,
) -> None:
    operator, treasurer = _clients(world)
    assert (await operator.post(f"/api/v1/chain/payments/{REFERENCE}/retry", {})).status == 201
    assert (await treasurer.post(f"/api/v1/chain/payments/{REFERENCE}/cancel", {})).status == 201
    assert world.outgoing.acted == [(REFERENCE, "retry"), (REFERENCE, "cancel")]
    unknown = await operator.post(f"/api/v1/chain/payments/{'bb' * 16}/cancel", {})
    assert (unknown.status, unknown.json["code"]) == (404, "unknown_payment")
