"""How a sandbox venue is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.venue.catalog import ASSETS, INITIAL_DEFAULT
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.model import Retention
from poolmaker.sandbox.venue.units import BadDecimal, TooPrecise, to_units

ACCOUNTS: Final = 8


class Flow(StrEnum):
    """Who else trades."""

    SEEDED = "seeded"
    THIN = "thin"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """What a venue is started with.

    Ports of 0 are chosen by the system. Balances are units of 1e-8; the first account may have
    its own. A recording replaces the seeded flow of the symbol that was recorded.
    """

    port: int = 0
    admin_port: int = 0
    seed: int = 1
    flow: Flow = Flow.SEEDED
    recording: Path | None = None
    initial: Mapping[str, int] = field(default_factory=lambda: dict(INITIAL_DEFAULT))
    initial_first: Mapping[str, int] | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    withdrawals_by_hand: bool = False
    retention: Retention = field(default_factory=Retention)


def parse_balances(text: str) -> dict[str, int]:
    """Balances from ``USDT=1000,BTC=0.5``; assets that are not named start with nothing."""
    found: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        asset, _, amount = part.partition("=")
        if asset not in ASSETS:
            known = ", ".join(ASSETS)
            raise EnvironmentProblem(f"Balance {part!r}: the venue lists {known}. Name one.")
        try:
            found[asset] = to_units(amount)
        except (BadDecimal, TooPrecise):
            raise EnvironmentProblem(
                f"Balance {part!r}: write it as ASSET=amount with at most 8 decimals."
            ) from None
    return found


def parse_retention(fills: int) -> Retention:
    """So many fills an account and symbol, and half as many orders that traded."""
    if fills < 1:
        raise EnvironmentProblem(f"Fills to keep: at least 1, not {fills}.")
    return Retention(fills=fills, traded_orders=max(1, fills // 2))
