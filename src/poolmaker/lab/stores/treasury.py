"""The treasury in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from poolmaker.business.treasury.model import (
    TRANSFER_TABLE,
    ArrivalRow,
    FundingRow,
    FundingState,
    PaymentIncident,
    Suspense,
    SuspenseState,
    Transfer,
    TransferLine,
    TransferState,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import CommandKey, SagaId
from poolmaker.lab.stores.base import model_tx
from poolmaker.lab.stores.custody import ModelCustodyStore

_TRANSFER: Final = "transfer"
_TRANSFER_KEY: Final = "transfer_key"
_TRANSFER_LINES: Final = "transfer_lines"
_ARRIVAL: Final = "arrival"
_SUSPENSE: Final = "suspense"
_INCIDENT: Final = "treasury_incident"
_FUNDING: Final = "funding"
_STATED: Final = "stated"
_LOOK: Final = "arrival_look"
_GAP: Final = "arrival_gap"
_IN_LANE: Final = frozenset(
    {
        TransferState.MOVED_OUT,
        TransferState.SENT,
        TransferState.LEFT,
        TransferState.ARRIVED,
        TransferState.REFUSED,
    }
)


def _values(tx: Tx, table: str) -> list[Any]:
    return [value for _, value in model_tx(tx).rows(table)]


class ModelTreasuryStore(ModelCustodyStore):
    """``TreasuryStore`` in memory."""

    async def lock_place(self, tx: Tx, location: str, asset: str) -> None:
        """One transaction runs at a time anyway."""

    async def last_stated(self, tx: Tx, location: str, asset: str) -> str:
        key: str | None = model_tx(tx).get(_STATED, (location, asset))
        return key or ""

    async def looked_us(self, tx: Tx, place: str) -> int | None:
        found: int | None = model_tx(tx).get(_LOOK, place)
        return found

    async def save_look(self, tx: Tx, place: str, at_us: int, gap_from_us: int) -> None:
        model_tx(tx).put(_LOOK, place, max(at_us, model_tx(tx).get(_LOOK, place) or 0))
        if gap_from_us:
            model_tx(tx).put(_GAP, (place, gap_from_us), at_us)

    async def gap_us(self, tx: Tx, place: str, since_us: int) -> int:
        rows: list[tuple[tuple[str, int], int]] = list(model_tx(tx).rows(_GAP))
        gaps = [(max(since_us, begin), end) for (where, begin), end in rows if where == place]
        return sum(end - begin for begin, end in gaps if end > begin)

    async def note_stated(self, tx: Tx, location: str, asset: str, key: CommandKey) -> None:
        model_tx(tx).put(_STATED, (location, asset), key)

    async def add_transfer(self, tx: Tx, row: Transfer, line: TransferLine) -> bool:
        if model_tx(tx).get(_TRANSFER_KEY, row.key) is not None:
            return False
        model_tx(tx).put(_TRANSFER_KEY, row.key, row.id)
        await self.save_transfer(tx, row, line)
        return True

    async def transfer_by_key(self, tx: Tx, key: CommandKey) -> Transfer | None:
        found: SagaId | None = model_tx(tx).get(_TRANSFER_KEY, key)
        return await self.transfer(tx, found) if found is not None else None

    async def transfer(self, tx: Tx, transfer: SagaId) -> Transfer | None:
        found: Transfer | None = model_tx(tx).get(_TRANSFER, transfer)
        return found

    async def lock_transfer(self, tx: Tx, transfer: SagaId) -> Transfer | None:
        return await self.transfer(tx, transfer)

    async def save_transfer(self, tx: Tx, row: Transfer, line: TransferLine) -> None:
        for other in await self.open_transfers(tx):
            both = {row.state, other.state} <= _IN_LANE
            clash = both and other.id != row.id and other.lane == row.lane
            ensure(not clash, f"two transfers of {row.lane}")
        model_tx(tx).put(_TRANSFER, row.id, row)
        lines = model_tx(tx).get(_TRANSFER_LINES, row.id) or ()
        model_tx(tx).put(_TRANSFER_LINES, row.id, (*lines, line))

    async def open_transfers(self, tx: Tx) -> Sequence[Transfer]:
        found: list[Transfer] = _values(tx, _TRANSFER)
        open_ones = [row for row in found if row.state not in TRANSFER_TABLE.terminal]
        return sorted(open_ones, key=lambda row: str(row.id))

    async def lane_taken(self, tx: Tx, row: Transfer) -> bool:
        return any(
            other.lane == row.lane
            and other.id != row.id
            and (other.state is not TransferState.PLANNED or other.id < row.id)
            for other in await self.open_transfers(tx)
        )

    async def transfers(self, tx: Tx, limit: int) -> Sequence[Transfer]:
        found: list[Transfer] = _values(tx, _TRANSFER)
        return sorted(found, key=lambda row: (-row.requested_us, str(row.id)))[:limit]

    async def transfer_lines(self, tx: Tx, transfer: SagaId) -> Sequence[TransferLine]:
        lines: tuple[TransferLine, ...] | None = model_tx(tx).get(_TRANSFER_LINES, transfer)
        return lines or ()

    async def arrival(self, tx: Tx, location: str, reference: str) -> ArrivalRow | None:
        found: ArrivalRow | None = model_tx(tx).get(_ARRIVAL, (location, reference))
        return found

    async def add_arrival(self, tx: Tx, row: ArrivalRow) -> None:
        key = (row.location, row.reference)
        ensure(model_tx(tx).get(_ARRIVAL, key) is None, f"arrival {key} is there already")
        model_tx(tx).put(_ARRIVAL, key, row)

    async def arrivals(self, tx: Tx, limit: int) -> Sequence[ArrivalRow]:
        found: list[ArrivalRow] = _values(tx, _ARRIVAL)
        return sorted(found, key=lambda row: (-row.at_us, row.reference))[:limit]

    async def suspenses(self, tx: Tx, limit: int) -> Sequence[Suspense]:
        found: list[Suspense] = _values(tx, _SUSPENSE)
        return sorted(found, key=lambda row: (-row.at_us, row.source))[:limit]

    async def suspense(self, tx: Tx, source: str) -> Suspense | None:
        found: Suspense | None = model_tx(tx).get(_SUSPENSE, source)
        return found

    async def save_suspense(self, tx: Tx, row: Suspense) -> None:
        known = await self.suspense(tx, row.source)
        if known is not None:
            row = replace(known, state=row.state, reason=row.reason)
        model_tx(tx).put(_SUSPENSE, row.source, row)

    async def open_suspense(self, tx: Tx) -> Sequence[Suspense]:
        found: list[Suspense] = _values(tx, _SUSPENSE)
        still = (SuspenseState.OPEN, SuspenseState.REFUNDING)
        return sorted((row for row in found if row.state in still), key=lambda row: row.source)

    async def add_incident(self, tx: Tx, incident: PaymentIncident) -> None:
        key = (incident.kind, incident.subject, incident.note)
        if model_tx(tx).get(_INCIDENT, key) is None:
            model_tx(tx).put(_INCIDENT, key, incident)

    async def incidents(self, tx: Tx) -> Sequence[PaymentIncident]:
        return _values(tx, _INCIDENT)

    async def add_funding(self, tx: Tx, row: FundingRow) -> None:
        if model_tx(tx).get(_FUNDING, (row.saga, row.asset)) is None:
            model_tx(tx).put(_FUNDING, (row.saga, row.asset), row)

    async def save_funding(self, tx: Tx, row: FundingRow) -> None:
        known = model_tx(tx).get(_FUNDING, (row.saga, row.asset))
        if known.state in (FundingState.USED, FundingState.GONE):
            return
        model_tx(tx).put(_FUNDING, (row.saga, row.asset), replace(known, state=row.state))

    async def fundings_of(self, tx: Tx, saga: SagaId) -> Sequence[FundingRow]:
        return [row for row in _values(tx, _FUNDING) if row.saga == saga]

    async def open_fundings(self, tx: Tx) -> Sequence[FundingRow]:
        still = (FundingState.WANTED, FundingState.FUNDED)
        return [row for row in _values(tx, _FUNDING) if row.state in still]
