"""Atomic units into the decimal texts that the surfaces show. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.settings.outside import MIXIN_DECIMALS
from poolmaker.kernel.money import SCALE_MAX, Asset, Ratio, Rounding, format_units
from poolmaker.messages.base import Money as UnitMoney
from poolmaker.views.model import AmountView

_SHARE: Final = "share:"
_MIXIN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class AssetRegistry:
    """Decimals of every asset by code, as registered when the process began."""

    assets: dict[str, Asset]

    def of(self, asset: str) -> int:
        """Decimals of an asset; of one that nobody registered Mixin's where its id names it.

        Shares that are not known yet are of an epoch that began since: those have 18 decimals.
        """
        found = self.assets.get(asset)
        if found is not None:
            return found.scale
        if asset.startswith(_SHARE):
            return SCALE_MAX
        return MIXIN_DECIMALS if _MIXIN_ID.fullmatch(asset) else 0

    def facts(self, asset: str) -> dict[str, str]:
        """What a refusal says of an asset: its code, its decimals, and which assets there are."""
        listed = ", ".join(sorted(self.assets))
        return {"asset": asset, "scale": str(self.of(asset)), "assets": listed}

    def text(self, asset: str, units: int) -> str:
        """The exact decimal text."""
        return format_units(units, self.of(asset))

    def money(self, asset: str, units: int) -> AmountView:
        """An amount as the surfaces show it."""
        return AmountView(asset, self.text(asset, units))

    def said(self, money: UnitMoney) -> AmountView:
        """A message's amount as the surfaces show it."""
        return self.money(money.asset, money.units)

    def sums(self, moneys: Iterable[UnitMoney]) -> tuple[AmountView, ...]:
        """Amounts that are not zero, as the surfaces show them."""
        return tuple(self.said(money) for money in moneys if money.units)


@dataclass(frozen=True, slots=True)
class Valuation:
    """Values two amounts of a pool in its quote at a price; None when there is no price."""

    base: str
    quote: str
    price: Ratio | None

    def units(self, amounts: Mapping[str, int]) -> int | None:
        """Atomic quote units of the base and quote in ``amounts``, rounded down."""
        base = amounts.get(self.base, 0)
        if self.price is None and base:
            return None
        worth = self.price.of(base, Rounding.DOWN) if self.price is not None else 0
        return worth + amounts.get(self.quote, 0)
