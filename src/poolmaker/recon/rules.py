"""Comparisons of what we say with what others say. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.business.treasury.custody import CustodyFinding, CustodyIncidentKind
from poolmaker.business.treasury.model import CustodyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One asset at one place, atomic units: what is booked, what the place reports.

    Named rows under way explain a difference: the place may have up to ``gone_units`` less than
    the ledger, which has left and is not booked yet, and up to ``still_there_units`` more.
    """

    booked_units: int
    reported_units: int
    gone_units: int = 0
    still_there_units: int = 0

    @property
    def missing_units(self) -> int:
        """How much less there is than anything under way explains; 0 for nothing."""
        return max(0, self.booked_units - self.gone_units - self.reported_units)

    @property
    def surplus_units(self) -> int:
        """How much more there is than anything under way explains; 0 for nothing."""
        return max(0, self.reported_units - self.booked_units - self.still_there_units)

    @property
    def agrees(self) -> bool:
        """Whether both say the same, or what is under way explains all of the difference."""
        return not self.missing_units and not self.surplus_units

    @property
    def proves_cover(self) -> bool:
        """Whether nothing is missing, without half-explained rows hiding it.

        A payment under way may explain a difference that it did not make; so what was short is
        whole again only when everything is there, or all that may have gone has gone.
        """
        exactly = self.booked_units - self.gone_units == self.reported_units
        return exactly or self.reported_units >= self.booked_units

    @property
    def explained_units(self) -> int:
        """By how much the place has less than is booked and why is known; below zero for more."""
        if self.agrees:
            return self.booked_units - self.reported_units
        return self.gone_units


def compared(row: CustodyRow, reported_units: int) -> Compared:
    """A row of the ledger against a report; what is surely still there counts as booked."""
    surely = sum(one.units for one in row.not_booked if one.certain)
    return Compared(
        booked_units=row.units + surely,
        reported_units=reported_units,
        gone_units=sum(one.units for one in row.in_flight),
        still_there_units=sum(one.units for one in row.not_booked if not one.certain),
    )


def difference_of(one: Compared) -> CustodyIncidentKind | None:
    """What a comparison shows, None where both agree."""
    if one.missing_units:
        return CustodyIncidentKind.SHORTFALL
    return CustodyIncidentKind.SURPLUS if one.surplus_units else None


def finding_of(row: CustodyRow, one: Compared) -> CustodyFinding | None:
    """A comparison as a finding, None where both agree."""
    kind = difference_of(one)
    if kind is None:
        return None
    return CustodyFinding(
        kind=kind,
        location=row.location,
        asset=row.asset,
        units=one.missing_units or one.surplus_units,
        booked_units=one.booked_units,
        reported_units=one.reported_units,
    )
