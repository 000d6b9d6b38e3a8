"""Transactions of version 5: written and read to the byte, hashed, signed and verified.

Reading takes only the canonical form of what a wallet may make; ``check_rules`` says what the
network's kernel would say of it, except for sums and owners, which need the outputs spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.amounts import integer_bytes
from poolmaker.mixin.codec.encoding import Malformed, demand
from poolmaker.mixin.codec.ids import blake3
from poolmaker.mixin.codec.keys import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    GhostKeys,
    add_scalars,
    check_point,
    is_signed,
    public_key,
    sign_with_scalar,
)

VERSION: Final = 5
HASH_BYTES: Final = 32
INPUTS_MAX: Final = 256
OUTPUTS_MAX: Final = 256
KEYS_MAX: Final = 256
REFERENCES_MAX: Final = 16
INPUT_INDEX_MAX: Final = 1_024
EXTRA_BYTES_MAX: Final = 256
STORAGE_BYTES_MAX: Final = 4 * 1024 * 1024
TRANSACTION_BYTES_MAX: Final = 4 * 1024 * 1024
AMOUNT_BYTES_MAX: Final = 32
WITHDRAWAL_TEXT_BYTES_MAX: Final = 256

SCRIPT: Final = 0x00
WITHDRAWAL: Final = 0xA1

_MAGIC: Final = b"\x77\x77"
_HEADER: Final = _MAGIC + bytes((0, VERSION))
_NOTHING: Final = b"\x00\x00"
_NO_MASK: Final = bytes(KEY_BYTES)
_SCRIPT_PREFIX: Final = b"\xff\xfe"
_WORD_MAX: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Input:
    """An output that is spent."""

    hash: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a withdrawal goes on its own chain."""

    address: str
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Value that is made: locked by one-time keys, or on its way to another chain."""

    units: int
    type: int = SCRIPT
    keys: tuple[bytes, ...] = ()
    mask: bytes = _NO_MASK
    script: bytes = b""
    withdrawal: Destination | None = None

    @property
    def threshold(self) -> int:
        """How many keys must sign; 0 for a withdrawal."""
        return self.script[2] if self.type == SCRIPT and is_script(self.script) else 0


Signatures = Mapping[int, bytes]


class TransactionKind(IntEnum):
    """The kernel's kinds of transactions that a wallet makes."""

    SCRIPT = 0
    WITHDRAWAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction; ``signatures`` holds one map of key index to signature per input."""

    asset: bytes
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    references: tuple[bytes, ...] = ()
    extra: bytes = b""
    signatures: tuple[Signatures, ...] = ()

    @property
    def kind(self) -> TransactionKind:
        """What the kernel takes it for."""
        leaves = any(one.type == WITHDRAWAL for one in self.outputs)
        return TransactionKind.WITHDRAWAL if leaves else TransactionKind.SCRIPT


def threshold_script(threshold: int) -> bytes:
    """The script that asks for ``threshold`` signatures."""
    require(0 < threshold <= 64, f"threshold: expected 1 to 64, was {threshold}")
    return _SCRIPT_PREFIX + bytes((threshold,))


def is_script(script: bytes) -> bool:
    """Whether it asks for a number of signatures."""
    return len(script) == 3 and script[:2] == _SCRIPT_PREFIX and 0 < script[2] <= 64


def pay_to(units: int, ghost: GhostKeys, threshold: int) -> Output:
    """An output that is locked by one-time keys."""
    script = threshold_script(threshold)
    return Output(units=units, keys=ghost.keys, mask=ghost.mask, script=script)


def withdraw_to(units: int, address: str, tag: str = "") -> Output:
    """An output that leaves for another chain; it must be the first of its transaction."""
    return Output(units=units, type=WITHDRAWAL, withdrawal=Destination(address, tag))


# Writing


def _word(number: int) -> bytes:
    require(0 <= number <= _WORD_MAX, f"expected 0 to 65535, was {number}")
    return number.to_bytes(2, "big")


def _sized(data: bytes) -> bytes:
    return _word(len(data)) + data


def _exactly(data: bytes, size: int) -> bytes:
    require(len(data) == size, f"expected {size} bytes, were {len(data)}")
    return data


def _write_input(one: Input) -> bytes:
    # No genesis, no deposit, no mint: those inputs are the kernel's own.
    return _exactly(one.hash, HASH_BYTES) + _word(one.index) + 3 * _NOTHING


def _write_output(one: Output) -> bytes:
    require(one.units > 0, f"units: expected more than 0, was {one.units}")
    parts = [b"\x00", bytes((one.type,)), _sized(integer_bytes(one.units)), _word(len(one.keys))]
    parts += [_exactly(key, KEY_BYTES) for key in one.keys]
    parts += [_exactly(one.mask, KEY_BYTES), _sized(one.script)]
    if one.withdrawal is None:
        return b"".join([*parts, _NOTHING])
    address, tag = one.withdrawal.address.encode(), one.withdrawal.tag.encode()
    return b"".join([*parts, _MAGIC, _sized(address), _sized(tag)])


def _write_signatures(signatures: Signatures) -> bytes:
    entries = (
        _word(index) + _exactly(signatures[index], SIGNATURE_BYTES) for index in sorted(signatures)
    )
    return _word(len(signatures)) + b"".join(entries)


def _write_body(tx: Transaction) -> bytes:
    _check_counts(tx)
    parts = [_HEADER, _exactly(tx.asset, HASH_BYTES), _word(len(tx.inputs))]
    parts += [_write_input(one) for one in tx.inputs]
    parts.append(_word(len(tx.outputs)))
    parts += [_write_output(one) for one in tx.outputs]
    parts.append(_word(len(tx.references)))
    parts += [_exactly(reference, HASH_BYTES) for reference in tx.references]
    return b"".join([*parts, len(tx.extra).to_bytes(4, "big"), tx.extra])


def _check_counts(tx: Transaction) -> None:
    demand(1 <= len(tx.inputs) <= INPUTS_MAX, f"inputs: {len(tx.inputs)} of 1 to {INPUTS_MAX}")
    demand(1 <= len(tx.outputs) <= OUTPUTS_MAX, f"outputs: {len(tx.outputs)} of 1 to {OUTPUTS_MAX}")
    demand(len(tx.references) <= REFERENCES_MAX, f"references: more than {REFERENCES_MAX}")
    demand(len(tx.extra) <= STORAGE_BYTES_MAX, f"extra: more than {STORAGE_BYTES_MAX} bytes")
    demand(
        all(0 <= one.index <= INPUT_INDEX_MAX for one in tx.inputs),
        f"input: an index above {INPUT_INDEX_MAX}",
    )


def encode_unsigned(tx: Transaction) -> bytes:
    """The bytes that are hashed and signed."""
    return _write_body(tx) + _NOTHING


def encode(tx: Transaction) -> bytes:
    """The bytes that are sent."""
    written = [_write_signatures(one) for one in tx.signatures]
    raw = _write_body(tx) + _word(len(written)) + b"".join(written)
    demand(len(raw) <= TRANSACTION_BYTES_MAX, f"more than {TRANSACTION_BYTES_MAX} bytes")
    return raw


def transaction_hash(tx: Transaction) -> bytes:
    """The transaction's name: BLAKE3 of its unsigned bytes."""
    return blake3(encode_unsigned(tx))


