"""The saga ``treasury.net``: what places need against what they have, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.business.ledger.accounts import custody_venue
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.model import (
    FundingRow,
    FundingState,
    PaymentSettings,
    Route,
    Transfer,
)
from poolmaker.business.treasury.ports import CustodyGate, PayoutClaims, Routes, TreasuryStore
from poolmaker.business.treasury.rules import incoming_units, is_resting, planned_units
from poolmaker.business.treasury.service.carrying import Carrier, why_not_moved
from poolmaker.business.treasury.service.cash import FundingQueue
from poolmaker.infra.sagas.model import Saga, SagaChange
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.ids import CommandKey, CorrelationId, SagaId

NET: Final = "treasury.net"
_SAGA: Final = SagaId("treasury.net")
_LOOKING: Final = "looking"
_LOOK_BACK: Final = 100
_QUIET_US: Final = 3 * SECOND_US
"""How long a round that found nothing stands for the next ones while the books do not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NettingPorts:
    """What netting works on."""

    transactions: Transactions
    store: TreasuryStore
    sagas: SagaStore
    routes: Routes
    payouts: PayoutClaims
    fundings: FundingQueue
    carrier: Carrier
    gate: CustodyGate
    ledger: LedgerClient


class FundsRebalancer:
    """Handler of ``treasury.net``: one row for ever, which comes back by itself."""

    def __init__(self, ports: NettingPorts, clock: Clock, settings: PaymentSettings) -> None:
        self._ports = ports
        self._clock = clock
        self._settings = settings
        self._looked_at: tuple[int, int] | None = None
        """Ledger head and time of a round that found nothing to do; None after any other."""

    async def start(self) -> None:
        """Make the row, once for ever."""
        saga = Saga(
            id=_SAGA,
            kind=NET,
            state=_LOOKING,
            version=0,
            due_us=self._clock.now_us(),
            tries=0,
            data=b"",
            correlation=CorrelationId(_SAGA),
        )
        async with self._ports.transactions.begin("treasury.net.start") as tx:
            await self._ports.sagas.start(tx, saga)

    async def step(self, saga: Saga) -> None:
        """Fund whom it can, plan what is missing, come back."""
        async with self._ports.transactions.begin("treasury.net") as tx:
            if not await self._is_quiet(tx):
                await self.net(tx)
            due_us = self._clock.now_us() + self._settings.net_us
            change = SagaChange(saga.state, due_us, saga.data)
            await self._ports.sagas.advance(tx, saga, change, self._clock.now_us())

    async def _is_quiet(self, tx: Tx) -> bool:
        """Nothing was to be done a moment ago, and the books have not moved since."""
        head, now_us = await self._ports.ledger.head(tx), self._clock.now_us()
        if self._looked_at is not None:
            seq, looked_us = self._looked_at
            if seq == head and 0 <= now_us - looked_us < _QUIET_US:
                return True
        self._looked_at = head, now_us
        return False

    async def net(self, tx: Tx) -> None:
        """One round, in the caller's transaction."""
        wanted = sorted({(row.account, row.asset) for row in await self._wanted(tx)})
        routes = [route for route in self._ports.routes.routes() if route.nets]
        # All places at once and in order, before any other lock: whoever wants one of them waits
        # here, and nobody waits for what the other holds.
        venues = {(custody_venue(account), asset) for account, asset in wanted}
        for place in sorted(_places(routes) | venues):
            await self._ports.store.lock_place(tx, *place)
        if wanted:
            self._looked_at = None
        for account, asset in wanted:
            await self._ports.fundings.fund(tx, account, asset)
        frees = await self._frees(tx, routes)
        transfers = list(await self._ports.store.open_transfers(tx))
        if transfers or any(units < 0 for units in frees.values()):
            self._looked_at = None
        newest = await self._ports.store.transfers(tx, _LOOK_BACK)
        since_us = self._clock.now_us() - self._settings.refused_us
        for route in (one for one in routes if not is_resting(one, newest, since_us)):
            planned = await self._plan(tx, route, frees, transfers)
            if planned is not None:
                transfers.append(planned)
                frees[route.source, route.asset] -= planned.units

    async def _wanted(self, tx: Tx) -> list[FundingRow]:
        rows = await self._ports.store.open_fundings(tx)
        return [row for row in rows if row.state is FundingState.WANTED]

    async def _frees(self, tx: Tx, routes: list[Route]) -> dict[tuple[str, str], int]:
        """What each place has beyond all that is wanted of it; below zero it needs as much.

        A place about which nobody can say anything at present is left out.
        """
        wanted = await self._wanted(tx)
        frees = {}
        for place, asset in sorted(_places(routes)):
            spare = await self._ports.fundings.spare(tx, place, asset)
            if spare is None:
                continue
            waiting = await self._ports.payouts.waiting_units(tx, place, asset)
            rows = sum(
                row.units
                for row in wanted
                if (custody_venue(row.account), row.asset) == (place, asset)
            )
            frees[place, asset] = spare - waiting - rows
        return frees

    async def _plan(
        self,
        tx: Tx,
        route: Route,
        frees: dict[tuple[str, str], int],
        transfers: list[Transfer],
    ) -> Transfer | None:
        """Begin what the route's target needs and its source can spare; one at a time."""
        source, target = (route.source, route.asset), (route.target, route.asset)
        if source not in frees or target not in frees:
            return None
        if any(row.lane == (route.source, route.target, route.asset) for row in transfers):
            return None
        need = -frees[target] - incoming_units(route.target, route.asset, transfers)
        units = planned_units(need, frees[source], route)
        if not units or await why_not_moved(self._ports.gate, tx, route):
            return None
        row = self._ports.carrier.plan(route, units, CommandKey(""))
        await self._ports.carrier.begin(tx, row)
        return row


def _places(routes: list[Route]) -> set[tuple[str, str]]:
    """Both ends of every route, each with its asset."""
    return {(place, route.asset) for route in routes for place in (route.source, route.target)}
