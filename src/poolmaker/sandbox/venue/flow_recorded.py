"""A recorded market that one can trade into: synthetic makers stand where recorded depth stood.

An increase of a recorded level is a new order at the back of the queue, a decrease cancels from
the back; recorded takers come as immediate-or-cancel orders against the book as it is here. So an
order of a client waits behind real depth, is hit by real takers, and is run over when the recorded
market moves through its price. Without clients the book equals the recorded one after each diff.

Invariants
1. Makers never stand for more than the recorded quantity, so the book is never crossed by them.
2. A level that takers or clients ate is made whole again only by the recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from poolmaker.kernel.clock import Clock
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.model import (
    Accepted,
    Account,
    AccountId,
    NewOrder,
    Order,
    StpMode,
    TimeInForce,
)
from poolmaker.sandbox.venue.recording import (
    DepthFrame,
    LevelRows,
    Recording,
    TakerOrder,
    to_levels,
)
from poolmaker.sandbox.venue.units import SCALE

MAKERS: Final = AccountId(101)
TAKERS: Final = AccountId(102)
PAUSE_US: Final = 100_000
LATE_MAX_US: Final = 5_000_000
ENDLESS_UNITS: Final = 1_000_000_000_000 * SCALE


async def wait_until(clock: Clock, due_us: int) -> int:
    """Wait for a moment of the monotonic clock; how far the plan must be shifted.

    A process that was stopped for a while does not play at once what it has slept through.
    """
    late_us = clock.monotonic_us() - due_us
    await clock.sleep_us(max(0, -late_us))
    return late_us if late_us > LATE_MAX_US else 0


def internal_account(exchange: Exchange, account_id: AccountId, name: str) -> Account:
    """An account of the venue's own crowd: endless funds, no fees, no history."""
    found = exchange.engine.accounts.get(account_id)
    if found is not None:
        return found
    account = exchange.engine.open_account(account_id, name, is_client=False)
    assets = {
        asset
        for market in exchange.engine.markets.values()
        for asset in (market.spec.base, market.spec.quote)
    }
    for asset in sorted(assets):
        exchange.engine.deposit(account, asset, ENDLESS_UNITS, exchange.time_us())
    return account


class _Side:
    """What the recording says of one side, and the makers' orders that stand for it."""

    def __init__(self) -> None:
        self.target: dict[int, int] = {}
        self.orders: dict[int, deque[Order]] = {}
        self.eaten: set[int] = set()

    def standing(self, price: int) -> int:
        """Lots that makers have at ``price``; finished orders are dropped on the way."""
        queue = self.orders.get(price)
        if queue is None:
            return 0
        while queue and not queue[0].is_open:
            queue.popleft()
        if not queue:
            del self.orders[price]
            return 0
        return sum(order.remaining for order in queue)


