"""What people ask of withdrawals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, assert_never

from poolmaker.business.ledger.accounts import is_custody, withdrawal_held
from poolmaker.business.treasury.decisions import (
    DecisionRefusal,
    OutcomeDecision,
    attention_item,
)
from poolmaker.business.treasury.model import InFlight, OutgoingPayment, RefundRequest
from poolmaker.business.user_orders.model import PayoutDestination, PayoutEnd, PayoutRequest
from poolmaker.business.withdrawals.model import (
    WITHDRAWAL,
    Freeze,
    NotRequested,
    Requested,
    Withdrawal,
    WithdrawalData,
    WithdrawalLine,
    WithdrawalSettings,
    WithdrawalState,
    WithdrawAnswer,
    WithdrawRefusal,
)
from poolmaker.business.withdrawals.rules import reference_of
from poolmaker.business.withdrawals.service.paying import Paying, WithdrawalPorts
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.sagas.model import Saga
from poolmaker.infra.sagas.ports import SagaHandler
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import (
    CommandKey,
    CorrelationId,
    Ids,
    SagaId,
    UserId,
    WithdrawalId,
)
from poolmaker.messages.base import Money, encode

KEY_MAX: Final = 128
_PAGE: Final = 200
NO_USER: Final = UserId("")
"""Of a refund: what it gives back was nobody's."""


