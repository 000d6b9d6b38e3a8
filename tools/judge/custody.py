"""Ledger against what the places report. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from tools.judge.model import MIXIN_DECIMALS, Seen, text_of

Table = dict[str, dict[str, dict[str, str]]]
_CUSTODY: Final = "custody:"
_TRANSIT: Final = "transit:"
_MIXIN: Final = "custody:mixin:"


def booked(seen: Seen) -> dict[tuple[str, str], int]:
    """What the ledger says is where: the sums of the entries, not the stored balances."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for transaction in seen.books.log:
        for leg in transaction.legs:
            if leg.account.startswith((_CUSTODY, _TRANSIT)):
                sums[leg.account, leg.asset] += leg.units
    return sums


def custody(seen: Seen) -> tuple[Table, list[str]]:
    """Location -> asset -> both amounts, and what is wrong with them."""
    ledger = booked(seen)
    table: Table = {}
    for where in sorted({*ledger, *seen.reported}):
        location, asset = where
        if location.startswith(_TRANSIT) and not ledger[where]:
            continue
        unlisted = MIXIN_DECIMALS if location.startswith(_MIXIN) else 0
        scale = seen.books.scales.get(asset, unlisted)
        reported = seen.reported.get(where, 0)
        table.setdefault(location, {})[asset] = {
            "ledger": text_of(ledger.get(where, 0), scale),
            "reported": text_of(reported, scale),
        }
    return table, list(_problems(seen, ledger, table))


def _problems(seen: Seen, ledger: Mapping[tuple[str, str], int], table: Table) -> Iterator[str]:
    for location, assets in table.items():
        for asset, pair in assets.items():
            units = ledger.get((location, asset), 0)
            if location.startswith(_TRANSIT):
                yield f"{location}: {pair['ledger']} {asset} left and did not arrive"
            elif units != seen.reported.get((location, asset), 0):
                yield f"{location}: booked {pair['ledger']}, reported {pair['reported']} {asset}"
            if units and location.startswith(_CUSTODY) and location not in seen.places:
                yield f"{location}: nobody could be asked"
