"""Scalars and points of Ed25519, and the one-time ("ghost") keys that lock outputs.

A scalar is 32 bytes little-endian below the group's order; a point is 32 bytes in canonical form
in the prime-order group. Everything else is refused: neither is reduced on the way in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import nacl.bindings as sodium
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.exceptions import RuntimeError as SodiumError
from nacl.signing import SigningKey, VerifyKey

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.encoding import Malformed, demand
from poolmaker.mixin.codec.ids import blake3, ghost_hashes, sha3

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ORDER: Final = 2**252 + 27742317777372353535851937790883648493


def check_scalar(scalar: bytes) -> bytes:
    """The same bytes; Malformed unless they are a canonical scalar that is not zero."""
    number = int.from_bytes(scalar, "little")
    demand(len(scalar) == KEY_BYTES and 0 < number < ORDER, "scalar: not canonical")
    return scalar


def check_point(point: bytes) -> bytes:
    """The same bytes; Malformed unless they are a canonical point of the prime-order group."""
    is_point = len(point) == KEY_BYTES and sodium.crypto_core_ed25519_is_valid_point(point)
    demand(is_point, "point: not a canonical point of the prime-order group")
    return point


def reduce_wide(data: bytes) -> bytes:
    """The scalar of 64 bytes."""
    require(len(data) == 2 * KEY_BYTES, f"wide scalar: expected 64 bytes, were {len(data)}")
    return sodium.crypto_core_ed25519_scalar_reduce(data)


def public_key(scalar: bytes) -> bytes:
    """The point of a private scalar."""
    return sodium.crypto_scalarmult_ed25519_base_noclamp(check_scalar(scalar))


def seed_scalar(seed: bytes) -> bytes:
    """The private scalar of an Ed25519 seed. A keystore holds a seed, never a scalar."""
    require(len(seed) == KEY_BYTES, f"seed: expected 32 bytes, were {len(seed)}")
    clamped = bytearray(hashlib.sha512(seed).digest()[:KEY_BYTES])
    clamped[0] &= 0xF8
    clamped[31] = clamped[31] & 0x3F | 0x40
    return reduce_wide(bytes(clamped) + bytes(KEY_BYTES))


def seed_public_key(seed: bytes) -> bytes:
    """The public key of an Ed25519 seed."""
    return bytes(SigningKey(seed).verify_key)


def sign_with_seed(message: bytes, seed: bytes) -> bytes:
    """A plain Ed25519 signature."""
    return bytes(SigningKey(seed).sign(message).signature)


def sign_with_scalar(message: bytes, scalar: bytes) -> bytes:
    """A signature by a derived scalar; it verifies as plain Ed25519 under its point."""
    prefix = hashlib.sha512(check_scalar(scalar)).digest()[KEY_BYTES:]
    nonce = reduce_wide(hashlib.sha512(prefix + message).digest())
    commitment = public_key(nonce)
    challenge = reduce_wide(hashlib.sha512(commitment + public_key(scalar) + message).digest())
    product = sodium.crypto_core_ed25519_scalar_mul(challenge, scalar)
    return commitment + sodium.crypto_core_ed25519_scalar_add(product, nonce)


def is_signed(message: bytes, signature: bytes, point: bytes) -> bool:
    """Whether ``signature`` of ``message`` is by the private key of ``point``."""
    if len(signature) != SIGNATURE_BYTES or len(point) != KEY_BYTES:
        return False
    try:
        VerifyKey(point).verify(message, signature)
    except (BadSignatureError, CryptoError):
        return False
    return True


def shared_point(scalar: bytes, point: bytes) -> bytes:
    """``scalar`` times ``point``."""
    try:
        return sodium.crypto_scalarmult_ed25519_noclamp(check_scalar(scalar), check_point(point))
    except (SodiumError, CryptoError):  # libsodium has its own last word on weak points
        raise Malformed("point: refused") from None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _spread(digest: bytes) -> bytes:
    return reduce_wide(digest + blake3(digest))


def hash_scalar(point: bytes, index: int) -> bytes:
    """The scalar of a shared point for output ``index``."""
    require(index >= 0, f"index: expected 0 or more, was {index}")
    return _spread(blake3(_spread(blake3(point + _varint(index)))))


def ghost_public(mask_scalar: bytes, view: bytes, spend: bytes, index: int) -> bytes:
    """The one-time key that locks output ``index`` for the owner of the two public keys."""
    tweak = hash_scalar(shared_point(mask_scalar, view), index)
    return sodium.crypto_core_ed25519_add(check_point(spend), public_key(tweak))


def view_scalar(mask: bytes, view_private: bytes, index: int) -> bytes:
    """What the owner's view key tells about an output: the tweak of its one-time key."""
    return hash_scalar(shared_point(view_private, mask), index)


def add_scalars(one: bytes, other: bytes) -> bytes:
    """The sum of two scalars."""
    return sodium.crypto_core_ed25519_scalar_add(check_scalar(one), check_scalar(other))


def ghost_private(mask: bytes, view_private: bytes, spend_private: bytes, index: int) -> bytes:
    """The private key of a one-time key."""
    return add_scalars(view_scalar(mask, view_private, index), spend_private)


def viewed_spend(key: bytes, mask: bytes, view_private: bytes, index: int) -> bytes:
    """Whose output it is: the public spend key behind a one-time key."""
    tweak = public_key(view_scalar(mask, view_private, index))
    return sodium.crypto_core_ed25519_sub(check_point(key), tweak)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Two public keys of an owner: one to spend with, one to look with."""

    spend: bytes
    view: bytes


@dataclass(frozen=True, slots=True)
class PrivatePair:
    """The private scalars of a ``KeyPair``."""

    spend: bytes
    view: bytes

    def public(self) -> KeyPair:
        """The public keys."""
        return KeyPair(public_key(self.spend), public_key(self.view))


def pair_from_seed(seed: bytes) -> PrivatePair:
    """The keys of a main-network address made from 64 bytes of seed."""
    digest = sha3(seed)
    return PrivatePair(spend=reduce_wide(seed), view=reduce_wide(digest + sha3(digest)))


@dataclass(frozen=True, slots=True)
class GhostKeys:
    """How an output is locked: one key per member, and the mask from which owners find them."""

    mask: bytes
    keys: tuple[bytes, ...]


def ghost_keys(mask_scalar: bytes, owners: Sequence[KeyPair], index: int) -> GhostKeys:
    """The one-time keys of output ``index`` for its owners in order."""
    keys = tuple(ghost_public(mask_scalar, own.view, own.spend, index) for own in owners)
    return GhostKeys(public_key(mask_scalar), keys)


def local_ghost_keys(
    trace: str, index: int, spend_seed: bytes, owners: Sequence[KeyPair]
) -> GhostKeys:
    """One-time keys for main-network addresses, whose owners no server knows."""
    first, second = ghost_hashes(trace, index)
    return ghost_keys(reduce_wide(first + blake3(second + spend_seed)), owners, index)


def blake3_scalar(message: bytes, secret: bytes) -> bytes:
    """A scalar that only who knows ``secret`` can make again from ``message``."""
    first = blake3(secret + message)
    return reduce_wide(first + blake3(first + secret))
