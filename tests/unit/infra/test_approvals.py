"""The two-person rule (infra invariant 5)."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.approvals.alone import LoneAct, LoneActs
from poolmaker.infra.approvals.attention import ApprovalAttention
from poolmaker.infra.approvals.model import (
    APPROVAL_TABLE,
    Approval,
    ApprovalAsk,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalPending,
    ApprovalRefusal,
    ApprovalRefused,
    ApprovalState,
    Approver,
)
from poolmaker.infra.approvals.rules import approving, canonical, consent, is_agreed
from poolmaker.infra.approvals.service import ApprovalService, ApprovalTimes
from poolmaker.infra.database import Database
from poolmaker.kernel.clock import DAY_US, ManualClock
from poolmaker.kernel.ids import ApprovalId, Ids
from poolmaker.kernel.rng import Rng

S, E = ApprovalState, ApprovalEvent
ADA, BOB = Approver("ada", may_approve=True), Approver("bob", may_approve=True)
ALONE = replace(ADA, alone=True)
CLERK = Approver("clerk")
"""May ask, and is not to be the second person."""


def test_every_state_with_every_event_goes_where_the_rule_says_and_nowhere_else() -> None:
    right = {
        (S.WAITING, E.SECOND_PERSON): S.APPROVED,
        (S.WAITING, E.SAME_PERSON_AFTER_DELAY): S.APPROVED,
        (S.WAITING, E.SAME_PERSON): S.WAITING,
        (S.WAITING, E.NOT_AN_APPROVER): S.WAITING,
        (S.WAITING, E.WITHIN_LIMIT): S.APPROVED,
        (S.WAITING, E.USED): None,
        (S.WAITING, E.CANCELLED): S.CANCELLED,
        (S.WAITING, E.LAPSED): S.LAPSED,
        (S.APPROVED, E.USED): S.USED,
        (S.APPROVED, E.CANCELLED): S.CANCELLED,
        (S.APPROVED, E.LAPSED): S.LAPSED,
    }
    for state, event in itertools.product(S, E):
        assert APPROVAL_TABLE.next(state, event) == right.get((state, event)), (state, event)
    assert APPROVAL_TABLE.reachable() == frozenset(S)


@given(
    st.sampled_from(["ada", "bob", "cleo"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3 * DAY_US),
    st.integers(1, 2 * DAY_US),
)
def test_only_approvers_approve_and_the_requester_only_alone_and_after_the_delay(
    name: str, may_approve: bool, alone: bool, waited_us: int, delay_us: int
) -> None:
    asked = Approval(
        id=ApprovalId("ap_1"),
        action="a",
        subject="s",
        body=b"{}",
        state=S.WAITING,
        requested_by="ada",
        requested_us=1_000,
    )
    approver = Approver(name, may_approve=may_approve, alone=alone)
    event = approving(asked, approver, 1_000 + waited_us, delay_us)
    allowed = APPROVAL_TABLE.next(S.WAITING, event) is S.APPROVED
    assert allowed == (may_approve and (name != "ada" or (alone and waited_us >= delay_us)))


@given(st.booleans(), st.integers(0, 3 * DAY_US))
def test_another_name_of_the_same_hand_is_no_second_person(alone: bool, waited_us: int) -> None:
    other = Approver("adas-other", may_approve=True, alone=alone, hand=frozenset({"ada"}))
    event = consent("ada", 1, other, 1 + waited_us, DAY_US)
    assert is_agreed(event) == (alone and waited_us >= DAY_US)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_a_body_has_one_encoding_whatever_the_order_of_its_words(body: dict[str, str]) -> None:
    assert canonical(body) == canonical(dict(reversed(body.items())))


@dataclass
class Office:
    database: Database
    clock: ManualClock
    approvals: ApprovalService

    async def ask(
        self, who: Approver, request: str, **body: str
    ) -> ApprovalGranted | ApprovalPending:
        ask = ApprovalAsk(action="kill.release", subject="pool:p", body=body, request_id=request)
        return await self.approvals.permit(ask, who)


@pytest.fixture
def office(database: Database) -> Office:
    clock = ManualClock()
    approvals = ApprovalService(database, clock, Ids(clock, Rng(1)), ApprovalTimes())
    return Office(database, clock, approvals)


async def test_the_second_person_sends_the_same_and_is_granted_at_once(office: Office) -> None:
    first = await office.ask(ADA, "r1", why="mended")
    assert isinstance(first, ApprovalPending)
    assert isinstance(await office.ask(ADA, "r2", why="mended"), ApprovalPending)
    granted = await office.ask(BOB, "r3", why="mended")
    assert isinstance(granted, ApprovalGranted)
    assert granted.approval.id == first.approval.id
    assert isinstance(await office.ask(BOB, "r3", why="mended"), ApprovalGranted)  # a repetition
    assert isinstance(await office.ask(BOB, "r4", why="mended"), ApprovalPending)  # another one
    steps = await office.approvals.history(first.approval.id)
    assert [(step.event, step.by) for step in steps] == [
        ("requested", "ada"),
        ("second_person", "bob"),
        ("used", "bob"),
    ]


async def test_who_may_not_approve_asks_and_is_never_the_second_person(office: Office) -> None:
    first = await office.ask(ADA, "r1", why="mended")
    assert isinstance(await office.ask(CLERK, "r2", why="mended"), ApprovalPending)
    refused = await office.approvals.approve(first.approval.id, CLERK)
    assert refused == ApprovalRefused(ApprovalRefusal.SAME_PERSON)
    office.clock.advance(2 * DAY_US)
    last = replace(CLERK, alone=True)
    assert isinstance(await office.ask(last, "r3", why="mended"), ApprovalPending)
    assert isinstance(await office.ask(BOB, "r4", why="mended"), ApprovalGranted)
    asked = await office.ask(CLERK, "r5", why="mended")
    assert isinstance(await office.approvals.approve(asked.approval.id, BOB), Approval)
    assert isinstance(await office.ask(CLERK, "r6", why="mended"), ApprovalGranted)


async def test_what_a_request_was_granted_is_read_word_by_word_after_a_crash(
    office: Office,
) -> None:
    assert await office.approvals.granted("r2", "kill.release", "pool:p") is None
    await office.ask(ADA, "r1", why="mended")
    granted = await office.ask(BOB, "r2", why="mended")
    found = await office.approvals.granted("r2", "kill.release", "pool:p")
    assert found == granted.approval
    assert found.body == canonical({"why": "mended"})
    for other in (("r1", "kill.release", "pool:p"), ("r2", "kill.release", "pool:q")):
        assert await office.approvals.granted(*other) is None


async def test_one_word_more_is_another_action(office: Office) -> None:
    await office.ask(ADA, "r1", why="mended")
    assert isinstance(await office.ask(BOB, "r2", why="mended?"), ApprovalPending)


async def test_a_person_who_is_alone_waits_for_the_delay(office: Office) -> None:
    first = await office.ask(ALONE, "r1")
    assert isinstance(first, ApprovalPending)
    assert first.may_repeat_us == office.clock.now_us() + DAY_US
    office.clock.advance(DAY_US - 1)
    assert isinstance(await office.ask(ALONE, "r2"), ApprovalPending)
    office.clock.advance(1)
    assert isinstance(await office.ask(ADA, "r3"), ApprovalPending)  # not alone any more
    assert isinstance(await office.ask(ALONE, "r4"), ApprovalGranted)


async def test_an_approval_by_id_is_used_by_the_requester_and_only_once(office: Office) -> None:
    first = await office.ask(ADA, "r1")
    refused = await office.approvals.approve(first.approval.id, ADA)
    assert refused == ApprovalRefused(ApprovalRefusal.SAME_PERSON)
    approved = await office.approvals.approve(first.approval.id, BOB)
    assert isinstance(approved, Approval)
    assert isinstance(await office.ask(ADA, "r2"), ApprovalGranted)
    ended = await office.approvals.approve(first.approval.id, BOB)
    assert ended == ApprovalRefused(ApprovalRefusal.ENDED)
    assert isinstance(await office.ask(ADA, "r5"), ApprovalPending)


async def test_what_was_cancelled_or_is_old_allows_nothing(office: Office) -> None:
    first = await office.ask(ADA, "r1")
    assert isinstance(await office.approvals.cancel(first.approval.id, BOB), Approval)
    office.clock.advance(DAY_US)
    second = await office.ask(ADA, "r2")
    assert second.approval.id != first.approval.id
    assert isinstance(await office.approvals.approve(second.approval.id, BOB), Approval)
    office.clock.advance(7 * DAY_US)
    third = await office.ask(ADA, "r3")
    assert isinstance(third, ApprovalPending)
    ended = await office.approvals.page(ApprovalId(""), 10, ended=True)
    assert [approval.state for approval in ended] == [S.CANCELLED, S.LAPSED, S.WAITING]
    still = await office.approvals.page(ApprovalId(""), 10)
    assert [approval.id for approval in still] == [third.approval.id]
    unknown = await office.approvals.cancel(ApprovalId("ap_none"), BOB)
    assert unknown == ApprovalRefused(ApprovalRefusal.UNKNOWN)


async def test_of_many_at_once_one_is_granted(office: Office) -> None:
    asked = [office.ask(ADA if n % 2 else BOB, f"r{n}") for n in range(8)]
    answers = await asyncio.gather(*asked)
    granted = [answer for answer in answers if isinstance(answer, ApprovalGranted)]
    used = {answer.approval.id for answer in granted}
    assert len(granted) == len(used)  # each grant has an approval of its own
    for answer in granted:
        approval = answer.approval
        assert approval.approved_by != approval.requested_by


async def test_the_history_and_what_was_asked_cannot_be_changed(office: Office) -> None:
    await office.ask(ADA, "r1")
    for statement in (
        "UPDATE infra.approval_step SET by = 'bob'",
        "DELETE FROM infra.approval_step",
        "DELETE FROM infra.approval",
        "UPDATE infra.approval SET requested_by = 'cleo'",
        "UPDATE infra.approval SET body = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with office.database.transaction() as connection:
                await connection.execute(statement)


def _act(request: str, units: int, **other: str) -> LoneAct:
    words = {"limit": "operator_out", "asset": "USDT", "by": "ada"} | other
    return LoneAct(units=units, request_id=request, **words)


@pytest.fixture
def lone(office: Office) -> LoneActs:
    limits = {"operator_out": {"USDT": 100}, "bear_deficit": {"USDT": 5}}
    return LoneActs(office.database, office.clock, Ids(office.clock, Rng(2)), limits)


async def test_what_one_person_may_do_is_summed_over_all_persons_and_24_hours(
    office: Office, lone: LoneActs
) -> None:
    assert await lone.take(_act("r1", 60))
    assert await lone.take(_act("r1", 60)), "the same request repeats, and counts once"
    assert not await lone.take(_act("r2", 41, by="bob"))
    assert await lone.take(_act("r3", 40, by="bob"))
    assert not await lone.take(_act("r4", 1))
    assert await lone.take(_act("r5", 5, limit="bear_deficit")), "a limit of its own"
    assert not await lone.take(_act("r6", 1, asset="BTC")), "no limit is set: nothing alone"
    for request, units in (("r1", 60), ("r3", 40)):
        await lone.settle(_act(request, units), done=True)
    assert await lone.take(_act("r1", 60)), "also after it was done"
    office.clock.advance(DAY_US - 1)
    assert not await lone.take(_act("r7", 1))
    office.clock.advance(1)
    assert await lone.take(_act("r8", 100))


async def test_what_was_refused_counts_no_more(lone: LoneActs) -> None:
    assert await lone.take(_act("r1", 100))
    await lone.settle(_act("r1", 100), done=False)
    await lone.settle(_act("r1", 100), done=False)
    assert await lone.take(_act("r2", 100))


async def test_what_one_person_has_begun_alone_is_given_back_by_nobodys_word(
    office: Office, lone: LoneActs
) -> None:
    """Else cancelling it while it is being done lets it be done without counting."""
    listing = ApprovalAttention(office.approvals, office.clock, 7 * DAY_US)
    assert await lone.take(_act("r1", 100))
    (begun,) = await office.approvals.page(ApprovalId(""), 9)
    assert await listing.attention() == [], "nobody is asked to send it again"
    for who in (ADA, BOB):
        refused = await office.approvals.cancel(begun.id, who)
        assert refused == ApprovalRefused(ApprovalRefusal.ENDED)
    await lone.settle(_act("r1", 100), done=True)
    assert not await lone.take(_act("r2", 1))


async def test_of_many_at_once_no_more_than_the_limit_is_taken(lone: LoneActs) -> None:
    asked = [lone.take(_act(f"r{n}", 30)) for n in range(8)]
    assert sum(await asyncio.gather(*asked)) == 3


async def test_what_waits_for_a_second_person_is_listed_until_it_lapses(office: Office) -> None:
    listing = ApprovalAttention(office.approvals, office.clock, 7 * DAY_US)
    first = await office.ask(ADA, "r1", why="mended")
    (item,) = await listing.attention()
    assert (item.kind, item.subject) == ("waiting", first.approval.id)
    assert item.evidence["action"] == "kill.release"
    assert item.evidence["what"] == "why: mended"
    assert item.evidence["requested_by"] == "ada"
    until_s = office.clock.now_us() // 1_000_000 + 7 * 86_400
    wanted = datetime.fromtimestamp(until_s, UTC)
    assert item.evidence["until"] == f"{wanted:%Y-%m-%d %H:%M:%S} UTC"
    assert [one.action for one in item.remedies] == ["approve", "cancel"]
    await office.approvals.approve(first.approval.id, BOB)
    (item,) = await listing.attention()
    assert (item.kind, item.evidence["approved_by"]) == ("approved", "bob")
    assert [one.action for one in item.remedies] == ["cancel"]
    office.clock.advance(7 * DAY_US)
    assert await listing.attention() == []
