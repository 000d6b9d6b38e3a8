"""Weighted token buckets of one account: first come first served, a share kept for cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock

WHOLE_PPM: Final = 1_000_000


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
    """Spent weight drains evenly. One unit of weight is ``window_us`` fine units."""

    def __init__(self, limit: Limit, now_us: int) -> None:
        self.limit = limit
        self._spent = 0
        self._as_of_us = now_us

    def _drain(self, now_us: int) -> None:
        passed_us = max(0, now_us - self._as_of_us)
        self._as_of_us = now_us
        self._spent = max(0, self._spent - passed_us * self.limit.weight)

    def wait_us(self, weight: int, now_us: int, *, urgent: bool) -> int:
        self._drain(now_us)
        share_ppm = WHOLE_PPM if urgent else WHOLE_PPM - self.limit.reserved_ppm
        room = self.limit.weight * self.limit.window_us * share_ppm // WHOLE_PPM
        excess = self._spent + min(weight, self.limit.weight) * self.limit.window_us - room
        if self._spent == 0 or excess <= 0:
            return 0
        return -(-excess // self.limit.weight)

    def spend(self, weight: int) -> None:
        self._spent += weight * self.limit.window_us

    def at_least(self, weight: int, now_us: int) -> None:
        self._drain(now_us)
        self._spent = max(self._spent, weight * self.limit.window_us)


class Throttle:
    """Waits until a request may leave. Cancels have a lane and a share of their own."""

    def __init__(self, clock: Clock, limits: Sequence[Limit]) -> None:
        self._clock = clock
        now_us = clock.monotonic_us()
        self._buckets = {limit.name: _Bucket(limit, now_us) for limit in limits}
        self._lanes = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._stopped_until_us = 0

    async def take(self, weights: dict[str, int], *, urgent: bool = False) -> None:
        """Wait for room in every named bucket, then use it. Lanes are first come first served."""
        async with self._lanes[urgent]:
            while (wait_us := self.wait_us(weights, urgent=urgent)) > 0:
                await self._clock.sleep_us(wait_us)
            for name, weight in weights.items():
                if name in self._buckets:
                    self._buckets[name].spend(weight)

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
