"""Hashes and the ids that follow from them."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from typing import Final

from blake3 import blake3 as _blake3

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.encoding import demand

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FEE_RECEIVER: Final = "674d6776-d600-4346-af46-58e77d8df185"
"""The user who is paid the fees of withdrawals."""


def sha3(data: bytes) -> bytes:
    """SHA3-256."""
    return hashlib.sha3_256(data).digest()


def blake3(data: bytes) -> bytes:
    """BLAKE3, 32 bytes."""
    return bytes(_blake3(data).digest())


def check_uuid(text: str, name: str = "uuid") -> str:
    """The same text; Malformed unless it is a lower-case uuid with hyphens."""
    demand(_UUID.fullmatch(text), f"{name}: expected a lower-case uuid, was {text[:40]!r}")
    return text


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of a uuid."""
    return uuid.UUID(check_uuid(text)).bytes


def uuid_text(data: bytes) -> str:
    """The uuid of 16 bytes."""
    return str(uuid.UUID(bytes=data))


def object_id(*parts: str) -> str:
    """MD5 of the parts one after the other, written as a uuid of version 3."""
    digest = bytearray(hashlib.md5("".join(parts).encode(), usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x30
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid_text(bytes(digest))


def conversation_id(one: str, other: str) -> str:
    """The conversation of two users, whichever is named first."""
    return object_id(*sorted((one, other)))


def group_conversation_id(owner: str, name: str, participants: Sequence[str], nonce: str) -> str:
    """The conversation of a group."""
    folded = conversation_id(conversation_id(owner, name), nonce)
    for participant in sorted(participants):
        folded = conversation_id(folded, participant)
    return folded


def token_asset_id(chain_id: str, asset_key: str) -> str:
    """The asset id of a token; the key of an EVM token is written in lower case."""
    return object_id(chain_id, asset_key)


def kernel_asset_id(asset_id: str) -> bytes:
    """What the network calls an asset."""
    return sha3(asset_id.encode())


def members_hash(members: Sequence[str]) -> str:
    """The name under which outputs of these members are listed; the order does not matter."""
    return sha3("".join(sorted(members)).encode()).hex()


def output_id(transaction_hash: str, index: int) -> str:
    """The id of an output."""
    return object_id(f"{transaction_hash}:{index}")


def user_snapshot_id(user_id: str, transaction_hash: str) -> str:
    """The id of what a transaction did to a user, as the mobile apps count."""
    return object_id(f"{user_id}:{transaction_hash}")


def receiver_snapshot_id(transaction_hash: str, index: int, receiver: str) -> str:
    """The id of one output's arrival, as a library of a third party counts."""
    return object_id(f"{transaction_hash}:{index}{receiver}")


def fee_request_id(request_id: str) -> str:
    """The request id of a withdrawal's second transaction, which pays the fee."""
    return object_id(request_id, "FEE")


def ghost_hashes(trace: str, index: int) -> tuple[bytes, bytes]:
    """Two hashes from which hints and keys of one output of one trace are made."""
    require(0 <= index <= 0xFFFF, f"index: expected 0 to 65535, was {index}")
    first = blake3(trace.encode())
    return first, blake3(first + index.to_bytes((index.bit_length() + 7) // 8, "big"))


def ghost_hint(trace: str, index: int) -> str:
    """Our hint when asking for the one-time keys of an output: a pure function, never chance."""
    first, second = ghost_hashes(trace, index)
    return object_id(first.hex(), second.hex())


def ghost_hint_sorted(trace: str, index: int) -> str:
    """The hint of the official Node SDK, which sorts the two hashes."""
    return object_id(*sorted(half.hex() for half in ghost_hashes(trace, index)))


def ghost_hint_labelled(hint: str, index: int) -> str:
    """The hint of a library of a third party."""
    return object_id(f"hint:{hint};index:{index}")
