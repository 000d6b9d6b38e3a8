"""The journal of payments, and which outputs are reserved for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.mixin._store.walking import report
from poolmaker.mixin.model import (
    Journalled,
    MixinIncident,
    MixinPayment,
    MixinPaymentState,
    OwnOutput,
    TransactionRole,
    TransactionStage,
)
from poolmaker.mixin.rules import SPENDABLE_FATES

_OPEN_SELECTOR: Final = """
INSERT INTO mixin.selector (app_id) VALUES ($1) ON CONFLICT (app_id) DO NOTHING
"""
_LOCK: Final = "SELECT app_id FROM mixin.selector WHERE app_id = $1 FOR UPDATE"
_PAYMENT: Final = "SELECT * FROM mixin.payment WHERE request_id = $1"
_ADD_PAYMENT: Final = """
INSERT INTO mixin.payment (
    request_id, reference, form, asset, units, network, address, tag, created_us, state, attempt,
    transaction_id, fee_units, other_fee_asset, other_fee_units, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
# An end is for ever.
_CHANGE_PAYMENT: Final = """
UPDATE mixin.payment SET state = $2, attempt = $3, transaction_id = $4, fee_units = $5,
    other_fee_asset = $6, other_fee_units = $7, reason = $8
WHERE request_id = $1 AND state = 'open'
"""
_OWN: Final = "SELECT output_id, transaction_hash, output_index, units, keys FROM mixin.output AS o"
# What is in the books and what goes back unbooked are two purses, also of one asset.
_SPENDABLE: Final = """
WHERE o.asset_id = $1 AND o.state = 'unspent' AND o.disposition = ANY ($2)
    AND CASE WHEN $3 THEN o.form = o.asset_id OR EXISTS (
            SELECT FROM mixin.transaction AS t JOIN mixin.payment AS p ON p.request_id = t.payment
            WHERE t.hash = o.transaction_hash AND p.form = o.asset_id)
        ELSE o.form <> o.asset_id END
"""
_OLDEST: Final = f"{_OWN} {_SPENDABLE} ORDER BY sequence LIMIT $4"
_LARGEST: Final = f"{_OWN} {_SPENDABLE} ORDER BY units DESC, sequence LIMIT $4"
_TOTAL: Final = f"SELECT coalesce(sum(units), 0) FROM mixin.output AS o {_SPENDABLE}"  # noqa: S608
_AT: Final = f"""
{_OWN} JOIN unnest($1::text[], $2::integer[]) WITH ORDINALITY AS asked (hash, index, place)
ON transaction_hash = asked.hash AND output_index = asked.index ORDER BY asked.place
"""
_RESERVE: Final = """
UPDATE mixin.output SET state = 'reserved', taken_by = $2
WHERE output_id = ANY ($1) AND state = 'unspent'
"""
_RELEASE: Final = """
UPDATE mixin.output SET state = 'unspent', taken_by = '' WHERE taken_by = $1 AND state = 'reserved'
"""
_SPENT: Final = """
UPDATE mixin.output SET state = 'spent', taken_by = $2 WHERE output_id = ANY ($1)
"""
_ADD: Final = """
INSERT INTO mixin.transaction (
    request_id, payment, attempt, role, asset_id, hash, unsigned, signed, received_units,
    fee_units, change_index, change_units, state, reason, journalled_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10, $11, 'built', '', $12)
"""
_ALIVE: Final = """
SELECT * FROM mixin.transaction WHERE payment = $1 AND state <> 'dead'
ORDER BY journalled_us, role DESC
"""
_COUNT: Final = "SELECT count(*) FROM mixin.transaction WHERE payment = $1"
_SIGNED: Final = """
UPDATE mixin.transaction SET signed = $2, state = 'signed' WHERE request_id = $1 AND state = 'built'
"""
_STAGES: Final = """
SELECT state FROM mixin.transaction WHERE request_id = ANY ($1) ORDER BY request_id FOR UPDATE
"""
_STAGE: Final = """
UPDATE mixin.transaction SET state = $2, reason = $3
WHERE request_id = $1 AND state NOT IN ('dead', 'spent')
"""


class PgPayStore:
    """``ports.PayStore`` over the tables of the schema ``mixin``."""

    async def lock_selector(self, tx: Tx, app_id: str) -> None:
        await connection_of(tx).execute(_OPEN_SELECTOR, app_id)
        await connection_of(tx).fetchval(_LOCK, app_id)

    async def payment(self, tx: Tx, request_id: str) -> MixinPayment | None:
        row = await connection_of(tx).fetchrow(_PAYMENT, request_id)
        return _payment(row) if row is not None else None

    async def add_payment(self, tx: Tx, payment: MixinPayment) -> None:
        await connection_of(tx).execute(
            _ADD_PAYMENT, payment.request_id, payment.reference, payment.form, payment.asset,
            payment.units, payment.network, payment.address, payment.tag, payment.created_us,
            payment.state, payment.attempt, payment.transaction_id, payment.fee_units,
            payment.other_fee_asset, payment.other_fee_units, payment.reason,
        )  # fmt: skip

    async def change_payment(self, tx: Tx, payment: MixinPayment) -> None:
        await connection_of(tx).execute(
            _CHANGE_PAYMENT, payment.request_id, payment.state, payment.attempt,
            payment.transaction_id, payment.fee_units, payment.other_fee_asset,
            payment.other_fee_units, payment.reason,
        )  # fmt: skip

    async def largest(
        self, tx: Tx, asset_id: str, count: int, *, for_return: bool = False
    ) -> list[OwnOutput]:
        rows = await connection_of(tx).fetch(
            _LARGEST, asset_id, list(SPENDABLE_FATES), for_return, count
        )
        return [_own(row) for row in rows]

    async def oldest(
        self, tx: Tx, asset_id: str, count: int, *, for_return: bool = False
    ) -> list[OwnOutput]:
        rows = await connection_of(tx).fetch(
            _OLDEST, asset_id, list(SPENDABLE_FATES), for_return, count
        )
        return [_own(row) for row in rows]

    async def total(self, tx: Tx, asset_id: str, *, for_return: bool = False) -> int:
        fates = list(SPENDABLE_FATES)
        return int(await connection_of(tx).fetchval(_TOTAL, asset_id, fates, for_return))

    async def outputs_at(self, tx: Tx, places: Sequence[tuple[str, int]]) -> list[OwnOutput]:
        hashes, indexes = [one for one, _ in places], [index for _, index in places]
        return [_own(row) for row in await connection_of(tx).fetch(_AT, hashes, indexes)]

    async def reserve(self, tx: Tx, output_ids: Sequence[str], by: str) -> None:
        done = await connection_of(tx).execute(_RESERVE, list(output_ids), by)
        ensure(done == f"UPDATE {len(output_ids)}", "an output that was taken already")

    async def release(self, tx: Tx, by: str) -> None:
        await connection_of(tx).execute(_RELEASE, by)

    async def spent(self, tx: Tx, output_ids: Sequence[str], by: str) -> None:
        await connection_of(tx).execute(_SPENT, list(output_ids), by)

    async def add(self, tx: Tx, one: Journalled, now_us: int) -> None:
        await connection_of(tx).execute(
            _ADD, one.request_id, one.payment, one.attempt, one.role, one.asset_id, one.hash,
            one.unsigned, one.received_units, one.fee_units, one.change_index, one.change_units,
            now_us,
        )  # fmt: skip

    async def alive(self, tx: Tx, payment: str) -> list[Journalled]:
        return [_journalled(row) for row in await connection_of(tx).fetch(_ALIVE, payment)]

    async def count(self, tx: Tx, payment: str) -> int:
        return int(await connection_of(tx).fetchval(_COUNT, payment))

    async def stages(self, tx: Tx, request_ids: Sequence[str]) -> list[TransactionStage]:
        rows = await connection_of(tx).fetch(_STAGES, list(request_ids))
        return [TransactionStage(row["state"]) for row in rows]

    async def signed(self, tx: Tx, request_id: str, raw: bytes) -> None:
        done = await connection_of(tx).execute(_SIGNED, request_id, raw)
        ensure(done == "UPDATE 1", "only what is built and not dead is signed")

    async def stage(
        self, tx: Tx, request_id: str, stage: TransactionStage, reason: str = ""
    ) -> None:
        await connection_of(tx).execute(_STAGE, request_id, stage, reason)

    async def report(self, tx: Tx, incident: MixinIncident) -> None:
        await report(tx, incident)


def _payment(row: Record) -> MixinPayment:
    fields = dict(row.items())
    return MixinPayment(**fields | {"state": MixinPaymentState(row["state"])})


def _own(row: Record) -> OwnOutput:
    return OwnOutput(
        row["output_id"], row["transaction_hash"], row["output_index"], row["units"],
        tuple(row["keys"]),
    )  # fmt: skip


def _journalled(row: Record) -> Journalled:
    return Journalled(
        request_id=row["request_id"], payment=row["payment"], attempt=row["attempt"],
        role=TransactionRole(row["role"]), asset_id=row["asset_id"], hash=row["hash"],
        unsigned=row["unsigned"], signed=row["signed"], received_units=row["received_units"],
        fee_units=row["fee_units"], change_index=row["change_index"],
        change_units=row["change_units"], stage=TransactionStage(row["state"]),
    )  # fmt: skip
