"""Where a Binance-spot wire is and how we speak to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from poolmaker.kernel.money import Asset
from poolmaker.messages.market import VENUE_SCALE

_ARRIVAL_MARGIN_US: Final = 500_000
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceConfig:
    """One account at one venue that speaks Binance spot. Empty addresses are the real venue's.

    ``assets`` tells the scale of every asset that may appear as a balance or a fee; others are
    read with eight decimals, the venue's own precision.
    """

    key: str
    secret: str = field(repr=False)
    rest_url: str = ""
    ws_url: str = ""
    ws_api_url: str = ""
    assets: Mapping[str, Asset] = field(default_factory=dict)
    timeout_ms: int = 5_000
    receive_window_ms: int = 3_000
    keep_alive_ms: int = 5_000

    @property
    def arrival_max_us(self) -> int:
        """How long after it was signed a request may still take effect: the venue's window."""
        return self.receive_window_ms * 1_000 + _ARRIVAL_MARGIN_US

    def asset(self, code: str) -> Asset:
        """The asset of a venue's code."""
        return self.assets.get(code) or Asset(code, VENUE_SCALE)

    def ccxt_options(self) -> dict[str, object]:
        """The constructor's argument. Our own throttle limits; ccxt's would halve our speed."""
        options: dict[str, object] = {
            "apiKey": self.key,
            "secret": self.secret,
            "enableRateLimit": False,
            "timeout": self.timeout_ms,
            "streaming": {"keepAlive": self.keep_alive_ms, "maxPingPongMisses": 2},
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "recvWindow": self.receive_window_ms,
            },
            # A proxy of the environment may be needed to leave the machine, never to stay on it.
            "aiohttp_trust_env": not self.is_loopback,
        }
        if self.rest_url:
            options["urls"] = {"api": self._urls()}
        return options

    @property
    def is_loopback(self) -> bool:
        """Whether the venue is on this machine."""
        return (urlsplit(self.rest_url).hostname or "") in _LOOPBACK

    def _urls(self) -> dict[str, object]:
        rest = self.rest_url.rstrip("/")
        sockets = {"spot": self.ws_url.rstrip("/"), "ws-api": {"spot": self.ws_api_url}}
        return {
            "public": f"{rest}/api/v3",
            "private": f"{rest}/api/v3",
            "v1": f"{rest}/api/v1",
            "sapi": f"{rest}/sapi/v1",
            "sapiV2": f"{rest}/sapi/v2",
            "sapiV3": f"{rest}/sapi/v3",
            "sapiV4": f"{rest}/sapi/v4",
            "ws": sockets,
        }
