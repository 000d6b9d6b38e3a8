"""Custody incidents in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from poolmaker.business.treasury.custody import CustodyIncident
from poolmaker.infra.transactions import Tx
from poolmaker.lab.stores.base import model_tx

_INCIDENT: Final = "custody_incident"


def _all(tx: Tx) -> list[CustodyIncident]:
    found: list[CustodyIncident] = [one for _, one in model_tx(tx).rows(_INCIDENT)]
    return found


class ModelCustodyStore:
    """``CustodyStore`` in memory."""

    async def custody_incidents(self, tx: Tx) -> Sequence[CustodyIncident]:
        still = [one for one in _all(tx) if not one.closed_us]
        return sorted(still, key=lambda one: (one.opened_us, *one.subject[1:]))

    async def custody_history(self, tx: Tx, limit: int) -> Sequence[CustodyIncident]:
        found = sorted(_all(tx), key=lambda one: (*one.subject[1:], one.subject[0]))
        return sorted(found, key=lambda one: -one.opened_us)[:limit]

    async def save_custody_incident(self, tx: Tx, incident: CustodyIncident) -> None:
        known: CustodyIncident | None = model_tx(tx).get(_INCIDENT, incident.name)
        owner = known.owner if known is not None else incident.owner
        model_tx(tx).put(_INCIDENT, incident.name, replace(incident, owner=owner))

    async def own_custody_incident(self, tx: Tx, incident: CustodyIncident) -> None:
        known: CustodyIncident = model_tx(tx).get(_INCIDENT, incident.name)
        model_tx(tx).put(_INCIDENT, incident.name, replace(known, owner=incident.owner))

    async def borne_units(self, tx: Tx, location: str, asset: str, since_us: int) -> int:
        place = (location, asset)
        return sum(
            one.covered_units
            for one in _all(tx)
            if one.subject[1:] == place and not 0 < one.closed_us < since_us
        )
