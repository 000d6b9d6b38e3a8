"""The writer's side: lease, image, keys, append."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger._store.reading import (
    accounts_of,
    assets_of,
    image_of,
    outcome_of,
    transactions_of,
)
from poolmaker.business.ledger._store.rows import KEY_CONFLICT
from poolmaker.business.ledger.model import (
    Batch,
    BooksDiverged,
    Checkpoint,
    Fenced,
    LedgerHead,
    LedgerIncident,
    LedgerTransaction,
    Leg,
    PendingCommand,
    StoredAnswer,
    WriterLease,
)
from poolmaker.infra.database import Connection, Database, DatabaseUnavailable, Listener
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, LedgerId
from poolmaker.kernel.money import Asset

_FENCED: Final = "LE001"
# The server had no room or no time: it rolled back and may do better later.
_MAY_PASS: Final = ("53", "55P03", "57014", "40001", "40P01")

_TAKE: Final = "SELECT * FROM ledger.take_lease($1, $2, $3, $4, $5)"
_RETAKE: Final = "SELECT * FROM ledger.take_lease($1, $2, $3)"
_LEASE: Final = "SELECT holder, epoch, lease_until_us FROM ledger.head WHERE ledger_id = $1"
_RENEW: Final = "SELECT ledger.prolong_lease($1, $2, $3)"
_REGISTER: Final = "SELECT ledger.register_asset($1, $2, $3)"
_INCIDENTS: Final = "SELECT ledger.open_incidents($1, $2, $3, $4, $5)"
_ANSWERS: Final = """
SELECT key, body_hash, at_us, seq, reject FROM ledger.idem WHERE ledger_id = $1 AND key = ANY ($2)
"""
_PENDING: Final = """
SELECT row_id, key, body FROM ledger.command
WHERE ledger_id = $1 AND row_id > $2 AND seq IS NULL AND reject IS NULL
ORDER BY row_id LIMIT $3
"""
_APPEND_ARGUMENTS: Final = 40
_APPEND: Final = (
    f"SELECT ledger.append({', '.join(f'${n}' for n in range(1, _APPEND_ARGUMENTS + 1))})"
)


def _joined(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


class PgLedgerStore:
    """``LedgerStore`` for one ledger. ``database`` is open as the role of the writer."""

    def __init__(self, database: Database, clock: Clock, ledger: LedgerId = MAIN_LEDGER) -> None:
        self._database = database
        self._clock = clock
        self._ledger = ledger
        self._numbers: dict[tuple[str, str], int] = {}
        self._last_number = 0
        self._listener: Listener | None = None

    async def close(self) -> None:
        """Stop listening. The database is closed by whoever opened it."""
        if self._listener is not None:
            await self._listener.close()

    async def take_lease(
        self, holder: str, lease_us: int, lapsed: WriterLease | None = None
    ) -> LedgerHead | None:
        seen = (lapsed.epoch, lapsed.until_us) if lapsed is not None else (None, None)
        async with self._asking() as connection:
            row = await connection.fetchrow(_TAKE, self._ledger, holder, lease_us, *seen)
        return LedgerHead(*row) if row is not None else None

    async def retake_lease(self, holder: str, lease_us: int) -> LedgerHead | None:
        async with self._asking() as connection:
            row = await connection.fetchrow(_RETAKE, self._ledger, holder, lease_us)
        return LedgerHead(*row) if row is not None else None

    async def lease(self) -> WriterLease | None:
        async with self._asking() as connection:
            row = await connection.fetchrow(_LEASE, self._ledger)
        return WriterLease(*row) if row is not None else None

    async def renew_lease(self, epoch: int, lease_us: int) -> None:
        async with self._asking() as connection:
            await connection.execute(_RENEW, self._ledger, epoch, lease_us)

    async def load(self) -> Checkpoint:
        async with self._database.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            accounts = await accounts_of(connection, self._ledger)
            image = await image_of(connection, self._ledger, accounts)
        self._numbers = {(row["code"], row["asset"]): row["account_id"] for row in accounts}
        self._last_number = max(self._numbers.values(), default=0)
        return image

    async def answers(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, StoredAnswer]:
        async with self._asking() as connection:
            rows = await connection.fetch(_ANSWERS, self._ledger, list(keys))
        return {
            row["key"]: StoredAnswer(
                row["body_hash"], outcome_of(row["seq"], row["at_us"], row["reject"])
            )
            for row in rows
        }

    async def recall(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, LedgerTransaction]:
        async with self._database.transaction() as connection:
            return await transactions_of(connection, self._ledger, keys)

    async def append(self, batch: Batch) -> None:
        async with self._asking() as connection:
            await connection.execute(_APPEND, *self._arguments(batch))

    async def open_incidents(self, incidents: Sequence[LedgerIncident]) -> None:
        async with self._asking() as connection:
            await connection.execute(_INCIDENTS, self._ledger, *_incident_columns(incidents))

    async def pending(self, after_row: int, limit: int) -> Sequence[PendingCommand]:
        async with self._asking() as connection:
            rows = await connection.fetch(_PENDING, self._ledger, after_row, limit)
        return [PendingCommand(row["row_id"], row["key"], row["body"]) for row in rows]

    async def assets(self) -> Sequence[Asset]:
        async with self._asking() as connection:
            return await assets_of(connection, self._ledger)

    async def register_asset(self, asset: Asset) -> None:
        async with self._asking() as connection:
            await connection.execute(_REGISTER, self._ledger, asset.code, asset.scale)

    async def listen(self, woken: Callable[[], None]) -> None:
        await self.close()
        self._listener = await self._database.listen(
            "ledger_command", lambda _payload: woken(), self._clock
        )

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Connection]:
        """A connection whose refusals are said in the ledger's words."""
        try:
            async with self._database.acquire() as connection:
                yield connection
        except asyncpg.PostgresError as error:
            raise _in_our_words(error) from error

    def _number(self, leg: Leg, appearing: list[tuple[int, Leg]]) -> int:
        place = leg.account, leg.asset
        number = self._numbers.get(place)
        if number is None:
            self._last_number = number = self._last_number + 1
            self._numbers[place] = number
            appearing.append((number, leg))
        return number

    def _arguments(self, batch: Batch) -> Iterable[Any]:
        """The arguments of ``append`` in the order of its parameters.

        Numbers given to new accounts are forgotten by the next ``load`` when the append fails.
        """
        postings = batch.postings
        appearing: list[tuple[int, Leg]] = []
        touched: dict[int, int] = {}
        entries: list[tuple[int, int, int, int, int]] = []
        for order, posting in enumerate(postings, 1):
            for at, line in enumerate(posting.lines):
                number = self._number(line.leg, appearing)
                touched[number] = order
                entries.append((order, at, number, line.leg.units, line.after_units))
        claimed = {self._numbers[leg.account, leg.asset]: leg.units for leg in batch.balances}
        yield from (self._ledger, batch.epoch, batch.from_seq)
        yield postings[-1].chain_hash if postings else b""
        yield postings[-1].at_us if postings else 0
        yield [asset.code for asset in batch.assets]
        yield _joined(asset.scale for asset in batch.assets)
        yield _joined(number for number, _ in appearing)
        yield [leg.account for _, leg in appearing]
        yield [leg.asset for _, leg in appearing]
        yield [posting.key for posting in postings]
        yield [posting.kind for posting in postings]
        yield _joined(posting.at_us for posting in postings)
        yield [posting.body for posting in postings]
        yield [posting.chain_hash for posting in postings]
        for column in range(5):
            yield _joined(entry[column] for entry in entries)
        yield _joined(claimed)
        yield _joined(claimed.values())
        yield _joined(touched.get(number, 0) for number in claimed)
        yield from _answer_columns(batch)


