"""Price statistics over a window of time that the caller names: rolling, or the trading day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from poolmaker.kernel.clock import DAY_US, MINUTE_US
from poolmaker.sandbox.venue import refusals, render, render_market
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.calls import VenueCall, VenueCaller, names
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.refusals import WireRefusal

SYMBOLS_MAX: Final = 100
WEIGHT_EACH: Final = 4
WEIGHT_MAX: Final = 200
_SIZE = re.compile(r"([1-9]|[1-5][0-9])m|([1-9]|1[0-9]|2[0-3])h|([1-7])d")
_ZONE = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?")
_MINUTES: Final[Mapping[str, int]] = {"m": 1, "h": 60, "d": 1_440}


def _markets(caller: VenueCaller, params: Params) -> list[Market]:
    exchange = caller.exchange
    if params.has("symbol") and params.has("symbols"):
        raise WireRefusal(-1128, "Combination of optional parameters invalid.")
    wanted = params.symbols()
    if wanted is None:
        if not params.has("symbol"):
            raise refusals.missing("symbol")
        return [exchange.market(params.symbol())]
    if len(wanted) > SYMBOLS_MAX:
        raise WireRefusal(-1101, f"Too many parameters; expected '{SYMBOLS_MAX}'.")
    return [exchange.market(symbol) for symbol in wanted]


def _answer(caller: VenueCaller, params: Params, start_us: int, close_ms: int) -> object:
    kind = params.text("type") or "FULL"
    if kind not in {"FULL", "MINI"}:
        raise WireRefusal(-1130, "Data sent for parameter 'type' is not valid.")
    bodies = []
    for market in _markets(caller, params):
        tape = caller.exchange.feeds[market.spec.name].tape
        window = tape.since(start_us, caller.time_us)
        body = render_market.ticker_window(market, window, close_ms)
        bodies.append(body if kind == "FULL" else render_market.ticker_mini(body))
    return bodies[0] if params.has("symbol") else bodies


def rolling(caller: VenueCaller, params: Params) -> object:
    """The last minutes, hours or days; the window opens on a whole minute."""
    size = params.text("windowSize") or "1d"
    if _SIZE.fullmatch(size) is None:
        raise refusals.illegal("windowSize", "^[0-9]{1,2}[mhd]$")
    span_us = int(size[:-1]) * _MINUTES[size[-1]] * MINUTE_US
    return _answer(caller, params, caller.time_us - span_us, render.millis(caller.time_us))


def trading_day(caller: VenueCaller, params: Params) -> object:
    """The running day of a time zone."""
    shift_us = _zone_us(params.text("timeZone") or "0")
    start_us = (caller.time_us + shift_us) // DAY_US * DAY_US - shift_us
    return _answer(caller, params, start_us, render.millis(start_us + DAY_US) - 1)


def _zone_us(text: str) -> int:
    match = _ZONE.fullmatch(text)
    if match is None:
        raise refusals.illegal("timeZone", "^[+-]?[0-9]{1,2}(:[0-9]{2})?$")
    minutes = int(match.group(2)) * 60 + int(match.group(3) or "0")
    if match.group(1) == "-":
        minutes = -minutes
    if not -12 * 60 <= minutes <= 14 * 60:
        raise WireRefusal(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return minutes * MINUTE_US


def _weight(params: Params) -> int:
    return min(WEIGHT_MAX, WEIGHT_EACH * len(params.symbols() or [""]))


WINDOW_CALLS: Final[Mapping[str, VenueCall]] = {
    "GET /api/v3/ticker": VenueCall(
        handler=rolling, weight=_weight,
        optional=names("symbol symbols windowSize type symbolStatus"),
    ),
    "GET /api/v3/ticker/tradingDay": VenueCall(
        handler=trading_day, weight=_weight,
        optional=names("symbol symbols timeZone type symbolStatus"),
    ),
}  # fmt: skip
