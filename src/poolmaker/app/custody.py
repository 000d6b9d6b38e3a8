"""Custody: what the ledger says is at each place against what the place reports.

The two are read one after the other while trades go on, so a difference may be only the moment.
A report therefore counts when the ledger said the same before and after it, or when it agrees;
a difference that lasts is shown as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.app.figures import Scales
from poolmaker.app.places import Place
from poolmaker.business.treasury.model import CustodyRow
from poolmaker.business.treasury.service import Treasury
from poolmaker.infra.health import HealthReporter
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import CallerFault, OutcomeUnknown, Unavailable
from poolmaker.recon.rules import Compared
from poolmaker.views.model import CustodyLine

POLL_US: Final = 2 * SECOND_US
LASTING_US: Final = 15 * SECOND_US


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last word about one asset at one place; ``differs_since_us`` is 0 while it agrees."""

    reported_units: int
    at_us: int
    agrees: bool
    differs_since_us: int
    agreed_at_us: int = 0


def _compared(row: CustodyRow, reported_units: int) -> Compared:
    return Compared(
        booked_units=row.units,
        reported_units=reported_units,
        gone_units=sum(one.units for one in row.in_flight),
        still_there_units=sum(one.units for one in row.not_booked),
    )


class CustodyWatch:
    """Asks every place for what it has and holds it against the ledger."""

    def __init__(
        self,
        places: Sequence[Place],
        treasury: Treasury,
        scales: Scales,
        health: HealthReporter,
        clock: Clock,
    ) -> None:
        self._places = places
        self._treasury = treasury
        self._scales = scales
        self._health = health
        self._clock = clock
        self._seen: dict[tuple[str, str], _Seen] = {}

    async def run(self) -> None:
        """Ask until cancelled. A place that does not answer is asked again."""
        while True:
            try:
                await self.look()
            except (Unavailable, OutcomeUnknown) as problem:
                self._health.report("custody", ok=True, sentence=f"not asked: {problem}")
            await self._clock.sleep_us(POLL_US)

    async def lines(self) -> Sequence[CustodyLine]:
        """Every asset at every place."""
        return tuple(self._line(row) for row in await self._rows())

    async def _rows(self) -> list[CustodyRow]:
        pairs = [pair for place in self._places for pair in place.pairs()]
        rows = await self._treasury.custody_at(pairs)
        return [row for row in rows if row.units or (row.location, row.asset) in self._seen]

    async def look(self) -> None:
        """Ask every place once and judge what it says."""
        before = {(row.location, row.asset): row for row in await self._rows()}
        silent = ""
        for place in self._places:
            try:
                for pair, units in (await place.holdings()).items():
                    self._report(*pair, units)
            except (Unavailable, OutcomeUnknown, CallerFault) as problem:
                silent = f"not asked: {problem}"
        for row in await self._rows():
            pair = row.location, row.asset
            same = pair in before and before[pair].units == row.units
            self._judge(pair, row, same=same)
        wrong = [pair for pair, seen in self._seen.items() if self._lasting(seen)]
        differs = f"{wrong[0][0]} differs in {wrong[0][1]}" if wrong else ""
        sentence = differs or silent or "every place agrees"
        self._health.report("custody", ok=not wrong, sentence=sentence)

    def _report(self, location: str, asset: str, units: int) -> None:
        before = self._seen.get((location, asset))
        since_us = before.differs_since_us if before is not None else 0
        agreed_us = before.agreed_at_us if before is not None else 0
        self._seen[location, asset] = _Seen(units, self._clock.now_us(), False, since_us, agreed_us)

    def _judge(self, pair: tuple[str, str], row: CustodyRow, *, same: bool) -> None:
        seen = self._seen.get(pair)
        if seen is None:
            return
        agrees = _compared(row, seen.reported_units).agrees
        since_us = 0 if agrees else seen.differs_since_us or (seen.at_us if same else 0)
        agreed_us = seen.at_us if agrees else seen.agreed_at_us
        self._seen[pair] = _Seen(seen.reported_units, seen.at_us, agrees, since_us, agreed_us)

    def _lasting(self, seen: _Seen) -> bool:
        since_us = seen.differs_since_us
        return since_us > 0 and self._clock.now_us() - since_us >= LASTING_US

    def _line(self, row: CustodyRow) -> CustodyLine:
        seen = self._seen.get((row.location, row.asset))
        text = self._scales.text
        reported, in_flight = None, sum(one.units for one in row.in_flight)
        if seen is not None:
            compared = _compared(row, seen.reported_units)
            in_flight = compared.explained_units
            if compared.agrees or self._lasting(seen):
                reported = seen.reported_units
        return CustodyLine(
            location=row.location,
            asset=row.asset,
            ledger=text(row.asset, row.units),
            reported=text(row.asset, reported) if reported is not None else None,
            in_flight=text(row.asset, in_flight),
            seen_at_us=seen.at_us if seen is not None else 0,
            agreed_at_us=seen.agreed_at_us if seen is not None else 0,
        )