# Reading


class _Reader:
    """Takes bytes from the front; Malformed when there are not enough."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        demand(len(piece) == size, "transaction: it ends too early")
        self._at += size
        return piece

    def word(self, most: int = _WORD_MAX) -> int:
        number = int.from_bytes(self.take(2), "big")
        demand(number <= most, f"transaction: {number} of something of which {most} are allowed")
        return number

    def sized(self, most: int) -> bytes:
        return self.take(self.word(most))

    def text(self) -> str:
        try:
            return self.sized(WITHDRAWAL_TEXT_BYTES_MAX).decode()
        except UnicodeDecodeError:
            raise Malformed("transaction: an address that is not text") from None

    def nothing(self) -> None:
        demand(self.take(2) == _NOTHING, "transaction: a part that no wallet makes")

    def end(self) -> None:
        demand(self._at == len(self._data), "transaction: bytes after the end")


def _read_input(reader: _Reader) -> Input:
    found = Input(reader.take(HASH_BYTES), reader.word(INPUT_INDEX_MAX))
    for _ in ("genesis", "deposit", "mint"):
        reader.nothing()
    return found


def _read_units(reader: _Reader) -> int:
    data = reader.sized(AMOUNT_BYTES_MAX)
    demand(data and data[0], "transaction: an amount of nothing or with leading zeros")
    return int.from_bytes(data, "big")


def _read_output(reader: _Reader) -> Output:
    reserved, kind = reader.take(2)
    demand(reserved == 0, "transaction: an output type that does not exist")
    units = _read_units(reader)
    keys = tuple(reader.take(KEY_BYTES) for _ in range(reader.word(KEYS_MAX)))
    mask, script = reader.take(KEY_BYTES), reader.sized(_WORD_MAX)
    prefix = reader.take(2)
    demand(prefix in {_MAGIC, _NOTHING}, "transaction: an output with an unknown end")
    withdrawal = Destination(reader.text(), reader.text()) if prefix == _MAGIC else None
    return Output(
        units=units, type=kind, keys=keys, mask=mask, script=script, withdrawal=withdrawal
    )


def _read_signatures(reader: _Reader) -> Signatures:
    found: dict[int, bytes] = {}
    last = -1
    for _ in range(reader.word(KEYS_MAX)):
        index = reader.word()
        demand(index > last, "transaction: signatures out of order")
        found[index], last = reader.take(SIGNATURE_BYTES), index
    return found


def decode(raw: bytes) -> Transaction:
    """The transaction of ``raw``; Malformed unless ``encode`` gives the same bytes again."""
    demand(len(raw) <= TRANSACTION_BYTES_MAX, f"more than {TRANSACTION_BYTES_MAX} bytes")
    reader = _Reader(raw)
    demand(reader.take(4) == _HEADER, "transaction: not of version 5")
    asset = reader.take(HASH_BYTES)
    inputs = tuple(_read_input(reader) for _ in range(reader.word(INPUTS_MAX)))
    outputs = tuple(_read_output(reader) for _ in range(reader.word(OUTPUTS_MAX)))
    references = tuple(reader.take(HASH_BYTES) for _ in range(reader.word(REFERENCES_MAX)))
    extra = reader.take(int.from_bytes(reader.take(4), "big"))
    signatures = tuple(_read_signatures(reader) for _ in range(reader.word(INPUTS_MAX)))
    reader.end()
    found = Transaction(
        asset=asset, inputs=inputs, outputs=outputs, references=references, extra=extra,
        signatures=signatures,
    )  # fmt: skip
    _check_counts(found)
    return found


# Rules


def check_rules(tx: Transaction, *, extra_bytes_max: int = EXTRA_BYTES_MAX) -> None:
    """Raise Malformed unless the kernel would take it, sums and owners of inputs aside."""
    _check_counts(tx)
    demand(len(tx.extra) <= extra_bytes_max, f"extra: more than {extra_bytes_max} bytes")
    demand(len(set(tx.inputs)) == len(tx.inputs), "input: one output is spent twice")
    for number, one in enumerate(tx.outputs):
        demand(one.units > 0, "output: nothing is paid")
        if one.type == WITHDRAWAL:
            _check_withdrawal(number, one)
        else:
            _check_script(one)
    keys = [key for one in tx.outputs for key in one.keys]
    demand(len(set(keys)) == len(keys), "output: a one-time key is used twice")


def _check_withdrawal(number: int, one: Output) -> None:
    demand(number == 0, "withdrawal: it must be the first output, and the only one")
    plain = not one.keys and one.mask == _NO_MASK and not one.script
    demand(plain, "withdrawal: it has no keys and no script")
    demand(one.withdrawal is not None and one.withdrawal.address, "withdrawal: to nowhere")


def _check_script(one: Output) -> None:
    demand(one.type == SCRIPT, f"output: type {one.type:#x} is not for wallets")
    demand(one.withdrawal is None, "output: a script that is also a withdrawal")
    demand(is_script(one.script), "output: not a script of a threshold")
    demand(one.keys, "output: nobody could spend it")
    for point in (one.mask, *one.keys):
        check_point(point)


# Signing


def sign(
    tx: Transaction,
    views: Sequence[bytes],
    spend_scalar: bytes,
    *,
    key_index: int = 0,
    input_keys: Sequence[Sequence[bytes]] | None = None,
) -> Transaction:
    """The transaction with a signature of every input by one member.

    ``views`` are the scalars that the server gave, one per input. With ``input_keys``, the keys
    of the outputs spent, nothing is signed with a key that its output does not name.
    """
    demand(len(views) == len(tx.inputs), "views: expected one per input")
    message, found = transaction_hash(tx), []
    for number, view in enumerate(views):
        scalar = add_scalars(view, spend_scalar)
        if input_keys is not None:
            known = public_key(scalar) in input_keys[number]
            demand(known, f"views: the key of input {number} is not among its output's keys")
        found.append({key_index: sign_with_scalar(message, scalar)})
    return replace(tx, signatures=tuple(found))


def are_signatures_valid(tx: Transaction, locks: Sequence[tuple[Sequence[bytes], int]]) -> bool:
    """Whether every input is signed as its output's (keys, threshold) demands."""
    if len(tx.signatures) != len(tx.inputs) or len(locks) != len(tx.inputs):
        return False
    message = transaction_hash(tx)
    return all(
        _is_unlocked(message, signatures, keys, threshold)
        for signatures, (keys, threshold) in zip(tx.signatures, locks, strict=True)
    )


def _is_unlocked(
    message: bytes, signatures: Signatures, keys: Sequence[bytes], threshold: int
) -> bool:
    return len(signatures) >= max(1, threshold) and all(
        index < len(keys) and is_signed(message, signature, keys[index])
        for index, signature in signatures.items()
    )
