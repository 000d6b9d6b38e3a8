"""The account stream: trades become facts, once, in the transaction of the shadow ledger's rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.bus.ports import Bus, NewEvent
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import IntentId, PoolId, VenueAccountId, fact_key
from poolmaker.kernel.money import Ratio, Rounding
from poolmaker.market.tracking._store import PgTracking
from poolmaker.market.tracking.model import ExchangeOrder, StoredFill, TradeReport
from poolmaker.market.tracking.ports import TrackingStore
from poolmaker.messages.base import Rate
from poolmaker.messages.market import FeeFact, FillFact, MarketSpec, account_stream

NO_POOL: Final = PoolId("")


def postgres_tracking() -> TrackingStore:
    """The rows in PostgreSQL."""
    return PgTracking()


@dataclass(frozen=True, slots=True)
class Attributed:
    """A trade and the order it belongs to; None when it is of no order of ours.

    ``fee_rate``: quote units for fee units when the fee is in a third asset, None while unknown.
    """

    trade: TradeReport
    order: ExchangeOrder | None
    fee_rate: Ratio | None = None

    @property
    def pool(self) -> PoolId:
        """The pool it belongs to, empty when none is known."""
        return self.order.pool if self.order is not None else NO_POOL


def third_asset(trade: TradeReport, spec: MarketSpec) -> bool:
    """Whether the fee is in neither asset of the market."""
    return trade.fee_units != 0 and trade.fee_asset not in (spec.base, spec.quote)


def fee_cost(trade: TradeReport, spec: MarketSpec, rate: Ratio | None) -> tuple[int, int]:
    """(base, quote) units that a fee takes of the pool; negative where it is a rebate."""
    if trade.fee_asset == spec.base:
        return trade.fee_units, 0
    if trade.fee_asset == spec.quote:
        return 0, trade.fee_units
    return 0, rate.of(trade.fee_units, Rounding.UP) if rate is not None else 0


def fee_is_due(one: Attributed, spec: MarketSpec) -> bool:
    """Whether the fee can follow its fill at once."""
    waits = third_asset(one.trade, spec) and one.fee_rate is None
    return one.trade.fee_units != 0 and not waits


class AccountStream:
    """Appends facts of one venue account. Every method runs in the caller's transaction."""

    def __init__(self, account: VenueAccountId, bus: Bus, store: TrackingStore) -> None:
        self._account = account
        self._bus = bus
        self._store = store
        self._stream = account_stream(account)

    async def append_trades(
        self, tx: Tx, trades: Sequence[Attributed], specs: Mapping[str, MarketSpec], now_us: int
    ) -> list[StoredFill]:
        """Append what is not there yet, fills and fees in order, and store it; answers the new.

        A trade that any channel brought before is skipped. A fee whose rate is not known yet is
        left for ``append_fee``; it never delays its fill.
        """
        known = await self._store.known_fills(tx, self._account, [one.trade for one in trades])
        fresh = {one.trade.key: one for one in trades if one.trade.key not in known}
        events = [event for one in fresh.values() for event in self._events(one, specs)]
        seqs = iter(await self._bus.append(tx, self._stream, events, now_us))
        stored = [self._stored(one, specs, seqs, now_us) for one in fresh.values()]
        await self._store.add_fills(tx, self._account, stored)
        return stored

    async def append_fee(
        self, tx: Tx, fill: StoredFill, spec: MarketSpec, rate: Ratio, now_us: int
    ) -> StoredFill:
        """Append the fee of a fill that stands on the stream without it."""
        fact = self._fee_fact(fill.pool, fill.trade, spec, rate)
        event = self._event("fee", fill.trade, fact)
        (seq,) = await self._bus.append(tx, self._stream, [event], now_us)
        base, quote = fee_cost(fill.trade, spec, rate)
        paid = replace(fill, fee_seq=seq, fee_base_units=base, fee_quote_units=quote)
        await self._store.add_fee(tx, self._account, paid)
        return paid

    def _events(self, one: Attributed, specs: Mapping[str, MarketSpec]) -> Iterator[NewEvent]:
        spec = specs[one.trade.symbol]
        yield self._event("fill", one.trade, self._fill_fact(one, spec))
        if fee_is_due(one, spec):
            fee = self._fee_fact(one.pool, one.trade, spec, one.fee_rate)
            yield self._event("fee", one.trade, fee)

    def _stored(
        self, one: Attributed, specs: Mapping[str, MarketSpec], seqs: Iterator[int], now_us: int
    ) -> StoredFill:
        spec = specs[one.trade.symbol]
        owned = replace(one.trade, intent=one.order.intent if one.order else None)
        fill = StoredFill(trade=owned, pool=one.pool, published_us=now_us, fill_seq=next(seqs))
        if not fee_is_due(one, spec):
            return fill
        base, quote = fee_cost(one.trade, spec, one.fee_rate)
        return replace(fill, fee_seq=next(seqs), fee_base_units=base, fee_quote_units=quote)

    def _event(self, kind: str, trade: TradeReport, message: FillFact | FeeFact) -> NewEvent:
        key = fact_key(kind, *trade.key)
        return NewEvent(key=key, message=message, occurred_at_us=trade.venue_time_us)

    def _fill_fact(self, one: Attributed, spec: MarketSpec) -> FillFact:
        trade = one.trade
        return FillFact(
            account=self._account,
            pool=one.pool,
            market=spec,
            intent=one.order.intent if one.order else IntentId(""),
            exchange_order_id=trade.exchange_order_id,
            trade_id=trade.trade_id,
            side=trade.side,
            base_units=trade.base_units,
            quote_units=trade.quote_units,
            is_maker=trade.is_maker,
            venue_time_us=trade.venue_time_us,
        )

    def _fee_fact(
        self, pool: PoolId, trade: TradeReport, spec: MarketSpec, rate: Ratio | None
    ) -> FeeFact:
        recharged = rate if third_asset(trade, spec) else None
        return FeeFact(
            account=self._account,
            pool=pool,
            market=spec,
            exchange_order_id=trade.exchange_order_id,
            trade_id=trade.trade_id,
            asset=trade.fee_asset,
            units=trade.fee_units,
            recharge_rate=Rate.of(recharged) if recharged is not None else None,
            venue_time_us=trade.venue_time_us,
        )
