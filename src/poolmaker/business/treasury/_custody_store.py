"""Custody incidents in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.treasury.custody import (
    CustodyFinding,
    CustodyIncident,
    CustodyIncidentKind,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx

_OPEN: Final = """
SELECT * FROM business.custody_incident WHERE closed_us = 0 ORDER BY opened_us, location, asset
"""
_NEWEST: Final = """
SELECT * FROM business.custody_incident
ORDER BY opened_us DESC, location, asset, kind LIMIT $1
"""
_SAVE: Final = """
INSERT INTO business.custody_incident (
    kind, location, asset, opened_us, units, booked_units, reported_units, seen_us, owner,
    covered_units, closed_us, evidence
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (kind, location, asset, opened_us) DO UPDATE
SET units = $5, booked_units = $6, reported_units = $7, seen_us = $8, covered_units = $10,
    closed_us = $11, evidence = $12
"""
_OWN: Final = """
UPDATE business.custody_incident SET owner = $5
WHERE kind = $1 AND location = $2 AND asset = $3 AND opened_us = $4
"""
_BORNE: Final = """
SELECT coalesce(sum(covered_units), 0) FROM business.custody_incident
WHERE location = $1 AND asset = $2 AND (closed_us = 0 OR closed_us >= $3)
"""


class PgCustodyStore:
    """``CustodyStore`` over PostgreSQL."""

    async def custody_incidents(self, tx: Tx) -> Sequence[CustodyIncident]:
        return [_incident(row) for row in await connection_of(tx).fetch(_OPEN)]

    async def custody_history(self, tx: Tx, limit: int) -> Sequence[CustodyIncident]:
        return [_incident(row) for row in await connection_of(tx).fetch(_NEWEST, limit)]

    async def save_custody_incident(self, tx: Tx, incident: CustodyIncident) -> None:
        finding = incident.finding
        await connection_of(tx).execute(
            _SAVE,
            finding.kind,
            finding.location,
            finding.asset,
            incident.opened_us,
            finding.units,
            finding.booked_units,
            finding.reported_units,
            incident.seen_us,
            incident.owner,
            incident.covered_units,
            incident.closed_us,
            incident.evidence,
        )

    async def own_custody_incident(self, tx: Tx, incident: CustodyIncident) -> None:
        await connection_of(tx).execute(_OWN, *incident.subject, incident.opened_us, incident.owner)

    async def borne_units(self, tx: Tx, location: str, asset: str, since_us: int) -> int:
        return int(await connection_of(tx).fetchval(_BORNE, location, asset, since_us))


def _incident(row: Record) -> CustodyIncident:
    finding = CustodyFinding(
        kind=CustodyIncidentKind(row["kind"]),
        location=row["location"],
        asset=row["asset"],
        units=int(row["units"]),
        booked_units=int(row["booked_units"]),
        reported_units=int(row["reported_units"]),
    )
    return CustodyIncident(
        finding=finding,
        opened_us=row["opened_us"],
        seen_us=row["seen_us"],
        owner=row["owner"],
        covered_units=int(row["covered_units"]),
        closed_us=row["closed_us"],
        evidence=row["evidence"],
    )
