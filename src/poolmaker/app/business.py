"""The rooms of business, wired to one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from poolmaker.app.figures import AssetRegistry
from poolmaker.app.memos import MixinMemos
from poolmaker.app.payouts import RewardWallets
from poolmaker.bus.guard import StreamGuard
from poolmaker.bus.service import open_bus
from poolmaker.business.campaigns.model import CampaignSettings
from poolmaker.business.campaigns.service import CampaignPorts, CampaignService
from poolmaker.business.campaigns.service import open_store as open_campaigns
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.pools.model import BarrierSettings, PoolConfig, PoolParameters
from poolmaker.business.pools.service import open_store as open_pools
from poolmaker.business.rewards.model import DistributionSettings
from poolmaker.business.rewards.service import (
    SHARES,
    RewardPorts,
    RewardService,
    ShareHistory,
    open_share_store,
)
from poolmaker.business.rewards.service import open_store as open_rewards
from poolmaker.business.rooms import (
    RoomOutside,
    Rooms,
    RoomSettings,
    RoomStores,
    open_rooms,
)
from poolmaker.business.treasury.model import PaymentSettings
from poolmaker.business.treasury.ports import ArrivalEvidence, Routes, SendingProvider
from poolmaker.business.treasury.service import open_store as open_treasury
from poolmaker.business.user_orders.model import MIXIN, OrderSettings
from poolmaker.business.user_orders.service import open_store as open_orders
from poolmaker.business.withdrawals.model import WithdrawalSettings
from poolmaker.business.withdrawals.service import open_store as open_withdrawals
from poolmaker.infra.sagas.ports import SagaHandler, SagaStore
from poolmaker.infra.settings.base import AmountSettings
from poolmaker.infra.settings.model import PoolSettings as PoolSection
from poolmaker.infra.settings.model import Settings
from poolmaker.infra.settings.outside import FormSettings
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.ids import Ids, VenueAccountId
from poolmaker.kernel.money import AssetOnNetwork, parse_units, power_of_ten
from poolmaker.messages.market import MarketSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessPorts:
    """What business is given."""

    transactions: Transactions
    ledger: LedgerClient
    sagas: SagaStore
    providers: SendingProvider
    evidence: ArrivalEvidence
    routes: Routes
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True)
class Business:
    """The services of business."""

    rooms: Rooms
    campaigns: CampaignService
    rewards: RewardService

    def handlers(self) -> dict[str, SagaHandler]:
        """Every kind of saga with its handler."""
        return {**self.rooms.handlers(), **self.rewards.handlers()}


class _Wiring:
    """One opening: the rooms around an order, and those of campaigns and rewards on top."""

    def __init__(self, settings: Settings, scales: AssetRegistry, ports: BusinessPorts) -> None:
        self._settings = settings
        self._scales = scales
        self._ports = ports
        self._orders = open_orders()

    def open(self) -> Business:
        """The services, wired."""
        ports = self._ports
        rooms = open_rooms(self._stores(), self._outside(), self._room_settings())
        campaigns = CampaignService(
            CampaignPorts(
                transactions=ports.transactions, store=open_campaigns(), pools=rooms.pools
            ),
            ports.clock,
            self._campaign_settings(),
        )
        return Business(rooms, campaigns, self._rewards(rooms, campaigns))

    def _stores(self) -> RoomStores:
        ports = self._ports
        return RoomStores(
            transactions=ports.transactions,
            ledger=ports.ledger,
            bus=open_bus(),
            sagas=ports.sagas,
            pools=open_pools(),
            orders=self._orders,
            withdrawals=open_withdrawals(),
            treasury=open_treasury(),
        )

    def _outside(self) -> RoomOutside:
        ports = self._ports
        return RoomOutside(
            provider=ports.providers,
            evidence=ports.evidence,
            routes=ports.routes,
            memos=MixinMemos(),
            clock=ports.clock,
            ids=ports.ids,
        )

    def _rewards(self, rooms: Rooms, campaigns: CampaignService) -> RewardService:
        ports = self._ports
        names = {asset: form.name for asset, form in mixin_forms(self._settings).items()}
        return RewardService(
            RewardPorts(
                transactions=ports.transactions,
                store=open_rewards(),
                shares=ShareHistory(
                    ports.transactions,
                    open_share_store(),
                    ports.ledger,
                    StreamGuard(SHARES, ports.transactions, open_bus(), ports.clock),
                ),
                ledger=ports.ledger,
                sagas=ports.sagas,
                transfers=rooms.carrier,
                campaigns=campaigns,
                orders=self._orders,
                payouts=RewardWallets(rooms.withdrawals, self._orders, names),
            ),
            ports.clock,
            self._reward_settings(),
        )

    # ----------------------------------------------------------------------------- settings

    def _room_settings(self) -> RoomSettings:
        return RoomSettings(
            pools=BarrierSettings(
                barrier_interval_us=self._settings.barrier_interval_s * SECOND_US
            ),
            orders=self._order_settings(),
            withdrawals=_withdrawal_settings(self._settings, self._scales),
            treasury=self._treasury_settings(),
        )

    def _amounts(self, moneys: Iterable[AmountSettings]) -> Mapping[str, int]:
        return {one.asset: parse_units(one.amount, self._scales.of(one.asset)) for one in moneys}

    def _order_settings(self) -> OrderSettings:
        take_back_us = self._settings.take_back_s * SECOND_US
        # Half of it: whoever waits meets a barrier before the excess may be taken back.
        waits = OrderSettings(
            take_back_us=take_back_us, price_max_us=max(SECOND_US, take_back_us // 2)
        )
        if self._settings.mixin is None:
            return waits
        treasury = self._settings.treasury
        return replace(
            waits,
            mixin_forms={asset: form.name for asset, form in mixin_forms(self._settings).items()},
            funding_fees=self._amounts(treasury.funding_fees),
            exit_fees=self._amounts(treasury.exit_fees),
            steps=self._steps(),
            leftover_min=self._amounts(self._settings.rewards.payout_min),
            deposit_wait_us=self._settings.mixin.deposit_wait_s * SECOND_US,
        )

    def _steps(self) -> Mapping[tuple[str, str], int]:
        """What an asset's form can carry over its chain, on the way to a wallet at Mixin too."""
        found = {}
        for asset, form in mixin_forms(self._settings).items():
            scale = self._scales.of(asset)
            step = power_of_ten(scale - min(form.mixin_decimals, scale))
            found[asset, MIXIN] = step
            if form.venue_network is not None:
                found[asset, form.venue_network] = step
        return found

    def _treasury_settings(self) -> PaymentSettings:
        treasury = self._settings.treasury
        poll_us, mixin = treasury.poll_ms * 1_000, self._settings.mixin
        return PaymentSettings(
            net_us=poll_us,
            poll_first_us=min(SECOND_US, poll_us),
            poll_max_us=max(SECOND_US, poll_us),
            assets=self._scales.assets,
            event_wait_us=poll_us,
            retry_us=poll_us,
            refused_us=12 * poll_us,
            shortfall_max=self._amounts(treasury.shortfall_max),
            operators=frozenset(mixin.operator_ids if mixin is not None else ()),
        )

    def _campaign_settings(self) -> CampaignSettings:
        hufi = self._settings.hufi
        if hufi is None:
            return CampaignSettings()
        return CampaignSettings(
            accounts={hufi.exchange: VenueAccountId(hufi.account)}, join=hufi.join
        )

    def _reward_settings(self) -> DistributionSettings:
        rewards = self._settings.rewards
        return DistributionSettings(
            forms={
                form.name: AssetOnNetwork(
                    self._scales.assets[asset], form.name, form.mixin_decimals
                )
                for asset, form in mixin_forms(self._settings).items()
            },
            fee_ppm=rewards.fee_ppm,
            payout_min=self._amounts(rewards.payout_min),
        )


