"""What every place of ours can spare, and what orders are funded with there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from poolmaker.business.ledger.accounts import custody_venue, venue_account_of
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.custody import Stopped
from poolmaker.business.treasury.model import NOBODY, FundingRow, FundingState
from poolmaker.business.treasury.ports import CustodyGate, PayoutClaims, Surpluses, TreasuryStore
from poolmaker.business.treasury.rules import fundable, promises
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import OrderId, SagaId, VenueAccountId
from poolmaker.messages.base import Money


class CashPosition:
    """What places hold beyond the claims of pools, leavers, funded orders and transfers."""

    def __init__(self, store: TreasuryStore, ledger: LedgerClient, venues: Surpluses) -> None:
        self._store = store
        self._ledger = ledger
        self._venues = venues

    async def surplus(self, tx: Tx, source: str, asset: str) -> int | None:
        """Atomic units at the custody account ``source``, or None while nobody can say.

        Nobody else decides about that place until the transaction ends.
        """
        await self._store.lock_place(tx, source, asset)
        # Promises first: what is booked between the two looks is then counted twice for a moment,
        # and never not at all.
        promised = await self._promised(tx, source, asset)
        held = await self._held(tx, source, asset)
        return held - promised if held is not None else None

    async def _promised(self, tx: Tx, source: str, asset: str) -> int:
        rows = await self._store.open_fundings(tx)
        transfers = await self._store.open_transfers(tx)
        units = 0
        for promise in promises(source, asset, rows, transfers):
            there = await self._ledger.balance(tx, promise.account, asset)
            units += promise.open_units(there)
        return units

    async def _held(self, tx: Tx, source: str, asset: str) -> int | None:
        account = venue_account_of(source)
        if account is None:
            return await self._ledger.balance(tx, source, asset)
        return await self._venues.surplus(tx, account, asset)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPorts:
    """What the funding of orders needs."""

    store: TreasuryStore
    sagas: SagaStore
    cash: CashPosition
    payouts: PayoutClaims
    gate: CustodyGate
    clock: Clock


class FundingQueue:
    """The queue of orders that need cash at their venue account: first come, first served."""

    def __init__(self, ports: FundingPorts) -> None:
        self._store = ports.store
        self._sagas = ports.sagas
        self._cash = ports.cash
        self._payouts = ports.payouts
        self._gate = ports.gate
        self._clock = ports.clock

    async def want(
        self,
        tx: Tx,
        saga: SagaId,
        order: OrderId,
        account: VenueAccountId,
        moneys: Sequence[Money],
    ) -> None:
        """Queue for the amounts; the saga is woken when all are funded. Again changes nothing."""
        # One lock for all assets: two orders stand in the same order in every queue.
        await self._store.lock_place(tx, custody_venue(account), "")
        for money in moneys:
            row = FundingRow(
                saga=saga, order=order, account=account, asset=money.asset, units=money.units
            )
            await self._store.add_funding(tx, row)

    async def funded(self, tx: Tx, saga: SagaId) -> bool:
        """Whether all that the saga wants is claimed for it at the venue account."""
        rows = await self._store.fundings_of(tx, saga)
        wanted = [row for row in rows if row.state is FundingState.WANTED]
        wanted.sort(key=lambda row: row.asset)
        # Both places before any other lock, in the order in which everybody takes them.
        for row in wanted:
            await self._store.lock_place(tx, custody_venue(row.account), row.asset)
        for row in wanted:
            await self.fund(tx, row.account, row.asset, asks=saga)
        return all(
            row.state is FundingState.FUNDED for row in await self._store.fundings_of(tx, saga)
        )

    async def why_not_joined(self, tx: Tx, account: VenueAccountId, assets: Sequence[str]) -> str:
        """Why nobody joins a pool of these assets at present, empty when they may."""
        return await self._gate.stopped(tx, Stopped.JOINS, custody_venue(account), assets)

    async def close(self, tx: Tx, saga: SagaId, *, used: bool) -> None:
        """The saga is through: a pool owns it now, or the order went without."""
        state = FundingState.USED if used else FundingState.GONE
        for row in await self._store.fundings_of(tx, saga):
            await self._store.save_funding(tx, replace(row, state=state))

    async def fund(
        self, tx: Tx, account: VenueAccountId, asset: str, asks: SagaId = NOBODY
    ) -> None:
        """Claim what the venue account can spare for those who came first, and wake them.

        ``asks`` is at work and needs no waking.
        """
        spare = await self.spare(tx, custody_venue(account), asset)
        if spare is None:
            return
        rows = await self._store.open_fundings(tx)
        here = [row for row in rows if (row.account, row.asset) == (account, asset)]
        for row in fundable(here, spare):
            await self._store.save_funding(tx, replace(row, state=FundingState.FUNDED))
            if row.saga != asks:
                await self._sagas.wake(tx, row.saga, self._clock.now_us())

    async def spare(self, tx: Tx, location: str, asset: str) -> int | None:
        """The surplus there less what withdrawals are promised; None while nobody can say."""
        await self._store.lock_place(tx, location, asset)
        claimed = await self._payouts.claimed_units(tx, location, asset)
        surplus = await self._cash.surplus(tx, location, asset)
        return surplus - claimed if surplus is not None else None