class Withdrawals:
    """Payouts of available money, for users and for the exits of their orders."""

    def __init__(
        self, ports: WithdrawalPorts, ids: Ids, clock: Clock, settings: WithdrawalSettings
    ) -> None:
        self._ports = ports
        self._ids = ids
        self._clock = clock
        self._settings = settings
        self._paying = Paying(ports, clock, settings)

    def handlers(self) -> dict[str, SagaHandler]:
        """Saga kind to its handler."""
        return {WITHDRAWAL: self._paying}

    # --------------------------------------------------------------------------------- requests

    def accepts(self, destination: PayoutDestination) -> bool:
        """Whether payouts of that asset go to that network at all."""
        return destination.network in self._settings.networks.get(destination.asset, frozenset())

    async def withdraw(
        self,
        user: UserId,
        source: str,
        money: Money,
        destination: PayoutDestination,
        key: str,
    ) -> WithdrawAnswer:
        """Pay out available money from the custody account ``source``; idempotent by ``key``.

        Requested means recorded; whether there is enough shows in the withdrawal's state.
        """
        require(0 < len(key) <= KEY_MAX, f"key: expected 1 to {KEY_MAX} characters")
        require(is_custody(source), f"source: expected a custody account, was {source!r}")
        require(destination.asset == money.asset, "destination: expected one of the same asset")
        if money.units <= 0:
            return NotRequested(WithdrawRefusal.BAD_AMOUNT)
        if not self.accepts(destination):
            return NotRequested(WithdrawRefusal.DESTINATION_REFUSED)
        async with self._ports.transactions.begin("withdrawals.request") as tx:
            row = self._row(f"{user}/{key}", user, source, money, destination)
            found = await self._once(tx, row)
        if _content(found) != _content(row):
            return NotRequested(WithdrawRefusal.SAME_KEY_DIFFERENT_CONTENT)
        return Requested(found.id)

    async def request_payout(self, tx: Tx, wish: PayoutRequest) -> WithdrawalId:
        """An exit's payout, in the exit's own transaction; its key is a function of its saga."""
        row = self._row(wish.key, wish.user, wish.source, wish.money, wish.destination)
        row = replace(row, parent=wish.saga, correlation=wish.correlation)
        return (await self._once(tx, row)).id

    async def request_refund(self, tx: Tx, key: CommandKey, wish: RefundRequest) -> WithdrawalId:
        """What is nobody's goes back where it came from; the same key is the same refund."""
        where = PayoutDestination(
            asset=wish.money.asset, network=wish.network, address=wish.address
        )
        row = self._row(key, NO_USER, wish.location, wish.money, where)
        return (await self._once(tx, replace(row, suspense=wish.source))).id

    def _row(
        self,
        key: str,
        user: UserId,
        source: str,
        money: Money,
        destination: PayoutDestination,
    ) -> Withdrawal:
        withdrawal = self._ids.withdrawal()
        return Withdrawal(
            id=withdrawal,
            key=key,
            user=user,
            source=source,
            asset=money.asset,
            units=money.units,
            network=destination.network,
            address=destination.address,
            tag=destination.tag,
            reference=reference_of(SagaId(withdrawal)),
            requested_us=self._clock.now_us(),
            correlation=CorrelationId(withdrawal),
        )

    async def _once(self, tx: Tx, row: Withdrawal) -> Withdrawal:
        """Insert the row with its saga, or answer the one that its key made before."""
        found = await self._ports.store.by_key(tx, row.key)
        if found is not None:
            return found
        line = WithdrawalLine(row.requested_us, row.state, "requested")
        if not await self._ports.store.add(tx, row, line):
            raise Unavailable(f"a withdrawal {row.key!r} is being requested; ask again")
        saga = Saga(
            id=row.saga,
            kind=WITHDRAWAL,
            state=WithdrawalState.REQUESTED,
            version=0,
            due_us=row.requested_us,
            tries=0,
            data=encode(WithdrawalData()),
            correlation=row.correlation,
        )
        ensure(await self._ports.sagas.start(tx, saga), f"saga {saga.id} was there already")
        return row

    # ----------------------------------------------------------------------------------- freeze

    async def freeze(self, reason: str, by: str) -> None:
        """Stop outgoing money; what was sent is followed all the same."""
        require(reason.strip() and by.strip(), "freeze: expected a reason and a name")
        freeze = Freeze(reason, by, self._clock.now_us())
        async with self._ports.transactions.begin("withdrawals.freeze") as tx:
            await self._ports.store.set_freeze(tx, freeze)

    async def unfreeze(self, since_us: int) -> None:
        """Let outgoing money go again that was frozen at ``since_us``; a later freeze stays."""
        async with self._ports.transactions.begin("withdrawals.unfreeze") as tx:
            await self._ports.store.lift_freeze(tx, since_us)

    async def frozen(self) -> Freeze | None:
        """Why outgoing money is stopped, or None."""
        async with self._ports.transactions.begin("withdrawals.frozen") as tx:
            return await self._ports.store.freeze(tx)

    # ------------------------------------------------------------------------- a person's part

    async def decide(
        self, withdrawal: WithdrawalId, decision: OutcomeDecision
    ) -> DecisionRefusal | None:
        """Keep what a person decided about a payout in doubt; None when it is kept."""
        async with self._ports.transactions.begin("withdrawals.decide") as tx:
            saga = await self._ports.sagas.find(tx, SagaId(withdrawal))
            if saga is None or saga.kind != WITHDRAWAL:
                return DecisionRefusal.UNKNOWN
            if saga.state != WithdrawalState.SENT:
                return DecisionRefusal.NOT_WAITING
            return await self._paying.decide(tx, saga, decision)

    async def outgoing(self, withdrawal: WithdrawalId) -> OutgoingPayment | None:
        """What is sent and known of a payout, None for an unknown one."""
        async with self._ports.transactions.begin("withdrawals.outgoing") as tx:
            saga = await self._ports.sagas.find(tx, SagaId(withdrawal))
            if saga is None or saga.kind != WITHDRAWAL:
                return None
            return self._paying.outgoing(await self._paying.work(tx, saga))

    async def attention(self) -> Sequence[AttentionItem]:
        """Payouts whose outcome a person has to decide, and places that lack money for long."""
        found, assets, now_us = [], self._settings.assets, self._clock.now_us()
        async with self._ports.transactions.begin("withdrawals.attention") as tx:
            for row in await self._ports.store.in_flight(tx):
                saga = await self._ports.sagas.find(tx, row.saga)
                if saga is not None and row.state is WithdrawalState.SENT:
                    outgoing = self._paying.outgoing(await self._paying.work(tx, saga))
                    found.append(attention_item("withdrawals", row.id, outgoing, assets))
        decided = [item for item in found if item is not None]
        return [*decided, *self._paying.shortages.attention("withdrawals", now_us, assets)]

    # ------------------------------------------------------------------------------------ reads

    async def payout_end(self, tx: Tx, withdrawal: WithdrawalId) -> PayoutEnd | None:
        """How a withdrawal ended, None while it is under way."""
        row = await self._ports.store.row(tx, withdrawal)
        require(row is not None, f"withdrawal: {withdrawal} is unknown")
        return _end(row.state) if row is not None else None

    async def in_flight(self, tx: Tx) -> Sequence[InFlight]:
        """What a place may have let go before the ledger says so."""
        rows = await self._ports.store.in_flight(tx)
        return [InFlight(row.source, row.asset, row.units, f"withdrawal {row.id}") for row in rows]

    async def claimed_units(self, tx: Tx, source: str, asset: str) -> int:
        """What is promised from a place and not debited yet."""
        units = 0
        for row in await self._ports.store.claims(tx, source, asset):
            # What is debited already has left the place, whatever its saga has heard of it.
            held = withdrawal_held(row.id)
            units += min(row.units, await self._ports.ledger.balance(tx, held, asset))
        return units

    async def waiting_units(self, tx: Tx, source: str, asset: str) -> int:
        """What waits until a place has the cash for it."""
        return await self._ports.store.waiting_units(tx, source, asset)

    async def why_frozen(self, tx: Tx) -> str:
        """Why outgoing money is stopped, empty when it is not."""
        return await self._paying.frozen(tx)

    async def of_user(self, user: UserId, after: WithdrawalId, limit: int) -> Sequence[Withdrawal]:
        """A user's withdrawals after an id, by id; an empty id begins."""
        async with self._ports.transactions.begin("withdrawals.of_user") as tx:
            return await self._ports.store.of_user(tx, user, after, limit)

    async def newest(
        self, user: UserId | None, before: WithdrawalId, limit: int
    ) -> Sequence[tuple[Withdrawal, tuple[WithdrawalLine, ...]]]:
        """Withdrawals of one user or of all before an id, newest first, each with its story."""
        async with self._ports.transactions.begin("withdrawals.newest") as tx:
            rows = await self._ports.store.newest(tx, user, before, limit)
            return [(row, tuple(await self._ports.store.timeline(tx, row.id))) for row in rows]

    async def under_way(self, limit: int = _PAGE) -> Sequence[Withdrawal]:
        """Withdrawals of everybody that have not ended, oldest first."""
        async with self._ports.transactions.begin("withdrawals.under_way") as tx:
            return await self._ports.store.under_way(tx, limit)

    async def waiting_of(self, tx: Tx, user: UserId, asset: str) -> int:
        """Atomic units of a user's withdrawals that are requested and not held yet.

        Held is what the ledger says: a saga hears of its hold only some time after.
        """
        units, after = 0, WithdrawalId("")
        while True:
            page = await self._ports.store.of_user(tx, user, after, _PAGE)
            for row in page:
                if row.asset == asset and _waits(row):
                    held = withdrawal_held(row.id)
                    units += row.units - await self._ports.ledger.balance(tx, held, asset)
            if len(page) < _PAGE:
                return units
            after = page[-1].id

    async def view(
        self, withdrawal: WithdrawalId
    ) -> tuple[Withdrawal, tuple[WithdrawalLine, ...]] | None:
        """A withdrawal with its story, or None."""
        async with self._ports.transactions.begin("withdrawals.view") as tx:
            row = await self._ports.store.row(tx, withdrawal)
            if row is None:
                return None
            return row, tuple(await self._ports.store.timeline(tx, withdrawal))


def _waits(row: Withdrawal) -> bool:
    return row.state in (WithdrawalState.REQUESTED, WithdrawalState.AWAITING_CASH)


def _end(state: WithdrawalState) -> PayoutEnd | None:
    match state:
        case WithdrawalState.DONE:
            return PayoutEnd.PAID
        case WithdrawalState.RELEASED | WithdrawalState.DECLINED:
            return PayoutEnd.NOT_PAID
        case (
            WithdrawalState.REQUESTED
            | WithdrawalState.AWAITING_CASH
            | WithdrawalState.HELD
            | WithdrawalState.SENT
            | WithdrawalState.CONFIRMED
            | WithdrawalState.DEBITED
            | WithdrawalState.REFUSED
        ):
            return None
        case _:
            assert_never(state)


def _content(row: Withdrawal) -> tuple[str | int, ...]:
    """What the user asked for, without what became of it."""
    return (row.source, row.asset, row.units, row.network, row.address, row.tag)
