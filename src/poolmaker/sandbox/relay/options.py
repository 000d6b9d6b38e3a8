"""How a relay is started."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The admin addresses of both sides; ``delay_ms`` is the mean time of a transfer.

    With a chain, ``confirmations`` blocks must hold what it carries; 0 waits until it is final.
    """

    venue_admin: str
    mixin_admin: str
    seed: int = 1
    delay_ms: int = 500
    chain_rpc: str | None = None
    chain_admin: str | None = None
    confirmations: int = 0