def _answer_columns(batch: Batch) -> Iterable[Any]:
    yield [refusal.key for refusal in batch.refusals]
    yield [refusal.body_hash for refusal in batch.refusals]
    yield _joined(refusal.at_us for refusal in batch.refusals)
    yield [refusal.reason.value for refusal in batch.refusals]
    yield [conflict.key for conflict in batch.conflicts]
    yield [conflict.body for conflict in batch.conflicts]
    yield _joined(conflict.at_us for conflict in batch.conflicts)
    yield from _incident_columns(batch.incidents)
    yield [state.kind for state in batch.states]
    yield [state.name for state in batch.states]
    yield [state.body for state in batch.states]
    yield _joined(answer.row for answer in batch.rows)
    yield [str(answer.seq or "") for answer in batch.rows]
    yield [answer.reason.value if answer.reason else "" for answer in batch.rows]


def _incident_columns(incidents: Sequence[LedgerIncident]) -> Iterable[Any]:
    yield [incident.kind.value for incident in incidents]
    yield [incident.subject for incident in incidents]
    yield [incident.key for incident in incidents]
    yield _joined(incident.at_us for incident in incidents)


def _in_our_words(error: asyncpg.PostgresError) -> Exception:
    code = error.sqlstate or ""
    if code == _FENCED:
        return Fenced(str(error))
    if code == KEY_CONFLICT:
        return KeyConflict(str(error))
    if code.startswith(_MAY_PASS):
        return DatabaseUnavailable(f"the database could not do it now: {error}")
    return BooksDiverged(f"the database refused ({code}): {error}")