def open_business(settings: Settings, scales: AssetRegistry, ports: BusinessPorts) -> Business:
    """The services, wired. Nothing is read or written yet."""
    return _Wiring(settings, scales, ports).open()


def mixin_forms(settings: Settings) -> dict[str, FormSettings]:
    """The form in which Mixin holds an asset, by the asset's code."""
    return {form.asset: form for form in settings.forms if form.mixin_id is not None}


def _withdrawal_settings(settings: Settings, scales: AssetRegistry) -> WithdrawalSettings:
    networks: dict[str, set[str]] = {}
    for allowed in settings.payout.networks:
        networks.setdefault(allowed.asset, set()).add(allowed.network)
    if settings.mixin is not None:
        for asset in mixin_forms(settings):
            networks.setdefault(asset, set()).add(MIXIN)
    poll_us = settings.payout.poll_s * SECOND_US
    return WithdrawalSettings(
        networks={asset: frozenset(names) for asset, names in networks.items()},
        assets=scales.assets,
        poll_first_us=min(SECOND_US, poll_us),
        poll_max_us=max(SECOND_US, poll_us),
        retry_us=min(5 * SECOND_US, poll_us),
    )


def pool_configs(settings: Settings, scales: AssetRegistry) -> list[PoolConfig]:
    """The configured pools as business knows them."""
    return [_pool_config(section, scales) for section in settings.pools]


def _pool_config(section: PoolSection, scales: AssetRegistry) -> PoolConfig:
    quote_scale = scales.of(section.quote)
    return PoolConfig(
        id=section.pool,
        account=VenueAccountId(section.account),
        market=MarketSpec(
            symbol=section.symbol,
            base=section.base,
            base_scale=scales.of(section.base),
            quote=section.quote,
            quote_scale=quote_scale,
        ),
        strategy=section.strategy.snapshot(section.strategy_version),
        parameters=PoolParameters(
            join_cost_cbps=section.join_cost_cbps,
            taker_fee_ppm=section.taker_fee_ppm,
            divergence_max_ppm=section.divergence_max_ppm,
            depth_min_units=parse_units(section.depth_min, quote_scale),
            first_join_min_units=parse_units(section.first_join_min, quote_scale),
            order_min_units=parse_units(section.order_min, quote_scale),
            order_max_units=parse_units(section.order_max, quote_scale),
            capacity_units=parse_units(section.capacity, quote_scale),
            holding_min_units=parse_units(section.holding_min, quote_scale),
            nav_floor_units=parse_units(section.nav_floor, quote_scale),
            stay_min_us=section.stay_min_s * SECOND_US,
            cool_off_us=section.cool_off_s * SECOND_US,
            price_age_max_us=section.price_age_max_ms * 1_000,
        ),
    )
