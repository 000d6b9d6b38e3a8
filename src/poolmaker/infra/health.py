"""How each part of the platform is doing, for the API, the pages and the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from poolmaker.kernel.clock import Clock

_SENTENCE_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Health:
    """One part: whether it works, one sentence about it, since when that is so (microseconds)."""

    component: str
    ok: bool
    sentence: str
    since_us: int


class HealthReporter(Protocol):
    """What a part needs in order to say how it is doing."""

    def report(self, component: str, *, ok: bool, sentence: str) -> None:
        """Replace what was known about ``component``."""
        ...


class HealthBoard:
    """Holds the last report of every part. ``since_us`` moves only when ``ok`` changes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: dict[str, Health] = {}

    def report(self, component: str, *, ok: bool, sentence: str) -> None:
        """Replace what was known about ``component``."""
        before = self._parts.get(component)
        same = before is not None and before.ok == ok
        since_us = before.since_us if before is not None and same else self._clock.now_us()
        self._parts[component] = Health(component, ok, sentence[:_SENTENCE_MAX], since_us)

    def forget(self, component: str) -> None:
        """Drop a part that is no longer run."""
        self._parts.pop(component, None)

    def parts(self) -> list[Health]:
        """Every part by name; those that do not work first."""
        return sorted(self._parts.values(), key=lambda part: (part.ok, part.component))

    def ok(self) -> bool:
        """Whether every part that reported works."""
        return all(part.ok for part in self._parts.values())
