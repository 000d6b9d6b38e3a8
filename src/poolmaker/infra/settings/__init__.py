"""Settings: one TOML file and the environment, strict, and each value knows where it came from."""

from __future__ import annotations

from poolmaker.infra.settings.load import load
from poolmaker.infra.settings.model import (
    AmountSettings,
    AssetSettings,
    LogSettings,
    Mode,
    Origin,
    PayoutSettings,
    PoolSettings,
    Settings,
    StrategySettings,
    TokenSettings,
    VenueAccountSettings,
    WebSettings,
)

__all__ = [
    "AmountSettings",
    "AssetSettings",
    "LogSettings",
    "Mode",
    "Origin",
    "PayoutSettings",
    "PoolSettings",
    "Settings",
    "StrategySettings",
    "TokenSettings",
    "VenueAccountSettings",
    "WebSettings",
    "load",
]
