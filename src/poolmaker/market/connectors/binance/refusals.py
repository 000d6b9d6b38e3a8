"""What an answer of the venue proves.

A definite refusal is one that the venue gives before it acts. Everything else (server errors,
resets, time-outs, pages instead of JSON, codes that the venue itself calls unknown) proves
nothing: the request may have had its effect.
"""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.errors import PoolmakerError
from poolmaker.market.execution.model import VenueRefusal

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_TOO_MANY: Final = frozenset({418, 429})
_WAIT_US: Final = 1_000_000
_BAN_WAIT_US: Final = 120_000_000
_WAIT_MAX_US: Final = 3_600_000_000
_DIGITS_MAX: Final = 9

# The venue's own words for "I do not know": disconnected, busy, unexpected, timed out, throttled.
_UNKNOWN_CODES: Final = frozenset({-1000, -1001, -1004, -1006, -1007, -1008})
_NOT_THERE_CODES: Final = frozenset({-2011, -2013, -2026})
_BY_CODE: Final = {
    -1003: VenueRefusal.RATE_LIMITED,
    -1015: VenueRefusal.RATE_LIMITED,
    -1013: VenueRefusal.FILTER,
    -1021: VenueRefusal.CLOCK,
    -1022: VenueRefusal.KEY,
    -1111: VenueRefusal.FILTER,
    -2014: VenueRefusal.KEY,
    -2015: VenueRefusal.KEY,
}
_BY_TEXT: Final = (
    ("duplicate order", VenueRefusal.DUPLICATE),
    ("immediately match", VenueRefusal.WOULD_TAKE),
    ("insufficient balance", VenueRefusal.INSUFFICIENT),
    ("market is closed", VenueRefusal.MARKET_CLOSED),
    ("not available on this symbol", VenueRefusal.MARKET_CLOSED),
    ("filter failure", VenueRefusal.FILTER),
)


class VenueRefused(PoolmakerError):
    """The venue definitely refused; ``wait_us`` is how long it asks us to keep quiet."""

    code = "venue_refused"

    def __init__(self, status: int, venue_code: int, text: str, wait_us: int = 0) -> None:
        super().__init__(f"HTTP {status}, code {venue_code}: {text}")
        self.status = status
        self.venue_code = venue_code
        self.text = text
        self.wait_us = wait_us

    @property
    def not_there(self) -> bool:
        """There is no such order, as far as this answer goes."""
        return self.venue_code in _NOT_THERE_CODES

    @property
    def refusal(self) -> VenueRefusal:
        """Which kind of refusal it is."""
        if self.status in _TOO_MANY:
            return VenueRefusal.RATE_LIMITED
        lowered = self.text.lower()
        for words, refusal in _BY_TEXT:
            if words in lowered:
                return refusal
        return _BY_CODE.get(self.venue_code, VenueRefusal.OTHER)


class NoAnswer(PoolmakerError):
    """No usable answer came; whether the request had its effect is not known from here."""

    code = "no_answer"


def verdict(
    status: int, body: object, text: str, retry_after_s: str | None
) -> VenueRefused | NoAnswer | None:
    """What an HTTP answer proves; None when it is an answer to work with.

    ``body`` is the parsed JSON, None where there is none.
    """
    if status in _TOO_MANY:
        return VenueRefused(status, _code_of(body), text[:200], _wait_us(status, retry_after_s))
    if not isinstance(body, dict | list):
        return NoAnswer(f"HTTP {status} without JSON")
    if status < _CLIENT_ERROR:
        return None
    code = _code_of(body)
    if status >= _SERVER_ERROR or code == 0 or code in _UNKNOWN_CODES:
        return NoAnswer(f"HTTP {status}, code {code}: {text[:200]}")
    wait_us = _WAIT_US if _BY_CODE.get(code) is VenueRefusal.RATE_LIMITED else 0
    return VenueRefused(status, code, _message_of(body), wait_us)


def _code_of(body: object) -> int:
    code = body.get("code") if isinstance(body, dict) else 0
    return code if isinstance(code, int) else 0


def _message_of(body: object) -> str:
    return str(body.get("msg", ""))[:200] if isinstance(body, dict) else ""


def _wait_us(status: int, retry_after_s: str | None) -> int:
    if retry_after_s is not None and retry_after_s.isascii() and retry_after_s.isdecimal():
        # Asked again after an hour at the latest: cancels wait for it, too.
        return min(int(retry_after_s[:_DIGITS_MAX]) * 1_000_000, _WAIT_MAX_US)
    return _BAN_WAIT_US if status == 418 else 10 * _WAIT_US  # noqa: PLR2004 - "banned"
