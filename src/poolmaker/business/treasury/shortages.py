"""What places lack for money that is to leave them, as whoever waits there saw it last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.infra.attention import LISTED_MAX, AttentionItem, Remedy, and_more
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.money import Asset, format_units

KIND: Final = "short_of_cash"
PATIENCE_US: Final = 15 * MINUTE_US
"""How long a place may lack money before somebody is told: what comes by itself comes sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """``who`` waits at ``source`` since ``since_us`` for ``units`` of ``asset``.

    The units are all that is lacking there for it and for everything before it.
    """

    who: str
    source: str
    asset: str
    units: int
    since_us: int


class Shortages:
    """Kept in memory only: whoever waits looks again in a moment, also after a start."""

    def __init__(self) -> None:
        self._found: dict[str, Shortage] = {}

    def lacks(self, shortage: Shortage) -> None:
        """Somebody has looked and has to wait, since they first had to."""
        before = self._found.get(shortage.who, shortage)
        self._found[shortage.who] = replace(shortage, since_us=before.since_us)

    def solved(self, who: str) -> None:
        """They wait for cash no more; no effect for whoever did not."""
        self._found.pop(who, None)

    def attention(
        self, room: str, now_us: int, assets: Mapping[str, Asset]
    ) -> Sequence[AttentionItem]:
        """One item for each place and asset where somebody has waited for long."""
        places: dict[tuple[str, str], list[Shortage]] = {}
        for one in sorted(self._found.values(), key=lambda one: (one.since_us, one.who)):
            if now_us >= one.since_us + PATIENCE_US:
                places.setdefault((one.source, one.asset), []).append(one)
        items = [_item(room, waiting, assets) for waiting in places.values()]
        return and_more(items[:LISTED_MAX], len(items))


def _item(room: str, waiting: Sequence[Shortage], assets: Mapping[str, Asset]) -> AttentionItem:
    first, units = waiting[0], max(one.units for one in waiting)
    asset = assets.get(first.asset)
    amount = format_units(units, asset.scale) if asset is not None else "AMOUNT"
    missing = f"{units} units of {first.asset}" if asset is None else f"{amount} {first.asset}"
    return AttentionItem(
        source=room,
        kind=KIND,
        subject=f"{first.source} {first.asset}",
        since_us=first.since_us,
        evidence={
            "missing": missing,
            "waiting": str(len(waiting)),
            "first": first.who,
        },
        blocks=(f"{first.source} {first.asset}",),
        remedies=(
            Remedy(
                action="operator_in",
                command=(
                    f"poolmaker treasury operator-in {first.source} {first.asset}"
                    f" {amount} --reference TEXT"
                ),
                route="POST /api/v1/treasury/operator-in",
            ),
        ),
    )
