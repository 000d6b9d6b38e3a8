"""Weighted limits of one account: first come first served, a share kept for cancels."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock

WHOLE_PPM: Final = 1_000_000
SLOTS: Final = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """A venue's limit: ``weight`` per ``window_us``, of which cancels alone may use a share."""

    name: str
    weight: int
    window_us: int
    reserved_ppm: int = 200_000

    def __post_init__(self) -> None:
        require(self.weight > 0 and self.window_us > 0, f"limit {self.name}: expected above zero")
        require(0 <= self.reserved_ppm < WHOLE_PPM, f"limit {self.name}: reserve out of range")


class _Bucket:
    """What was spent in the last window, in slots, so that no window ever holds more than allowed.

    A token bucket with even refill would let twice the limit through in one window of the venue's.
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._slot_us = max(1, limit.window_us // SLOTS)
        self._slots: deque[list[int]] = deque()
        self._spent = 0

    def _forget(self, now_us: int) -> None:
        while self._slots and self._ends_us(self._slots[0]) <= now_us:
            self._spent -= self._slots.popleft()[1]

    def _ends_us(self, slot: list[int]) -> int:
        return (slot[0] + 1) * self._slot_us + self.limit.window_us

    def wait_us(self, weight: int, now_us: int, *, urgent: bool) -> int:
        """Until there is room; a request heavier than its share waits for an empty window."""
        self._forget(now_us)
        share_ppm = WHOLE_PPM if urgent else WHOLE_PPM - self.limit.reserved_ppm
        room = self.limit.weight * share_ppm // WHOLE_PPM
        excess = self._spent + weight - room
        for slot in self._slots:
            if excess <= 0:
                break
            excess -= slot[1]
            if excess <= 0:
                return self._ends_us(slot) - now_us
        if excess > 0 and self._slots:
            return self._ends_us(self._slots[-1]) - now_us
        return 0

    def spend(self, weight: int, now_us: int) -> None:
        """Note what leaves now."""
        slot = now_us // self._slot_us
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append([slot, 0])
        self._slots[-1][1] += weight
        self._spent += weight

    def at_least(self, weight: int, now_us: int) -> None:
        """Somebody else may share the limit: at least this much is spent."""
        self._forget(now_us)
        if weight > self._spent:
            self.spend(weight - self._spent, now_us)


class Throttle:
    """Waits until a request may leave. Cancels have a lane and a share of their own."""

    def __init__(self, clock: Clock, limits: Sequence[Limit]) -> None:
        self._clock = clock
        self._buckets = {limit.name: _Bucket(limit) for limit in limits}
        self._lanes = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._stopped_until_us = 0

    async def take(self, weights: dict[str, int], *, urgent: bool = False) -> None:
        """Wait for room in every named limit, then use it. Lanes are first come first served."""
        async with self._lanes[urgent]:
            while (wait_us := self.wait_us(weights, urgent=urgent)) > 0:
                await self._clock.sleep_us(wait_us)
            now_us = self._clock.monotonic_us()
            for name, weight in weights.items():
                if name in self._buckets:
                    self._buckets[name].spend(weight, now_us)

    def wait_us(self, weights: dict[str, int], *, urgent: bool) -> int:
        """How long a request would have to wait now; 0 when it may leave."""
        now_us = self._clock.monotonic_us()
        waits = [self._stopped_until_us - now_us]
        for name, weight in weights.items():
            if name in self._buckets:
                waits.append(self._buckets[name].wait_us(weight, now_us, urgent=urgent))
        return max(0, *waits)

    def stop_for(self, wait_us: int) -> None:
        """The venue said to wait: nothing leaves before, cancels neither."""
        until_us = self._clock.monotonic_us() + wait_us
        self._stopped_until_us = max(self._stopped_until_us, until_us)

    def observe(self, name: str, used_weight: int) -> None:
        """The venue says how much of a limit is used; others may share it."""
        if name in self._buckets:
            self._buckets[name].at_least(used_weight, self._clock.monotonic_us())
