"""How anything is sent: recorded before, followed until its provider's history says how it ended.

One choreography for payouts and for transfers between our own places. It talks to the provider
only outside of transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, assert_never

import msgspec

from poolmaker.business.treasury.custody import Stopped
from poolmaker.business.treasury.decisions import (
    DecisionRefusal,
    OutcomeDecision,
    completed_by_decision,
    decided,
    decision_refusal,
    is_kept,
)
from poolmaker.business.treasury.model import (
    OutgoingPayment,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendEvent,
    SendFailed,
    Sending,
    SendPostponed,
    SendRefused,
    SendSettings,
    SendStatus,
    SendUnderWay,
)
from poolmaker.business.treasury.ports import CustodyGate, SendingProvider
from poolmaker.business.treasury.rules import (
    SILENT,
    Verdict,
    asking_person,
    believes_refusal,
    postponed,
    recorded,
    surely_not_sent,
    verdict,
    why_not_sent,
)
from poolmaker.infra.sagas.model import Saga
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable

W = TypeVar("W")
"""What one step of the saga works on: its transaction, its rows, locked."""


class SendingDesk(Protocol[W]):
    """The saga that has something sent. Every method runs in the transaction of its work."""

    async def work(self, tx: Tx, saga: Saga) -> W:
        """Its rows, locked."""
        ...

    def outgoing(self, work: W) -> OutgoingPayment:
        """What is sent."""
        ...

    async def moved(
        self, work: W, event: SendEvent, outgoing: OutgoingPayment, after_us: int
    ) -> tuple[Saga, W]:
        """Keep what is known now and come back after so long."""
        ...

    async def waits(self, work: W, after_us: int, note: str) -> None:
        """Come back after so long."""
        ...

    async def polls(self, work: W, note: str) -> None:
        """Look again, ever more seldom; however long it takes."""
        ...

    async def completed(self, work: W, completed: SendCompleted) -> None:
        """It has left."""
        ...

    async def refused(self, work: W, reason: str, failed: SendFailed | None = None) -> None:
        """The provider's own word: it did not leave. ``failed`` tells what it has cost."""
        ...

    async def frozen(self, tx: Tx) -> str:
        """Why nothing is sent at present, empty when it is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierPorts:
    """What a courier reaches the outside through."""

    transactions: Transactions
    provider: SendingProvider
    gate: CustodyGate
    clock: Clock


class OutboundSender(Generic[W]):
    """Sends and follows for one kind of saga; ``label`` names its transactions."""

    def __init__(
        self, desk: SendingDesk[W], label: str, ports: CourierPorts, settings: SendSettings
    ) -> None:
        self._desk = desk
        self._label = label
        self._transactions = ports.transactions
        self._provider = ports.provider
        self._gate = ports.gate
        self._clock = ports.clock
        self._settings = settings

    async def record(
        self, work: W, tx: Tx, event: SendEvent
    ) -> tuple[Saga, OutgoingPayment] | None:
        """Record a sending before it is done; ``send`` what is answered after the commit.

        Nothing is sent past here while money is frozen or custody is short at its source: then
        the saga comes back later, and the answer is None.
        """
        outgoing = self._desk.outgoing(work)
        stopped = await self._stopped(tx, outgoing)
        if stopped:
            await self._desk.waits(work, self._settings.retry_us, stopped)
            return None
        sending = recorded(outgoing.sending, self._clock.now_us())
        outgoing = replace(outgoing, sending=sending)
        saga, _ = await self._desk.moved(work, event, outgoing, self._settings.send_wait_us)
        return saga, outgoing

    async def _stopped(self, tx: Tx, outgoing: OutgoingPayment) -> str:
        frozen = await self._desk.frozen(tx)
        if frozen:
            return f"frozen: {frozen}"
        request = outgoing.request
        return await self._gate.stopped(tx, Stopped.OUTGOING, request.source, (request.asset,))

    async def send(self, saga: Saga, outgoing: OutgoingPayment) -> None:
        """Send what was just recorded, and keep what is known of it now."""
        try:
            answer = await self._provider.send(outgoing.request)
        except OutcomeUnknown:
            await self._after_send(saga, None)
        except Unavailable:
            await self._not_sent(saga)
        else:
            await self._after_send(saga, answer)

    async def follow(self, saga: Saga) -> None:
        """Read the history and act on what it proves."""
        async with self._transactions.begin(f"{self._label}.sent") as tx:
            outgoing = self._desk.outgoing(await self._desk.work(tx, saga))
        try:
            status = await self._provider.find(outgoing.request, outgoing.since_us)
        except (Unavailable, OutcomeUnknown) as error:
            async with self._transactions.begin(f"{self._label}.unread") as tx:
                work = await self._desk.work(tx, saga)
                await self._desk.polls(work, f"the history is unread: {error}")
            return
        async with self._transactions.begin(f"{self._label}.judged") as tx:
            again = await self._judge(await self._desk.work(tx, saga), tx, status)
        if again is not None:
            await self.send(*again)

    async def _not_sent(self, saga: Saga) -> None:
        async with self._transactions.begin(f"{self._label}.not_sent") as tx:
            work = await self._desk.work(tx, saga)
            sending = surely_not_sent(self._desk.outgoing(work).sending)
            await self._keep(work, SendEvent.NOT_SENT, sending)

    async def _keep(self, work: W, event: SendEvent, sending: Sending) -> None:
        outgoing = replace(self._desk.outgoing(work), sending=sending)
        await self._desk.moved(work, event, outgoing, self._settings.retry_us)

    async def _after_send(self, saga: Saga, answer: SendAnswer | None) -> None:
        async with self._transactions.begin(f"{self._label}.answered") as tx:
            work, first_us = await self._desk.work(tx, saga), self._settings.poll_first_us
            sending = self._desk.outgoing(work).sending
            match answer:
                case None:
                    await self._desk.waits(work, first_us, "the outcome is unknown")
                case SendAccepted(provider_id):
                    await self._acknowledged(work, provider_id)
                case SendRefused(reason) if believes_refusal(sending):
                    await self._desk.refused(work, reason)
                case SendRefused(reason):
                    # It may be refused because an earlier sending was taken after all.
                    sending = asking_person(sending, reason)
                    sending = msgspec.structs.replace(sending, refusal=reason)
                    await self._keep(work, SendEvent.REFUSED_IN_DOUBT, sending)
                case SendPostponed():
                    sending = postponed(sending, answer)
                    await self._keep(work, SendEvent.NOT_SENT, sending)
                case _:
                    assert_never(answer)

    async def _acknowledged(self, work: W, provider_id: str) -> None:
        outgoing = self._desk.outgoing(work)
        sending = msgspec.structs.replace(outgoing.sending, needs_person=False, trouble="")
        outgoing = replace(outgoing, provider_id=provider_id, sending=sending)
        first_us = self._settings.poll_first_us
        await self._desk.moved(work, SendEvent.ACKNOWLEDGED, outgoing, first_us)

    async def _judge(
        self, work: W, tx: Tx, status: SendStatus
    ) -> tuple[Saga, OutgoingPayment] | None:
        outgoing = self._desk.outgoing(work)
        now_us, doubt_after_us = self._clock.now_us(), self._settings.doubt_after_us
        judged = verdict(status, outgoing, now_us, doubt_after_us)
        match judged:
            case Verdict.COMPLETED:
                ensure(isinstance(status, SendCompleted), "what is completed says so")
                if isinstance(status, SendCompleted):
                    await self._desk.completed(work, status)
            case Verdict.COMPLETED_BY_DECISION:
                await self._desk.completed(work, completed_by_decision(outgoing))
            case Verdict.REFUSED:
                failed = status if isinstance(status, SendFailed) else None
                reason = why_not_sent(status, outgoing.sending)
                await self._desk.refused(work, reason, failed)
            case Verdict.SEND_AGAIN:
                return await self.record(work, tx, SendEvent.SENDING_AGAIN)
            case Verdict.ASK_PERSON:
                await self._ask_person(work, status)
            case Verdict.WAIT:
                await self._note(work, status)
            case _:
                assert_never(judged)
        return None

    async def _note(self, work: W, status: SendStatus) -> None:
        """Keep the provider's id when the history is the first to tell it, then look again."""
        outgoing = self._desk.outgoing(work)
        is_news = not outgoing.provider_id or outgoing.sending.needs_person
        if isinstance(status, SendUnderWay) and is_news:
            await self._acknowledged(work, status.provider_id)
            return
        reason = status.reason if isinstance(status, SendPostponed) else "not complete yet"
        await self._desk.polls(work, reason)

    async def _ask_person(self, work: W, status: SendStatus) -> None:
        """Show that a person is needed, once for each reason, and look again."""
        sending = self._desk.outgoing(work).sending
        reason = status.reason if isinstance(status, SendPostponed) else SILENT
        asking = asking_person(sending, reason)
        if isinstance(status, SendPostponed):
            asking = msgspec.structs.replace(asking, in_doubt=False)
        if asking == sending:
            await self._desk.polls(work, reason)
            return
        await self._keep(work, SendEvent.NEEDS_PERSON, asking)

    # ------------------------------------------------------------------------ a person's word

    async def decide(self, tx: Tx, saga: Saga, decision: OutcomeDecision) -> DecisionRefusal | None:
        """Keep what a person decided about something SENT; the next look acts on it.

        What the provider's history knows by then comes first.
        """
        work = await self._desk.work(tx, saga)
        outgoing = self._desk.outgoing(work)
        if is_kept(outgoing.sending, decision):
            return None
        refusal = decision_refusal(outgoing, decision)
        if refusal is None:
            outgoing = replace(outgoing, sending=decided(outgoing.sending, decision))
            await self._desk.moved(work, SendEvent.DECIDED, outgoing, 0)
        return refusal
