"""Settings: one TOML file and the environment, strict, and each value knows where it came from."""

from __future__ import annotations

from poolmaker.infra.settings.base import AmountSettings
from poolmaker.infra.settings.load import load
from poolmaker.infra.settings.model import (
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
from poolmaker.infra.settings.outside import (
    EvmSettings,
    FormSettings,
    HufiSettings,
    MixinSettings,
    RewardSettings,
    TreasurySettings,
)

__all__ = [
    "AmountSettings",
    "AssetSettings",
    "EvmSettings",
    "FormSettings",
    "HufiSettings",
    "LogSettings",
    "MixinSettings",
    "Mode",
    "Origin",
    "PayoutSettings",
    "PoolSettings",
    "RewardSettings",
    "Settings",
    "StrategySettings",
    "TokenSettings",
    "TreasurySettings",
    "VenueAccountSettings",
    "WebSettings",
    "load",
]
