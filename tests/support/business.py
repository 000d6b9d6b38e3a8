"""A small world for tests of the business rooms, on the model stores or on PostgreSQL.

The real pools, user orders, treasury, withdrawals and the real ledger's writer; an engine that
obeys the control stream and a venue that pays out, both of which do what a test tells them.
``World.crash_at`` raises before or after a commit: the process is gone, its rows are not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from poolmaker.bus.ports import Bus, NewEvent, StreamStore
from poolmaker.business.ledger.model import Leg
from poolmaker.business.ledger.ports import LedgerClient, LedgerStore
from poolmaker.business.ledger.rules import trial_rows
from poolmaker.business.ledger.service import Ledger, LedgerWriter, WriterSettings
from poolmaker.business.pools.model import BarrierSettings, PoolConfig, PoolParameters
from poolmaker.business.pools.ports import PoolStore
from poolmaker.business.rooms import RoomOutside, RoomSettings, RoomStores, open_rooms
from poolmaker.business.treasury.booking import Booked, Booking, ReportedDeposit
from poolmaker.business.treasury.decisions import IN_DOUBT, OutcomeDecision
from poolmaker.business.treasury.model import (
    Arrival,
    Disposition,
    PaymentSettings,
    Route,
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendDecision,
    SendFailed,
    SendPostponed,
    SendRefused,
    SendRequest,
    SendStatus,
    SendUnderWay,
    Transfer,
)
from poolmaker.business.treasury.ports import TreasuryStore
from poolmaker.business.treasury.service import TreasuryService
from poolmaker.business.user_orders.model import (
    MIXIN,
    Accepted,
    DepositIntent,
    Order,
    OrderSettings,
    PayoutDestination,
)
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.withdrawals.model import Withdrawal, WithdrawalSettings
from poolmaker.business.withdrawals.ports import WithdrawalStore
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.sagas.model import Saga
from poolmaker.infra.sagas.ports import RunnerStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, ManualClock
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import (
    Ids,
    IntentId,
    OrderId,
    PoolId,
    SagaId,
    UserId,
    VenueAccountId,
    WithdrawalId,
)
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Amount, Asset
from poolmaker.kernel.rng import Rng
from poolmaker.lab.memos import PlainMemos
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.bus import ModelBus
from poolmaker.lab.stores.business import ModelOrderStore, ModelPoolStore, ModelWithdrawalStore
from poolmaker.lab.stores.ledger import ModelCommandStore, ModelLedgerStore
from poolmaker.lab.stores.sagas import ModelSagaStore
from poolmaker.lab.stores.treasury import ModelTreasuryStore
from poolmaker.messages.base import Message, Money, Rate, decode
from poolmaker.messages.market import (
    AtRisk,
    Barrier,
    BarrierPrice,
    BarrierWanted,
    Control,
    DepthWanted,
    DrainTo,
    ExposureReduced,
    FeeFact,
    FillFact,
    MarketSpec,
    StartQuoting,
    StrategySnapshot,
    account_stream,
    control_stream,
    engine_stream,
)

BTC, USDT, BNB = Asset("BTC", 8), Asset("USDT", 6), Asset("BNB", 8)
ACCOUNT = VenueAccountId("main")
POOL = PoolId("btc")
MARKET = MarketSpec(symbol="BTC/USDT", base="BTC", base_scale=8, quote="USDT", quote_scale=6)
PRICE = Rate(numerator=500, denominator=1)
"""Atomic USDT for an atomic BTC: 50,000 USDT for one BTC."""
LEASE_US = SECOND_US
WRITER_LIMIT_S = 120
CUSTODY = f"custody:venue:{ACCOUNT}"

BTC_OUT = PayoutDestination(asset="BTC", network="BITCOIN", address="bc1-receiver")
USDT_OUT = PayoutDestination(asset="USDT", network="TRON", address="T-receiver")
OUT = (BTC_OUT, USDT_OUT)


def config(pool: str = POOL, **parameters: int) -> PoolConfig:
    return PoolConfig(
        id=PoolId(pool),
        account=ACCOUNT,
        market=MARKET,
        strategy=StrategySnapshot(version=1),
        parameters=PoolParameters(**{"join_cost_cbps": 0, **parameters}),
    )


NETWORKS = {"BTC": frozenset({"BITCOIN", MIXIN}), "USDT": frozenset({"TRON", MIXIN})}
"""Where payouts may go."""

READS = frozenset(
    {
        "pools.look",
        "orders.view",
        "orders.of",
        "withdrawals.of_user",
        "withdrawals.attention",
        "transfer.attention",
    }
)


class CrashError(BaseException):
    """The process is gone; no supervisor inside it sees that."""


class CrashingTransactions:
    """Raises at the n-th commit: before it (``lost`` False) or after it (``lost`` True).

    With ``chance`` it raises at a third of all commits, before or after, as chance has it.
    """

    def __init__(self, inner: Transactions) -> None:
        self._inner = inner
        self.commits = 0
        self.crash_at = 0
        self.chance: Rng | None = None
        self.lost = False
        self.labels: list[str] = []

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        async with self._inner.begin(label) as tx:
            yield tx
            # A transaction that wrote nothing has nothing to lose.
            wrote = bool(getattr(tx, "_undo", True)) and label not in READS
            self.commits += wrote
            crash = wrote and self._crashes_now()
            if wrote:
                self.labels.append(label)
            if crash and not self.lost:
                raise CrashError(f"before the commit of {label}")
        if crash:
            raise CrashError(f"after the commit of {label}")

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        return self._inner.look(label)

    def _crashes_now(self) -> bool:
        if self.chance is not None:
            self.lost = self.chance.chance_ppm(500_000)
            return self.chance.chance_ppm(333_333)
        return self.commits == self.crash_at


class WriterClock:
    """The world's time for the ledger's writer, whose waits are short."""

    def __init__(self, clock: ManualClock, *, real: bool) -> None:
        self._clock = clock
        self._real = real

    def now_us(self) -> int:
        return self._clock.now_us()

    def monotonic_us(self) -> int:
        return self._clock.monotonic_us()

    async def sleep_us(self, duration_us: int) -> None:
        for _ in range(3):
            await asyncio.sleep(min(duration_us, 1_000) / 1_000_000 if self._real else 0)


class Engine:
    """Obeys the control stream and publishes what a test says has happened at the venue."""

    def __init__(self, transactions: Transactions, bus: Bus, clock: ManualClock) -> None:
        self._transactions = transactions
        self._bus = bus
        self._clock = clock
        self.heard: list[Control] = []
        self.pools: set[PoolId] = set()
        self.price: Rate | None = PRICE
        self.price_age_us = 0
        self.spoofed_mid: Rate | None = None
        self.thin = False
        self.at_risk: deque[tuple[int, int]] = deque()
        self.unpriced_fees: deque[int] = deque()
        self.drains = True
        self.barriers = True
        self.trades = 0
        self.facts_seq = 0

    async def step(self) -> int:
        """Hear a batch and answer it, in one transaction."""
        async with self._transactions.begin("engine") as tx:
            stream = control_stream(ACCOUNT)
            at = await self._bus.cursor(tx, "engine", stream)
            heard = await self._bus.read(tx, stream, at, 100)
            for envelope in heard:
                message: Control = decode(envelope.body, Control)  # type: ignore[arg-type]
                self.heard.append(message)
                await self._obey(tx, message)
            if heard:
                await self._bus.move_cursor(tx, "engine", stream, at, heard[-1].seq)
        return len(heard)

    async def _obey(self, tx: Tx, message: Control) -> None:
        if isinstance(message, StartQuoting):
            self.pools.add(message.pool)
        if isinstance(message, DrainTo) and self.drains:
            reduced = ExposureReduced(pool=message.pool, version=message.version)
            key = f"reduced:{message.pool}:{message.version}"
            await self._publish(tx, engine_stream(ACCOUNT), key, reduced)
        if isinstance(message, BarrierWanted) and self.barriers:
            await self._barrier(tx, message)

    async def _barrier(self, tx: Tx, wanted: BarrierWanted) -> None:
        now_us, risk = self._clock.now_us(), self.at_risk.popleft() if self.at_risk else (0, 0)
        depths = {depth.pool: depth for depth in wanted.depths}
        fees = self.unpriced_fees.popleft() if self.unpriced_fees else 0
        barrier = Barrier(
            account=ACCOUNT,
            barrier_id=wanted.barrier_id,
            facts_seq=self.facts_seq,
            venue_time_us=now_us,
            prices=tuple(self._price(pool, depths[pool], now_us) for pool in sorted(self.pools)),
            at_risk=tuple(
                AtRisk(
                    pool=pool,
                    unknown_orders=int(any(risk)),
                    base_units=risk[0],
                    quote_units=risk[1],
                    unpriced_fees=int(fees > 0),
                    fee_quote_units=fees,
                )
                for pool in sorted(self.pools)
            ),
        )
        key = f"barrier:{wanted.barrier_id}"
        await self._publish(tx, account_stream(ACCOUNT), key, barrier)

    def _price(self, pool: PoolId, depth: DepthWanted, now_us: int) -> BarrierPrice:
        """All prices are ``price`` but a spoofed mid; a thin book has no depth prices."""
        deep = None if self.thin else self.price
        return BarrierPrice(
            pool=pool,
            mid=self.spoofed_mid or self.price,
            twap_60s=self.price,
            bid_depth=deep,
            ask_depth=deep,
            depth_base_units=depth.excess_base_units,
            depth_quote_units=max(depth.excess_quote_units, depth.depth_min_quote_units),
            taker_fee_ppm=0,
            rules_version=1,
            book_version=1,
            price_time_us=now_us - self.price_age_us,
        )

    async def _publish(self, tx: Tx, stream: str, key: str, message: Message) -> int:
        now_us = self._clock.now_us()
        event = NewEvent(key=key, message=message, occurred_at_us=now_us)
        return (await self._bus.append(tx, stream, [event], now_us))[0]

    async def fill(
        self,
        side: Side,
        base: int,
        quote: int,
        *,
        fee: Money | None = None,
        rate: Rate | None = None,
        pool: PoolId = POOL,
        at_us: int = 0,
    ) -> None:
        """A trade of the pool, and its commission when there is one."""
        self.trades += 1
        common: dict[str, Any] = {
            "account": ACCOUNT,
            "pool": pool,
            "market": MARKET,
            "exchange_order_id": f"x{self.trades}",
            "trade_id": f"t{self.trades}",
            "venue_time_us": at_us or self._clock.now_us(),
        }
        fact = FillFact(
            **common,
            intent=IntentId(f"{self.trades:032x}"),
            side=side,
            base_units=base,
            quote_units=quote,
            is_maker=True,
        )
        async with self._transactions.begin("venue trade") as tx:
            stream = account_stream(ACCOUNT)
            self.facts_seq = await self._publish(tx, stream, f"fill:{self.trades}", fact)
            if fee is not None:
                paid = FeeFact(**common, asset=fee.asset, units=fee.units, recharge_rate=rate)
                self.facts_seq = await self._publish(tx, stream, f"fee:{self.trades}", paid)

    async def fee(self, fee: Money, rate: Rate, at_us: int) -> None:
        """The commission of the last trade, told when its price was found."""
        paid = FeeFact(
            account=ACCOUNT,
            pool=POOL,
            market=MARKET,
            exchange_order_id=f"x{self.trades}",
            trade_id=f"t{self.trades}",
            asset=fee.asset,
            units=fee.units,
            recharge_rate=rate,
            venue_time_us=at_us,
        )
        async with self._transactions.begin("venue fee") as tx:
            stream = account_stream(ACCOUNT)
            self.facts_seq = await self._publish(tx, stream, f"fee:{self.trades}", paid)


@dataclass
class Provider:
    """Pays out by reference. ``moods`` says what the next sendings of an asset do."""

    fee_units: int = 0
    looks: int = 1
    """How often the history says that a payout is pending before it is complete."""
    moods: dict[str, deque[str]] = field(default_factory=dict)
    requests: list[SendRequest] = field(default_factory=list)
    taken: dict[str, list[SendRequest]] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    failure_fee: Money | None = None
    """What a payment that fails has cost, and where it was taken."""
    failure_location: str = ""
    refused: set[str] = field(default_factory=set)
    hidden: bool = False
    unread: bool = False

    async def send(self, request: SendRequest) -> SendAnswer:
        self.requests.append(request)
        moods = self.moods.get(request.asset)
        mood = moods.popleft() if moods else "ok"
        if mood == "refuse" or request.reference in self.refused:
            self.refused.add(request.reference)
            return SendRefused("withdrawals are closed")
        if mood in {"postpone", "person"}:
            reason = "withdrawals are suspended" if mood == "postpone" else "unknown code 777"
            return SendPostponed(reason, needs_person=mood == "person")
        if mood == "unavailable":
            raise Unavailable("the venue cannot be reached")
        if mood != "lost_before":
            self.taken.setdefault(request.reference, []).append(request)
        if mood.startswith("lost"):
            raise OutcomeUnknown("no answer")
        return SendAccepted(f"id-{request.reference[:8]}")

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        if self.unread:
            raise Unavailable("the history cannot be read")
        reference = request.reference
        if reference not in self.taken or self.hidden:
            return SendAbsent()
        provider_id = f"id-{reference[:8]}"
        if reference in self.failed:
            return SendFailed(
                provider_id,
                "the address is not on the list",
                other_fee=self.failure_fee,
                other_location=self.failure_location,
            )
        self.looked[reference] = self.looked.get(reference, 0) + 1
        if self.looked[reference] <= self.looks:
            return SendUnderWay(provider_id)
        return SendCompleted(
            provider_id=provider_id,
            transaction_id=f"tx-{reference[:8]}",
            units=self.taken[reference][0].units,
            fee_units=self.fee_units,
        )

    def mood(self, asset: str, *moods: str) -> None:
        """What the next sendings of an asset do."""
        self.moods.setdefault(asset, deque()).extend(moods)

    def paid(self, asset: str) -> int:
        """What has left in an asset, fees included."""
        return sum(one.units for many in self.taken.values() for one in many if one.asset == asset)


class Places:
    """Ways between our places, and what a venue's deposit history says of them."""

    def __init__(self, provider: Provider) -> None:
        self.ways: list[Route] = []
        self.closed = False
        """Whether the venue does not see yet what comes."""
        self.deposits: dict[tuple[str, str, str], int] = {}
        """What came from elsewhere, by place, asset and reference."""
        self.held: dict[tuple[str, str], int] = {}
        """What a place reports to hold; more than enough where nothing is said."""
        self.silent = False
        self.strange: set[str] = set()
        """Places that nobody has configured."""
        self._provider = provider

    def routes(self) -> Sequence[Route]:
        return self.ways

    def knows(self, location: str, asset: str) -> bool:
        return location not in self.strange

    async def deposit(self, location: str, asset: str, reference: str) -> ReportedDeposit | None:
        if self.silent:
            raise Unavailable("the venue does not answer")
        units = self.deposits.get((location, asset, reference))
        return ReportedDeposit(reference=reference, units=units) if units is not None else None

    async def held_units(self, location: str, asset: str) -> int:
        if self.silent:
            raise Unavailable("the venue does not answer")
        return self.held.get((location, asset), 10**30)

    async def arrived_units(self, target: str, asset: str, transaction_id: str) -> int | None:
        for reference, sent in self._provider.taken.items():
            if transaction_id == f"tx-{reference[:8]}" and not self.closed:
                return sent[0].units - self._provider.fee_units
        return None


