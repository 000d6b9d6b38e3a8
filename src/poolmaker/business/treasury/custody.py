"""Custody incidents: what a place and the ledger disagree about, and what that stops.

One table says what each kind stops. A shortfall stops what would make it larger or hide it; a
surplus, which strangers can make, stops nothing; a silent place takes no new money.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_NAME_PARTS: Final = 3


class CustodyIncidentKind(StrEnum):
    """What is wrong with a place."""

    SHORTFALL = "shortfall"
    """It reports less than is booked there, and nothing under way explains it."""
    SURPLUS = "surplus"
    """It reports more than is booked there."""
    SILENCE = "silence"
    """It has not answered for too long."""
    UNCONFIGURED = "unconfigured"
    """The books hold money there, and no place of that name is configured."""


class Stopped(StrEnum):
    """What an incident stops at its place."""

    OUTGOING = "outgoing"
    """Payouts and transfers that leave it."""
    JOINS = "joins"
    """Orders that would join a pool there."""
    INCOMING = "incoming"
    """New transfers to it."""


STOPS: Final[Mapping[CustodyIncidentKind, frozenset[Stopped]]] = {
    CustodyIncidentKind.SHORTFALL: frozenset({Stopped.OUTGOING, Stopped.JOINS}),
    CustodyIncidentKind.SURPLUS: frozenset(),
    CustodyIncidentKind.SILENCE: frozenset({Stopped.JOINS, Stopped.INCOMING}),
    CustodyIncidentKind.UNCONFIGURED: frozenset(
        {Stopped.OUTGOING, Stopped.JOINS, Stopped.INCOMING}
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyFinding:
    """What a comparison has found to last. ``asset`` is empty where the whole place is meant.

    ``location`` is a custody account, or the beginning of all of a place's accounts. Amounts are
    atomic units; ``units`` is what is missing or too much after what is under way is explained.
    """

    kind: CustodyIncidentKind
    location: str
    asset: str = ""
    units: int = 0
    booked_units: int = 0
    reported_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyIncident:
    """A finding that is on record until evidence closes it; ``closed_us`` is 0 while it is open.

    ``covered_units`` is what equity was asked to bear of it. ``owner`` is the person who looks
    after it, empty for nobody yet.
    """

    finding: CustodyFinding
    opened_us: int
    seen_us: int
    owner: str = ""
    covered_units: int = 0
    closed_us: int = 0
    evidence: str = ""

    @property
    def subject(self) -> tuple[CustodyIncidentKind, str, str]:
        """One incident is open per kind, place and asset."""
        return subject_of(self.finding)

    @property
    def name(self) -> str:
        """The id by which people name it."""
        finding = self.finding
        parts = (finding.kind.value, finding.location, finding.asset, str(self.opened_us))
        return "~".join(parts)


def shortfall_named(name: str, units: int) -> CustodyIncident | None:
    """A shortfall by its name, with ``units`` missing; None where the name is of another kind."""
    kind, _, rest = name.partition("~")
    parts = rest.rsplit("~", 2)
    if kind != CustodyIncidentKind.SHORTFALL or len(parts) != _NAME_PARTS:
        return None
    location, asset, opened = parts
    if not (opened.isascii() and opened.isdigit()):
        return None
    finding = CustodyFinding(
        kind=CustodyIncidentKind.SHORTFALL, location=location, asset=asset, units=units
    )
    return CustodyIncident(finding=finding, opened_us=int(opened), seen_us=int(opened))


def subject_of(finding: CustodyFinding) -> tuple[CustodyIncidentKind, str, str]:
    """What a finding is about."""
    return finding.kind, finding.location, finding.asset


def is_at(finding: CustodyFinding, location: str, assets: Collection[str]) -> bool:
    """Whether a finding is about one of the assets at a custody account."""
    there = location == finding.location or location.startswith(f"{finding.location}:")
    return there and (not finding.asset or finding.asset in assets)


def reason_to_stop(
    incidents: Iterable[CustodyIncident], what: Stopped, location: str, assets: Collection[str]
) -> str:
    """Why ``what`` does not happen at a custody account at present, empty when it may."""
    for one in incidents:
        finding = one.finding
        if what in STOPS[finding.kind] and is_at(finding, location, assets):
            asset = f" of {finding.asset}" if finding.asset else ""
            return f"custody {finding.kind.value}{asset} at {finding.location}"
    return ""


def may_bear(cap_units: int, borne_units: int, finding: CustodyFinding) -> bool:
    """Whether equity bears a shortfall by itself: ``borne_units`` were borne there today."""
    is_shortfall = finding.kind is CustodyIncidentKind.SHORTFALL
    return is_shortfall and 0 < finding.units <= cap_units - borne_units
