"""Comparisons of what we say with what others say. Pure."""

from __future__ import annotations

from dataclasses import dataclass


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
    def agrees(self) -> bool:
        """Whether both say the same, or what is under way explains all of the difference."""
        least = self.booked_units - self.gone_units
        return least <= self.reported_units <= self.booked_units + self.still_there_units

    @property
    def explained_units(self) -> int:
        """By how much the place has less than is booked and why is known; below zero for more."""
        if self.agrees:
            return self.booked_units - self.reported_units
        return self.gone_units
