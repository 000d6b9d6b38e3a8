"""The rooms of business around an order, wired to one another over any stores.

The platform and the simulated world open the same rooms here, so that what is simulated is what
runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.bus.ports import StreamStore
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.pools.model import BarrierSettings
from poolmaker.business.pools.ports import PoolStore
from poolmaker.business.pools.progress import AccountProgress
from poolmaker.business.pools.service import PoolPorts, PoolService
from poolmaker.business.treasury.model import PaymentSettings
from poolmaker.business.treasury.ports import (
    ArrivalEvidence,
    Routes,
    SendingProvider,
    TreasuryStore,
)
from poolmaker.business.treasury.service import (
    ArrivalWatch,
    Carrier,
    CarrierPorts,
    CashPosition,
    CustodyPorts,
    CustodyRecords,
    FundingPorts,
    FundingQueue,
    FundsRebalancer,
    IncomingPayments,
    NettingPorts,
    ReceptionPorts,
    SuspenseBook,
    TreasuryPorts,
    TreasuryService,
)
from poolmaker.business.treasury.service import handlers as treasury_handlers
from poolmaker.business.user_orders.model import OrderSettings
from poolmaker.business.user_orders.ports import DepositMemos, OrderStore
from poolmaker.business.user_orders.service import OrderPorts, UserOrders
from poolmaker.business.withdrawals.model import WithdrawalSettings
from poolmaker.business.withdrawals.ports import WithdrawalStore
from poolmaker.business.withdrawals.service import WithdrawalPorts, Withdrawals
from poolmaker.infra.sagas.ports import SagaHandler, SagaStore
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStores:
    """Where the rows of business are, as one process sees them."""

    transactions: Transactions
    ledger: LedgerClient
    bus: StreamStore
    sagas: SagaStore
    pools: PoolStore
    orders: OrderStore
    withdrawals: WithdrawalStore
    treasury: TreasuryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOutside:
    """The world outside, time and chance."""

    provider: SendingProvider
    evidence: ArrivalEvidence
    routes: Routes
    memos: DepositMemos
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """Settings of every room."""

    pools: BarrierSettings
    orders: OrderSettings
    withdrawals: WithdrawalSettings
    treasury: PaymentSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The services of business."""

    pools: PoolService
    progress: AccountProgress
    withdrawals: Withdrawals
    fundings: FundingQueue
    orders: UserOrders
    treasury: TreasuryService
    custody: CustodyRecords
    carrier: Carrier
    reception: IncomingPayments
    netting: FundsRebalancer

    def handlers(self) -> dict[str, SagaHandler]:
        """Every kind of saga with its handler."""
        treasury = treasury_handlers(self.carrier, self.netting)
        return {**self.orders.handlers(), **self.withdrawals.handlers(), **treasury}


def open_rooms(stores: RoomStores, outside: RoomOutside, settings: RoomSettings) -> Rooms:
    """The services, wired. Nothing is read or written yet."""
    pools = PoolService(_pool_ports(stores), outside.clock, settings.pools)
    cash = CashPosition(stores.treasury, stores.ledger, pools)
    custody = CustodyRecords(
        CustodyPorts(transactions=stores.transactions, store=stores.treasury, ledger=stores.ledger),
        outside.clock,
        settings.treasury,
    )
    withdrawals = _withdrawals(stores, outside, settings, (cash, custody))
    fundings = FundingQueue(
        FundingPorts(
            store=stores.treasury,
            sagas=stores.sagas,
            cash=cash,
            payouts=withdrawals,
            gate=custody,
            clock=outside.clock,
        )
    )
    watch = ArrivalWatch(stores.treasury, outside.clock)
    orders = UserOrders(
        OrderPorts(
            transactions=stores.transactions,
            store=stores.orders,
            ledger=stores.ledger,
            sagas=stores.sagas,
            pools=pools,
            payouts=withdrawals,
            funding=fundings,
            memos=outside.memos,
            watch=watch,
        ),
        outside.ids,
        outside.clock,
        settings.orders,
    )
    return _with_treasury(
        stores, outside, settings, (pools, withdrawals, fundings, orders, (custody, watch))
    )


def _pool_ports(stores: RoomStores) -> PoolPorts:
    return PoolPorts(
        transactions=stores.transactions,
        store=stores.pools,
        ledger=stores.ledger,
        bus=stores.bus,
        sagas=stores.sagas,
    )


def _withdrawals(
    stores: RoomStores,
    outside: RoomOutside,
    settings: RoomSettings,
    money: tuple[CashPosition, CustodyRecords],
) -> Withdrawals:
    return Withdrawals(
        WithdrawalPorts(
            transactions=stores.transactions,
            store=stores.withdrawals,
            ledger=stores.ledger,
            sagas=stores.sagas,
            provider=outside.provider,
            cash=money[0],
            suspense=SuspenseBook(stores.treasury, outside.clock),
            gate=money[1],
        ),
        outside.ids,
        outside.clock,
        settings.withdrawals,
    )


def _with_treasury(
    stores: RoomStores,
    outside: RoomOutside,
    settings: RoomSettings,
    parts: tuple[
        PoolService, Withdrawals, FundingQueue, UserOrders, tuple[CustodyRecords, ArrivalWatch]
    ],
) -> Rooms:
    pools, withdrawals, fundings, orders, (custody, watch) = parts
    carrier = Carrier(
        CarrierPorts(
            transactions=stores.transactions,
            store=stores.treasury,
            ledger=stores.ledger,
            sagas=stores.sagas,
            provider=outside.provider,
            evidence=outside.evidence,
            routes=outside.routes,
            payouts=withdrawals,
            fundings=fundings,
            gate=custody,
        ),
        outside.ids,
        outside.clock,
        settings.treasury,
    )
    return Rooms(
        pools=pools,
        progress=AccountProgress(_pool_ports(stores)),
        withdrawals=withdrawals,
        fundings=fundings,
        orders=orders,
        treasury=_treasury(stores, outside, parts),
        custody=custody,
        carrier=carrier,
        reception=IncomingPayments(
            ReceptionPorts(
                store=stores.treasury,
                ledger=stores.ledger,
                deposits=orders,
                payouts=withdrawals,
                carrier=carrier,
                watch=watch,
            ),
            outside.clock,
            settings.treasury,
        ),
        netting=FundsRebalancer(
            NettingPorts(
                transactions=stores.transactions,
                store=stores.treasury,
                sagas=stores.sagas,
                routes=outside.routes,
                payouts=withdrawals,
                fundings=fundings,
                carrier=carrier,
                gate=custody,
                ledger=stores.ledger,
            ),
            outside.clock,
            settings.treasury,
        ),
    )


def _treasury(
    stores: RoomStores,
    outside: RoomOutside,
    parts: tuple[
        PoolService, Withdrawals, FundingQueue, UserOrders, tuple[CustodyRecords, ArrivalWatch]
    ],
) -> TreasuryService:
    _, withdrawals, fundings, orders, (custody, _) = parts
    return TreasuryService(
        TreasuryPorts(
            transactions=stores.transactions,
            ledger=stores.ledger,
            users=orders.registry,
            on_the_way_out=withdrawals,
            store=stores.treasury,
            evidence=outside.evidence,
            custody=custody,
            fundings=fundings,
        )
    )
