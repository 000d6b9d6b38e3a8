"""The ledger in memory: an independent judge of what the writer proposes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final, cast

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger.accounts import Normal, may_go_below, normal_of
from poolmaker.business.ledger.model import (
    GENESIS_HASH,
    Audited,
    Batch,
    BooksDiverged,
    Checkpoint,
    Fenced,
    LedgerHead,
    LedgerIncident,
    LedgerTransaction,
    Leg,
    Outcome,
    PendingCommand,
    Posted,
    Posting,
    PostingRefused,
    RowAnswer,
    StoredAnswer,
    WriterLease,
)
from poolmaker.business.ledger.rules import TrialRow
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey
from poolmaker.kernel.money import Asset
from poolmaker.lab.stores.base import ModelDatabase, ModelTx, model_tx

_HEAD: Final = "ledger.head"
_ASSET: Final = "ledger.asset"
_LOG: Final = "ledger.tx"
_IDEM: Final = "ledger.idem"
_BALANCE: Final = "ledger.balance"
_STATE: Final = "ledger.state"
_INCIDENT: Final = "ledger.incident"
_CONFLICT: Final = "ledger.conflict"
_COMMAND: Final = "ledger.command"
_PENDING: Final = "ledger.pending"


_GENESIS: Final = LedgerHead(0, 0, GENESIS_HASH, 0)


@dataclass(frozen=True, slots=True)
class _HeadRow:
    head: LedgerHead = _GENESIS
    holder: str = ""
    lease_until_us: int = 0

    @property
    def lease(self) -> WriterLease:
        return WriterLease(self.holder, self.head.epoch, self.lease_until_us)


@dataclass(frozen=True, slots=True)
class _CommandRow:
    key: CommandKey
    body: bytes
    body_hash: bytes
    answer: RowAnswer | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    posting: Posting
    epoch: int

    def transaction(self) -> LedgerTransaction:
        posting = self.posting
        return LedgerTransaction(
            ledger=MAIN_LEDGER,
            seq=posting.seq,
            key=posting.key,
            kind=posting.kind,
            at_us=posting.at_us,
            body=posting.body,
            legs=tuple(line.leg for line in posting.lines),
        )


def _head(tx: ModelTx) -> _HeadRow:
    return tx.get(_HEAD, MAIN_LEDGER) or _HeadRow()


def _by_key(tx: ModelTx, key: CommandKey) -> _Stored | None:
    answer: StoredAnswer | None = tx.get(_IDEM, key)
    if answer is None or not isinstance(answer.outcome, Posted):
        return None
    return cast("_Stored", tx.get(_LOG, answer.outcome.seq))


def _recall(tx: ModelTx, keys: Sequence[CommandKey]) -> dict[CommandKey, LedgerTransaction]:
    found = {key: _by_key(tx, key) for key in keys}
    return {key: stored.transaction() for key, stored in found.items() if stored is not None}


def _image(tx: ModelTx) -> Checkpoint:
    balances = (Leg(account, asset, raw) for (account, asset), raw in tx.rows(_BALANCE))
    return Checkpoint(
        head=_head(tx).head,
        assets=tuple(asset for _, asset in tx.rows(_ASSET)),
        balances=tuple(leg for leg in balances if leg.units),
        states=tuple(state for _, state in tx.rows(_STATE)),
    )


class ModelLedgerStore:
    """``LedgerStore`` in memory; leases are judged by the virtual ``clock``."""

    def __init__(self, database: ModelDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take_lease(
        self, holder: str, lease_us: int, lapsed: WriterLease | None = None
    ) -> LedgerHead | None:
        async with self._database.begin("take_lease") as opened:
            tx, now_us = model_tx(opened), self._clock.now_us()
            row = _head(tx)
            if row.holder != holder and row.lease_until_us > now_us and row.lease != lapsed:
                return None
            return self._new_epoch(tx, row, holder, lease_us)

    async def retake_lease(self, holder: str, lease_us: int) -> LedgerHead | None:
        async with self._database.begin("retake_lease") as opened:
            tx = model_tx(opened)
            row = _head(tx)
            return self._new_epoch(tx, row, holder, lease_us) if row.holder == holder else None

    def _new_epoch(self, tx: ModelTx, row: _HeadRow, holder: str, lease_us: int) -> LedgerHead:
        head = replace(row.head, epoch=row.head.epoch + 1)
        tx.put(_HEAD, MAIN_LEDGER, _HeadRow(head, holder, self._clock.now_us() + lease_us))
        return head

    async def lease(self) -> WriterLease | None:
        async with self._database.begin("lease") as opened:
            return _head(model_tx(opened)).lease

    async def renew_lease(self, epoch: int, lease_us: int) -> None:
        async with self._database.begin("renew_lease") as opened:
            tx = model_tx(opened)
            row = _head(tx)
            if row.head.epoch != epoch:
                raise Fenced(f"epoch {epoch} is stale")
            until_us = self._clock.now_us() + lease_us
            tx.put(_HEAD, MAIN_LEDGER, replace(row, lease_until_us=until_us))

    async def load(self) -> Checkpoint:
        async with self._database.begin("load") as tx:
            return _image(model_tx(tx))

    async def answers(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, StoredAnswer]:
        async with self._database.begin("answers") as opened:
            tx = model_tx(opened)
            found = {key: tx.get(_IDEM, key) for key in keys}
            return {key: answer for key, answer in found.items() if answer is not None}

    async def recall(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, LedgerTransaction]:
        async with self._database.begin("recall") as tx:
            return _recall(model_tx(tx), keys)

    async def append(self, batch: Batch) -> None:
        async with self._database.begin("append") as opened:
            tx = model_tx(opened)
            row = _head(tx)
            if (row.head.epoch, row.head.seq) != (batch.epoch, batch.from_seq):
                raise Fenced(f"epoch {batch.epoch} at {batch.from_seq} is stale")
            for asset in batch.assets:
                tx.put(_ASSET, asset.code, asset)
            for posting in batch.postings:
                _post(tx, posting, batch.epoch)
            _claimed(tx, batch)
            _answers(tx, batch)
            for state in batch.states:
                tx.put(_STATE, (state.kind, state.name), state)

    async def open_incidents(self, incidents: Sequence[LedgerIncident]) -> None:
        async with self._database.begin("open_incidents") as tx:
            _open_incidents(model_tx(tx), incidents)

    async def pending(self, after_row: int, limit: int) -> Sequence[PendingCommand]:
        async with self._database.begin("pending") as tx:
            rows = sorted(row for row, _ in model_tx(tx).rows(_PENDING) if row > after_row)
            return [_pending(model_tx(tx), row) for row in rows[:limit]]

    async def assets(self) -> Sequence[Asset]:
        async with self._database.begin("assets") as tx:
            return [asset for _, asset in model_tx(tx).rows(_ASSET)]

    async def register_asset(self, asset: Asset) -> None:
        async with self._database.begin("register_asset") as tx:
            known = model_tx(tx).get(_ASSET, asset.code)
            if known is not None and known != asset:
                raise KeyConflict(f"asset {asset.code} has scale {known.scale}")
            model_tx(tx).put(_ASSET, asset.code, asset)

    async def listen(self, woken: Callable[[], None]) -> None:
        """See ``LedgerStore.listen``; hints come from the simulated world instead."""


def _pending(tx: ModelTx, row: int) -> PendingCommand:
    command: _CommandRow = tx.get(_COMMAND, tx.get(_PENDING, row))
    return PendingCommand(row, command.key, command.body)


def _post(tx: ModelTx, posting: Posting, epoch: int) -> None:
    head = _head(tx).head
    if posting.seq != head.seq + 1 or posting.at_us <= head.at_us:
        raise BooksDiverged(f"transaction {posting.seq} does not follow {head.seq}")
    sums: defaultdict[str, int] = defaultdict(int)
    for line in posting.lines:
        sums[line.leg.asset] += line.leg.units
        place = line.leg.account, line.leg.asset
        raw = (tx.get(_BALANCE, place) or 0) + line.leg.units
        if raw != line.after_units:
            raise BooksDiverged(f"{place} is {raw} and not {line.after_units}")
        tx.put(_BALANCE, place, raw)
    if any(sums.values()):
        raise BooksDiverged(f"transaction {posting.seq} is unbalanced")
    for line in posting.lines:
        _not_below_zero(tx, line.leg.account, line.leg.asset)
    tx.put(_LOG, posting.seq, _Stored(posting, epoch))
    _remember(tx, posting.key, StoredAnswer(posting.body_hash, Posted(posting.seq, posting.at_us)))
    moved = LedgerHead(head.epoch, posting.seq, posting.chain_hash, posting.at_us)
    tx.put(_HEAD, MAIN_LEDGER, replace(_head(tx), head=moved))


def _not_below_zero(tx: ModelTx, account: str, asset: str) -> None:
    raw = tx.get(_BALANCE, (account, asset))
    normal = raw if normal_of(account) is Normal.HELD else -raw
    if normal < 0 and not may_go_below(account):
        raise BooksDiverged(f"{account} in {asset} would be {normal}")


def _remember(tx: ModelTx, key: CommandKey, answer: StoredAnswer) -> None:
    if tx.get(_IDEM, key) is not None:
        raise BooksDiverged(f"{key} was answered before")
    tx.put(_IDEM, key, answer)


def _claimed(tx: ModelTx, batch: Batch) -> None:
    touched = {
        (line.leg.account, line.leg.asset) for posting in batch.postings for line in posting.lines
    }
    claimed = {(leg.account, leg.asset): leg.units for leg in batch.balances}
    if claimed != {place: tx.get(_BALANCE, place) for place in sorted(touched)}:
        raise BooksDiverged("the balances of the writer are not the store's")


def _answers(tx: ModelTx, batch: Batch) -> None:
    for refusal in batch.refusals:
        _remember(tx, refusal.key, StoredAnswer(refusal.body_hash, PostingRefused(refusal.reason)))
    for conflict in batch.conflicts:
        tx.put(_CONFLICT, (conflict.key, conflict.body_hash), conflict)
    _open_incidents(tx, batch.incidents)
    for answer in batch.rows:
        key = tx.get(_PENDING, answer.row)
        if key is not None:
            tx.put(_COMMAND, key, replace(tx.get(_COMMAND, key), answer=answer))
            tx.delete(_PENDING, answer.row)


def _open_incidents(tx: ModelTx, incidents: Sequence[LedgerIncident]) -> None:
    for incident in incidents:
        identity = (incident.kind, incident.subject, incident.key)
        if tx.get(_INCIDENT, identity) is None:
            tx.put(_INCIDENT, identity, incident)


class ModelCommandStore:
    """``CommandStore`` in memory."""

    def __init__(self) -> None:
        self._row = count(1)

    async def ask(self, tx: Tx, key: CommandKey, body: bytes, body_hash: bytes) -> None:
        rows = model_tx(tx)
        found: _CommandRow | None = rows.get(_COMMAND, key)
        answered: StoredAnswer | None = rows.get(_IDEM, key)
        if any(one is not None and one.body_hash != body_hash for one in (found, answered)):
            raise KeyConflict(f"key {key} was used for another command")
        if found is None:
            rows.put(_COMMAND, key, _CommandRow(key, body, body_hash))
            rows.put(_PENDING, next(self._row), key)

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        command: _CommandRow | None = model_tx(tx).get(_COMMAND, key)
        stored: StoredAnswer | None = model_tx(tx).get(_IDEM, key)
        answer = command.answer if command is not None else None
        if answer is not None and answer.reason is not None:
            return PostingRefused(answer.reason)
        if stored is None or isinstance(stored.outcome, PostingRefused):
            return stored.outcome if stored is not None else None
        return replace(stored.outcome, already=True)

    async def raw_balance(self, tx: Tx, account: str, asset: str) -> int:
        raw: int | None = model_tx(tx).get(_BALANCE, (account, asset))
        return raw or 0

    async def custody(self, tx: Tx) -> Mapping[tuple[str, str], int]:
        rows: list[tuple[tuple[str, str], int]] = list(model_tx(tx).rows(_BALANCE))
        return {place: raw for place, raw in rows if raw and place[0].startswith("custody:")}

    async def scale(self, tx: Tx, asset: str) -> int | None:
        found: Asset | None = model_tx(tx).get(_ASSET, asset)
        return found.scale if found is not None else None

    async def transaction(self, tx: Tx, key: CommandKey) -> LedgerTransaction | None:
        return _recall(model_tx(tx), [key]).get(key)

    async def head(self, tx: Tx) -> int:
        return _head(model_tx(tx)).head.seq

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        last = min(_head(model_tx(tx)).head.seq, after_seq + limit)
        stored = (model_tx(tx).get(_LOG, seq) for seq in range(after_seq + 1, last + 1))
        return [one.transaction() for one in stored]


class ModelAuditReader:
    """``AuditReader`` in memory."""

    def __init__(self, database: ModelDatabase) -> None:
        self._database = database

    async def load(self) -> Checkpoint:
        async with self._database.begin("load") as tx:
            return _image(model_tx(tx))

    async def audit(self, after_seq: int, limit: int) -> Sequence[Audited]:
        async with self._database.begin("audit") as opened:
            tx = model_tx(opened)
            last = min(_head(tx).head.seq, after_seq + limit)
            return [_audited(tx, tx.get(_LOG, seq)) for seq in range(after_seq + 1, last + 1)]

    async def recall(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, LedgerTransaction]:
        async with self._database.begin("recall") as tx:
            return _recall(model_tx(tx), keys)

    async def trial_balance(self) -> Sequence[TrialRow]:
        held: defaultdict[str, int] = defaultdict(int)
        owed: defaultdict[str, int] = defaultdict(int)
        async with self._database.begin("trial") as tx:
            for _, stored in model_tx(tx).rows(_LOG):
                for line in stored.posting.lines:
                    side = held if normal_of(line.leg.account) is Normal.HELD else owed
                    side[line.leg.asset] += line.leg.units
        assets = sorted({*held, *owed})
        return [TrialRow(asset, held[asset], -owed[asset]) for asset in assets]

    async def strays(self) -> Sequence[str]:
        async with self._database.begin("strays") as opened:
            tx = model_tx(opened)
            head = _head(tx).head.seq
            return [
                f"transaction {seq} is beyond the head" for seq, _ in tx.rows(_LOG) if seq > head
            ]


def _audited(tx: ModelTx, stored: _Stored) -> Audited:
    posting = stored.posting
    answer: StoredAnswer | None = tx.get(_IDEM, posting.key)
    posted = answer.outcome if answer is not None else None
    return Audited(
        transaction=stored.transaction(),
        epoch=stored.epoch,
        body_hash=posting.body_hash,
        chain_hash=posting.chain_hash,
        lines=posting.lines,
        idem_seq=posted.seq if isinstance(posted, Posted) else None,
        idem_body_hash=answer.body_hash if answer is not None else None,
    )
