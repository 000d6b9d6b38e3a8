"""The API's records as values: strict about what is needed, blind to the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from poolmaker.kernel.errors import PoolmakerError, PreconditionError
from poolmaker.mixin.codec.amounts import to_units
from poolmaker.mixin.codec.encoding import demand, from_hex
from poolmaker.mixin.codec.keys import KEY_BYTES, GhostKeys
from poolmaker.mixin.model import (
    DepositAddress,
    Fee,
    MixinUser,
    SeenOutput,
    SeenRequest,
    SeenSnapshot,
)

T = TypeVar("T")
Kind = TypeVar("Kind", bound=msgspec.Struct)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BIGINT: Final = 2**63
_INDEXES: Final = 2**31


class Unreadable(PoolmakerError):
    """An answer that is not what the API promises."""

    code = "mixin_unreadable"


class _Output(msgspec.Struct):
    output_id: str
    transaction_hash: str
    output_index: int
    asset_id: str
    amount: str
    keys: list[str]
    sequence: int
    state: str
    created_at: str
    request_id: str = ""
    extra: str = ""
    senders: list[str] | None = None
    signed_by: str = ""
    inscription_hash: str = ""


class _Deposit(msgspec.Struct):
    deposit_hash: str = ""


class _Withdrawal(msgspec.Struct):
    withdrawal_hash: str = ""


class _Snapshot(msgspec.Struct):
    transaction_hash: str
    amount: str
    created_at: str = ""
    opponent_id: str = ""
    deposit: _Deposit | None = None
    withdrawal: _Withdrawal | None = None


class _Request(msgspec.Struct):
    request_id: str
    transaction_hash: str
    state: str
    views: list[str] | None = None
    snapshot_id: str = ""
    receivers: list[_Withdrawal] | None = None


class _Fee(msgspec.Struct):
    asset_id: str
    amount: str


class _Lock(msgspec.Struct):
    mask: str
    keys: list[str]


class _Entry(msgspec.Struct):
    destination: str
    tag: str = ""
    is_primary: bool = False


class _Asset(msgspec.Struct):
    chain_id: str


class _User(msgspec.Struct):
    user_id: str
    full_name: str = ""
    identity_number: str = ""
    has_safe: bool = False


def read(data: Any, reader: Callable[[Any], T]) -> T:
    """What ``reader`` makes of an answer. Raises Unreadable when it cannot."""
    try:
        return reader(data)
    except (PreconditionError, msgspec.ValidationError, ValueError, RecursionError) as problem:
        raise Unreadable(f"an answer that cannot be read: {problem}") from problem


def _row(data: Any, kind: type[Kind]) -> Kind:
    return msgspec.convert(_without_nulls(data), kind)


def _without_nulls(data: Any) -> Any:
    """The API writes nothing as null, as an empty text or not at all; all three mean the same."""
    if isinstance(data, dict):
        return {name: _without_nulls(value) for name, value in data.items() if value is not None}
    return [_without_nulls(one) for one in data] if isinstance(data, list) else data


def instant_us(text: str) -> int:
    """Microseconds of an RFC 3339 instant; nanoseconds are cut."""
    at = datetime.fromisoformat(text)
    demand(at.tzinfo is not None, "instant: expected a zone")
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant_text(time_us: int) -> str:
    """RFC 3339 in microseconds."""
    at = _EPOCH + timedelta(microseconds=time_us)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond:06d}Z"


def output(data: Any) -> SeenOutput:
    """An output."""
    row = _row(data, _Output)
    demand(row.state in {"unspent", "signed", "spent"}, f"output: the state {row.state!r}")
    demand(0 <= row.sequence < _BIGINT, f"output: the sequence {row.sequence}")
    demand(0 <= row.output_index < _INDEXES, f"output: the index {row.output_index}")
    return SeenOutput(
        output_id=row.output_id,
        transaction_hash=row.transaction_hash,
        output_index=row.output_index,
        sequence=row.sequence,
        asset_id=row.asset_id,
        units=to_units(row.amount),
        keys=tuple(from_hex(key, KEY_BYTES) for key in row.keys),
        senders=tuple(row.senders or ()),
        request_id=row.request_id,
        extra=from_hex(row.extra),
        created_us=instant_us(row.created_at),
        is_inscription=bool(row.inscription_hash.strip("0")),
        state=row.state,
        taken_by=row.signed_by if row.state != "unspent" else "",
    )


def outputs(data: Any) -> list[SeenOutput]:
    """A page of outputs."""
    return [output(one) for one in _list(data)]


def snapshot(data: Any) -> SeenSnapshot:
    """A snapshot."""
    row = _row(data, _Snapshot)
    return SeenSnapshot(
        opponent=row.opponent_id,
        deposit_hash=row.deposit.deposit_hash if row.deposit else "",
        withdrawal_hash=row.withdrawal.withdrawal_hash if row.withdrawal else "",
        transaction_hash=row.transaction_hash,
        is_receipt=not row.amount.startswith("-"),
        created_at=row.created_at,
    )


def snapshots(data: Any) -> list[SeenSnapshot]:
    """A page of snapshots."""
    return [snapshot(one) for one in _list(data)]


def request(data: Any) -> SeenRequest:
    """A transaction under its request id."""
    row = _row(data, _Request)
    known = [one.withdrawal_hash for one in row.receivers or () if one.withdrawal_hash]
    return SeenRequest(
        request_id=row.request_id,
        transaction_hash=row.transaction_hash,
        state=row.state,
        views=tuple(from_hex(view, KEY_BYTES) for view in row.views or ()),
        snapshot_id=row.snapshot_id,
        withdrawal_hash=known[0] if known else "",
    )


def requests(data: Any) -> list[SeenRequest]:
    """Transactions in the order in which they were asked for."""
    return [request(one) for one in _list(data)]


def fees(data: Any) -> list[Fee]:
    """What a withdrawal costs: any one of them."""
    rows = [_row(one, _Fee) for one in _list(data)]
    return [Fee(row.asset_id, to_units(row.amount)) for row in rows]


def locks(data: Any) -> list[GhostKeys]:
    """One-time keys in the order in which they were asked for."""
    rows = [_row(one, _Lock) for one in _list(data)]
    return [
        GhostKeys(
            from_hex(row.mask, KEY_BYTES), tuple(from_hex(key, KEY_BYTES) for key in row.keys)
        )
        for row in rows
    ]


def deposit_address(data: Any) -> DepositAddress:
    """The primary one of the entries; the API answers with one or with many."""
    rows = [_row(one, _Entry) for one in (data if isinstance(data, list) else [data])]
    demand(rows and all(row.destination for row in rows), "entries: none")
    chosen = next((row for row in rows if row.is_primary), rows[0])
    return DepositAddress(chosen.destination, chosen.tag)


def chain_of(data: Any) -> str:
    """The chain that an asset lives on."""
    return _row(data, _Asset).chain_id


def user(data: Any) -> MixinUser:
    """A user."""
    row = _row(data, _User)
    return MixinUser(row.user_id, row.full_name, row.identity_number, row.has_safe)


def _list(data: Any) -> list[Any]:
    demand(isinstance(data, list), "expected a list")
    return list(data)
