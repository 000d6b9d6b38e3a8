"""The chain client's tables: ``evm.cursor``, ``transfer``, ``pin``, ``nonce``, ``payment``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from poolmaker.evm.model import (
    Attempt,
    BlockHead,
    ChainTransfer,
    Cursor,
    EvmPayment,
    EvmPaymentState,
    WaitingTransfer,
    WalletIncident,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx

_ADD_TRANSFER: Final = """
INSERT INTO evm.transfer (
    chain_id, tx_hash, position, contract, sender, recipient, units, block, at_us, seen_us, due_us
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
ON CONFLICT DO NOTHING
"""
_MOVE: Final = """
UPDATE evm.cursor SET block = $5, hash = $6
WHERE chain_id = $1 AND wallet = $2 AND block = $3 AND hash = $4
"""
_WAITING: Final = """
SELECT * FROM evm.transfer
WHERE chain_id = $1 AND recipient = $2 AND outcome = '' AND due_us <= $3
ORDER BY due_us, block, tx_hash, position LIMIT $4
"""
_SETTLE: Final = """
UPDATE evm.transfer SET outcome = $4, note = $5
WHERE chain_id = $1 AND tx_hash = $2 AND position = $3 AND outcome = ''
"""
_POSTPONE: Final = """
UPDATE evm.transfer SET due_us = $4, note = $5, tries = tries + 1
WHERE chain_id = $1 AND tx_hash = $2 AND position = $3 AND outcome = ''
"""
_RETIRE: Final = """
UPDATE evm.pin SET retired_us = $3 WHERE chain_id = $1 AND contract = $2 AND retired_us IS NULL
"""
_PIN: Final = """
INSERT INTO evm.pin (chain_id, contract, address, pinned_us, by_whom) VALUES ($1, $2, $3, $4, $5)
"""
_KNOW_WALLET: Final = """
INSERT INTO evm.nonce (chain_id, wallet, next) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_NEXT_NONCE: Final = """
SELECT next FROM evm.nonce WHERE chain_id = $1 AND wallet = $2 FOR UPDATE
"""
_FREE_NONCE: Final = """
WITH own AS (SELECT nonce, state FROM evm.payment WHERE chain_id = $1 AND wallet = $2),
first AS (
    SELECT greatest($3, max(nonce) FILTER (WHERE state <> 'signed') + 1) AS nonce FROM own
)
SELECT min(nonce) FROM (
    SELECT nonce FROM first
    UNION ALL
    SELECT own.nonce + 1 FROM own, first WHERE own.nonce >= first.nonce
) AS candidate
WHERE nonce NOT IN (SELECT nonce FROM own)
"""
_KEEP_NONCE: Final = """
UPDATE evm.nonce SET next = greatest(next, $3) WHERE chain_id = $1 AND wallet = $2
"""
_CHANGE_NONCE: Final = """
UPDATE evm.payment SET nonce = $3 WHERE reference = $1 AND nonce = $2 AND state = 'signed'
"""
_OPEN: Final = """
SELECT * FROM evm.payment WHERE chain_id = $1 AND wallet = $2 AND state = 'signed' ORDER BY nonce
"""
_REPORT: Final = """
INSERT INTO evm.incident (chain_id, wallet, kind, note, at_us) VALUES ($1, $2, $3, $4, $5)
"""
_INCIDENTS: Final = """
SELECT id, kind, note, at_us FROM evm.incident
WHERE chain_id = $1 AND wallet = $2 ORDER BY id DESC LIMIT 100
"""
_ADD_PAYMENT: Final = """
INSERT INTO evm.payment (
    reference, chain_id, wallet, nonce, contract, recipient, units, made_us, state
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_ADD_ATTEMPT: Final = """
INSERT INTO evm.attempt (
    reference, number, tx_hash, raw, max_fee_wei, tip_wei, gas, signed_us, cancels
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_FINISH: Final = """
UPDATE evm.payment SET state = $2, tx_hash = $3, block = $4, taken = $5, gas_wei = $6
WHERE reference = $1 AND state = 'signed'
"""


class PgWatchStore:
    """``WatchStore`` over PostgreSQL."""

    async def cursor(self, tx: Tx, chain_id: int, wallet: str) -> Cursor | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM evm.cursor WHERE chain_id = $1 AND wallet = $2", chain_id, wallet
        )
        if row is None:
            return None
        return Cursor(row["started_block"], BlockHead(row["block"], row["hash"]))

    async def begin_at(self, tx: Tx, chain_id: int, wallet: str, head: BlockHead) -> None:
        await connection_of(tx).execute(
            "INSERT INTO evm.cursor (chain_id, wallet, started_block, block, hash)"
            " VALUES ($1, $2, $3, $3, $4) ON CONFLICT DO NOTHING",
            chain_id,
            wallet,
            head.number,
            head.hash,
        )

    async def move(
        self, tx: Tx, chain_id: int, wallet: str, before: BlockHead, after: BlockHead
    ) -> bool:
        done = await connection_of(tx).execute(
            _MOVE, chain_id, wallet, before.number, before.hash, after.number, after.hash
        )
        return done == "UPDATE 1"

    async def add(self, tx: Tx, transfer: ChainTransfer, now_us: int) -> bool:
        one = transfer
        done = await connection_of(tx).execute(
            _ADD_TRANSFER,
            one.chain_id,
            one.tx_hash,
            one.position,
            one.contract,
            one.sender,
            one.recipient,
            one.units,
            one.block,
            one.at_us,
            now_us,
        )
        return done == "INSERT 0 1"

    async def waiting(
        self, tx: Tx, chain_id: int, wallet: str, now_us: int, limit: int
    ) -> Sequence[WaitingTransfer]:
        rows = await connection_of(tx).fetch(_WAITING, chain_id, wallet, now_us, limit)
        return [WaitingTransfer(_transfer(row), row["seen_us"], row["tries"]) for row in rows]

    async def settle(self, tx: Tx, transfer: ChainTransfer, outcome: str, note: str) -> bool:
        key = (transfer.chain_id, transfer.tx_hash, transfer.position)
        done = await connection_of(tx).execute(_SETTLE, *key, outcome, note)
        return done == "UPDATE 1"

    async def postpone(self, tx: Tx, transfer: ChainTransfer, due_us: int, note: str) -> None:
        key = (transfer.chain_id, transfer.tx_hash, transfer.position)
        await connection_of(tx).execute(_POSTPONE, *key, due_us, note)


class PgPinStore:
    """``PinStore`` over PostgreSQL."""

    async def pins(self, tx: Tx, chain_id: int) -> Mapping[str, str]:
        rows = await connection_of(tx).fetch(
            "SELECT contract, address FROM evm.pin WHERE chain_id = $1 AND retired_us IS NULL",
            chain_id,
        )
        return {row["contract"]: row["address"] for row in rows}

    async def pin(
        self, tx: Tx, chain_id: int, contract: str, address: str, by_whom: str, now_us: int
    ) -> None:
        connection = connection_of(tx)
        await connection.execute(_RETIRE, chain_id, contract, now_us)
        await connection.execute(_PIN, chain_id, contract, address, now_us, by_whom)


class PgPaymentStore:
    """``PaymentStore`` over PostgreSQL."""

    async def take_nonce(self, tx: Tx, chain_id: int, wallet: str, first: int) -> tuple[int, int]:
        connection = connection_of(tx)
        await connection.execute(_KNOW_WALLET, chain_id, wallet, first)
        before = int(await connection.fetchval(_NEXT_NONCE, chain_id, wallet))
        nonce = int(await connection.fetchval(_FREE_NONCE, chain_id, wallet, first))
        await connection.execute(_KEEP_NONCE, chain_id, wallet, nonce + 1)
        return nonce, max(0, first - before)

    async def change_nonce(self, tx: Tx, payment: EvmPayment, nonce: int) -> bool:
        done = await connection_of(tx).execute(
            _CHANGE_NONCE, payment.reference, payment.nonce, nonce
        )
        return done == "UPDATE 1"

    async def add(self, tx: Tx, payment: EvmPayment) -> None:
        one = payment
        await connection_of(tx).execute(
            _ADD_PAYMENT,
            one.reference,
            one.chain_id,
            one.wallet,
            one.nonce,
            one.contract,
            one.recipient,
            one.units,
            one.made_us,
            one.state,
        )

    async def find(self, tx: Tx, reference: str) -> EvmPayment | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM evm.payment WHERE reference = $1", reference
        )
        if row is None:
            return None
        return _payment(row)

    async def attempts(self, tx: Tx, reference: str) -> Sequence[Attempt]:
        rows = await connection_of(tx).fetch(
            "SELECT number, tx_hash, raw, max_fee_wei, tip_wei, gas, signed_us, refusal, cancels"
            " FROM evm.attempt WHERE reference = $1 ORDER BY number",
            reference,
        )
        return [Attempt(**{**dict(row.items()), "raw": bytes(row["raw"])}) for row in rows]

    async def add_attempt(self, tx: Tx, reference: str, attempt: Attempt) -> None:
        one = attempt
        await connection_of(tx).execute(
            _ADD_ATTEMPT,
            reference,
            one.number,
            one.tx_hash,
            one.raw,
            one.max_fee_wei,
            one.tip_wei,
            one.gas,
            one.signed_us,
            one.cancels,
        )

    async def note_refusal(self, tx: Tx, attempt: Attempt, refusal: str) -> None:
        await connection_of(tx).execute(
            "UPDATE evm.attempt SET refusal = $2 WHERE tx_hash = $1", attempt.tx_hash, refusal
        )

    async def open_payments(self, tx: Tx, chain_id: int, wallet: str) -> Sequence[EvmPayment]:
        rows = await connection_of(tx).fetch(_OPEN, chain_id, wallet)
        return [_payment(row) for row in rows]

    async def report(self, tx: Tx, chain_id: int, wallet: str, incident: WalletIncident) -> None:
        one = incident
        await connection_of(tx).execute(_REPORT, chain_id, wallet, one.kind, one.note, one.at_us)

    async def incidents(self, tx: Tx, chain_id: int, wallet: str) -> Sequence[WalletIncident]:
        rows = await connection_of(tx).fetch(_INCIDENTS, chain_id, wallet)
        return [WalletIncident(*row) for row in rows]

    async def finish(self, tx: Tx, payment: EvmPayment) -> None:
        one = payment
        await connection_of(tx).execute(
            _FINISH, one.reference, one.state, one.tx_hash, one.block, one.taken, one.gas_wei
        )


def _payment(row: Record) -> EvmPayment:
    values = dict(row.items())
    return EvmPayment(**{**values, "state": EvmPaymentState(values["state"])})


def _transfer(row: Record) -> ChainTransfer:
    names = ("chain_id", "tx_hash", "position", "contract", "sender", "recipient", "block", "at_us")
    return ChainTransfer(units=row["units"], **{name: row[name] for name in names})
