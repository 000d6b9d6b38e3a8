"""Every setting with its type, bounds and default. Money is a decimal text, never a float."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from poolmaker.infra.settings.base import (
    CBPS_MAX,
    PPM,
    AmountSettings,
    AssetCode,
    Cbps,
    DecimalText,
    HttpUrl,
    Ppm,
    Section,
    Slug,
    Symbol,
    WsUrl,
)
from poolmaker.infra.settings.outside import (
    EvmSettings,
    FormSettings,
    HufiSettings,
    MixinSettings,
    RewardSettings,
    TreasurySettings,
)
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.money import SCALE_MAX
from poolmaker.messages.market import QUOTING_LEVELS_MAX, StrategySnapshot


class Mode(StrEnum):
    """Which world the platform works in."""

    SANDBOX = "sandbox"
    PAPER = "paper"
    LIVE = "live"


class WebSettings(Section):
    """Where the page and the API listen."""

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=1, le=65535)
    keys_kept_days: int = Field(default=90, ge=7, le=3_660)
    """How long an Idempotency-Key stands for its answer; one without an answer stands for ever."""


class LogSettings(Section):
    """What is logged and how a line looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class AssetSettings(Section):
    """An asset of the register; its scale never changes once it was used.

    A venue's fee may be the first use: the ledger then counts it with eight decimals.
    """

    code: AssetCode
    scale: int = Field(ge=0, le=SCALE_MAX)


class VenueAccountSettings(Section):
    """An account at a venue: where it is reached and with which keys."""

    id: Slug
    venue: Literal["binance"] = "binance"
    api_key: SecretStr
    secret: SecretStr
    read_only_api_key: SecretStr | None = None
    read_only_secret: SecretStr | None = None
    rest_url: HttpUrl
    ws_url: WsUrl
    ws_api_url: WsUrl
    symbols: tuple[Symbol, ...] = ()
    tick_ms: int = Field(default=1_000, ge=50, le=60_000)
    fee_float: tuple[AmountSettings, ...] = ()
    """What the operator keeps at the account for fees in a third asset."""

    @property
    def account(self) -> VenueAccountId:
        """The id as the rooms know it."""
        return VenueAccountId(self.id)


class StrategySettings(Section):
    """The operator's parameters of pure market making; see ``messages.market.StrategySnapshot``."""

    levels: int = Field(default=3, ge=1, le=QUOTING_LEVELS_MAX)
    spread_cbps: int = Field(default=200, ge=1, le=CBPS_MAX)
    level_spacing_cbps: Cbps = 150
    level_size_ppm: int = Field(default=100_000, ge=1, le=PPM)
    inventory_target_ppm: Ppm = 500_000
    inventory_skew_cbps: Cbps = 400
    inventory_band_ppm: Ppm = 400_000
    refresh_tolerance_cbps: Cbps = 50
    order_age_max_ms: int = Field(default=60_000, ge=1_000)
    spread_floor_cbps: Cbps = 0
    book_age_max_ms: int = Field(default=2_000, ge=100, le=60_000)

    def snapshot(self, version: int) -> StrategySnapshot:
        """The parameters frozen as ``version``."""
        return StrategySnapshot(version=version, **self.model_dump())


