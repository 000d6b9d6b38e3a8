"""What the sandbox venue lists: symbols, assets, networks and withdrawal fees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from poolmaker.sandbox.venue.model import SymbolSpec
from poolmaker.sandbox.venue.units import SCALE, to_units

RATE_DEFAULT: Final = 100_000  # 0.1 % in 1e-8 parts, the venue's base tier


def _spec(base: str, tick: str, step: str, first_price: str) -> SymbolSpec:
    return SymbolSpec(
        base=base,
        quote="USDT",
        tick_units=to_units(tick),
        step_units=to_units(step),
        min_notional_units=5 * SCALE,
        first_price_units=to_units(first_price),
    )


SYMBOLS: Final = (
    _spec("BTC", "0.01", "0.00001", "60000"),
    _spec("ETH", "0.01", "0.0001", "3000"),
    _spec("HMT", "0.00001", "0.1", "0.02"),
    _spec("BNB", "0.01", "0.001", "600"),
)
INITIAL_DEFAULT: Final[Mapping[str, int]] = {
    "USDT": 1_000_000 * SCALE,
    "BTC": 20 * SCALE,
    "ETH": 200 * SCALE,
    "HMT": 1_000_000 * SCALE,
    "BNB": 50 * SCALE,
}


@dataclass(frozen=True, slots=True)
class Network:
    """One chain on which an asset comes and goes."""

    name: str
    title: str
    withdraw_fee_units: int
    withdraw_min_units: int
    confirmations: int
    address_pattern: str


@dataclass(frozen=True, slots=True)
class AssetSpec:
    """One asset and its networks; the first network is the default one."""

    name: str
    title: str
    networks: tuple[Network, ...]

    def network(self, name: str | None) -> Network | None:
        """The network called ``name``, or the default one."""
        if name is None:
            return self.networks[0]
        return next((found for found in self.networks if found.name == name), None)


def _evm(name: str, title: str, fee: str, minimum: str) -> Network:
    return Network(name, title, to_units(fee), to_units(minimum), 12, "^(0x)[0-9A-Fa-f]{40}$")


_BITCOIN: Final = Network(
    name="BTC",
    title="Bitcoin",
    withdraw_fee_units=to_units("0.00005"),
    withdraw_min_units=to_units("0.001"),
    confirmations=2,
    address_pattern="^[13][a-km-zA-HJ-NP-Z1-9]{25,34}$|^(bc1)[0-9A-Za-z]{39,59}$",
)
ASSETS: Final[Mapping[str, AssetSpec]] = {
    asset.name: asset
    for asset in (
        AssetSpec(
            "USDT",
            "TetherUS",
            (
                _evm("ETH", "Ethereum (ERC20)", "1.5", "10"),
                _evm("MATIC", "Polygon", "0.1", "5"),
            ),
        ),
        AssetSpec(
            "BTC",
            "Bitcoin",
            (
                _BITCOIN,
                _evm("ETH", "Ethereum (ERC20)", "0.00004", "0.0001"),
            ),
        ),
        AssetSpec("ETH", "Ethereum", (_evm("ETH", "Ethereum (ERC20)", "0.0005", "0.001"),)),
        AssetSpec(
            "HMT",
            "HUMAN Protocol",
            (_evm("ETH", "Ethereum (ERC20)", "20", "40"), _evm("MATIC", "Polygon", "5", "10")),
        ),
        AssetSpec("BNB", "BNB", (_evm("BSC", "BNB Smart Chain (BEP20)", "0.0001", "0.002"),)),
    )
}
