"""Custody: what the ledger says is at each place against what the place reports.

The two are read one after the other while trades go on, so a difference may be only the moment.
A report therefore counts when the ledger said the same before and after it; a difference that
lasts is an incident, and so is a place that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from poolmaker.business.treasury.custody import CustodyFinding, CustodyIncidentKind
from poolmaker.business.treasury.model import CustodyRow
from poolmaker.business.treasury.service import CustodyRecords, TreasuryService
from poolmaker.infra.health import HealthReporter
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.recon.ports import CustodyPlace, Holdings
from poolmaker.recon.rules import Compared, compared, difference_of, finding_of

POLL_US: Final = 2 * SECOND_US
LASTING_US: Final = 15 * SECOND_US
SILENCE_US: Final = MINUTE_US

Pair = tuple[str, str]
"""(custody account, asset)."""
_K = CustodyIncidentKind


@dataclass(frozen=True, slots=True)
class Comparison:
    """The last word about one asset at one place; times are 0 for never.

    ``differs_since_us``: since when it differs in the same direction, ``kind`` says in which.
    ``steady``: the books said the same before and after the place was asked.
    """

    row: CustodyRow
    reported_units: int
    at_us: int
    steady: bool = True
    kind: CustodyIncidentKind | None = None
    differs_since_us: int = 0
    agreed_at_us: int = 0

    @property
    def compared(self) -> Compared:
        """The row against the report."""
        return compared(self.row, self.reported_units)


@dataclass(frozen=True, slots=True)
class CustodyReading:
    """A row of the ledger with what the place says of it; None while it is not known.

    ``explained_units`` is what has left the place and is still booked there, less the opposite.
    """

    row: CustodyRow
    reported_units: int | None
    explained_units: int
    at_us: int
    agreed_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyWatchPorts:
    """Where the two sides are read, and who keeps what was found."""

    places: Sequence[CustodyPlace]
    treasury: TreasuryService
    records: CustodyRecords
    health: HealthReporter
    clock: Clock


class CustodyWatch:
    """Asks every place for what it has and holds it against the ledger."""

    def __init__(self, ports: CustodyWatchPorts, silence_us: int = SILENCE_US) -> None:
        self._ports = ports
        self._silence_us = silence_us
        self._seen: dict[Pair, Comparison] = {}
        self._heard_us = {place.name: ports.clock.now_us() for place in ports.places}
        self._silent: dict[str, str] = {}

    async def run(self) -> None:
        """Ask until cancelled. A place that does not answer is asked again."""
        while True:
            try:
                await self.look()
            except (Unavailable, OutcomeUnknown) as problem:
                self._ports.health.report("custody", ok=False, sentence=f"not compared: {problem}")
            await self._ports.clock.sleep_us(POLL_US)

    async def readings(self) -> Sequence[CustodyReading]:
        """Every asset at every place that holds any, by place."""
        rows = {(row.location, row.asset): row for row in await self._ports.treasury.custody()}
        for pair in self._seen:
            rows.setdefault(pair, CustodyRow(*pair, 0, ()))
        return tuple(self._reading(row) for _, row in sorted(rows.items()))

    async def look(self) -> None:
        """Ask every place once, judge what it says, and put on record what lasts."""
        as_of_us = self._ports.clock.now_us()
        before = await self._booked()
        reported, heard = await self._asked()
        after = await self._booked()
        for pair in sorted({*before, *after, *reported, *self._seen}):
            if any(place.covers(pair[0]) for place in heard):
                row = after.get(pair, CustodyRow(*pair, 0, ()))
                same = before.get(pair, CustodyRow(*pair, 0, ())) == row
                self._compare(row, reported.get(pair, 0), same=same)
        strange = [row for row in after.values() if row.units and not self._is_configured(row)]
        findings = self._findings(strange)

        def disproof(finding: CustodyFinding) -> str:
            return self._disproof(finding, heard, strange)

        await self._ports.records.record(
            findings, disproof, as_of_us=as_of_us, bearable=await self._bearable(findings, heard)
        )
        self._tell(findings)

    async def _booked(self) -> dict[Pair, CustodyRow]:
        return {(row.location, row.asset): row for row in await self._ports.treasury.custody()}

    async def _asked(self) -> tuple[dict[Pair, int], list[CustodyPlace]]:
        """What the places report, and which of them have answered."""
        reported: dict[Pair, int] = {}
        heard = []
        for place in self._ports.places:
            try:
                holdings: Holdings = await place.holdings()
            except (Unavailable, OutcomeUnknown, PreconditionError) as problem:
                self._silent[place.name] = str(problem)
                continue
            self._silent.pop(place.name, None)
            self._heard_us[place.name] = self._ports.clock.now_us()
            heard.append(place)
            reported.update(holdings)
        return reported, heard

    def _is_configured(self, row: CustodyRow) -> bool:
        return any(place.covers(row.location) for place in self._ports.places)

    def _compare(self, row: CustodyRow, reported_units: int, *, same: bool) -> None:
        pair = row.location, row.asset
        if pair not in self._seen and not row.units and not reported_units:
            return
        now_us = self._ports.clock.now_us()
        before = self._seen.get(pair) or Comparison(row, reported_units, now_us)
        fresh = replace(before, row=row, reported_units=reported_units, at_us=now_us, steady=same)
        kind = difference_of(fresh.compared)
        # The books may have moved while the place was asked: such a look proves nothing.
        if same and kind is None:
            fresh = replace(fresh, kind=None, differs_since_us=0, agreed_at_us=now_us)
        elif same and kind is not before.kind:
            fresh = replace(fresh, kind=kind, differs_since_us=now_us)
        self._seen[pair] = fresh

    def _lasts(self, seen: Comparison) -> bool:
        since_us = seen.differs_since_us
        return bool(since_us) and self._ports.clock.now_us() - since_us >= LASTING_US

    # ------------------------------------------------------------------------- what is on record

    def _findings(self, strange: Sequence[CustodyRow]) -> list[CustodyFinding]:
        lasting = [seen for seen in self._seen.values() if self._lasts(seen)]
        found = [(seen.kind, finding_of(seen.row, seen.compared)) for seen in lasting]
        unconfigured = [
            CustodyFinding(
                kind=_K.UNCONFIGURED,
                location=row.location,
                asset=row.asset,
                units=abs(row.units),
                booked_units=row.units,
            )
            for row in strange
        ]
        silent = [
            CustodyFinding(kind=_K.SILENCE, location=name)
            for name, heard_us in self._heard_us.items()
            if self._ports.clock.now_us() - heard_us >= self._silence_us
        ]
        same = [one for kind, one in found if one is not None and one.kind is kind]
        return [*same, *unconfigured, *silent]

    async def _bearable(
        self, findings: Sequence[CustodyFinding], heard: Sequence[CustodyPlace]
    ) -> list[CustodyFinding]:
        """Shortfalls that nothing still to be booked may explain, by this look alone.

        A trade of which one half is known looks like one asset short and another in surplus.
        """
        short = [one for one in findings if one.kind is _K.SHORTFALL]
        if not short:
            return []
        settled = [place for place in heard if await place.is_caught_up()]
        odd = {
            seen.row.location
            for seen in self._seen.values()
            if not seen.steady or seen.compared.surplus_units
        }
        return [
            one
            for one in short
            if one.location not in odd and any(place.covers(one.location) for place in settled)
        ]

    def _disproof(
        self,
        finding: CustodyFinding,
        heard: Sequence[CustodyPlace],
        strange: Sequence[CustodyRow],
    ) -> str:
        """What this look says against an earlier finding, empty for nothing."""
        pair = finding.location, finding.asset
        match finding.kind:
            case _K.SILENCE:
                if finding.location not in self._heard_us:
                    return "no longer configured"
                over = finding.location in {place.name for place in heard}
                return "it has answered" if over else ""
            case _K.UNCONFIGURED:
                still = pair in {(row.location, row.asset) for row in strange}
                return "" if still else "configured again, or nothing is booked there"
            case _K.SHORTFALL | _K.SURPLUS:
                if not any(place.covers(finding.location) for place in heard):
                    return ""
                return self._agreement(finding.kind, pair)
            case _:
                assert_never(finding.kind)

    def _agreement(self, kind: CustodyIncidentKind, pair: Pair) -> str:
        seen = self._seen.get(pair)
        if seen is None:
            return "nothing is booked and nothing is reported"
        one = seen.compared
        over = one.proves_cover if kind is _K.SHORTFALL else not one.surplus_units
        if not (over and seen.steady):
            return ""
        return f"reported {one.reported_units}, booked {one.booked_units}"

    def _tell(self, findings: Sequence[CustodyFinding]) -> None:
        """Health is green only when every place has answered and covers its books."""
        now_us = self._ports.clock.now_us()
        late = {name for name, at in self._heard_us.items() if now_us - at >= LASTING_US}
        wrong = [f"{one.location} {one.kind.value} {one.asset}".strip() for one in findings]
        grave = [one for one in findings if one.kind is not _K.SURPLUS]
        silent = [f"{name} does not answer: {self._silent.get(name, '')}" for name in sorted(late)]
        sentence = "; ".join([*silent, *wrong][:3]) or "every place agrees"
        self._ports.health.report("custody", ok=not grave and not late, sentence=sentence)

    # ---------------------------------------------------------------------------- what is shown

    def _reading(self, row: CustodyRow) -> CustodyReading:
        seen = self._seen.get((row.location, row.asset))
        if seen is None:
            in_flight = sum(one.units for one in row.in_flight)
            return CustodyReading(row, None, in_flight, 0, 0)
        one = replace(seen, row=row).compared
        known = one.agrees or self._lasts(seen)
        surely = one.booked_units - row.units
        return CustodyReading(
            row=row,
            reported_units=seen.reported_units if known else None,
            explained_units=one.explained_units - surely,
            at_us=seen.at_us,
            agreed_at_us=seen.agreed_at_us,
        )
