"""API keys: who a request is from, whether it is signed, on time and allowed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import PreconditionError
from poolmaker.sandbox.venue import refusals
from poolmaker.sandbox.venue.model import Account
from poolmaker.sandbox.venue.refusals import WireRefusal

RECV_WINDOW_DEFAULT_US: Final = 5 * SECOND_US
RECV_WINDOW_MAX_US: Final = 60 * SECOND_US
AHEAD_MAX_US: Final = SECOND_US
_MICROSECONDS_FROM: Final = 100_000_000_000_000
_NUMBER = re.compile(r"[0-9]{1,20}")
_WINDOW = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True, eq=False)
class ApiKey:
    """One key of an account; a read-only one may neither trade nor withdraw.

    It signs by HMAC-SHA256 with ``secret``, or by Ed25519 where a public key is registered.
    """

    key: str
    secret: str
    account: Account
    may_trade: bool
    public_key: Ed25519PublicKey | None = None


class KeyRing:
    """All keys of the venue."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        """Make a key known."""
        self._keys[key.key] = key

    def revoke(self, key: str) -> None:
        """Make a key unknown."""
        self._keys.pop(key, None)

    def is_known(self, key: str) -> bool:
        """Whether a key of that name is there."""
        return key in self._keys

    def is_current(self, key: ApiKey) -> bool:
        """Whether this very key is still valid."""
        return self._keys.get(key.key) is key

    def find(self, key: str | None) -> ApiKey:
        """The key, or the wire's refusal of it."""
        if not key:
            raise WireRefusal(-2014, "API-key format invalid.", 401)
        found = self._keys.get(key)
        if found is None:
            raise refusals.bad_key()
        return found


def read_public_key(text: str) -> Ed25519PublicKey:
    """An Ed25519 public key from PEM, or from the base64 of its DER form.

    Raises CallerFault for anything else.
    """
    try:
        if "BEGIN" in text:
            found = load_pem_public_key(text.encode())
        else:
            found = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise PreconditionError(f"public_key: not a public key ({problem})") from None
    if not isinstance(found, Ed25519PublicKey):
        raise PreconditionError("public_key: only Ed25519 keys can be registered")
    return found


def signed_text_of_form(query: str, body: str) -> tuple[str, str | None]:
    """What a REST request signed, on the raw text, and the signature that it carries."""
    signature: str | None = None
    kept: list[str] = []
    for raw in (query, body):
        parts = []
        for part in raw.split("&"):
            if part.startswith("signature="):
                signature = unquote(part.removeprefix("signature="))
            elif part:
                parts.append(part)
        kept.append("&".join(parts))
    return "".join(kept), signature


def signed_text_of_json(values: Mapping[str, str]) -> str:
    """What a WebSocket request signed: its parameters by name, each as it was sent."""
    return "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature")


def check_signature(key: ApiKey, text: str, signature: str) -> None:
    """Refuse a signature that is not this key's over this text."""
    if key.public_key is None:
        expected = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        is_right = hmac.compare_digest(expected.encode(), signature.lower().encode())
    else:
        is_right = _is_signed(key.public_key, text, signature)
    if not is_right:
        raise WireRefusal(-1022, "Signature for this request is not valid.")


def _is_signed(public_key: Ed25519PublicKey, text: str, signature: str) -> bool:
    try:
        public_key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def check_time(values: Mapping[str, str], time_us: int) -> None:
    """Refuse a request from the future, and one older than its receive window."""
    stamp = values.get("timestamp")
    if not stamp:
        raise refusals.missing("timestamp")
    if _NUMBER.fullmatch(stamp) is None:
        raise refusals.illegal("timestamp", r"^[0-9]{1,20}$")
    sent = int(stamp)
    sent_us = sent if sent >= _MICROSECONDS_FROM else sent * 1000
    window_us = _window_us(values.get("recvWindow"))
    if sent_us >= time_us + AHEAD_MAX_US:
        message = "Timestamp for this request was 1000ms ahead of the server's time."
        raise WireRefusal(-1021, message)
    if time_us - sent_us > window_us:
        raise WireRefusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def _window_us(text: str | None) -> int:
    if text is None:
        return RECV_WINDOW_DEFAULT_US
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise refusals.illegal("recvWindow", r"^[0-9]{1,5}(\.[0-9]{1,3})?$")
    window_us = int(match.group(1)) * 1000 + int((match.group(2) or "").ljust(3, "0"))
    if window_us > RECV_WINDOW_MAX_US:
        raise WireRefusal(-1131, "recvWindow must be less than 60000.")
    return window_us
