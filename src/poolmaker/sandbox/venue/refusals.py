"""What the wire answers when it does not do what was asked: codes, messages, HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from poolmaker.sandbox.venue.model import VenueError


class WireRefusal(Exception):
    """An answer with a code. ``data`` is set only by cancel-replace."""

    def __init__(
        self,
        code: int,
        message: str,
        status: int = 400,
        *,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})
        self.data = data

    def body(self) -> dict[str, object]:
        """The JSON body."""
        body: dict[str, object] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


ENGINE_REFUSALS: Final[Mapping[VenueError, tuple[int, str]]] = {
    VenueError.MARKET_CLOSED: (-2010, "Market is closed."),
    VenueError.PRICE_FILTER: (-1013, "Filter failure: PRICE_FILTER"),
    VenueError.PERCENT_PRICE_BY_SIDE: (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    VenueError.LOT_SIZE: (-1013, "Filter failure: LOT_SIZE"),
    VenueError.MARKET_LOT_SIZE: (-1013, "Filter failure: MARKET_LOT_SIZE"),
    VenueError.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    VenueError.MAX_NUM_ORDERS: (-1013, "Filter failure: MAX_NUM_ORDERS"),
    VenueError.DUPLICATE_ORDER: (-2010, "Duplicate order sent."),
    VenueError.NO_LIQUIDITY: (-2010, "Order book liquidity is less than symbol minimum quantity."),
    VenueError.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    VenueError.INSUFFICIENT_BALANCE: (
        -2010,
        "Account has insufficient balance for requested action.",
    ),
    VenueError.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    VenueError.CANCEL_RESTRICTED: (-2011, "Order was not canceled due to cancel restrictions."),
}


def from_engine(refusal: VenueError, *, cancelling: bool = False) -> WireRefusal:
    """The wire's words for what the engine refused."""
    code, message = ENGINE_REFUSALS[refusal]
    return WireRefusal(-2011 if cancelling and code == -2010 else code, message)


def missing(name: str) -> WireRefusal:
    """A mandatory parameter is absent or malformed."""
    message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return WireRefusal(-1102, message)


def not_required(name: str) -> WireRefusal:
    """A parameter was sent that this kind of request does not take."""
    return WireRefusal(-1106, f"Parameter '{name}' sent when not required.")


def illegal(name: str, legal: str) -> WireRefusal:
    """A parameter has characters outside its range."""
    message = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return WireRefusal(-1100, message)


def bad_key() -> WireRefusal:
    """The key is unknown or may not do this."""
    return WireRefusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
