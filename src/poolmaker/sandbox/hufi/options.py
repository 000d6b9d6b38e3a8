"""How a sandbox HuFi is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EXCHANGE: Final = "mexc"
"""The one whose accounts it can read: the sandbox venue."""
EXCHANGES: Final = (
    "bigone", "bitmart", "bybit", "gate", "htx", "kraken", "kucoin", EXCHANGE, "xt",
    "hyperliquid", "pancakeswap",
)  # fmt: skip
"""All that HuFi knows by name: lists may be asked for any of them."""
ADMIN_KEY: Final = "sandbox-admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class HufiOptions:
    """What a HuFi is started with.

    ``chain_rpc`` and ``venue_rest`` are addresses of the other worlds. Ports of 0 are chosen by
    the system; a launcher port of None is the one after ``port``. ``jobs_every_s`` of 0 runs
    jobs only when told to.
    """

    chain_rpc: str
    venue_rest: str
    port: int = 0
    launcher_port: int | None = None
    files_port: int = 0
    admin_port: int = 0
    seed: int = 1
    jobs_every_s: int = 5
    access_s: int = 600
    refresh_s: int = 3_600
    limits_holding_join: bool = False

    @property
    def port_of_launcher(self) -> int:
        """The launcher's port."""
        if self.launcher_port is not None:
            return self.launcher_port
        return self.port + 1 if self.port else 0
