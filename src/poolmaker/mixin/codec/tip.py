"""One-off matters of an account: registration for Safe, TIP bodies, the PIN's envelope."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import nacl.bindings as sodium
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.encoding import Malformed, demand, from_base64url, to_base64url
from poolmaker.mixin.codec.ids import sha3
from poolmaker.mixin.codec.keys import KEY_BYTES, check_point, seed_public_key, sign_with_seed

_BLOCK: Final = 16
_COUNTERS_BYTES: Final = 16


def tip_body(text: str) -> bytes:
    """What is signed for an action that is named by ``text``."""
    return hashlib.sha256(text.encode()).digest()


def register_body(user_id: str, public_key: str) -> bytes:
    """The TIP body of a registration for Safe."""
    return tip_body(f"SEQUENCER:REGISTER:{user_id}{public_key}")


def address_add_body(asset_id: str, destination: str, tag: str, label: str) -> bytes:
    """The TIP body of adding a withdrawal address."""
    return tip_body(f"TIP:ADDRESS:ADD:{asset_id}{destination}{tag}{label}")


def verify_body(timestamp_ns: int) -> bytes:
    """The TIP body of proving that one knows the PIN; it is signed as it is."""
    return f"TIP:VERIFY:{timestamp_ns:032d}".encode()


@dataclass(frozen=True, slots=True)
class Registration:
    """What registers a spend key; ``pin_signature`` travels inside the PIN's envelope."""

    public_key: str
    signature: str
    pin_signature: str


def registration(user_id: str, spend_seed: bytes, tip_seed: bytes) -> Registration:
    """The registration of ``spend_seed``'s public key for a user."""
    public_key = seed_public_key(spend_seed).hex()
    signature = to_base64url(sign_with_seed(sha3(user_id.encode()), spend_seed))
    pin = sign_with_seed(register_body(user_id, public_key), tip_seed)
    return Registration(public_key, signature, pin.hex())


def shared_key(session_seed: bytes, server_public_key: bytes) -> bytes:
    """The key of the PIN's envelope, known to a session and the server."""
    require(len(session_seed) == KEY_BYTES, "seed: expected 32 bytes")
    scalar = hashlib.sha512(session_seed).digest()[:KEY_BYTES]
    try:
        point = sodium.crypto_sign_ed25519_pk_to_curve25519(check_point(server_public_key))
        return sodium.crypto_scalarmult(scalar, point)
    except (CryptoError, SodiumError):
        raise Malformed("server key: refused") from None


@dataclass(frozen=True, slots=True)
class PinEnvelope:
    """A PIN's signature, when it was made, and a counter that only grows."""

    pin: bytes
    time_s: int
    iterator: int

    def plaintext(self) -> bytes:
        """What is encrypted, padding included."""
        body = self.pin + self.time_s.to_bytes(8, "little") + self.iterator.to_bytes(8, "little")
        pad = _BLOCK - len(body) % _BLOCK
        return body + bytes((pad,)) * pad


def seal_pin(envelope: PinEnvelope, key: bytes, nonce: bytes) -> str:
    """The envelope encrypted with a nonce of 16 bytes that is used once."""
    require(len(nonce) == _BLOCK, "nonce: expected 16 bytes")
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(nonce)).encryptor()
    return to_base64url(nonce + encryptor.update(envelope.plaintext()) + encryptor.finalize())


def open_pin(text: str, key: bytes) -> PinEnvelope:
    """The envelope of an encrypted text; Malformed when it is not one under this key."""
    data = from_base64url(text)
    whole = len(data) > 2 * _BLOCK and len(data) % _BLOCK == 0
    demand(whole, "PIN: not whole blocks")
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(data[:_BLOCK])).decryptor()
    body = decryptor.update(data[_BLOCK:]) + decryptor.finalize()
    pad = body[-1]
    demand(1 <= pad <= _BLOCK and body[-pad:] == bytes((pad,)) * pad, "PIN: wrong padding")
    body = body[:-pad]
    demand(len(body) > _COUNTERS_BYTES, "PIN: too short")
    return PinEnvelope(
        pin=body[:-_COUNTERS_BYTES],
        time_s=int.from_bytes(body[-16:-8], "little"),
        iterator=int.from_bytes(body[-8:], "little"),
    )
