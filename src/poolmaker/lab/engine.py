"""A simulated engine: obeys the control stream and tells the account stream what was filled.

It stands outside: it never crashes, but its messages are lost, repeated and late. It keeps the
promises that the real engine makes: facts in order, a barrier only behind everything that is
known, never more than drains and capital allow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, assert_never

from poolmaker.bus.ports import Bus, NewEvent
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import IntentId, PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.rng import Rng
from poolmaker.lab.loop import VirtualClock
from poolmaker.lab.venue import SimVenue
from poolmaker.messages.base import Envelope, Message, Rate, decode
from poolmaker.messages.market import (
    AtRisk,
    Barrier,
    BarrierPrice,
    BarrierWanted,
    BarrierWantedV1,
    CapitalSet,
    Control,
    DepthWanted,
    DrainLifted,
    DrainTo,
    ExposureReduced,
    FeeFact,
    FillFact,
    MarketSpec,
    StartQuoting,
    StopQuoting,
    account_stream,
    control_stream,
    engine_stream,
)

_PAGE: Final = 100
_PPM: Final = 1_000_000
_HALF_SPREAD_PPM: Final = 500
_PRICE_UNITS: Final = 60_000_000_000
"""Atomic quote units (scale 6) of one whole base (scale 8) at the start."""


@dataclass
class _Change:
    """A fill that CapitalSet does not include yet; ``seq`` is 0 until it is published."""

    trade: int
    base: int
    quote: int
    seq: int = 0


@dataclass
class _Pool:
    """What the engine knows of one pool."""

    market: MarketSpec
    quoting: bool = False
    capital: CapitalSet | None = None
    unbooked: list[_Change] = field(default_factory=list)
    drain: DrainTo | None = None
    reported: int = 0
    risk: tuple[int, int] = (0, 0)
    risk_time_us: int = 0

    def consumed(self) -> tuple[int, int]:
        """What own fills took and CapitalSet does not know yet."""
        base = sum(-change.base for change in self.unbooked if change.base < 0)
        return base, sum(-change.quote for change in self.unbooked if change.quote < 0)

    def spendable(self) -> tuple[int, int]:
        """Base and quote units that orders may consume now."""
        if self.capital is None or not self.quoting:
            return 0, 0
        base, quote = self.bound()
        return max(0, base - self.risk[0]), max(0, quote - self.risk[1])

    def bound(self) -> tuple[int, int]:
        """Base and quote units that are there, without the part of those who leave."""
        if self.capital is None:
            return 0, 0
        gone = self.consumed()
        base, quote = self.capital.base_units - gone[0], self.capital.quote_units - gone[1]
        if self.drain is None:
            return base, quote
        staying, issued = self.drain.staying, max(1, self.drain.issued)
        return base * staying // issued, quote * staying // issued


@dataclass(frozen=True)
class _Outgoing:
    stream: str
    event: NewEvent


class SimEngine:
    """One venue account's engine."""

    def __init__(
        self,
        account: VenueAccountId,
        transactions: Transactions,
        bus: Bus,
        venue: SimVenue,
        clock: VirtualClock,
        rng: Rng,
    ) -> None:
        self.fills = 0
        self.doubles = 0
        self.calm = False
        self.woken = asyncio.Event()
        self._account = account
        self._transactions = transactions
        self._bus = bus
        self._venue = venue
        self._clock = clock
        self._rng = rng
        self._pools: dict[PoolId, _Pool] = {}
        self._barriers: set[str] = set()
        self._depths: dict[str, dict[PoolId, DepthWanted]] = {}
        self._wanted: list[str] = []
        self._queue: deque[_Outgoing] = deque()
        self._sent: dict[tuple[str, str], tuple[_Outgoing, int]] = {}
        self._control_seq = 0
        self._facts_seq = 0
        self._trades = 0
        self._price_units = _PRICE_UNITS

    @property
    def idle(self) -> bool:
        """Nothing waits to be told."""
        return not (self._queue or self._wanted or any(any(p.risk) for p in self._pools.values()))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self.woken.clear()
            await self._listen()
            self._act()
            await self._publish()
            try:
                async with asyncio.timeout(self._rng.between(3, 15)):
                    await self.woken.wait()
            except TimeoutError:
                continue

    # ------------------------------------------------------------------------------------- in

    async def _listen(self) -> None:
        while True:
            try:
                async with self._transactions.begin("engine.control") as tx:
                    stream = control_stream(self._account)
                    events = await self._bus.read(tx, stream, self._control_seq, _PAGE)
            except (OutcomeUnknown, Unavailable):
                return
            for envelope in events:
                self._obey(envelope)
                self._control_seq = envelope.seq
            if len(events) < _PAGE:
                return

    def _obey(self, envelope: Envelope) -> None:
        message: Control = decode(envelope.body, Control)  # type: ignore[arg-type]
        match message:
            case StartQuoting():
                pool = self._pools.setdefault(message.pool, _Pool(message.market))
                pool.quoting = True
            case StopQuoting():
                self._pools[message.pool].quoting = False
            case CapitalSet():
                self._set_capital(message)
            case DrainTo():
                self._pools[message.pool].drain = message
            case DrainLifted():
                pool = self._pools[message.pool]
                if pool.drain is not None and pool.drain.version <= message.version:
                    pool.drain = None
            case BarrierWanted():
                self._depths[message.barrier_id] = {one.pool: one for one in message.depths}
                if message.barrier_id not in self._barriers:
                    self._barriers.add(message.barrier_id)
                    self._wanted.append(message.barrier_id)
            case BarrierWantedV1():
                raise InvariantBroken("nobody asks for a barrier in its first form")
            case _:
                assert_never(message)

    def _set_capital(self, message: CapitalSet) -> None:
        pool = self._pools.get(message.pool)
        if pool is None:
            return
        pool.capital = message
        booked = message.includes_stream_seq
        pool.unbooked = [one for one in pool.unbooked if not one.seq or one.seq > booked]

    # ------------------------------------------------------------------------------------ act

    def _act(self) -> None:
        for pool_id, pool in self._pools.items():
            self._resolve(pool_id, pool)
            if not self.calm and self._rng.chance_ppm(300_000):
                self._trade(pool_id, pool)
            self._report(pool_id, pool)
        for barrier_id in self._wanted:
            self._queue.append(self._barrier(barrier_id))
        self._wanted = []
        if not self.calm and self._sent and self._rng.chance_ppm(100_000):
            # Delivered once more, much later.
            self._queue.append(self._rng.choice(list(self._sent.values()))[0])

    def _resolve(self, pool_id: PoolId, pool: _Pool) -> None:
        """An UNKNOWN order becomes known: it was filled, or it was not."""
        if not any(pool.risk) or not (self.calm or self._rng.chance_ppm(200_000)):
            return
        base, quote = pool.risk
        pool.risk = (0, 0)
        if base and self._rng.chance_ppm(500_000):
            self._fill(pool_id, pool, Side.SELL, base, pool.risk_time_us)
        if quote and self._rng.chance_ppm(500_000):
            units = quote * 10**8 // self._price_units
            self._fill(pool_id, pool, Side.BUY, units, pool.risk_time_us)

    def _trade(self, pool_id: PoolId, pool: _Pool) -> None:
        base, quote = pool.spendable()
        self._price_units = self._price_units * self._rng.between(997_000, 1_003_000) // _PPM
        share_ppm = self._rng.between(1_000, 150_000)
        if self._rng.chance_ppm(500_000):
            self._fill(pool_id, pool, Side.SELL, base * share_ppm // _PPM, self._clock.now_us())
        else:
            units = quote * 10**8 // self._price_units * share_ppm // _PPM
            self._fill(pool_id, pool, Side.BUY, units, self._clock.now_us())

    def _fill(
        self, pool_id: PoolId, pool: _Pool, side: Side, base_units: int, venue_time_us: int
    ) -> None:
        quote_units = base_units * self._price_units // 10**8
        if base_units <= 0 or quote_units <= 0:
            return
        self._trades += 1
        self.fills += 1
        order, trade = f"o{self._trades}", f"t{self._trades}"
        sign = 1 if side is Side.BUY else -1
        market = pool.market
        received, units = (
            (market.base, base_units) if side is Side.BUY else (market.quote, quote_units)
        )
        fee_units = units // 1_000
        fill = FillFact(
            account=self._account,
            pool=pool_id,
            market=market,
            intent=IntentId(f"{self._trades:032x}"),
            exchange_order_id=order,
            trade_id=trade,
            side=side,
            base_units=base_units,
            quote_units=quote_units,
            is_maker=True,
            venue_time_us=venue_time_us,
        )
        self._tell(f"fill:{order}:{trade}", fill)
        self._venue.move(market.base, sign * base_units)
        self._venue.move(market.quote, -sign * quote_units)
        if fee_units:
            fee = FeeFact(
                account=self._account,
                pool=pool_id,
                market=market,
                exchange_order_id=order,
                trade_id=trade,
                asset=received,
                units=fee_units,
                recharge_rate=None,
                venue_time_us=venue_time_us,
            )
            self._tell(f"fee:{order}:{trade}", fee)
            self._venue.move(received, -fee_units)
        self._consume(pool, sign * base_units, -sign * quote_units)

    def _consume(self, pool: _Pool, base_change: int, quote_change: int) -> None:
        pool.unbooked.append(_Change(self._trades, base_change, quote_change))

    def _report(self, pool_id: PoolId, pool: _Pool) -> None:
        drain = pool.drain
        if drain is None or pool.reported >= drain.version:
            return
        base, quote = pool.bound()
        within = pool.risk[0] <= base and pool.risk[1] <= quote
        if within and (self.calm or self._rng.chance_ppm(700_000)):
            pool.reported = drain.version
            reduced = ExposureReduced(pool=pool_id, version=drain.version)
            event = NewEvent(f"reduced:{pool_id}:{drain.version}", reduced, self._clock.now_us())
            self._queue.append(_Outgoing(engine_stream(self._account), event))

    def _barrier(self, barrier_id: str) -> _Outgoing:
        """The barrier's body; ``facts_seq`` is put in when everything before it is published."""
        now_us = self._clock.now_us()
        prices, risks = [], []
        wanted = self._depths.get(barrier_id, {})
        for pool_id, pool in self._pools.items():
            prices.append(self._price(pool_id, wanted.get(pool_id), now_us))
            self._doubt(pool, now_us)
            if any(pool.risk):
                base, quote = pool.risk
                risks.append(
                    AtRisk(
                        pool=pool_id,
                        unknown_orders=1,
                        base_units=base,
                        quote_units=quote,
                        unpriced_fees=0,
                        fee_quote_units=0,
                    )
                )
        barrier = Barrier(
            account=self._account,
            barrier_id=barrier_id,
            facts_seq=0,
            venue_time_us=now_us,
            prices=tuple(prices),
            at_risk=tuple(risks),
        )
        event = NewEvent(f"barrier:{barrier_id}", barrier, now_us)
        return _Outgoing(account_stream(self._account), event)

    def _price(self, pool: PoolId, wanted: DepthWanted | None, now_us: int) -> BarrierPrice:
        """The pool's prices, now and then without a book, with a spoofed mid or a thin side."""
        mid = Rate(numerator=self._price_units, denominator=10**8)
        usable = self.calm or self._rng.chance_ppm(900_000)
        spoofed = not self.calm and self._rng.chance_ppm(100_000)
        thin = not self.calm and self._rng.chance_ppm(100_000)
        depth = _rate_near(mid, -_HALF_SPREAD_PPM), _rate_near(mid, _HALF_SPREAD_PPM)
        return BarrierPrice(
            pool=pool,
            mid=(_rate_near(mid, 50_000) if spoofed else mid) if usable else None,
            twap_60s=mid if usable else None,
            bid_depth=depth[0] if usable and not thin else None,
            ask_depth=depth[1] if usable else None,
            depth_base_units=wanted.excess_base_units if wanted else 0,
            depth_quote_units=max(wanted.excess_quote_units, wanted.depth_min_quote_units)
            if wanted
            else 0,
            taker_fee_ppm=1_000,
            rules_version=1,
            book_version=1,
            price_time_us=now_us,
        )

    def _doubt(self, pool: _Pool, now_us: int) -> None:
        """Now and then the answer to an order is lost just before a barrier."""
        if self.calm or any(pool.risk) or not self._rng.chance_ppm(250_000):
            return
        base, quote = pool.spendable()
        share_ppm = self._rng.between(1_000, 100_000)
        pool.risk = (base * share_ppm // _PPM, quote * share_ppm // _PPM)
        pool.risk_time_us = now_us - 1

    # ------------------------------------------------------------------------------------ out

    def _tell(self, key: str, fact: Message) -> None:
        event = NewEvent(key, fact, self._clock.now_us())
        self._queue.append(_Outgoing(account_stream(self._account), event))

    async def _publish(self) -> None:
        """Append what waits, one by one and in order; what is in doubt is appended again."""
        while self._queue:
            outgoing = self._completed(self._queue[0])
            self._queue[0] = outgoing
            try:
                async with self._transactions.begin("engine.publish") as tx:
                    (seq,) = await self._bus.append(
                        tx, outgoing.stream, [outgoing.event], self._clock.now_us()
                    )
            except (OutcomeUnknown, Unavailable):
                return
            self._queue.popleft()
            self._published(outgoing, seq)

    def _completed(self, outgoing: _Outgoing) -> _Outgoing:
        barrier = outgoing.event.message
        known = (outgoing.stream, outgoing.event.key) in self._sent
        if not isinstance(barrier, Barrier) or barrier.facts_seq or known:
            return outgoing
        placed = Barrier(
            account=barrier.account,
            barrier_id=barrier.barrier_id,
            facts_seq=self._facts_seq,
            venue_time_us=barrier.venue_time_us,
            prices=barrier.prices,
            at_risk=barrier.at_risk,
        )
        event = NewEvent(outgoing.event.key, placed, outgoing.event.occurred_at_us)
        return _Outgoing(outgoing.stream, event)

    def _published(self, outgoing: _Outgoing, seq: int) -> None:
        place = (outgoing.stream, outgoing.event.key)
        _, known_seq = self._sent.setdefault(place, (outgoing, seq))
        self.doubles += known_seq != seq
        fact = outgoing.event.message
        if isinstance(fact, FillFact | FeeFact):
            self._facts_seq = max(self._facts_seq, seq)
            self._place(fact, seq)

    def _place(self, fact: FillFact | FeeFact, seq: int) -> None:
        """What a fill took is known to be booked once capital includes its place."""
        for change in self._pools[fact.pool].unbooked:
            if isinstance(fact, FillFact) and f"t{change.trade}" == fact.trade_id:
                change.seq = seq


def _rate_near(price: Rate, apart_ppm: int) -> Rate:
    return Rate(
        numerator=price.numerator * (_PPM + apart_ppm), denominator=price.denominator * _PPM
    )