class Paid:
    """The treasury for tests: what is stated as arrived has come to its place before that."""

    def __init__(self, treasury: TreasuryService, places: Places) -> None:
        self._treasury = treasury
        self._places = places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._treasury, name)

    def _come(self, account: VenueAccountId, amount: Amount, reference: str) -> None:
        place = (f"custody:venue:{account}", amount.asset.code, reference)
        self._places.deposits.setdefault(place, amount.units)

    async def operator_in(self, account: VenueAccountId, amount: Amount, reference: str) -> Booking:
        self._come(account, amount, reference)
        return await self._treasury.operator_in(account, amount, reference)

    async def credit_deposit(
        self, user: UserId, account: VenueAccountId, amount: Amount, reference: str
    ) -> Booking:
        self._come(account, amount, reference)
        return await self._treasury.credit_deposit(user, account, amount, reference)


@dataclass(frozen=True)
class Stores:
    """Where rows live: in memory or in PostgreSQL."""

    transactions: Transactions
    ledger: LedgerClient
    writer: LedgerWriter
    bus: StreamStore
    sagas: RunnerStore
    pools: PoolStore
    orders: OrderStore
    withdrawals: WithdrawalStore
    treasury: TreasuryStore
    asked: LedgerStore | None = None
    """Where to see whether the writer, who works in real time, has answered everything."""


