"""Exact sums of decimal texts by asset. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from poolmaker.kernel.money import format_units, parse_units
from poolmaker.sandbox.story.model import Sums

SCALE: Final = 18


def units(text: str) -> int:
    """A decimal text in units of 1e-18."""
    return parse_units(text, SCALE)


def text(amount: int) -> str:
    """The exact text without zeros at its end."""
    return format_units(amount, SCALE).rstrip("0").rstrip(".")


def added(moneys: Iterable[Mapping[str, Any]]) -> Sums:
    """Rows of ``asset`` and ``amount``, added by asset."""
    sums: dict[str, int] = {}
    for money in moneys:
        sums[money["asset"]] = sums.get(money["asset"], 0) + units(money["amount"])
    return {asset: text(amount) for asset, amount in sorted(sums.items()) if amount}


def less(one: Mapping[str, str], other: Mapping[str, str]) -> Sums:
    """What the first has more than the second, by asset."""
    assets = sorted({*one, *other})
    gaps = {asset: units(one.get(asset, "0")) - units(other.get(asset, "0")) for asset in assets}
    return {asset: text(gap) for asset, gap in gaps.items() if gap}


def said(sums: Mapping[str, str]) -> str:
    """``0.1 BTC + 5 USDT``."""
    return " + ".join(f"{amount} {asset}" for asset, amount in sums.items()) or "nothing"
