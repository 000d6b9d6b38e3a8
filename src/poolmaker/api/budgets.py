"""How much of the platform one caller may use at once, and all callers together.

Every budget is counted before anything is read for the caller. A budget that is spent is answered
429 with Retry-After: the caller is told when to come again, and others do not notice. Whatever
callers without a token and users take, places are left for the staff, and a few more for what keeps
money safe.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from poolmaker.api.problems import ApiProblem
from poolmaker.kernel.clock import SECOND_US, Clock

CALLERS_KEPT: Final = 10_000
RETRY_STREAM_S: Final = 5


class Rank(IntEnum):
    """Who a place is for. A lower rank leaves the higher ones the places that are kept for them."""

    ANONYMOUS = 0
    """Nobody known: pages, told apart by address."""
    USER = 1
    STAFF = 2
    SAFETY = 3
    """Staff who ask for health, the kill switch or the freeze."""


@dataclass(frozen=True, slots=True)
class BudgetSizes:
    """What one caller may use, and all together. ``page`` sizes are of one address."""

    at_once: int = 8
    page_at_once: int = 16
    pages_at_once_in_all: int = 24
    at_once_in_all: int = 64
    kept_for_staff: int = 8
    kept_for_safety: int = 4
    per_second: int = 50
    burst: int = 200
    unknown_per_second: int = 20
    """Requests of one address with a token that nobody knows."""
    unknown_at_once: int = 16
    streams: int = 4
    page_streams: int = 20
    page_streams_in_all: int = 100
    streams_in_all: int = 200


class _Places:
    """So many places at once for all callers together, some kept for the higher ranks."""

    def __init__(self, in_all: int, pages: int, sizes: BudgetSizes) -> None:
        above_staff = in_all - sizes.kept_for_safety
        users = above_staff - sizes.kept_for_staff
        self._most = (users, users, above_staff, in_all)
        self._pages = pages
        self._taken = [0] * len(Rank)

    def is_full(self, rank: Rank) -> bool:
        """Whether there is no place for one more of this rank."""
        if rank is Rank.ANONYMOUS and self._taken[rank] >= self._pages:
            return True
        return sum(self._taken) >= self._most[rank]

    @contextmanager
    def taken(self, rank: Rank) -> Iterator[None]:
        """One place, for as long as the block lasts."""
        self._taken[rank] += 1
        try:
            yield
        finally:
            self._taken[rank] -= 1


@dataclass(slots=True)
class _Use:
    """What one caller uses. ``left_us`` is what is left of the rate, as time to refill it."""

    left_us: int
    at_us: int
    at_once: int = 0
    streams: int = 0


class Budgets:
    """The budgets of one application. A caller is a text: a person, a token or an address."""

    def __init__(self, clock: Clock, sizes: BudgetSizes | None = None) -> None:
        self._clock = clock
        self._sizes = sizes = sizes or BudgetSizes()
        self._uses: OrderedDict[str, _Use] = OrderedDict()
        self._requests = _Places(sizes.at_once_in_all, sizes.pages_at_once_in_all, sizes)
        self._streams = _Places(sizes.streams_in_all, sizes.page_streams_in_all, sizes)
        self._unknown = 0

    @contextmanager
    def request(self, caller: str, rank: Rank) -> Iterator[None]:
        """One request of ``caller``, for as long as the block lasts."""
        use, sizes = self._taken(caller, self._sizes.per_second), self._sizes
        at_once = sizes.page_at_once if rank is Rank.ANONYMOUS else sizes.at_once
        if use.at_once >= at_once or self._requests.is_full(rank):
            raise ApiProblem("too_many_requests", retry_after_s=1)
        use.at_once += 1
        try:
            with self._requests.taken(rank):
                yield
        finally:
            use.at_once -= 1

    @contextmanager
    def stream(self, caller: str, rank: Rank) -> Iterator[None]:
        """One open stream of ``caller``, for as long as the block lasts."""
        use, sizes = self._taken(caller, self._sizes.per_second), self._sizes
        if use.streams >= (sizes.page_streams if rank is Rank.ANONYMOUS else sizes.streams):
            raise ApiProblem("too_many_streams", retry_after_s=RETRY_STREAM_S)
        if self._streams.is_full(rank):
            raise ApiProblem("busy", retry_after_s=RETRY_STREAM_S)
        use.streams += 1
        try:
            with self._streams.taken(rank):
                yield
        finally:
            use.streams -= 1

    @contextmanager
    def unknown_token(self, address: str) -> Iterator[None]:
        """A token that may be unknown is looked up for ``address``, in places of its own."""
        self._taken(f"unknown from {address}", self._sizes.unknown_per_second)
        if self._unknown >= self._sizes.unknown_at_once:
            raise ApiProblem("too_many_requests", retry_after_s=1)
        self._unknown += 1
        try:
            yield
        finally:
            self._unknown -= 1

    def _taken(self, caller: str, per_second: int) -> _Use:
        """What the caller uses after one more request; refused when the rate is used up."""
        now_us, cost_us = self._clock.monotonic_us(), SECOND_US // per_second
        full_us = self._sizes.burst * cost_us
        use = self._uses.pop(caller, None) or _Use(full_us, now_us)
        use.left_us = min(full_us, use.left_us + max(0, now_us - use.at_us))
        use.at_us = now_us
        self._uses[caller] = use
        self._forget()
        if use.left_us < cost_us:
            raise ApiProblem("too_many_requests", retry_after_s=1)
        use.left_us -= cost_us
        return use

    def _forget(self) -> None:
        """Whoever was seen longest ago and uses nothing is forgotten."""
        while len(self._uses) > CALLERS_KEPT:
            idle = (name for name, use in self._uses.items() if not use.at_once + use.streams)
            oldest = next(idle, None)
            if oldest is None:
                return
            del self._uses[oldest]
