"""The engine's transactions. Each begins by checking that this engine was not replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from poolmaker.bus.ports import NewEvent
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market
from poolmaker.kernel.money import Ratio
from poolmaker.market.engine.ports import EngineStores
from poolmaker.market.engine.state import EngineState
from poolmaker.market.execution.model import CancelIntent, CreateIntent
from poolmaker.market.tracking.account_stream import AccountStream, Attributed
from poolmaker.market.tracking.model import ExchangeOrder, OpenFees, StoredFill, VenueMarket
from poolmaker.messages.base import Message
from poolmaker.messages.market import (
    Barrier,
    DrainTo,
    ExposureReduced,
    MarketSpec,
    account_stream,
    engine_stream,
)

FEES_MAX: Final = 100


@dataclass(slots=True)
class _Taken:
    """What a transaction took from memory, so that it can be given back."""

    orders: list[ExchangeOrder] = field(default_factory=list)
    cancels: list[CancelIntent] = field(default_factory=list)


class Journal:
    """Writes intents, facts, barriers and reports of one session.

    Changed orders travel with whatever is written next. Memory follows the database: what a
    transaction counts (fills, facts, cancels) counts in memory after its commit, and marks that it
    took are given back when it fails. An error of the database is never taken for the venue's: it
    passes through and ends the session; the next one reads what stands.
    """

    def __init__(self, state: EngineState, stores: EngineStores, clock: Clock) -> None:
        self._state = state
        self._stores = stores
        self._clock = clock
        self._account = state.config.account
        self._stream = AccountStream(self._account, stores.bus, stores.tracking)
        self._cancels: deque[CancelIntent] = deque()
        self._reports = 0

    def note_cancels(self, cancels: Sequence[CancelIntent]) -> None:
        """Cancels are stored after they were sent, with the next transaction."""
        self._cancels.extend(cancels)

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        """A transaction of this session; also stores orders that changed."""
        taken = _Taken()
        try:
            async with self._stores.transactions.begin(label) as tx:
                await self._stores.engine.check_epoch(tx, self._account, self._state.epoch)
                yield tx
                await self._save_changes(tx, taken)
        except BaseException:
            self._state.shadow.give_back(taken.orders)
            self._cancels.extendleft(reversed(taken.cancels))
            raise

    async def flush(self) -> None:
        """Store what changed, if anything did."""
        if self._cancels or self._state.shadow.has_changes:
            async with self.begin("engine flush"):
                pass

    async def store_creates(self, intents: Sequence[CreateIntent]) -> None:
        """See ``CreateJournal.store_creates``: intents and their shadow orders, together."""
        async with self.begin("engine intents") as tx:
            epoch = self._state.epoch
            await self._stores.intents.add_creates(tx, self._account, epoch, intents)
            orders = [self._state.shadow.find(intent.intent) for intent in intents]
            known = [order for order in orders if order is not None]
            await self._stores.tracking.save_orders(tx, self._account, known)

    async def publish(
        self,
        trades: Sequence[Attributed],
        specs: Mapping[str, MarketSpec],
        cursors: Mapping[str, str],
    ) -> list[StoredFill]:
        """Append trades that are new, and remember up to where the venue's list was read."""
        now_us = self._clock.now_us()
        async with self.begin("engine facts") as tx:
            stored = await self._stream.append_trades(tx, trades, specs, now_us)
            for symbol, cursor in cursors.items():
                store = self._stores.tracking
                await store.move_trade_cursor(tx, self._account, symbol, cursor)
            await self._stores.tracking.save_orders(tx, self._account, self._booked(trades, stored))
            newest = await self._store_newest(tx, stored)
        self._state.facts_seq = newest
        self._book(trades, stored)
        return stored

    async def publish_fee(self, fill: StoredFill, spec: MarketSpec, rate: Ratio) -> StoredFill:
        """Append the fee of a fill, at the price found for it later."""
        async with self.begin("engine fee") as tx:
            paid = await self._stream.append_fee(tx, fill, spec, rate, self._clock.now_us())
            newest = await self._store_newest(tx, [paid])
        self._state.facts_seq = newest
        return paid

    async def publish_barrier(self, barrier: Barrier) -> None:
        """Append a barrier after every fact that was found for it."""
        now_us = self._clock.now_us()
        event = NewEvent(
            key=f"barrier:{barrier.barrier_id}", message=barrier, occurred_at_us=now_us
        )
        async with self.begin("engine barrier") as tx:
            await self._stores.bus.append(tx, account_stream(self._account), [event], now_us)
            await self._stores.engine.barrier_done(tx, self._account, barrier.barrier_id)

    async def report(self, messages: Sequence[Message], reduced: Sequence[DrainTo] = ()) -> None:
        """Append reports to the engine's stream, and note which drains are reported by it."""
        now_us = self._clock.now_us()
        events = [NewEvent(key=self._key(m), message=m, occurred_at_us=now_us) for m in messages]
        async with self.begin("engine report") as tx:
            await self._stores.bus.append(tx, engine_stream(self._account), events, now_us)
            for drain in reduced:
                await self._stores.engine.drain_reported(tx, self._account, drain)

    async def know_rules(self, rules: VenueMarket) -> VenueMarket:
        """The rules with their stored version."""
        async with self.begin("engine rules") as tx:
            store, now_us = self._stores.tracking, self._clock.now_us()
            return await store.know_rules(tx, self._account, rules, now_us)

    async def adopt_orders(self, market: Market) -> list[ExchangeOrder]:
        """Orders at stake whose rows named no rules until now."""
        async with self.begin("engine adopt") as tx:
            return await self._stores.tracking.adopt_orders(tx, self._account, market)

    async def cursor(self, symbol: str) -> str | None:
        """Up to where the venue's trades of a market were read; None before the first use."""
        async with self._stores.transactions.begin("engine cursor") as tx:
            return await self._stores.tracking.trade_cursor(tx, self._account, symbol)

    async def fees_open(self) -> list[StoredFill]:
        """Fills whose fee waits for a price."""
        async with self._stores.transactions.begin("engine open fees") as tx:
            return await self._stores.tracking.fees_open(tx, self._account, FEES_MAX)

    async def fees_without_price(self) -> dict[PoolId, OpenFees]:
        """Of each pool, the commissions that are not on the stream because nobody priced them."""
        async with self._stores.transactions.begin("engine fees without price") as tx:
            return await self._stores.tracking.fees_without_price(tx, self._account)

    async def find_order(
        self, symbol: str, exchange_order_id: str, intent: IntentId | None
    ) -> ExchangeOrder | None:
        """An order that memory has let go of."""
        async with self._stores.transactions.begin("engine find order") as tx:
            store = self._stores.tracking
            return await store.find_order(tx, self._account, symbol, exchange_order_id, intent)

    def _key(self, message: Message) -> str:
        if isinstance(message, ExposureReduced):
            return f"reduced:{message.pool}:{message.version}"
        self._reports += 1
        return f"report:{self._state.epoch}:{self._reports}"

    def _booked(
        self, trades: Sequence[Attributed], stored: Sequence[StoredFill]
    ) -> list[ExchangeOrder]:
        """Orders as they are once these fills are counted: their rows commit with the facts."""
        counted: dict[IntentId, ExchangeOrder] = {}
        for order, fill in self._owned(trades, stored):
            one = counted.setdefault(order.intent, order.copy())
            one.learn_exchange_id(fill.trade.exchange_order_id)
            one.seen = True
            one.booked_units += fill.trade.base_units
        return list(counted.values())

    def _book(self, trades: Sequence[Attributed], stored: Sequence[StoredFill]) -> None:
        """Count fills in the shadow ledger whose transaction was committed."""
        for order, fill in self._owned(trades, stored):
            trade = fill.trade
            self._state.shadow.book(order, trade.exchange_order_id, trade.base_units)

    def _owned(
        self, trades: Sequence[Attributed], stored: Sequence[StoredFill]
    ) -> Iterator[tuple[ExchangeOrder, StoredFill]]:
        owners = {one.trade.key: one.order for one in trades}
        for fill in stored:
            order = owners[fill.trade.key]
            if order is not None:
                yield order, fill

    async def _store_newest(self, tx: Tx, stored: Sequence[StoredFill]) -> int:
        """The sequence of the newest fact once ``stored`` is committed."""
        seqs = [seq for fill in stored for seq in (fill.fill_seq, fill.fee_seq) if seq is not None]
        newest = max([self._state.facts_seq, *seqs])
        if seqs:
            await self._stores.engine.set_facts_seq(tx, self._account, newest)
        return newest

    async def _save_changes(self, tx: Tx, taken: _Taken) -> None:
        taken.orders = self._state.shadow.take_changed()
        taken.cancels = [self._cancels.popleft() for _ in range(len(self._cancels))]
        await self._stores.tracking.save_orders(tx, self._account, taken.orders)
        epoch = self._state.epoch
        await self._stores.intents.add_cancels(tx, self._account, epoch, taken.cancels)
