"""The engines' present as the surfaces show it, sampled for the charts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from poolmaker.app.figures import AssetRegistry
from poolmaker.bus.ports import Bus
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Ratio, parse_units, power_of_ten
from poolmaker.market.engine.model import LiveOrderView, LivePool, LiveView
from poolmaker.market.engine.service import AccountEngine
from poolmaker.messages.base import Envelope, decode
from poolmaker.messages.market import AccountEvent, FeeFact, FillFact, account_stream
from poolmaker.views.model import (
    DepthLevel,
    FillView,
    MarketLive,
    MarketPoint,
    OwnOrder,
    SideGate,
)

_LOG: Final = get_logger("live")
LEVELS_SHOWN: Final = 25
POINTS_MAX: Final = 900
FILLS_KEPT: Final = 500
SAMPLE_US: Final = SECOND_US
_BATCH: Final = 500
_PRICE_SCALE: Final = 18


@dataclass(slots=True)
class _Tape:
    """What is remembered of one account's stream."""

    seq: int = -1
    fills: deque[FillView] = field(default_factory=lambda: deque(maxlen=FILLS_KEPT))
    fees: dict[str, FeeFact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePorts:
    """Where the account streams are read."""

    transactions: Transactions
    bus: Bus
    clock: Clock


class EngineLive:
    """``views.ports.Live`` over the engines of this process.

    ``targets`` are the pools' inventory targets in parts per million. ``run`` has to be run.
    """

    def __init__(
        self,
        engines: Mapping[VenueAccountId, AccountEngine],
        targets: Mapping[PoolId, int],
        scales: AssetRegistry,
        ports: LivePorts,
    ) -> None:
        self._engines = engines
        self._targets = targets
        self._scales = scales
        self._transactions = ports.transactions
        self._bus = ports.bus
        self._clock = ports.clock
        self._points: dict[PoolId, deque[MarketPoint]] = {}
        self._tapes = {account: _Tape() for account in engines}

    def markets(self) -> Sequence[MarketLive]:
        return tuple(_market(view, pool) for view, pool in self._pools())

    async def fills(self, pool_id: PoolId, after: int, limit: int) -> Sequence[FillView]:
        """The streams are followed by ``run``."""
        found = [
            fill
            for tape in self._tapes.values()
            for fill in tape.fills
            if fill.pool_id == pool_id and fill.seq > after
        ]
        return tuple(sorted(found, key=lambda fill: -fill.seq)[:limit])

    def history(self, pool_id: PoolId) -> Sequence[MarketPoint]:
        return tuple(self._points.get(pool_id, ()))

    def fills_booked(self, pool_id: PoolId) -> int:
        """Fills of the pool that this process knows of."""
        known = (fill for tape in self._tapes.values() for fill in tape.fills)
        return max(
            sum(1 for fill in known if fill.pool_id == pool_id),
            sum(view.fills_booked for view, pool in self._pools() if pool.pool == pool_id),
        )

    def mid(self, pool_id: PoolId) -> Ratio | None:
        """The pool's middle now as quote units for base units, None when the book is not usable."""
        mids = (pool for _, pool in self._pools() if pool.pool == pool_id and pool.mid)
        pool = next(mids, None)
        return self._ratio(pool) if pool is not None else None

    def _pools(self) -> Iterator[tuple[LiveView, LivePool]]:
        views = (engine.live() for engine in self._engines.values())
        return ((view, pool) for view in views if view is not None for pool in view.pools)

    def _ratio(self, pool: LivePool) -> Ratio:
        price = parse_units(pool.mid, _PRICE_SCALE)
        quote = power_of_ten(self._scales.of(pool.quote_asset))
        base = power_of_ten(self._scales.of(pool.base_asset))
        return Ratio(price * quote, power_of_ten(_PRICE_SCALE) * base)

    async def run(self) -> None:
        """Sample the charts and follow the account streams until cancelled."""
        while True:
            now_us = self._clock.now_us()
            for _, pool in self._pools():
                self._sample(pool, now_us)
            for account, tape in self._tapes.items():
                await self._follow(account, tape)
            await self._clock.sleep_us(SAMPLE_US // 2)

    def _sample(self, pool: LivePool, now_us: int) -> None:
        points = self._points.setdefault(pool.pool, deque(maxlen=POINTS_MAX))
        if points and now_us - points[-1].at_us < SAMPLE_US * 9 // 10:
            return
        points.append(
            MarketPoint(
                at_us=now_us,
                mid=_price(pool.mid) or None,
                own_bid=_best(pool.orders, Side.BUY),
                own_ask=_best(pool.orders, Side.SELL),
                inventory_ppm=self._targets.get(pool.pool, 0) + pool.deviation_ppm,
            )
        )

    async def _follow(self, account: VenueAccountId, tape: _Tape) -> None:
        stream = account_stream(account)
        if tape.seq < 0:
            async with self._transactions.look("live.head") as tx:
                tape.seq = max(0, await self._bus.head(tx, stream) - 2 * FILLS_KEPT)
        async with self._transactions.look("live.fills") as tx:
            events = await self._bus.read(tx, stream, tape.seq, _BATCH)
        for envelope in events:
            self._hear(tape, envelope)

    def _hear(self, tape: _Tape, envelope: Envelope) -> None:
        tape.seq = envelope.seq
        try:
            self._take(tape, envelope)
        except PreconditionError as problem:
            # The room that books it stops there, under a dead letter; a picture goes on without it.
            _LOG.warning("an event is not shown", seq=envelope.seq, problem=str(problem))

    def _take(self, tape: _Tape, envelope: Envelope) -> None:
        event: AccountEvent = decode(envelope.body, AccountEvent)  # type: ignore[arg-type]
        if isinstance(event, FillFact):
            tape.fills.append(self._fill(envelope.seq, event))
        elif isinstance(event, FeeFact):
            self._fee(tape, event)

    def _fill(self, seq: int, fact: FillFact) -> FillView:
        base = self._scales.money(fact.market.base, fact.base_units)
        quote = self._scales.money(fact.market.quote, fact.quote_units)
        return FillView(
            seq=seq,
            pool_id=fact.pool,
            at_us=fact.venue_time_us,
            side=fact.side.value,
            price=_quotient(quote.amount, base.amount),
            base=base,
            quote=quote,
            is_maker=fact.is_maker,
            trade_id=fact.trade_id,
        )

    def _fee(self, tape: _Tape, fact: FeeFact) -> None:
        fee = self._scales.money(fact.asset, fact.units)
        for index, fill in enumerate(tape.fills):
            if fill.trade_id == fact.trade_id and fill.pool_id == fact.pool:
                tape.fills[index] = FillView(
                    seq=fill.seq,
                    pool_id=fill.pool_id,
                    at_us=fill.at_us,
                    side=fill.side,
                    price=fill.price,
                    base=fill.base,
                    quote=fill.quote,
                    is_maker=fill.is_maker,
                    trade_id=fill.trade_id,
                    fee=fee,
                )


def _market(view: LiveView, pool: LivePool) -> MarketLive:
    own: dict[tuple[Side, str], int] = {}
    for order in pool.orders:
        place = order.side, order.price
        own[place] = own.get(place, 0) + _left(order)
    return MarketLive(
        pool_id=pool.pool,
        symbol=pool.symbol,
        base=pool.base_asset,
        quote=pool.quote_asset,
        venue_account=view.account,
        price_decimals=_decimals([price for price, _ in (*pool.bids, *pool.asks)]),
        quantity_decimals=_decimals([quantity for _, quantity in (*pool.bids, *pool.asks)]),
        at_us=view.taken_at_us,
        book_age_ms=pool.book_age_ms if pool.bids or pool.asks else None,
        mid=_price(pool.mid) or None,
        bids=_levels(pool.bids, Side.BUY, own),
        asks=_levels(pool.asks, Side.SELL, own),
        own=tuple(_own(order, view.taken_at_us) for order in pool.orders),
        gates=tuple(
            SideGate(side.value, since.gate.value, since.since_us)
            for side, since in pool.gates.items()
        ),
        orders_placed=view.orders_placed,
        orders_unknown=view.unknown_orders,
    )


def _levels(
    rows: Sequence[tuple[str, str]], side: Side, own: Mapping[tuple[Side, str], int]
) -> tuple[DepthLevel, ...]:
    return tuple(
        DepthLevel(price, quantity, _text(own.get((side, price), 0)))
        for price, quantity in rows[:LEVELS_SHOWN]
    )


def _own(order: LiveOrderView, now_us: int) -> OwnOrder:
    return OwnOrder(
        intent=order.intent,
        side=order.side.value,
        price=order.price,
        quantity=order.quantity,
        remaining=_text(_left(order)),
        state=order.state,
        since_us=now_us - order.age_ms * 1_000,
    )


def _left(order: LiveOrderView) -> int:
    return parse_units(order.quantity, _PRICE_SCALE) - parse_units(order.filled, _PRICE_SCALE)


def _text(units: int) -> str:
    whole, rest = divmod(units, power_of_ten(_PRICE_SCALE))
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def _price(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _best(orders: Sequence[LiveOrderView], side: Side) -> str | None:
    prices = [parse_units(order.price, _PRICE_SCALE) for order in orders if order.side is side]
    if not prices:
        return None
    return _text(max(prices) if side is Side.BUY else min(prices))


def _quotient(quote: str, base: str) -> str:
    """The average price of a fill, cut to twelve decimals."""
    numerator = parse_units(quote, _PRICE_SCALE) * power_of_ten(_PRICE_SCALE)
    price = numerator // max(1, parse_units(base, _PRICE_SCALE))
    step = power_of_ten(6)
    return _text(price // step * step)


def _decimals(texts: Sequence[str]) -> int:
    """As many decimals as the finest of these needs, at least two."""
    return max([2, *(len(_price(text).partition(".")[2]) for text in texts)])
