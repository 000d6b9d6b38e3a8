"""Comparisons of what we say with what others say. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.money import format_units, parse_units

SCALE: Final = 18

Book = Mapping[str, Mapping[str, str]]
"""Location -> asset -> exact decimal text."""

Order = tuple[str, str, str]
"""(side, price, what is left), exact decimal texts."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One asset at one location, on both sides."""

    location: str
    asset: str
    ledger: str
    reported: str

    @property
    def difference_units(self) -> int:
        """Reported less ledger, in units of 1e-18."""
        return parse_units(self.reported, SCALE) - parse_units(self.ledger, SCALE)

    @property
    def difference(self) -> str:
        """Reported less ledger as an exact decimal text."""
        return format_units(self.difference_units, SCALE)


def compare_custody(ledger: Book, reported: Book) -> list[Compared]:
    """Every (location, asset) that either side names, in order."""
    places = {
        (place, asset) for book in (ledger, reported) for place in book for asset in book[place]
    }
    return [
        Compared(
            place,
            asset,
            ledger.get(place, {}).get(asset, "0"),
            reported.get(place, {}).get(asset, "0"),
        )
        for place, asset in sorted(places)
    ]


def custody_agrees(compared: Iterable[Compared]) -> bool:
    """Whether there is something to compare and nothing differs."""
    rows = list(compared)
    return bool(rows) and all(row.difference_units == 0 for row in rows)


def orders_unknown(at_venue: Iterable[Order], in_books: Iterable[Order]) -> int:
    """How many open orders the venue shows that the books do not have."""
    return sum((Counter(map(_exact, at_venue)) - Counter(map(_exact, in_books))).values())


def orders_missing(at_venue: Iterable[Order], in_books: Iterable[Order]) -> int:
    """How many open orders the books have that the venue does not show."""
    return orders_unknown(in_books, at_venue)


def _exact(order: Order) -> tuple[str, int, int]:
    side, price, left = order
    return side, parse_units(price, SCALE), parse_units(left, SCALE)
