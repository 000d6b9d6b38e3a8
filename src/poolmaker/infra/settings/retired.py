"""Settings of earlier versions: a file that has them still loads, and says what became of each.

Whoever removes a setting adds its line here, so that an upgrade never needs an editor
before the platform can start. A key stands here or in the sections, never in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from poolmaker.infra.settings.schema import KeyPath
from poolmaker.infra.settings.sources import Sources


@dataclass(frozen=True, slots=True)
class Retired:
    """A key that is no setting any more, and why."""

    key: str
    reason: str


RETIRED: Final[dict[tuple[str, ...], Retired]] = {
    ("payout",): Retired("absent_after_s", "absence is no proof; a person decides"),
    ("treasury",): Retired("absent_after_s", "absence is no proof; a person decides"),
    ("hufi",): Retired("day_s", "the campaign's own manifest says how long its days are"),
}
"""By the section that had it."""


def retire(sources: Sources) -> tuple[str, ...]:
    """Take retired keys out of ``sources``; a sentence for each."""
    found: list[str] = []
    for path, gone in RETIRED.items():
        section = _section(sources.data, path)
        if isinstance(section, dict) and gone.key in section:
            here: KeyPath = (*path, gone.key)
            place = sources.place(here)
            del section[gone.key]
            sources.places.pop(here, None)
            at = f"{place}: " if place else ""
            name = ".".join((*path, gone.key))
            found.append(f"{at}{name} is not used any more ({gone.reason}); remove it.")
    return tuple(found)


def _section(data: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data
