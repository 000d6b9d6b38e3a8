"""Who a participant is: a nonce signed by a wallet, a short access token, one refresh token."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.exceptions import BadSignature

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.hufi.model import User
from poolmaker.sandbox.hufi.refusals import HufiRefusal, unauthorized

SIGN_UP: Final = "signup"
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HEADER: Final = {"alg": "ES256", "typ": "JWT"}


class Claims(msgspec.Struct):
    """What an access token says."""

    user_id: str
    wallet_address: str
    iat: int
    exp: int


def uuid_of(rng: Rng) -> str:
    """A random id as HuFi writes them."""
    text = f"{rng.bits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[rng.below(4)]}{text[17:20]}-{text[20:]}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signer_of(nonce: str, signature: str) -> str | None:
    """The wallet in lower case that signed the text around ``nonce``, None when nobody did."""
    text = msgspec.json.encode({"nonce": nonce}).decode()
    try:
        found = Account.recover_message(encode_defunct(text=text), signature=signature)
    except (ValueError, BadSignature):
        return None
    return str(found).lower()


class Tokens:
    """Signs and checks access tokens (JWT, ES256) and rotates what is used once."""

    def __init__(self, rng: Rng, clock: Clock, access_s: int, refresh_s: int) -> None:
        self._rng = rng
        self._clock = clock
        self._access_s = access_s
        self._refresh_s = refresh_s
        self._key = ec.derive_private_key(1 + rng.bits(512) % (_ORDER - 1), ec.SECP256R1())

    def new_nonce(self) -> str:
        """A nonce of a known wallet."""
        return f"{self._rng.bits(128):032x}"

    def new_id(self) -> str:
        """An id of anything."""
        return uuid_of(self._rng)

    def issue(self, user: User) -> dict[str, str]:
        """A pair of tokens; the refresh token before it is gone."""
        user.refresh_token = self.new_id()
        user.refresh_until_us = self._clock.now_us() + self._refresh_s * SECOND_US
        return {"access_token": self._access(user), "refresh_token": user.refresh_token}

    def _access(self, user: User) -> str:
        now_s = self._clock.now_us() // SECOND_US
        claims = Claims(user.user_id, user.address, now_s, now_s + self._access_s)
        text = ".".join(_encoded(msgspec.json.encode(part)) for part in (_HEADER, claims))
        first, second = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(SHA256())))
        signature = first.to_bytes(32, "big") + second.to_bytes(32, "big")
        return f"{text}.{_encoded(signature)}"

    def check(self, header: str | None) -> Claims:
        """The claims of a bearer header.

        Raises HufiRefusal 401 when it is missing, forged or late.
        """
        kind, _, token = (header or "").partition(" ")
        parts = token.split(".")
        if kind.lower() != "bearer" or len(parts) != 3:
            raise unauthorized()
        try:
            signature = _raw(parts[2])
            pair = encode_dss_signature(
                int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            )
            text = f"{parts[0]}.{parts[1]}".encode()
            self._key.public_key().verify(pair, text, ec.ECDSA(SHA256()))
            claims = msgspec.json.decode(_raw(parts[1]), type=Claims)
        except (InvalidSignature, binascii.Error, ValueError, msgspec.DecodeError):
            raise unauthorized() from None
        if claims.exp * SECOND_US <= self._clock.now_us():
            raise unauthorized()
        return claims

    def refresh(self, user: User | None) -> dict[str, str]:
        """A new pair for the owner of a refresh token that is used now.

        Raises HufiRefusal 401 when there is no such token or it is late.
        """
        if user is None:
            raise HufiRefusal(401, "Refresh token is not valid")
        if user.refresh_until_us <= self._clock.now_us():
            user.refresh_token = None
            raise HufiRefusal(401, "Refresh token expired")
        return self.issue(user)
