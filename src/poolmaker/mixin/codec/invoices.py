"""Invoices: several payments to one recipient in one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.mixin.codec.addresses import MixAddress, read_mix_payload, seal, unseal
from poolmaker.mixin.codec.amounts import to_text, to_units
from poolmaker.mixin.codec.encoding import Malformed, demand, from_base64url, to_base64url
from poolmaker.mixin.codec.ids import uuid_bytes, uuid_text
from poolmaker.mixin.codec.transactions import HASH_BYTES, REFERENCES_MAX

_PREFIX: Final = "MIN"
_VERSION: Final = 0
_BY_HASH: Final = 0
_BY_INDEX: Final = 1
_ENTRIES_MAX: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceEntry:
    """One payment; it may refer to earlier entries and to transactions that exist."""

    trace: str
    asset_id: str
    units: int
    extra: bytes = b""
    index_references: tuple[int, ...] = ()
    hash_references: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Invoice:
    """Payments to one recipient."""

    recipient: MixAddress
    entries: tuple[InvoiceEntry, ...]

    def payload(self) -> bytes:
        """The bytes under the checksum."""
        demand(1 <= len(self.entries) <= _ENTRIES_MAX, "invoice: too few or too many entries")
        address = self.recipient.payload()
        head = bytes((_VERSION,)) + len(address).to_bytes(2, "big") + address
        body = b"".join(_write(number, entry) for number, entry in enumerate(self.entries))
        return head + bytes((len(self.entries),)) + body

    def __str__(self) -> str:
        """The invoice as it is shown."""
        return _PREFIX + to_base64url(seal(_PREFIX, self.payload()))


def _write(number: int, entry: InvoiceEntry) -> bytes:
    _check(number, entry)
    amount = to_text(entry.units).encode()
    count = len(entry.index_references) + len(entry.hash_references)
    parts = [
        uuid_bytes(entry.trace), uuid_bytes(entry.asset_id),
        bytes((len(amount),)), amount,
        len(entry.extra).to_bytes(2, "big"), entry.extra,
        bytes((count,)),
    ]  # fmt: skip
    parts += [bytes((_BY_INDEX, index)) for index in entry.index_references]
    parts += [bytes((_BY_HASH,)) + found for found in entry.hash_references]
    return b"".join(parts)


def _check(number: int, entry: InvoiceEntry) -> None:
    demand(entry.units > 0, "invoice: nothing is asked for")
    demand(len(entry.extra) <= 0xFFFF, "invoice: an extra that is too long")
    count = len(entry.index_references) + len(entry.hash_references)
    demand(count <= REFERENCES_MAX, f"invoice: more than {REFERENCES_MAX} references")
    earlier = all(0 <= index < number for index in entry.index_references)
    demand(earlier, "invoice: a reference to an entry that is not an earlier one")
    whole = all(len(found) == HASH_BYTES for found in entry.hash_references)
    demand(whole, "invoice: a reference that is not a hash")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        demand(len(piece) == size, "invoice: it ends too early")
        return piece

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size), "big")

    def end(self) -> None:
        demand(not self._data, "invoice: bytes after the end")


def _read(reader: _Reader) -> InvoiceEntry:
    trace, asset_id = uuid_text(reader.take(16)), uuid_text(reader.take(16))
    try:
        units = to_units(reader.take(reader.number()).decode("ascii"))
    except UnicodeDecodeError:
        raise Malformed("invoice: an amount that is not a number") from None
    extra = reader.take(reader.number(2))
    indexes: list[int] = []
    hashes: list[bytes] = []
    for _ in range(reader.number()):
        kind = reader.number()
        demand(kind in {_BY_HASH, _BY_INDEX}, "invoice: a reference of an unknown kind")
        if kind == _BY_INDEX:
            indexes.append(reader.number())
        else:
            hashes.append(reader.take(HASH_BYTES))
    return InvoiceEntry(
        trace=trace, asset_id=asset_id, units=units, extra=extra,
        index_references=tuple(indexes), hash_references=tuple(hashes),
    )  # fmt: skip


def parse_invoice(text: str) -> Invoice:
    """The invoice of a text; Malformed unless every byte of it is understood."""
    demand(text.startswith(_PREFIX), "invoice: expected one that starts with MIN")
    reader = _Reader(unseal(_PREFIX, from_base64url(text.removeprefix(_PREFIX))))
    demand(reader.number() == _VERSION, "invoice: not of version 0")
    recipient = read_mix_payload(reader.take(reader.number(2)))
    entries = tuple(_read(reader) for _ in range(reader.number()))
    reader.end()
    _check_all(entries)
    return Invoice(recipient, entries)


def _check_all(entries: Sequence[InvoiceEntry]) -> None:
    demand(entries, "invoice: no entries")
    for number, entry in enumerate(entries):
        _check(number, entry)
