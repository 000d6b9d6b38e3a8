"""Chance as an argument: one seed replays a run."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

from poolmaker.kernel.checks import require

T = TypeVar("T")


class Rng:
    """A seeded source of chance. Two with the same seed give the same draws."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self._random = random.Random(f"poolmaker:{seed}")  # noqa: S311 - replayable by design

    def fork(self, name: str) -> Rng:
        """An independent source that depends only on this seed and ``name``, not on past draws."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).hexdigest()
        return Rng(digest)

    def bits(self, count: int) -> int:
        """An int of ``count`` random bits."""
        return self._random.getrandbits(count)

    def below(self, bound: int) -> int:
        """An int in [0, bound)."""
        require(bound > 0, f"bound: expected a positive int, was {bound}")
        return self._random.randrange(bound)

    def between(self, low: int, high: int) -> int:
        """An int in [low, high], both ends included."""
        return self._random.randint(low, high)

    def chance_ppm(self, parts_per_million: int) -> bool:
        """True with a probability of ``parts_per_million`` / 1,000,000."""
        return self._random.randrange(1_000_000) < parts_per_million

    def choice(self, items: Sequence[T]) -> T:
        """One of ``items``."""
        require(len(items) > 0, "items: expected at least one")
        return items[self._random.randrange(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A new list with ``items`` in another order."""
        return self._random.sample(items, len(items))

    def exponential_us(self, mean_us: int) -> int:
        """A waiting time with an exponential law, in microseconds, at least 1."""
        return max(1, round(self._random.expovariate(1) * mean_us))

    def distributions(self) -> random.Random:
        """The underlying generator, for laws that only market simulations need."""
        return self._random


def system_rng() -> Rng:
    """A source that cannot be replayed, seeded by the operating system."""
    return Rng(random.SystemRandom().getrandbits(256))