def model_stores(clock: ManualClock) -> Stores:
    database = ModelDatabase()
    writer = LedgerWriter(
        ModelLedgerStore(database, clock), WriterClock(clock, real=False), "writer", _FAST
    )
    return Stores(
        transactions=database,
        ledger=Ledger(ModelCommandStore(), writer),
        writer=writer,
        bus=ModelBus(),
        sagas=ModelSagaStore(),
        pools=ModelPoolStore(),
        orders=ModelOrderStore(),
        withdrawals=ModelWithdrawalStore(),
        treasury=ModelTreasuryStore(),
    )


_FAST = WriterSettings(poll_us=1_000, lease_us=3_600 * SECOND_US)


class World:
    """Everything that a test of business needs, and time that moves when nothing else does."""

    def __init__(
        self,
        stores: Stores,
        clock: ManualClock,
        *,
        pools: BarrierSettings | None = None,
        withdrawals: WithdrawalSettings | None = None,
        orders: OrderSettings | None = None,
        treasury: PaymentSettings | None = None,
        seed: int = 1,
    ) -> None:
        self.stores = stores
        self.clock = clock
        self.crashing = CrashingTransactions(stores.transactions)
        self.ledger = stores.ledger
        self.engine = Engine(stores.transactions, stores.bus, clock)
        self.provider = Provider()
        self.parked: list[str] = []
        self.crashes: list[str] = []
        ids = Ids(clock, Rng(seed))
        self.places = Places(self.provider)
        self.has_operator = True
        """Whether a person decides about payouts in doubt."""
        self.relays = False
        """Whether what has left for Mixin arrives there by itself."""
        ports = RoomStores(
            transactions=self.crashing,
            ledger=stores.ledger,
            bus=stores.bus,
            sagas=stores.sagas,
            pools=stores.pools,
            orders=stores.orders,
            withdrawals=stores.withdrawals,
            treasury=stores.treasury,
        )
        outside = RoomOutside(
            provider=self.provider,
            evidence=self.places,
            routes=self.places,
            memos=PlainMemos(),
            clock=clock,
            ids=ids,
        )
        rooms = RoomSettings(
            pools=pools or BarrierSettings(barrier_interval_us=SECOND_US),
            orders=orders or OrderSettings(own_wallet_only=False),
            withdrawals=withdrawals or WithdrawalSettings(networks=NETWORKS),
            treasury=treasury or PaymentSettings(),
        )
        self.rooms = open_rooms(ports, outside, rooms)
        self.pools, self.orders = self.rooms.pools, self.rooms.orders
        self.withdrawals, self.treasury = (
            self.rooms.withdrawals,
            Paid(self.rooms.treasury, self.places),
        )
        self.handlers = self.rooms.handlers()
        self._writing: asyncio.Task[None] | None = None

    # --------------------------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        await self.stores.writer.start()
        for asset in (BTC, USDT, BNB):
            await self.stores.writer.register_asset(asset)
        self._writing = asyncio.create_task(self.stores.writer.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing

    async def turn(self) -> int:
        """Everybody does once what there is to do; a crash ends the turn of whoever crashed."""
        done = await self.engine.step()
        done += await self._relay() if self.relays else 0
        done += await self._survive(self.pools.pump) or 0
        async with self.stores.transactions.begin("claim") as tx:
            due = await self.stores.sagas.claim(
                tx, sorted(self.handlers), "test", self.clock.now_us(), LEASE_US, 50
            )
        for saga in due:
            await self._survive(lambda saga=saga: self._step(saga))  # type: ignore[misc]
        await self._written()
        return done + len(due)

    async def _written(self) -> None:
        """The world's time stands still until the writer has answered, however busy the machine."""
        for _ in range(20):
            await asyncio.sleep(0)
        asked = self.stores.asked
        async with asyncio.timeout(WRITER_LIMIT_S):
            while asked is not None and await asked.pending(0, 1):
                await asyncio.sleep(0.001)

    async def _step(self, saga: Saga) -> None:
        try:
            await self.handlers[saga.kind].step(saga)
        except InvariantBroken as broken:
            self.parked.append(str(broken))
            async with self.stores.transactions.begin("park") as tx:
                await self.stores.sagas.park(tx, saga, str(broken))

    async def _survive(self, act: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await act()
        except CrashError as crash:
            self.crashes.append(str(crash))
            return None

    async def until(self, holds: Callable[[], Awaitable[bool]], turns: int = 4_000) -> None:
        """Turn until it holds; time moves, ever faster, while nobody has anything to do."""
        step_us = SECOND_US // 50
        for _ in range(turns):
            if await holds():
                return
            if await self.turn():
                step_us = SECOND_US // 50
                self.clock.advance(1_000)
            else:
                if self.has_operator:
                    await self.operate()
                self.clock.advance(step_us)
                step_us = min(2 * step_us, 10 * SECOND_US)
        raise AssertionError(f"it never came to hold; parked: {self.parked}")

    async def operate(self) -> None:
        """A person decides what became of payouts in doubt, by what the provider really took."""
        payouts = await self.rooms.withdrawals.attention()
        transfers = await self.rooms.carrier.attention()
        for item in (*payouts, *transfers):
            if item.kind != IN_DOUBT or item.evidence["reference"] in self.provider.taken:
                continue
            refused = item.evidence["reference"] in self.provider.refused
            wanted = SendDecision.NOT_SENT if refused else SendDecision.AGAIN
            sending = int(item.evidence["sendings"])
            decision = OutcomeDecision(sending=sending, decision=wanted, by="Olga")
            await self.insist(partial(self._decide, item, decision))

    async def _decide(self, item: AttentionItem, decision: OutcomeDecision) -> None:
        if item.source == "withdrawals":
            await self.withdrawals.decide(WithdrawalId(item.subject), decision)
        else:
            await self.rooms.carrier.decide(SagaId(item.subject), decision)

    async def unfreeze(self) -> None:
        """Lift the freeze that holds."""
        freeze = await self.withdrawals.frozen()
        assert freeze is not None
        await self.withdrawals.unfreeze(freeze.at_us)

    async def rest(self, duration_us: int = MINUTE_US) -> None:
        """Turn for so long."""
        end_us = self.clock.now_us() + duration_us

        async def over() -> bool:
            return self.clock.now_us() >= end_us

        await self.until(over)

    async def insist(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """A caller who asks again with the same key when he got no answer."""
        for _ in range(100):
            try:
                return await act()
            except CrashError as crash:
                self.crashes.append(str(crash))
        raise AssertionError("a hundred crashes")

    # ------------------------------------------------------------------------------- Mixin

    async def net(self) -> None:
        """One round of netting."""

        async def once() -> None:
            async with self.crashing.begin("net") as tx:
                await self.rooms.netting.net(tx)

        await self.insist(once)

    async def arrive(self, asset: str, units: int, reference: str, **more: Any) -> Disposition:
        """Mixin tells of money that came."""
        arrival = Arrival(
            location=f"custody:mixin:{asset.lower()}",
            asset=asset,
            units=units,
            reference=reference,
            **{"at_us": self.clock.now_us(), **more},
        )

        async def once() -> Disposition:
            async with self.crashing.begin("arrival") as tx:
                return await self.rooms.reception.arrived(tx, arrival)

        told: Disposition = await self.insist(once)
        return told

    async def wallet(self, name: str) -> UserId:
        """A user who pays from Mixin."""
        user: UserId = await self.insist(
            lambda: self.orders.registry.create_user(name, f"user-{name}", f"{name}-at-mixin")
        )
        return user

    async def order_by_mixin(
        self, user: UserId, btc: int, usdt: int, key: str = "open"
    ) -> DepositIntent:
        answer = await self.insist(
            lambda: self.orders.open_order(user, POOL, btc, usdt, key, by_mixin=True)
        )
        assert isinstance(answer, Accepted), answer
        intent = await self.orders.deposit_intent(answer.order)
        assert intent is not None
        return intent

    async def pay(self, intent: DepositIntent, **units: int) -> None:
        """Pay legs by their links, all of them or what ``units`` says by asset."""
        for leg in intent.legs:
            if not units or leg.asset in units:
                told = await self.arrive(
                    leg.asset,
                    units.get(leg.asset, leg.units),
                    f"out-{leg.trace}",
                    trace=leg.trace,
                    sender="a-wallet",
                )
                assert told is Disposition.DEPOSIT

    async def custody_at(self, location: str, asset: str) -> int:
        return await self.balance(location, asset)

    async def _relay(self) -> int:
        done = 0
        for row in await self.transfers():
            if row.state == "left" and row.target.startswith("custody:mixin:") and not row.arrival:
                units, came = row.units - row.fee_units, {"transaction_id": row.transaction_id}
                told = await self.arrive(row.asset, units, f"in-{row.id}", **came)
                assert told is Disposition.TRANSFER
                done += 1
        return done

    async def transfers(self) -> list[Transfer]:
        async with self.stores.transactions.begin("look") as tx:
            return list(await self.stores.treasury.transfers(tx, 100))[::-1]

    async def until_transfers(self, *states: str) -> list[Transfer]:
        """Until every transfer is in one of the states, netting all the while."""

        async def there() -> bool:
            found = await self.transfers()
            return bool(found) and all(row.state in states for row in found)

        await self.until(there)
        return await self.transfers()

    # ------------------------------------------------------------------------------ shortcuts

    async def open_pool(self, *configs: PoolConfig) -> None:
        await self.insist(lambda: self.pools.configure(configs or (config(),)))

    async def user(self, name: str, btc: int = 0, usdt: int = 0) -> UserId:
        """A user with money at the venue."""
        user: UserId = await self.insist(
            lambda: self.orders.registry.create_user(name, f"user-{name}", f"{name}-at-mixin")
        )
        for asset, units in ((BTC, btc), (USDT, usdt)):
            if units:
                amount = Amount(asset, units)
                booked = await self.insist(
                    lambda amount=amount: self.treasury.credit_deposit(  # type: ignore[misc]
                        user, ACCOUNT, amount, f"{name} {amount.asset.code}"
                    )
                )
                assert isinstance(booked, Booked), booked
        return user

    async def open(
        self, user: UserId, btc: int, usdt: int, key: str = "open", pool: PoolId = POOL
    ) -> OrderId:
        answer = await self.insist(lambda: self.orders.open_order(user, pool, btc, usdt, key))
        assert isinstance(answer, Accepted), answer
        return answer.order

    async def pause(self, user: UserId, order: OrderId, key: str = "pause") -> None:
        answer = await self.insist(lambda: self.orders.pause(user, order, key))
        assert isinstance(answer, Accepted), answer

    async def resume(self, user: UserId, order: OrderId, key: str = "resume") -> None:
        answer = await self.insist(lambda: self.orders.resume(user, order, key))
        assert isinstance(answer, Accepted), answer

    async def withdraw(self, user: UserId, order: OrderId, key: str = "withdraw") -> None:
        answer = await self.insist(lambda: self.orders.withdraw(user, order, OUT, key))
        assert isinstance(answer, Accepted), answer

    async def order(self, order: OrderId) -> Order:
        async with self.stores.transactions.begin("look") as tx:
            found = await self.stores.orders.order(tx, order)
        assert found is not None
        return found

    async def until_state(self, order: OrderId, *states: str) -> Order:
        async def there() -> bool:
            found = await self.order(order)
            return found.state in states and (not found.child or found.state == "withdraw")

        await self.until(there)
        return await self.order(order)

    async def withdrawal(self, withdrawal: WithdrawalId) -> Withdrawal:
        async with self.stores.transactions.begin("look") as tx:
            found = await self.stores.withdrawals.row(tx, withdrawal)
        assert found is not None
        return found

    async def until_withdrawal(self, withdrawal: WithdrawalId, *states: str) -> Withdrawal:
        async def there() -> bool:
            return (await self.withdrawal(withdrawal)).state in states

        await self.until(there)
        return await self.withdrawal(withdrawal)

    async def payouts_of(self, user: UserId) -> list[Withdrawal]:
        return list(await self.withdrawals.of_user(user, WithdrawalId(""), 100))

    async def balance(self, account: str, asset: str) -> int:
        async with self.stores.transactions.begin("look") as tx:
            return await self.ledger.balance(tx, account, asset)

    async def available(self, user: UserId) -> tuple[int, int]:
        """BTC and USDT that the user is free to use."""
        account = f"user:{user}:available"
        return await self.balance(account, "BTC"), await self.balance(account, "USDT")

    async def locked(self, order: OrderId) -> tuple[int, int]:
        account = f"order:{order}:locked"
        return await self.balance(account, "BTC"), await self.balance(account, "USDT")

    async def capital(self, pool: PoolId = POOL) -> tuple[int, int]:
        account = f"pool:{pool}:capital"
        return await self.balance(account, "BTC"), await self.balance(account, "USDT")

    async def custody(self) -> tuple[int, int]:
        return await self.balance(CUSTODY, "BTC"), await self.balance(CUSTODY, "USDT")

    def books_balance(self) -> bool:
        """Ledger invariant 1, and nobody has a deficit."""
        balances = self.stores.writer.books.balances
        legs = [Leg(account, asset, units) for (account, asset), units in balances.items()]
        deficits = [account for account, _ in balances if account.startswith("deficit:")]
        return not deficits and not any(row.difference for row in trial_rows(legs))


FORMS = {"BTC": "btc", "USDT": "usdt"}


def ways(asset: str, **more: Any) -> list[Route]:
    """From Mixin to the venue and back."""
    mixin = f"custody:mixin:{FORMS[asset]}"
    there = Route(
        source=mixin, target=CUSTODY, asset=asset, network="chain", address="at-the-venue", **more
    )
    return [there, replace(there, source=CUSTODY, target=mixin, address="at-mixin")]


_ORDER_SETTINGS = ("funding_fees", "exit_fees", "steps", "leftover_min", "deposit_wait_us")


@asynccontextmanager
async def mixin_world(**settings: Any) -> AsyncIterator[World]:
    """A world in memory where Mixin holds both assets and the treasury nets them by itself."""
    own = {name: settings.pop(name) for name in _ORDER_SETTINGS if name in settings}
    orders = OrderSettings(mixin_forms=FORMS, **own)
    async with model_world(orders=orders, **settings) as world:
        world.places.ways = [way for asset in FORMS for way in ways(asset)]
        world.relays = True
        await world.open_pool()
        await world.rooms.netting.start()
        yield world


@asynccontextmanager
async def model_world(**settings: Any) -> AsyncIterator[World]:
    """A world in memory."""
    clock = ManualClock()
    async with World(model_stores(clock), clock, **settings) as world:
        yield world