class RecordedFlow:
    """Plays a recording into one market of the venue, over and over."""

    def __init__(self, exchange: Exchange, recording: Recording) -> None:
        self.exchange = exchange
        self.recording = recording
        self.market = exchange.market(recording.symbol)
        self.rounds = 0
        self.played = 0
        self.last_recorded_id = 0
        self._is_whole = True
        self._makers = internal_account(exchange, MAKERS, "recorded makers")
        self._takers = internal_account(exchange, TAKERS, "recorded takers")
        self._sides = {True: _Side(), False: _Side()}

    # One step

    def restart(self) -> None:
        """Put the book to the recorded snapshot."""
        spec = self.market.spec
        self.rounds += 1
        self.played = 0
        self.last_recorded_id = self.recording.snapshot_id
        self._is_whole = True
        changes: dict[bool, set[int]] = {}
        for is_bid, rows in ((True, self.recording.bids), (False, self.recording.asks)):
            side = self._sides[is_bid]
            before = set(side.target) | set(side.orders)
            side.target = {price: lots for price, lots in to_levels(spec, rows) if lots}
            changes[is_bid] = before | set(side.target)
        self._settle(changes[True], changes[False])

    def step(self) -> bool:
        """Play the next frame; False when the recording is over."""
        if self.played >= len(self.recording.frames):
            return False
        frame = self.recording.frames[self.played]
        self.played += 1
        if isinstance(frame, DepthFrame):
            self._diff(frame)
            self.last_recorded_id = frame.last_id
        else:
            self._take(frame)
        self._is_whole = isinstance(frame, DepthFrame)
        return True

    def _diff(self, frame: DepthFrame) -> None:
        bids, asks = frame.read()
        spec = self.market.spec
        changed = {
            True: self._retarget(self._sides[True], to_levels(spec, bids)),
            False: self._retarget(self._sides[False], to_levels(spec, asks)),
        }
        self._settle(changed[True], changed[False])

    @staticmethod
    def _retarget(side: _Side, levels: LevelRows) -> set[int]:
        changed = {price for price, _ in levels} | side.eaten
        side.eaten = set()
        for price, lots in levels:
            if lots:
                side.target[price] = lots
            else:
                side.target.pop(price, None)
        return changed

    def _settle(self, bids: Iterable[int], asks: Iterable[int]) -> None:
        """First everything that shrinks, on both sides, then everything that grows."""
        growing: list[tuple[int, int, bool]] = []
        for is_bid, prices in ((True, bids), (False, asks)):
            side = self._sides[is_bid]
            for price in prices:
                missing = side.target.get(price, 0) - side.standing(price)
                if missing < 0:
                    self._shrink(side, price, -missing)
                elif missing > 0:
                    growing.append((price, missing, is_bid))
        growing.sort(key=lambda change: -change[0] if change[2] else change[0])
        for price, lots, is_bid in growing:
            self._grow(price, lots, is_bid=is_bid)
        self.exchange.publish()

    def _shrink(self, side: _Side, price: int, lots: int) -> None:
        engine, queue = self.exchange.engine, side.orders[price]
        while lots:
            newest = queue[-1]
            if newest.remaining > lots:
                engine.reduce(newest, lots)
                return
            lots -= newest.remaining
            engine.cancel(newest, self.exchange.time_us())
            queue.pop()
        if not queue:
            del side.orders[price]

    def _grow(self, price: int, lots: int, *, is_bid: bool) -> None:
        request = NewOrder(
            account=self._makers, symbol=self.market.spec.name, is_buy=is_bid,
            price=price, lots=lots, stp=StpMode.NONE,
        )  # fmt: skip
        outcome = self.exchange.engine.submit(request, self.exchange.time_us())
        if isinstance(outcome, Accepted) and outcome.order.is_open:
            self._sides[is_bid].orders.setdefault(price, deque()).append(outcome.order)

    def _take(self, taker: TakerOrder) -> None:
        spec = self.market.spec
        limit = taker.limit_units // spec.tick_units
        lots = taker.quantity_units // spec.step_units
        if not lots:
            return
        opposite = self.market.side(is_buy=not taker.is_buy)
        eaten = self._sides[not taker.is_buy].eaten
        for level in opposite.top(len(opposite.keys)):
            if level.price > limit if taker.is_buy else level.price < limit:
                break
            eaten.add(level.price)
        request = NewOrder(
            account=self._takers, symbol=spec.name, is_buy=taker.is_buy, price=limit, lots=lots,
            tif=TimeInForce.IOC, stp=StpMode.NONE,
        )  # fmt: skip
        self.exchange.engine.submit(request, self.exchange.time_us())
        self.exchange.publish()

    # In time

    async def run(self, is_flowing: Callable[[], bool]) -> None:
        """Play in real time by the frames' own time, for ever; a pause comes after a diff."""
        while True:
            self.restart()
            await self._round(is_flowing)

    async def _round(self, is_flowing: Callable[[], bool]) -> None:
        clock = self.exchange.clock
        start_us = clock.monotonic_us()
        for frame in self.recording.frames:
            while self._is_whole and not is_flowing():
                await clock.sleep_us(PAUSE_US)
                start_us += PAUSE_US
            start_us += await wait_until(clock, start_us + frame.offset_us)
            self.step()
