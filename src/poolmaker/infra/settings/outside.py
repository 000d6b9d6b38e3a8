"""Settings of what lies outside the venues: forms of assets, Mixin, the chain, HuFi."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, SecretStr

from poolmaker.infra.settings.base import AmountSettings, AssetCode, HttpUrl, Ppm, Section, Slug

MIXIN_DECIMALS: Final = 8

UuidText = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
EvmAddress = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Network = Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,32}$")]
HostText = Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]+(:[0-9]{1,5})?$")]


class FormSettings(Section):
    """How the places outside hold an asset. Declaring a form says that it is worth its asset."""

    name: Slug
    asset: AssetCode
    decimals: int = Field(ge=0, le=18)
    """Of the token on its chain; Mixin keeps at most eight of them."""
    mixin_id: UuidText | None = None
    """The asset at Mixin; none where Mixin does not hold it."""
    mixin_chain_id: UuidText | None = None
    """The chain at Mixin that deposits and withdrawals of it take."""
    venue_network: Network | None = None
    """The name of that chain at the venues."""
    evm_contract: EvmAddress | None = None
    """The token on the chain of ``[evm]``; none for what is not there."""

    @property
    def mixin_decimals(self) -> int:
        """Decimals that Mixin keeps."""
        return min(self.decimals, MIXIN_DECIMALS)


class MixinSettings(Section):
    """The bot at Mixin: users' money comes in and goes out through it."""

    api_url: HttpUrl
    app_id: UuidText
    session_id: UuidText
    session_private_key: SecretStr
    server_public_key: SecretStr
    spend_private_key: SecretStr
    pay_url: HttpUrl = "https://mixin.one/pay"
    """Where a wallet opens a payment link."""
    poll_ms: int = Field(default=1_000, ge=50, le=60_000)
    operator_ids: tuple[UuidText, ...] = ()
    """The operator's own wallets: what they pay to the bot is the operator's equity."""
    deposit_wait_s: int = Field(default=900, ge=1, le=86_400)
    """How long an order waits for its deposits before what has come is refunded."""


class EvmSettings(Section):
    """The chain on which campaigns pay, and the wallet that they pay to."""

    rpc_url: HttpUrl
    chain_id: int = Field(ge=1, le=4_503_599_627_370_476)
    wallet_private_key: SecretStr
    gas_asset: AssetCode = "ETH"
    """The register's asset that pays for gas; the operator bears it."""
    finality_blocks: int | None = Field(default=None, ge=1, le=100_000)
    """Confirmations that count as final; none trusts the node's own ``finalized``."""
    poll_ms: int = Field(default=1_000, ge=50, le=60_000)
    gas_price_max_gwei: int = Field(default=500, ge=1)
    tip_min_gwei: int | None = Field(default=None, ge=0, le=100_000)
    """The least tip that the chain's pools take; none knows it of Polygon (30) and of no other."""


class HufiSettings(Section):
    """HuFi's oracle and launcher, and for which venue account we take part."""

    oracle_url: HttpUrl
    launcher_url: HttpUrl
    file_hosts: tuple[HostText, ...]
    """Hosts from which a results file may be read; what the chain names beyond them is refused."""
    account: Slug
    """The venue account whose read-only key HuFi is given."""
    exchange: Slug
    """What HuFi calls the venue."""
    escrow_factory: EvmAddress
    join: bool = True
    """Whether campaigns of our pools' markets are joined without asking."""
    poll_ms: int = Field(default=60_000, ge=50, le=3_600_000)


class RewardSettings(Section):
    """What becomes of a reward before its users get it."""

    fee_ppm: Ppm = 0
    """The platform's part of a reward."""
    payout_min: tuple[AmountSettings, ...] = ()
    """A credited reward of a user without an open order is paid out by itself from this much on."""


class TreasurySettings(Section):
    """How money moves between our own places."""

    funding_fees: tuple[AmountSettings, ...] = ()
    """Quoted to an order for the way of an asset to the venue."""
    exit_fees: tuple[AmountSettings, ...] = ()
    """Quoted to an order for the way of an asset back."""
    poll_ms: int = Field(default=5_000, ge=50, le=600_000)
    silence_s: int = Field(default=60, ge=5, le=86_400)
    """How long a place may not answer before joins there and new transfers to it wait."""
    operator_out_max: tuple[AmountSettings, ...] = ()
    """What may be taken out of equity by one person, per asset and 24 hours; more needs two."""
    shortfall_max: tuple[AmountSettings, ...] = ()
    """What equity bears by itself per asset, place and 24 hours; of deficits, by one person."""