class PoolSettings(Section):
    """A pool: one venue account, one market, one strategy. Money is in the quote asset."""

    id: Slug
    account: Slug
    symbol: Symbol
    strategy: StrategySettings = StrategySettings()
    strategy_version: int = Field(default=1, ge=1)
    """Raised with every change of ``strategy``."""
    join_cost_cbps: Cbps = 1_000
    """The least that what is not in the pool's ratio pays to join, in millionths; half the spread
    at the depth of its size and the taker's fee are charged where they are more."""
    taker_fee_ppm: Ppm = 1_000
    """The venue's taker fee, as far as the venue does not name a higher one."""
    divergence_max_ppm: Ppm = 10_000
    """How far mid, 60 s average and depth price may be apart before what needs a price waits."""
    depth_min: DecimalText = "100"
    """The least size that a depth price reaches."""
    first_join_min: DecimalText = "100"
    """The least value of the first join of an empty pool."""
    order_min: DecimalText = "10"
    """The smallest order."""
    order_max: DecimalText = "0"
    """The most that one order may hold in the pool, 0 for no bound; counted in shares, each worth
    one of the quote asset at the pool's first join. An order that would hold more goes back."""
    capacity: DecimalText = "0"
    """The most that all orders together may hold in the pool, counted alike, 0 for no bound."""
    holding_min: DecimalText = "1"
    """Who would keep less than this after a part has left leaves with all."""
    nav_floor: DecimalText = "0"
    """A pool that is worth no more than this takes no joins; at most ``holding_min``."""
    stay_min_s: int = Field(default=3_600, ge=0, le=30 * 86_400)
    """How long a join stays before it can leave."""
    cool_off_s: int = Field(default=3_600, ge=0, le=30 * 86_400)
    """How long a user who has left the pool waits before the next join."""
    price_age_max_ms: int = Field(default=2_000, ge=1, le=60_000)

    @property
    def pool(self) -> PoolId:
        """The id as the rooms know it."""
        return PoolId(self.id)

    @property
    def base(self) -> str:
        """Code of the base asset."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """Code of the quote asset."""
        return self.symbol.partition("/")[2]


class NetworkSettings(Section):
    """A network that payouts of an asset may take."""

    asset: AssetCode
    network: str = Field(pattern=r"^[A-Za-z0-9._\-]{1,32}$")


class PayoutSettings(Section):
    """How withdrawals are paid: what the provider takes for one payment of an asset."""

    fees: tuple[AmountSettings, ...] = ()
    minimums: tuple[AmountSettings, ...] = ()
    """The least that a venue lets go of an asset at once."""
    networks: tuple[NetworkSettings, ...] = ()
    poll_s: int = Field(default=5, ge=1, le=3_600)


class TokenSettings(Section):
    """Files with the API tokens, one token per file; none means a fresh one under ``home``."""

    operator_token_file: Path | None = None
    treasurer_token_file: Path | None = None
    viewer_token_file: Path | None = None


class ApprovalSettings(Section):
    """The two-person rule: how long one person who is alone waits, how long a request is good."""

    delay_s: int = Field(default=86_400, ge=1, le=30 * 86_400)
    """Outside the sandbox at least an hour."""
    valid_s: int = Field(default=7 * 86_400, ge=60, le=90 * 86_400)


class Origin(BaseModel):
    """One setting: its dotted key, its value as text (secrets masked), where it came from."""

    model_config = ConfigDict(frozen=True)

    key: str
    value: str
    source: str


class Settings(Section):
    """Everything that is configured. ``load`` is the way to get one."""

    mode: Mode = Mode.SANDBOX
    home: Path = Path(".poolmaker")
    database_url: SecretStr | None = None
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    assets: tuple[AssetSettings, ...] = ()
    venue_accounts: tuple[VenueAccountSettings, ...] = ()
    pools: tuple[PoolSettings, ...] = ()
    barrier_interval_s: int = Field(default=60, ge=1, le=3_600)
    take_back_s: int = Field(default=600, ge=1, le=86_400)
    """How long what waits for a price waits before its user may take it back."""
    payout: PayoutSettings = PayoutSettings()
    forms: tuple[FormSettings, ...] = ()
    mixin: MixinSettings | None = None
    evm: EvmSettings | None = None
    hufi: HufiSettings | None = None
    rewards: RewardSettings = RewardSettings()
    treasury: TreasurySettings = TreasurySettings()
    tokens: TokenSettings = TokenSettings()
    approvals: ApprovalSettings = ApprovalSettings()

    _origins: tuple[Origin, ...] = PrivateAttr(default=())
    _notes: tuple[str, ...] = PrivateAttr(default=())

    def origins(self) -> tuple[Origin, ...]:
        """Every leaf with its value and where it came from, in the order of the model."""
        return self._origins

    def notes(self) -> tuple[str, ...]:
        """Sentences about keys of an earlier version that the file still has."""
        return self._notes

    def with_origins(self, origins: tuple[Origin, ...], notes: tuple[str, ...] = ()) -> Settings:
        """The same settings, knowing where each came from and which keys are of earlier days."""
        self._origins, self._notes = origins, notes
        return self
