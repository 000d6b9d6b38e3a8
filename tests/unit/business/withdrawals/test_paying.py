"""The saga that pays: recorded before sent, unknown is never failed, never paid twice."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.treasury.decisions import DecisionRefusal, OutcomeDecision
from poolmaker.business.treasury.model import (
    OutgoingPayment,
    SendAbsent,
    SendCompleted,
    SendDecision,
    Sending,
    SendPostponed,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.business.treasury.rules import (
    Verdict,
    believes_refusal,
    recorded,
    surely_not_sent,
    verdict,
)
from poolmaker.business.user_orders.model import PayoutDestination
from poolmaker.business.withdrawals.model import (
    WITHDRAWAL_TABLE,
    NotRequested,
    Requested,
    Withdrawal,
    WithdrawalEvent,
    WithdrawalSettings,
    WithdrawalState,
    WithdrawRefusal,
)
from poolmaker.business.withdrawals.rules import missing_units, reference_of
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import (
    CorrelationId,
    SagaId,
    UserId,
    VenueAccountId,
    WithdrawalId,
    request_uuid,
)
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, CUSTODY, USDT, USDT_OUT, World, model_world

DOUBT_US = WithdrawalSettings().doubt_after_us


async def _request(
    world: World, user: UserId, units: int, key: str = "w", to: PayoutDestination = USDT_OUT
) -> WithdrawalId:
    money = Money(asset="USDT", units=units)
    answer = await world.insist(lambda: world.withdrawals.withdraw(user, CUSTODY, money, to, key))
    assert isinstance(answer, Requested), answer
    return answer.withdrawal


async def _states(world: World, withdrawal: WithdrawalId) -> list[str]:
    view = await world.withdrawals.view(withdrawal)
    assert view is not None
    states = [line.state.value for line in view[1]]
    return [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state]


async def test_a_payout_walks_the_states_of_the_drawing_and_the_receiver_pays_the_network() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.fee_units = 30
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        row = await world.until_withdrawal(withdrawal, "done")
        assert await _states(world, withdrawal) == [
            "requested",
            "awaiting_cash",
            "held",
            "sent",
            "confirmed",
            "debited",
            "done",
        ]
        assert row.fee_units == 30
        assert row.transaction_id
        assert await world.available(alice) == (0, 400)
        assert await world.custody() == (0, 400)
        async with world.stores.transactions.begin("look") as tx:
            log = await world.ledger.read(tx, 0, 100)
        facts = {one.kind: one for one in log if one.kind in ("DEBIT_WITHDRAW", "NETWORK_FEE")}
        assert set(facts) == {"DEBIT_WITHDRAW", "NETWORK_FEE"}
        assert b'"units":570' in facts["DEBIT_WITHDRAW"].body


async def test_a_refused_withdrawal_asked_again_is_a_withdrawal_of_its_own_l7() -> None:
    """L7: fail once, then succeed: the ledger has moved exactly what has left."""
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "refuse")
        alice = await world.user("alice", usdt=1_000)
        first = await _request(world, alice, 600, "first")
        assert (await world.until_withdrawal(first, "released")).reason == "withdrawals are closed"
        assert await world.available(alice) == (0, 1_000)
        second = await _request(world, alice, 600, "second")
        await world.until_withdrawal(second, "done")
        assert await world.available(alice) == (0, 400)
        assert world.provider.paid("USDT") == 600
        assert await world.custody() == (0, 400)


async def test_an_answer_lost_after_it_was_taken_is_looked_up_and_not_compensated_l8() -> None:
    """L8: accepted but timed out is unknown; nothing is given back before the history was read."""
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "lost_after")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "done")
        assert len(world.provider.requests) == 1
        assert await world.available(alice) == (0, 400)
        assert "refused" not in await _states(world, withdrawal)


async def test_the_reference_is_a_pure_function_of_the_saga_that_a_venue_takes_l9() -> None:
    """L9: two sendings bear one reference, a UUID of 32 characters."""
    saga = SagaId("wd_1")
    assert reference_of(saga) == reference_of(saga) == request_uuid(saga, "payout").hex
    assert len(reference_of(saga)) == 32
    assert reference_of(saga) != reference_of(SagaId("wd_2"))
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "lost_before")
        alice = await world.user("alice", usdt=1_000)
        await world.until_withdrawal(await _request(world, alice, 600), "done")
        assert len({request.reference for request in world.provider.requests}) == 1


async def test_found_31_absence_is_never_proof_and_a_person_decides_with_the_evidence() -> None:
    async with model_world() as world:
        world.has_operator = False
        await world.open_pool()
        world.provider.mood("USDT", "lost_before")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(DOUBT_US // 2)
        assert await world.withdrawals.attention() == []
        await world.rest(100 * MINUTE_US)
        assert len(world.provider.requests) == 1
        assert (await world.withdrawal(withdrawal)).state == "sent"
        (item,) = await world.withdrawals.attention()
        assert (item.source, item.kind, item.subject) == ("withdrawals", "in_doubt", withdrawal)
        assert item.evidence["reference"] == world.provider.requests[0].reference
        assert item.evidence["sendings"] == "1"
        assert [one.action for one in item.remedies] == ["sent", "again", "not_sent"]
        again = OutcomeDecision(sending=1, decision=SendDecision.AGAIN, by="Olga and Omar")
        assert await world.withdrawals.decide(withdrawal, again) is None
        assert await world.withdrawals.decide(withdrawal, again) is None, "said twice, kept once"
        await world.until_withdrawal(withdrawal, "done")
        assert len(world.provider.requests) == 2
        assert world.provider.paid("USDT") == 600
        assert await world.withdrawals.attention() == []


async def test_a_word_about_one_sending_is_never_obeyed_for_a_later_one() -> None:
    """The request of a person who said "again" is repeated after a crash."""
    async with model_world() as world:
        world.has_operator = False
        await world.open_pool()
        world.provider.mood("USDT", "lost_before", "lost_before")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(2 * DOUBT_US)
        again = OutcomeDecision(sending=1, decision=SendDecision.AGAIN, by="Olga and Omar")
        assert await world.withdrawals.decide(withdrawal, again) is None

        async def in_doubt_again() -> bool:
            found = await world.withdrawals.attention()
            return [item.evidence["sendings"] for item in found] == ["2"]

        await world.until(in_doubt_again)
        repeated = await world.withdrawals.decide(withdrawal, again)
        assert repeated is DecisionRefusal.NOT_WAITING
        await world.rest(2 * DOUBT_US)
        assert len(world.provider.requests) == 2


async def test_found_31_what_a_person_says_has_left_is_booked_as_it_is_told() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.has_operator, world.provider.hidden = False, True
        world.provider.mood("USDT", "lost_after")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(2 * DOUBT_US)
        sent = OutcomeDecision(
            sending=1,
            decision=SendDecision.SENT,
            by="Olga",
            transaction_id="0xab",
            units=600,
            fee_units=30,
        )
        for bad in ({"units": 601}, {"units": 30}, {"fee_units": -1}, {"transaction_id": ""}):
            wrong = replace(sent, **bad)
            refused = await world.withdrawals.decide(withdrawal, wrong)
            assert refused is DecisionRefusal.BAD_AMOUNT
        assert await world.withdrawals.decide(withdrawal, sent) is None
        row = await world.until_withdrawal(withdrawal, "done")
        assert (row.transaction_id, row.fee_units) == ("0xab", 30)
        assert await world.available(alice) == (0, 400)
        assert await world.custody() == (0, 400)
        assert len(world.provider.requests) == 1


async def test_found_31_what_a_person_says_has_not_left_is_given_back() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.has_operator = False
        world.provider.mood("USDT", "lost_before")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(2 * DOUBT_US)
        no = OutcomeDecision(sending=1, decision=SendDecision.NOT_SENT, by="Olga")
        assert await world.withdrawals.decide(withdrawal, no) is None
        row = await world.until_withdrawal(withdrawal, "released")
        assert row.reason == "not sent, by decision of Olga"
        assert await world.available(alice) == (0, 1_000)


async def test_found_31_what_the_history_knows_comes_before_what_a_person_decided() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.has_operator, world.provider.hidden = False, True
        world.provider.mood("USDT", "lost_after")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(2 * DOUBT_US)
        again = OutcomeDecision(sending=1, decision=SendDecision.AGAIN, by="Olga")
        world.provider.hidden = False
        assert await world.withdrawals.decide(withdrawal, again) is None
        await world.until_withdrawal(withdrawal, "done")
        assert len(world.provider.requests) == 1


async def test_found_31_nobody_decides_about_what_is_not_in_doubt() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.looks = 10_000
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        again = OutcomeDecision(sending=1, decision=SendDecision.AGAIN, by="Olga")
        decide = world.withdrawals.decide
        assert await decide(withdrawal, again) is DecisionRefusal.NOT_WAITING
        await world.until_withdrawal(withdrawal, "sent")
        assert await decide(withdrawal, again) is DecisionRefusal.NOT_WAITING
        assert await decide(WithdrawalId("wd_x"), again) is DecisionRefusal.UNKNOWN


async def test_found_31_a_sending_that_a_person_wanted_and_surely_failed_is_repeated() -> None:
    """The earlier doubt stays: it neither frees the money nor makes a refusal believable."""
    async with model_world() as world:
        await world.open_pool()
        world.has_operator = False
        world.provider.mood("USDT", "lost_before", "unavailable", "refuse")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(2 * DOUBT_US)
        again = OutcomeDecision(sending=1, decision=SendDecision.AGAIN, by="Olga")
        assert await world.withdrawals.decide(withdrawal, again) is None

        async def refused() -> bool:
            return len(world.provider.requests) == 3

        await world.until(refused)
        await world.rest(60 * MINUTE_US)
        assert len(world.provider.requests) == 3
        assert (await world.withdrawal(withdrawal)).state == "sent"
        (item,) = await world.withdrawals.attention()
        assert (
            item.evidence["reason"] == "withdrawals are closed"
            or "unknown" in (item.evidence["reason"])
        )


async def test_found_54_what_the_provider_postpones_waits_and_can_be_given_up() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "postpone", "postpone", "person")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)

        async def asked() -> bool:
            return bool(await world.withdrawals.attention())

        await world.until(asked)
        (item,) = await world.withdrawals.attention()
        assert (item.kind, item.evidence["reason"]) == ("postponed", "unknown code 777")
        assert [one.action for one in item.remedies] == ["not_sent"]
        again = OutcomeDecision(sending=1, decision=SendDecision.AGAIN, by="Olga")
        assert await world.withdrawals.decide(withdrawal, again) is DecisionRefusal.NOT_WAITING
        await world.until_withdrawal(withdrawal, "done")
        assert await world.withdrawals.attention() == []
        world.provider.mood("USDT", *["person"] * 1_000)
        second = await _request(world, alice, 100, "second")
        await world.until(asked)
        no = OutcomeDecision(sending=1, decision=SendDecision.NOT_SENT, by="Olga")
        assert await world.withdrawals.decide(second, no) is None
        await world.until_withdrawal(second, "released")
        assert await world.available(alice) == (0, 400)


async def test_what_takes_long_is_still_followed_and_never_failed_l11() -> None:
    """L11: hours without completion leave it SENT; it is confirmed when it is."""
    async with model_world() as world:
        await world.open_pool()
        world.provider.looks = 10_000
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(120 * MINUTE_US)
        assert (await world.withdrawal(withdrawal)).state == "sent"
        world.provider.looks = 0
        await world.until_withdrawal(withdrawal, "done")
        assert len(world.provider.requests) == 1


async def test_what_the_provider_acknowledged_is_never_sent_again_however_silent_it_is() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.hidden = True
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(3 * DOUBT_US)
        assert len(world.provider.requests) == 1
        world.provider.hidden = False
        await world.until_withdrawal(withdrawal, "done")


async def test_an_unreadable_history_is_no_evidence() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "lost_before")
        world.provider.unread = True
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        await world.rest(2 * DOUBT_US)
        assert len(world.provider.requests) == 1
        world.provider.unread = False
        await world.until_withdrawal(withdrawal, "done")
        assert len(world.provider.requests) == 2


async def test_what_surely_was_not_sent_is_sent_again_without_the_long_wait() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "unavailable")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        begun_us = world.clock.now_us()
        await world.until_withdrawal(withdrawal, "done")
        assert world.clock.now_us() < begun_us + DOUBT_US


async def test_a_refusal_after_a_doubt_is_never_believed_without_a_person() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "lost_before", "refuse")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)

        async def refused() -> bool:
            return len(world.provider.requests) == 2

        await world.until(refused)
        world.has_operator = False
        await world.rest(60 * MINUTE_US)
        assert (await world.withdrawal(withdrawal)).state == "sent"
        no = OutcomeDecision(sending=2, decision=SendDecision.NOT_SENT, by="Olga")
        assert await world.withdrawals.decide(withdrawal, no) is None
        await world.until_withdrawal(withdrawal, "released")
        assert await world.available(alice) == (0, 1_000)


async def test_the_history_saying_failed_is_the_providers_own_word_and_releases() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        row = await world.withdrawal(withdrawal)
        world.provider.failed.add(row.reference)
        row = await world.until_withdrawal(withdrawal, "released")
        assert row.reason == "the address is not on the list"
        assert await world.available(alice) == (0, 1_000)


async def test_found_16_what_a_failed_payout_has_cost_is_the_operators_and_not_the_users() -> None:
    async with model_world() as world:
        await world.open_pool()
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 100), "cash")
        alice = await world.user("alice", usdt=1_000)
        world.provider.failure_fee = Money(asset="USDT", units=7)
        world.provider.failure_location = CUSTODY
        withdrawal = await _request(world, alice, 600)
        world.provider.failed.add((await world.withdrawal(withdrawal)).reference)
        await world.until_withdrawal(withdrawal, "released")
        assert await world.available(alice) == (0, 1_000)
        assert await world.custody() == (0, 1_093)
        assert await world.balance("platform:equity", "USDT") == 93


async def test_one_is_in_flight_per_account_asset_and_address() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.looks = 10_000
        alice = await world.user("alice", usdt=1_000)
        first = await _request(world, alice, 100, "1")
        await world.until_withdrawal(first, "sent")
        second = await _request(world, alice, 100, "2")
        other = PayoutDestination(asset="USDT", network="TRON", address="another")
        third = await _request(world, alice, 100, "3", other)
        await world.until_withdrawal(third, "sent")
        await world.rest(5 * MINUTE_US)
        assert (await world.withdrawal(second)).state == "held"
        world.provider.looks = 0
        await world.until_withdrawal(second, "done")


async def test_a_freeze_stops_what_is_not_sent_and_follows_what_is() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.looks = 50
        alice = await world.user("alice", usdt=1_000)
        first = await _request(world, alice, 100, "1")
        await world.until_withdrawal(first, "sent")
        await world.withdrawals.freeze("the address book is being checked", "Olga")
        other = PayoutDestination(asset="USDT", network="TRON", address="another")
        second = await _request(world, alice, 100, "2", other)
        await world.until_withdrawal(first, "done")
        await world.rest(5 * MINUTE_US)
        assert (await world.withdrawal(second)).state == "held"
        assert len(world.provider.requests) == 1
        assert (await world.withdrawals.frozen()) is not None
        await world.unfreeze()
        await world.until_withdrawal(second, "done")


async def test_a_freeze_also_stops_a_second_sending() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.mood("USDT", "lost_before")
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 100)
        await world.until_withdrawal(withdrawal, "sent")
        await world.withdrawals.freeze("stop", "Olga")
        await world.rest(2 * DOUBT_US)
        assert len(world.provider.requests) == 1


async def test_money_that_pools_claim_at_a_place_is_never_paid_out_from_there() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        await world.until_state(await world.open(alice, 0, 1_000), "in_mm")
        bob = await world.user("bob")
        await world.treasury.credit_deposit(bob, VenueAccountId("other"), Amount(USDT, 500), "r")
        withdrawal = await _request(world, bob, 500)
        await world.rest(5 * MINUTE_US)
        assert (await world.withdrawal(withdrawal)).state == "awaiting_cash"
        assert list(await world.withdrawals.attention()) == []
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 499), "cash")
        await world.rest(15 * MINUTE_US)
        (item,) = await world.withdrawals.attention()
        assert (item.kind, item.subject) == ("short_of_cash", f"{CUSTODY} USDT")
        missing = "1 units of USDT"
        assert item.evidence == {"missing": missing, "waiting": "1", "first": withdrawal}
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 1), "more")
        await world.until_withdrawal(withdrawal, "done")
        assert await world.capital() == (0, 1_000)
        assert list(await world.withdrawals.attention()) == []


async def test_more_than_is_available_is_declined_and_nothing_is_sent() -> None:
    async with model_world() as world:
        await world.open_pool()
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 5_000), "cash")
        alice = await world.user("alice", usdt=1_000)
        row = await world.until_withdrawal(await _request(world, alice, 1_001), "declined")
        assert row.reason == "insufficient"
        assert world.provider.requests == []
        assert await world.available(alice) == (0, 1_000)


async def test_the_same_key_is_the_same_withdrawal_and_another_content_is_a_conflict() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        ask = world.withdrawals.withdraw
        first = await ask(alice, CUSTODY, Money(asset="USDT", units=10), USDT_OUT, "k")
        again = await ask(alice, CUSTODY, Money(asset="USDT", units=10), USDT_OUT, "k")
        other = await ask(alice, CUSTODY, Money(asset="USDT", units=11), USDT_OUT, "k")
        assert first == again
        assert other == NotRequested(WithdrawRefusal.SAME_KEY_DIFFERENT_CONTENT)
        nothing = await ask(alice, CUSTODY, Money(asset="USDT", units=0), USDT_OUT, "n")
        assert nothing == NotRequested(WithdrawRefusal.BAD_AMOUNT)
        solana = PayoutDestination(asset="USDT", network="SOLANA", address="s")
        there = await ask(alice, CUSTODY, Money(asset="USDT", units=1), solana, "s")
        assert there == NotRequested(WithdrawRefusal.DESTINATION_REFUSED)


async def test_a_saga_whose_row_is_missing_or_elsewhere_is_reported_l14() -> None:
    """L14: an update that does not fit is refused by the table and told, never a silent no-op."""
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "done")
        async with world.stores.transactions.begin("look") as tx:
            saga = await world.stores.sagas.find(tx, SagaId(withdrawal))
        assert saga is not None
        with pytest.raises(InvariantBroken, match="has ended"):
            await world.handlers["withdrawal"].step(saga)
        assert WITHDRAWAL_TABLE.next(WithdrawalState.DONE, WithdrawalEvent.REFUSED) is None


async def test_what_is_on_its_way_is_named_beside_custody() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.provider.looks = 10_000
        alice = await world.user("alice", usdt=1_000)
        withdrawal = await _request(world, alice, 600)
        await world.until_withdrawal(withdrawal, "sent")
        rows = await world.treasury.custody()
        usdt = next(row for row in rows if row.asset == "USDT")
        assert usdt.units == 1_000
        assert [(one.units, one.what) for one in usdt.in_flight] == [
            (600, f"withdrawal {withdrawal}")
        ]
        world.provider.looks = 0
        await world.until_withdrawal(withdrawal, "done")
        rows = await world.treasury.custody()
        assert (rows[0].units, rows[0].in_flight) == (400, ())


def _row(name: str, units: int, held_seq: int) -> Withdrawal:
    return Withdrawal(
        id=WithdrawalId(name),
        key=name,
        user=UserId("u"),
        source=CUSTODY,
        asset="USDT",
        units=units,
        network="TRON",
        address="a",
        tag="",
        reference=name,
        requested_us=0,
        correlation=CorrelationId(""),
        held_seq=held_seq,
    )


def test_whoever_was_held_first_is_paid_first() -> None:
    first, second = _row("1", 60, 10), _row("2", 50, 20)
    fresh = _row("3", 1, 0)
    assert missing_units(60, first, [first, second]) == 0
    assert missing_units(109, second, [first, second]) == 1
    assert missing_units(110, second, [first, second]) == 0
    assert missing_units(110, fresh, [first, second]) == 1
    assert missing_units(-5, first, [first, second]) == 65


@pytest.mark.parametrize(
    ("status", "provider_id", "in_doubt", "refusal", "age_us", "expected"),
    [
        (SendUnderWay("p"), "", True, "", 10 * DOUBT_US, Verdict.WAIT),
        (SendAbsent(), "", True, "", DOUBT_US - 1, Verdict.WAIT),
        (SendAbsent(), "", True, "", DOUBT_US, Verdict.ASK_PERSON),
        (SendAbsent(), "", True, "", 10_000 * DOUBT_US, Verdict.ASK_PERSON),
        (SendAbsent(), "", False, "", 0, Verdict.SEND_AGAIN),
        (SendAbsent(), "", True, "no", DOUBT_US - 1, Verdict.WAIT),
        (SendAbsent(), "", True, "no", DOUBT_US, Verdict.ASK_PERSON),
        (SendAbsent(), "p", True, "", 10 * DOUBT_US, Verdict.ASK_PERSON),
        (SendPostponed("later"), "", True, "", 0, Verdict.WAIT),
        (SendPostponed("what is this", needs_person=True), "", False, "", 0, Verdict.ASK_PERSON),
        (
            SendCompleted(provider_id="p", transaction_id="t", units=1, fee_units=0),
            "",
            True,
            "no",
            SECOND_US,
            Verdict.COMPLETED,
        ),
    ],
)
def test_the_history_is_judged_by_one_table(
    status: SendStatus,
    provider_id: str,
    in_doubt: bool,
    refusal: str,
    age_us: int,
    expected: Verdict,
) -> None:
    sending = Sending(sends=1, sent_at_us=1_000, in_doubt=in_doubt, refusal=refusal)
    outgoing = _outgoing(CUSTODY, provider_id, sending)
    assert verdict(status, outgoing, 1_000 + age_us, DOUBT_US) is expected


def _outgoing(source: str, provider_id: str, sending: Sending) -> OutgoingPayment:
    request = SendRequest(
        source=source,
        reference="0" * 32,
        asset="USDT",
        units=60,
        network="TRON",
        address="a",
        tag="",
    )
    return OutgoingPayment(request=request, since_us=0, sending=sending, provider_id=provider_id)


@pytest.mark.parametrize("source", ["custody:mixin:usdt", "custody:evm:0xab:usdt"])
def test_a_provider_that_knows_a_reference_again_is_asked_again_at_once(source: str) -> None:
    doubt = Sending(sends=1, sent_at_us=1_000, in_doubt=True)
    again = verdict(SendAbsent(), _outgoing(source, "", doubt), 1_001, DOUBT_US)
    assert again is Verdict.SEND_AGAIN
    # A refusal of a later sending says nothing of an earlier one that is still on its way.
    refused = Sending(sends=2, sent_at_us=1_000, in_doubt=True, refusal="no")
    assert not believes_refusal(refused)
    outgoing = _outgoing(source, "", refused)
    assert verdict(SendAbsent(), outgoing, 1_000 + 99 * DOUBT_US, DOUBT_US) is Verdict.SEND_AGAIN
    known = _outgoing(source, "p", doubt)
    assert verdict(SendAbsent(), known, 1_001, DOUBT_US) is Verdict.WAIT
    assert verdict(SendAbsent(), known, 1_000 + DOUBT_US, DOUBT_US) is Verdict.ASK_PERSON


@given(
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.integers(0, 10**15),
    st.sampled_from(["", "no"]),
)
def test_found_31_no_silence_of_any_length_sends_or_frees_what_is_in_doubt(
    unknown: list[bool], silent_us: int, refusal: str
) -> None:
    """Found 31 by search: at a venue only a person's word follows an unknown outcome.

    Each sending ends unknown or surely had no effect; afterwards the history stays silent.
    """
    sending = Sending()
    for is_unknown in unknown:
        sending = recorded(sending, 0)
        sending = sending if is_unknown else surely_not_sent(sending)
    sending = msgspec.structs.replace(sending, refusal=refusal)
    judged = verdict(SendAbsent(), _outgoing(CUSTODY, "", sending), silent_us, DOUBT_US)
    wanted = {Verdict.WAIT, Verdict.ASK_PERSON} if any(unknown) else {Verdict.SEND_AGAIN}
    assert judged in wanted
    assert believes_refusal(recorded(sending, 0)) is not any(unknown)


async def test_what_the_ledger_holds_already_does_not_wait_any_more() -> None:
    """Two rewards close together: the second was not paid out beside the first one's payout."""
    async with model_world() as world:
        alice = await world.user("alice", usdt=1_000)
        money = Money(asset="USDT", units=400)
        answer = await world.withdrawals.withdraw(alice, CUSTODY, money, USDT_OUT, "k")
        assert isinstance(answer, Requested)

        async def held() -> bool:
            return await world.balance(f"withdrawal:{answer.withdrawal}:held", "USDT") > 0

        async def waiting() -> int:
            async with world.stores.transactions.begin("look") as tx:
                return await world.withdrawals.waiting_of(tx, alice, "USDT")

        assert await waiting() == 400
        await world.until(held)
        assert (await world.withdrawal(answer.withdrawal)).state == "awaiting_cash"
        assert await waiting() == 0
