"""Amounts: integer atomic units of one asset.

============  =====================================================================
operation     result
============  =====================================================================
a + b, a - b  Amount of the same asset; another asset raises CallerFault
-a            Amount
a < b, …      bool; another asset raises CallerFault
a.split(ws)   list[Amount], sums to a (largest remainder)
============  =====================================================================

There is no division and no multiplication of two amounts. Scale is at most 18 and the absolute
value stays below 10**38, the range of ``numeric(38,0)``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from poolmaker.kernel.checks import require, require_int

UNITS_MAX: Final = 10**38 - 1
SCALE_MAX: Final = 18
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._\-]{0,95}")
_DECIMAL: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?")


class Rounding(Enum):
    """Direction of rounding, always named where it happens."""

    DOWN = "down"
    """Towards minus infinity."""
    UP = "up"
    """Towards plus infinity."""


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """``numerator / denominator`` as an int, rounded in the named direction."""
    require(denominator > 0, f"denominator: expected a positive int, was {denominator}")
    if rounding is Rounding.DOWN:
        return numerator // denominator
    return -((-numerator) // denominator)


def power_of_ten(exponent: int) -> int:
    """Ten to a power of zero or more, as an int."""
    require(exponent >= 0, f"exponent: expected 0 or more, was {exponent}")
    return int(10**exponent)


@dataclass(frozen=True, slots=True)
class Asset:
    """What is owed, such as USDT. ``scale`` is the number of decimals of one unit (0 to 18)."""

    code: str
    scale: int

    def __post_init__(self) -> None:
        require(_CODE.fullmatch(self.code), f"code: expected an asset code, was {self.code!r}")
        require_int(self.scale, "scale")
        require(0 <= self.scale <= SCALE_MAX, f"scale: expected 0 to 18, was {self.scale}")

    @property
    def one(self) -> int:
        """Atomic units of one whole unit."""
        return power_of_ten(self.scale)


@dataclass(frozen=True, slots=True, order=False)
class Amount:
    """An exact quantity of one asset in atomic units."""

    asset: Asset
    units: int

    def __post_init__(self) -> None:
        require_int(self.units, "units")
        require(-UNITS_MAX <= self.units <= UNITS_MAX, "units: beyond 38 digits")

    @classmethod
    def zero(cls, asset: Asset) -> Amount:
        """Nothing of ``asset``."""
        return cls(asset, 0)

    @classmethod
    def parse(cls, asset: Asset, text: str) -> Amount:
        """The amount that a plain decimal text says exactly.

        Raises CallerFault for anything but ``-?digits[.digits]`` and for digits that the
        asset's scale cannot hold, unless they are zeros.
        """
        return cls(asset, parse_units(text, asset.scale))

    def __add__(self, other: Amount) -> Amount:
        self._same(other)
        return Amount(self.asset, self.units + other.units)

    def __sub__(self, other: Amount) -> Amount:
        self._same(other)
        return Amount(self.asset, self.units - other.units)

    def __neg__(self) -> Amount:
        return Amount(self.asset, -self.units)

    def __lt__(self, other: Amount) -> bool:
        self._same(other)
        return self.units < other.units

    def __le__(self, other: Amount) -> bool:
        self._same(other)
        return self.units <= other.units

    def __gt__(self, other: Amount) -> bool:
        return other < self

    def __ge__(self, other: Amount) -> bool:
        return other <= self

    def __bool__(self) -> bool:
        return self.units != 0

    def __str__(self) -> str:
        return f"{self.decimal()} {self.asset.code}"

    def decimal(self) -> str:
        """The exact plain decimal text, with all digits of the scale."""
        return format_units(self.units, self.asset.scale)

    def split(self, weights: Sequence[int]) -> list[Amount]:
        """Parts in the ratio of ``weights`` that sum to this amount exactly."""
        return [Amount(self.asset, units) for units in split_units(self.units, weights)]

    def _same(self, other: Amount) -> None:
        require(
            self.asset == other.asset,
            f"asset: expected {self.asset.code} of scale {self.asset.scale}, "
            f"was {other.asset.code} of scale {other.asset.scale}",
        )


@dataclass(frozen=True, slots=True)
class AssetOnNetwork:
    """How a place holds an asset: where it lives and with how many decimals.

    Only forms that the operator declares fungible share an asset; the asset's scale is the
    largest of its forms, so reading a form is exact and writing one may leave named dust.
    """

    asset: Asset
    name: str
    decimals: int

    def __post_init__(self) -> None:
        require_int(self.decimals, "decimals")
        require(
            0 <= self.decimals <= self.asset.scale,
            f"decimals: expected 0 to {self.asset.scale}, was {self.decimals}",
        )

    def read(self, form_units: int) -> Amount:
        """The amount that ``form_units`` of this form are; exact."""
        return Amount(self.asset, form_units * power_of_ten(self.asset.scale - self.decimals))

    def write(self, amount: Amount) -> tuple[int, Amount]:
        """Units of this form that ``amount`` fills, and the dust that does not fit."""
        require(amount.asset == self.asset, f"asset: expected {self.asset.code}")
        step = power_of_ten(self.asset.scale - self.decimals)
        form_units = amount.units // step
        return form_units, Amount(self.asset, amount.units - form_units * step)


@dataclass(frozen=True, slots=True)
class Ratio:
    """An exact rate: quote units for base units. Both parts are positive ints."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        require_int(self.numerator, "numerator")
        require_int(self.denominator, "denominator")
        require(self.numerator > 0 and self.denominator > 0, "ratio: expected positive parts")

    def of(self, units: int, rounding: Rounding) -> int:
        """``units`` times this ratio, rounded in the named direction."""
        return divide(units * self.numerator, self.denominator, rounding)


def parse_units(text: str, scale: int) -> int:
    """Atomic units that a plain decimal text says exactly; see ``Amount.parse``."""
    match = _DECIMAL.fullmatch(text) if len(text) <= 128 else None  # noqa: PLR2004
    require(match is not None and text.isascii(), f"amount: expected a decimal, was {text[:40]!r}")
    sign, whole, fraction = match.groups() if match else ("", "0", "")
    digits = (fraction or "").rstrip("0")
    require(len(digits) <= scale, f"amount: {text} has more than {scale} decimals")
    units = int(whole) * power_of_ten(scale) + int(digits.ljust(scale, "0") or "0")
    return -units if sign else units


def format_units(units: int, scale: int) -> str:
    """The exact plain decimal text of ``units``, with all ``scale`` decimals."""
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def split_units(units: int, weights: Sequence[int]) -> list[int]:
    """Split by largest remainder; ties go to the earlier weight. The parts sum to ``units``.

    Raises CallerFault for a weight that is no int or negative, or when every weight is zero.
    """
    for weight in weights:
        require_int(weight, "weight")
    require(all(weight >= 0 for weight in weights), "weights: expected none below zero")
    total = sum(weights)
    require(total > 0, "weights: expected at least one above zero")
    sign = -1 if units < 0 else 1
    whole = abs(units)
    parts = [whole * weight // total for weight in weights]
    remainders = [whole * weight % total for weight in weights]
    order = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in order[: whole - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]
