"""How a relay is started."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The admin addresses of both sides; ``delay_ms`` is the mean time of a transfer."""

    venue_admin: str
    mixin_admin: str
    seed: int = 1
    delay_ms: int = 500
