"""A market made up from a seed: a latent fair price with jumps, makers around it, Hawkes takers.

Calibrated to recorded BTCUSDT and ETHUSDT (arrival rate and clustering of taker orders, side
persistence, lognormal sizes, distance of depth from the middle); thin markets are scaled down, as
the pairs of small campaigns are. Floats live here: they make a world up, nobody's books use them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.flow_recorded import PAUSE_US, internal_account, wait_until
from poolmaker.sandbox.venue.model import (
    Accepted,
    AccountId,
    NewOrder,
    Order,
    StpMode,
    TimeInForce,
)
from poolmaker.sandbox.venue.units import SCALE

MAKERS: Final = AccountId(111)
TAKERS: Final = AccountId(112)
BPS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketProfile:
    """What one made-up market is like. Rates are per second, sizes in base units."""

    taker_rate: float
    branching: float = 0.5
    decay: float = 50.0
    size_mu: float
    size_sigma: float = 2.5
    size_max: float
    side_persistence: float = 0.7
    volatility_bps: float = 0.8
    jumps_per_s: float = 0.03
    jump_bps: float = 4.0
    pull_per_s: float = 0.002
    impact_bps: float = 0.05
    half_spread_ticks: float = 0.5
    depth_orders: int = 100
    depth_median_bps: float = 5.5
    depth_sigma: float = 1.2
    churn_per_s: float = 1.0
    step_us: int = 100_000


BUSY_BTC: Final = MarketProfile(
    taker_rate=4.7, size_mu=-5.62, size_max=5.0, volatility_bps=0.6, depth_sigma=1.6,
    churn_per_s=0.75,
)  # fmt: skip
BUSY_ETH: Final = MarketProfile(
    taker_rate=2.8, decay=100.0, size_mu=-2.80, size_max=80.0, side_persistence=0.75,
    volatility_bps=0.65, jump_bps=2.5, depth_sigma=1.6, churn_per_s=0.65,
)  # fmt: skip
QUIET_BNB: Final = MarketProfile(
    taker_rate=0.4, size_mu=-1.5, size_sigma=1.8, size_max=100.0, half_spread_ticks=3,
    depth_orders=40, churn_per_s=0.3, step_us=250_000,
)  # fmt: skip
THIN_HMT: Final = MarketProfile(
    taker_rate=0.02, decay=5.0, size_mu=6.5, size_sigma=1.2, size_max=50_000.0,
    volatility_bps=0.8, jumps_per_s=0.002, jump_bps=30.0, half_spread_ticks=4, depth_orders=8,
    depth_median_bps=60.0, depth_sigma=0.8, churn_per_s=0.02, step_us=2_000_000,
)  # fmt: skip
PROFILES: Final[Mapping[str, MarketProfile]] = {
    "BTCUSDT": BUSY_BTC,
    "ETHUSDT": BUSY_ETH,
    "BNBUSDT": QUIET_BNB,
    "HMTUSDT": THIN_HMT,
}


def thinned(profile: MarketProfile) -> MarketProfile:
    """The same market with a hundredth of the traffic and a wide spread."""
    return replace(
        profile,
        taker_rate=min(profile.taker_rate, 0.05),
        depth_orders=8,
        churn_per_s=0.02,
        half_spread_ticks=max(profile.half_spread_ticks, 200.0),
        depth_median_bps=60.0,
        depth_sigma=0.8,
        step_us=2_000_000,
    )


class SeededFlow:
    """Makers and takers of one market. ``step`` moves it on; ``run`` does so in real time."""

    def __init__(self, exchange: Exchange, symbol: str, profile: MarketProfile, rng: Rng) -> None:
        self.exchange = exchange
        self.market = exchange.market(symbol)
        self.profile = profile
        self.takers = 0
        self._makers = internal_account(exchange, MAKERS, "seeded makers")
        self._takers = internal_account(exchange, TAKERS, "seeded takers")
        self._law = rng.fork(symbol).distributions()
        self._anchor = float(self.market.last_price)
        self.fair = self._anchor
        self._orders: dict[bool, list[Order]] = {True: [], False: []}
        self._excitement = 0.0
        self._is_buying = True
        self._now_us = 0
        self._next_maker_us = 0
        self._next_taker_us = self._draw_arrival_us()

    # Time

    def next_due_us(self) -> int:
        """When the next thing happens, in the flow's own time."""
        return min(self._next_maker_us, self._next_taker_us)

    def step(self) -> None:
        """Let the next thing happen."""
        self._now_us = self.next_due_us()
        if self._next_taker_us <= self._next_maker_us:
            self._take()
            self._next_taker_us = self._now_us + self._draw_arrival_us()
        else:
            self._move_fair()
            self._make()
            self._next_maker_us += self.profile.step_us
        self.exchange.publish()

    def _draw_arrival_us(self) -> int:
        """The wait for the next taker: a Hawkes process by thinning."""
        profile, waited = self.profile, 0.0
        base = profile.taker_rate
        while True:
            ceiling = base + self._excitement
            wait = self._law.expovariate(ceiling)
            waited += wait
            self._excitement *= math.exp(-profile.decay * wait)
            if self._law.random() * ceiling <= base + self._excitement:
                self._excitement += profile.branching * profile.decay
                return max(1, round(waited * 1_000_000))

    # Fair price

    def _move_fair(self) -> None:
        profile, law = self.profile, self._law
        seconds = profile.step_us / 1_000_000
        moved = law.gauss(0.0, profile.volatility_bps * math.sqrt(seconds))
        if law.random() < profile.jumps_per_s * seconds:
            moved += law.choice((-1, 1)) * law.expovariate(1 / profile.jump_bps)
        pull = (math.log(self._anchor) - math.log(self.fair)) * profile.pull_per_s * seconds
        self.fair *= math.exp(moved / BPS + pull)

    def _allowed(self, *, is_bid: bool) -> int:
        """The best price, in ticks, at which a maker still wants to stand."""
        half = self.profile.half_spread_ticks
        return math.floor(self.fair - half + 0.5) if is_bid else math.ceil(self.fair + half - 0.5)

    # Makers

    def _make(self) -> None:
        for is_bid in (True, False):
            self._prune(is_bid=is_bid)
        for is_bid in (True, False):
            self._fill_up(is_bid=is_bid)

    def _prune(self, *, is_bid: bool) -> None:
        """Cancel what the fair price has run over, what is far out, and some by chance."""
        allowed = self._allowed(is_bid=is_bid)
        chance = self.profile.churn_per_s * self.profile.step_us / 1_000_000
        far = self.fair * 200 / BPS
        kept: list[Order] = []
        for order in self._orders[is_bid]:
            if not order.is_open:
                continue
            inside = order.price > allowed if is_bid else order.price < allowed
            outside = abs(order.price - self.fair) > far
            if inside or outside or self._law.random() < chance:
                self.exchange.engine.cancel(order, self.exchange.time_us())
            else:
                kept.append(order)
        self._orders[is_bid] = kept

    def _fill_up(self, *, is_bid: bool) -> None:
        allowed = self._allowed(is_bid=is_bid)
        orders = self._orders[is_bid]
        tick = self.market.spec.tick_multiple
        if not any(abs(order.price - allowed) < tick for order in orders):
            self._stand(allowed, is_bid=is_bid)
        while len(orders) < self.profile.depth_orders:
            distance = self._law.lognormvariate(
                math.log(self.profile.depth_median_bps), self.profile.depth_sigma
            )
            ticks = round(self.fair * min(distance, 190.0) / BPS)
            if not self._stand(allowed - ticks if is_bid else allowed + ticks, is_bid=is_bid):
                return

    def _stand(self, price: int, *, is_bid: bool) -> bool:
        tick = self.market.spec.tick_multiple
        on_tick = price // tick if is_bid else -(-price // tick)
        request = NewOrder(
            account=self._makers, symbol=self.market.spec.name, is_buy=is_bid,
            price=max(1, on_tick) * tick, lots=self._lots(), stp=StpMode.EXPIRE_MAKER,
        )  # fmt: skip
        outcome = self.exchange.engine.submit(request, self.exchange.time_us())
        if not isinstance(outcome, Accepted):
            return False
        if outcome.order.is_open:
            self._orders[is_bid].append(outcome.order)
        return True

    def _lots(self) -> int:
        profile = self.profile
        size = self._law.lognormvariate(profile.size_mu + 1.0, profile.size_sigma * 0.7)
        units = round(min(size, profile.size_max) * SCALE)
        return self._on_step(units)

    def _on_step(self, units: int) -> int:
        spec = self.market.spec
        return max(1, units // spec.step_size_units) * spec.step_multiple

    # Takers

    def _take(self) -> None:
        profile, law = self.profile, self._law
        if law.random() > profile.side_persistence:
            self._is_buying = not self._is_buying
        is_buy = self._is_buying
        best = (self.market.asks if is_buy else self.market.bids).best_price()
        if best is None:
            return
        size = min(law.lognormvariate(profile.size_mu, profile.size_sigma), profile.size_max)
        lots = self._on_step(round(size * SCALE))
        reach = max(1, round(best * 10 / BPS))
        request = NewOrder(
            account=self._takers, symbol=self.market.spec.name, is_buy=is_buy,
            price=best + reach if is_buy else max(1, best - reach), lots=lots,
            tif=TimeInForce.IOC, stp=StpMode.NONE,
        )  # fmt: skip
        self.exchange.engine.submit(request, self.exchange.time_us())
        self.takers += 1
        weight = min(1.0, size / math.exp(profile.size_mu + profile.size_sigma))
        self.fair *= math.exp((1 if is_buy else -1) * profile.impact_bps * weight / BPS)

    # In time

    async def run(self, is_flowing: Callable[[], bool]) -> None:
        """Move on in real time, for ever."""
        clock = self.exchange.clock
        start_us = clock.monotonic_us()
        while True:
            while not is_flowing():
                await clock.sleep_us(PAUSE_US)
                start_us += PAUSE_US
            start_us += await wait_until(clock, start_us + self.next_due_us())
            self.step()
