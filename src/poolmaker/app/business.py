"""The rooms of business, wired to one another."""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.app.figures import Scales
from poolmaker.app.memos import MixinMemos
from poolmaker.bus.service import open_bus
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.pools.model import PoolConfig, PoolParameters, PoolSettings
from poolmaker.business.pools.service import PoolPorts, PoolService
from poolmaker.business.pools.service import open_store as open_pools
from poolmaker.business.treasury.ports import SendingProvider
from poolmaker.business.treasury.service import (
    Cash,
    FundingPorts,
    Fundings,
    SuspenseBook,
    Treasury,
    TreasuryPorts,
)
from poolmaker.business.treasury.service import open_store as open_treasury
from poolmaker.business.user_orders.model import OrderSettings
from poolmaker.business.user_orders.service import OrderPorts, UserOrders
from poolmaker.business.user_orders.service import open_store as open_orders
from poolmaker.business.withdrawals.model import WithdrawalSettings
from poolmaker.business.withdrawals.service import WithdrawalPorts, Withdrawals
from poolmaker.business.withdrawals.service import open_store as open_withdrawals
from poolmaker.infra.sagas.ports import SagaHandler, SagaStore
from poolmaker.infra.settings.model import PoolSettings as PoolSection
from poolmaker.infra.settings.model import Settings
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.ids import Ids, VenueAccountId
from poolmaker.kernel.money import parse_units
from poolmaker.messages.market import MarketSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessPorts:
    """What business is given."""

    transactions: Transactions
    ledger: LedgerClient
    sagas: SagaStore
    payouts: SendingProvider
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True)
class Business:
    """The services of business."""

    pools: PoolService
    orders: UserOrders
    withdrawals: Withdrawals
    treasury: Treasury

    def handlers(self) -> dict[str, SagaHandler]:
        """Every kind of saga with its handler."""
        return {**self.orders.handlers(), **self.withdrawals.handlers()}


def open_business(settings: Settings, ports: BusinessPorts) -> Business:
    """The services, wired. Nothing is read or written yet."""
    pools = PoolService(
        PoolPorts(
            transactions=ports.transactions,
            store=open_pools(),
            ledger=ports.ledger,
            bus=open_bus(),
            sagas=ports.sagas,
        ),
        ports.clock,
        PoolSettings(barrier_interval_us=settings.barrier_interval_s * SECOND_US),
    )
    rows = open_treasury()
    cash = Cash(rows, ports.ledger, pools)
    withdrawals = Withdrawals(
        WithdrawalPorts(
            transactions=ports.transactions,
            store=open_withdrawals(),
            ledger=ports.ledger,
            sagas=ports.sagas,
            provider=ports.payouts,
            cash=cash,
            suspense=SuspenseBook(rows, ports.clock),
        ),
        ports.ids,
        ports.clock,
        _withdrawal_settings(settings),
    )
    fundings = Fundings(
        FundingPorts(
            store=rows, sagas=ports.sagas, cash=cash, payouts=withdrawals, clock=ports.clock
        )
    )
    orders = UserOrders(
        OrderPorts(
            transactions=ports.transactions,
            store=open_orders(),
            ledger=ports.ledger,
            sagas=ports.sagas,
            pools=pools,
            payouts=withdrawals,
            funding=fundings,
            memos=MixinMemos(),
        ),
        ports.ids,
        ports.clock,
        OrderSettings(),
    )
    treasury = Treasury(
        TreasuryPorts(
            transactions=ports.transactions,
            ledger=ports.ledger,
            users=orders,
            on_the_way_out=withdrawals,
            store=rows,
        )
    )
    return Business(pools, orders, withdrawals, treasury)


def _withdrawal_settings(settings: Settings) -> WithdrawalSettings:
    networks: dict[str, set[str]] = {}
    for allowed in settings.payout.networks:
        networks.setdefault(allowed.asset, set()).add(allowed.network)
    poll_us = settings.payout.poll_s * SECOND_US
    return WithdrawalSettings(
        networks={asset: frozenset(names) for asset, names in networks.items()},
        absent_after_us=settings.payout.absent_after_s * SECOND_US,
        poll_first_us=min(SECOND_US, poll_us),
        poll_max_us=max(SECOND_US, poll_us),
    )


def pool_configs(settings: Settings, scales: Scales) -> list[PoolConfig]:
    """The configured pools as business knows them."""
    return [_pool_config(section, scales) for section in settings.pools]


def _pool_config(section: PoolSection, scales: Scales) -> PoolConfig:
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
            first_join_min_units=parse_units(section.first_join_min, quote_scale),
            nav_floor_units=parse_units(section.nav_floor, quote_scale),
            stay_min_us=section.stay_min_s * SECOND_US,
            price_age_max_us=section.price_age_max_ms * 1_000,
        ),
    )
