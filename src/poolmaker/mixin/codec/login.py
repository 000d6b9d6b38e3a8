"""Login of users: the page they are sent to, and the proof that the code is for us."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.encoding import from_base64url, to_base64url

AUTHORIZE_URL: Final = "https://mixin.one/oauth/authorize"
CHALLENGE_METHOD: Final = "SHA256"
_VERIFIER_BYTES: Final = 32


def verifier(secret: bytes) -> str:
    """The code verifier of 32 secret bytes."""
    require(len(secret) == _VERIFIER_BYTES, f"secret: expected 32 bytes, were {len(secret)}")
    return to_base64url(secret)


def challenge(code_verifier: str) -> str:
    """Mixin's challenge: over the bytes behind the verifier; RFC 7636 takes its text."""
    return to_base64url(hashlib.sha256(from_base64url(code_verifier)).digest())


def authorize_url(
    client_id: str, scopes: Sequence[str], state: str, code_challenge: str, return_to: str = ""
) -> str:
    """The page on which a user grants ``scopes``."""
    query = {
        "client_id": client_id,
        "scope": " ".join(scopes),
        "response_type": "code",
        "state": state,
        "code_challenge": code_challenge,
        "code_challenge_method": CHALLENGE_METHOD,
    }
    if return_to:
        query["return_to"] = return_to
    return f"{AUTHORIZE_URL}?{urlencode(query, quote_via=quote, safe='')}"
