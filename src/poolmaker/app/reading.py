"""``views.ports.Reading`` over the rooms of the platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.app.figures import AssetRegistry, Valuation
from poolmaker.app.happenings import entries_page, happening, told
from poolmaker.app.live import EngineLive
from poolmaker.app.money import MoneyReading
from poolmaker.app.people import (
    BookView,
    OrderSources,
    UserDirectory,
    in_withdrawal,
    order_seen,
    valuation,
)
from poolmaker.app.profits import Flows, pool_profit
from poolmaker.business.ledger.accounts import (
    Normal,
    normal_of,
    order_locked,
    pool_capital,
    pool_issued,
    user_available,
)
from poolmaker.business.ledger.history import LedgerHistory
from poolmaker.business.ledger.model import LedgerHead, LedgerTransaction, Leg
from poolmaker.business.pools.model import Pool
from poolmaker.business.pools.service import PoolService
from poolmaker.business.user_orders.model import Order
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.ids import OrderId, PoolId, UserId, WithdrawalId
from poolmaker.kernel.money import Ratio, Rounding, divide, power_of_ten
from poolmaker.recon.custody import CustodyReading, CustodyWatch
from poolmaker.views.model import (
    ActivityView,
    AllocationView,
    ArrivalView,
    AssetView,
    BalanceView,
    CampaignView,
    CustodyLine,
    CustodyLocation,
    HealthView,
    OrderView,
    Page,
    PoolView,
    RewardView,
    ShareChangeView,
    StatementView,
    TransferView,
    TrialBalance,
    TrialLine,
    WithdrawalView,
)

DISPLAY_MAX: Final = 6
DISPLAY_QUOTE: Final = 2
PPM: Final = 1_000_000
_GROUPS: Final = {
    "user": "users",
    "order": "users",
    "exit": "users",
    "withdrawal": "withdrawals",
    "pool": "pools",
    "platform": "platform",
    "suspense": "suspense",
    "rewards": "rewards",
    "transit": "transit",
    "deficit": "deficit",
}
_CUSTODY_GROUPS: Final = {"mixin": "mixin", "venue": "venue", "evm": "chain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPorts:
    """Where is read."""

    transactions: Transactions
    history: LedgerHistory
    pools: PoolService
    people: UserDirectory
    live: EngineLive
    money: MoneyReading
    custody: CustodyWatch
    health: Callable[[], HealthView]


@dataclass(frozen=True, slots=True)
class _Moved:
    """What moved in and out of orders, and what rewards were credited for each."""

    flows: Flows
    rewards: Mapping[OrderId, Mapping[str, int]]


class PlatformReading:
    """Everything that can be looked at, put together from the rooms that own it."""

    def __init__(self, ports: ReadingPorts, scales: AssetRegistry) -> None:
        self._ports = ports
        self._scales = scales

    async def assets(self) -> Sequence[AssetView]:
        quotes = {pool.market.quote for pool in (await self._pools()).values()}
        return tuple(
            AssetView(code, asset.scale, _display(asset.scale, is_quote=code in quotes))
            for code, asset in sorted(self._scales.assets.items())
        )

    async def pools(self) -> Sequence[PoolView]:
        books = BookView.of((await self._balances())[1])
        pools = await self._pools()
        flows = await self._flows([pool_capital(pool) for pool in pools])
        return tuple(self._pool_seen(pool, books, flows) for pool in pools.values())

    async def balances(
        self, user_id: UserId | None, after: str, limit: int
    ) -> Sequence[BalanceView]:
        books = BookView.of((await self._balances())[1])
        if user_id is not None:
            return tuple(await self._balances_of(user_id, books))
        users = await self._ports.people.users(UserId(after), limit)
        found = [await self._balances_of(user.id, books) for user in users]
        return tuple(balance for balances in found for balance in balances)

    async def statement(self, user_id: UserId, after: int, limit: int) -> StatementView:
        accounts = [user_available(user_id)]
        for order in await self._ports.people.every_order(user_id):
            accounts += [order_locked(order.id), f"order:{order.id}:shares"]
        accounts += [
            f"withdrawal:{row.id}:held" for row in await self._ports.people.withdrawals(user_id)
        ]
        page = await self._page(accounts, after, limit)
        named = (e.account.split(":")[1] for e in page.entries if e.account.startswith("order:"))
        found = [await self.order(OrderId(order)) for order in dict.fromkeys(named)]
        orders = tuple(order for order in found if order is not None)
        return StatementView(page.entries, page.next_after, orders)

    async def account(self, account: str, after: int, limit: int) -> Page:
        return await self._page([account], after, limit)

    async def transaction(self, seq: int) -> ActivityView | None:
        async with self._ports.transactions.begin("reading.transaction") as tx:
            found = await self._ports.history.at(tx, seq)
        if found is None:
            return None
        line = told(found)
        return happening(found, line, await self._name(line.subject), self._scales)

    async def happenings_before(self, before: int, limit: int) -> Sequence[ActivityView]:
        first = max(0, before - 1 - limit)
        async with self._ports.transactions.begin("reading.happenings_before") as tx:
            found = await self._ports.history.following(tx, first, before - 1 - first)
        return await self._told([*reversed(found)])

    async def happenings(self, after: int, limit: int) -> Sequence[ActivityView]:
        async with self._ports.transactions.begin("reading.happenings") as tx:
            found = await self._ports.history.newest(tx, after, limit)
        return await self._told(found)

    async def _told(self, found: Sequence[LedgerTransaction]) -> Sequence[ActivityView]:
        lines = [(each, told(each)) for each in found]
        return tuple(
            [
                happening(each, line, await self._name(line.subject), self._scales)
                for each, line in lines
            ]
        )

    async def trial_balance(self) -> TrialBalance:
        head, legs = await self._balances()
        by_asset: defaultdict[str, list[Leg]] = defaultdict(list)
        for leg in legs:
            by_asset[leg.asset].append(leg)
        lines = tuple(self._trial_line(asset, by_asset[asset]) for asset in sorted(by_asset))
        ok = all(sum(leg.units for leg in legs) == 0 for legs in by_asset.values())
        return TrialBalance(head.seq, head.at_us, lines, ok)

    async def custody(self) -> Sequence[CustodyLine]:
        return tuple(self._custody_line(one) for one in await self._ports.custody.readings())

    def _custody_line(self, one: CustodyReading) -> CustodyLine:
        row, text = one.row, self._scales.text
        reported = one.reported_units
        return CustodyLine(
            location=row.location,
            asset=row.asset,
            ledger=text(row.asset, row.units),
            reported=text(row.asset, reported) if reported is not None else None,
            in_flight=text(row.asset, one.explained_units),
            seen_at_us=one.at_us,
            agreed_at_us=one.agreed_at_us,
        )

    async def order(self, order_id: OrderId) -> OrderView | None:
        order = await self._ports.people.order(order_id)
        if order is None:
            return None
        books = BookView.of((await self._balances())[1])
        pool = (await self._pools()).get(order.pool)
        is_newest = await self._is_newest(order)
        moved = await self._moved([order])
        return await self._order_seen(order, pool, books, moved, is_newest=is_newest)

    async def orders(self, user_id: UserId | None, before: str, limit: int) -> Sequence[OrderView]:
        books = BookView.of((await self._balances())[1])
        pools = await self._pools()
        orders = await self._ports.people.orders(user_id, OrderId(before), limit)
        moved = await self._moved(orders)
        newest: dict[UserId, bool] = {}
        found = []
        for order in orders:
            if order.user not in newest:
                newest[order.user] = await self._is_newest(order)
            is_newest, newest[order.user] = newest[order.user], False
            pool = pools.get(order.pool)
            found.append(await self._order_seen(order, pool, books, moved, is_newest=is_newest))
        return tuple(found)

    async def _is_newest(self, order: Order) -> bool:
        """Whether it is its user's newest order, which shows what is available to them."""
        newest = await self._ports.people.orders(order.user, limit=1)
        return bool(newest) and newest[0].id == order.id

    async def order_owner(self, order_id: OrderId) -> str | None:
        order = await self._ports.people.order(order_id)
        return order.user if order is not None else None

    async def withdrawal(self, withdrawal_id: WithdrawalId) -> WithdrawalView | None:
        return await self._ports.money.withdrawal(withdrawal_id)

    async def withdrawal_owner(self, withdrawal_id: WithdrawalId) -> str | None:
        found = await self._ports.money.withdrawal(withdrawal_id)
        return found.user_id if found is not None else None

    async def campaigns(self, after: int, limit: int) -> Sequence[CampaignView]:
        return await self._ports.money.campaigns(after, limit)

    async def rewards(self, after: int, limit: int) -> Sequence[RewardView]:
        return await self._ports.money.rewards(after, limit)

    async def allocations(self, reward_id: str) -> Sequence[AllocationView] | None:
        return await self._ports.money.allocations(reward_id)

    async def shares(self, pool_id: PoolId, from_us: int, to_us: int) -> Sequence[ShareChangeView]:
        return await self._ports.money.shares(pool_id, from_us, to_us)

    async def transfers(self, after: int, limit: int) -> Sequence[TransferView]:
        return await self._ports.money.transfers(after, limit)

    async def arrivals(self, after: int, limit: int) -> Sequence[ArrivalView]:
        return await self._ports.money.arrivals(after, limit)

    async def withdrawals(
        self, user_id: UserId | None, before: str, limit: int
    ) -> Sequence[WithdrawalView]:
        return await self._ports.money.withdrawals(user_id, before, limit)

    async def health(self) -> HealthView:
        return self._ports.health()

    # -------------------------------------------------------------------------------- helpers

    async def _balances(self) -> tuple[LedgerHead, list[Leg]]:
        async with self._ports.transactions.begin("reading.balances") as tx:
            head = await self._ports.history.head(tx)
            return head, await self._ports.history.balances(tx)

    async def _pools(self) -> dict[PoolId, Pool]:
        async with self._ports.transactions.begin("reading.pools") as tx:
            return {pool.id: pool for pool in await self._ports.pools.pools(tx)}

    async def _flows(self, accounts: Sequence[str]) -> Flows:
        async with self._ports.transactions.begin("reading.flows") as tx:
            return Flows.of(await self._ports.history.flows(tx, accounts))

    async def _moved(self, orders: Sequence[Order]) -> _Moved:
        """What moved in and out of orders, and what was credited for them, in one look each."""
        flows = await self._flows([order_locked(order.id) for order in orders])
        rewards = await self._ports.money.credited([order.id for order in orders])
        return _Moved(flows, rewards)

    async def _page(self, accounts: Sequence[str], after: int, limit: int) -> Page:
        async with self._ports.transactions.begin("reading.entries") as tx:
            rows = await self._ports.history.entries(tx, accounts, after, limit)
        entries = entries_page(rows, self._scales)
        return Page(entries, rows[-1].seq if len(rows) >= limit else None)

    async def _name(self, subject: str) -> str:
        return await self._ports.people.name_behind(subject) if subject else ""

    async def _balances_of(self, user: UserId, books: BookView) -> list[BalanceView]:
        available = books.amounts(user_available(user))
        locked: defaultdict[str, int] = defaultdict(int)
        for order in await self._ports.people.every_order(user):
            for asset, units in books.amounts(order_locked(order.id)).items():
                locked[asset] += units
        held = in_withdrawal(await self._ports.people.withdrawals(user))
        text = self._scales.text
        return [
            BalanceView(
                user_id=user,
                asset=asset,
                available=text(asset, available.get(asset, 0)),
                locked=text(asset, locked.get(asset, 0)),
                in_withdrawal=text(asset, held.get(asset, 0)),
            )
            for asset in sorted({*available, *locked, *held})
        ]

    async def _order_seen(
        self,
        order: Order,
        pool: Pool | None,
        books: BookView,
        moved: _Moved,
        *,
        is_newest: bool,
    ) -> OrderView:
        people = self._ports.people
        timeline, step = await people.timeline(order.id)
        sources = OrderSources(
            order=order,
            pool=pool,
            user_name=await people.name(order.user),
            steps=await people.steps(timeline),
            step=step,
            withdrawals=await people.withdrawals(order.user),
            is_newest=is_newest,
            flows=moved.flows,
            rewards=moved.rewards.get(order.id, {}),
        )
        deposit = await self._ports.money.deposit(order.id) if order.by_mixin else None
        worth = valuation(order, self._worth(pool) if pool is not None else None)
        return replace(order_seen(sources, books, self._scales, worth), deposit=deposit)

    def _worth(self, pool: Pool) -> Valuation:
        return Valuation(pool.market.base, pool.market.quote, self._ports.live.mid(pool.id))

    def _pool_seen(self, pool: Pool, books: BookView, flows: Flows) -> PoolView:
        market = pool.market
        capital = books.amounts(pool_capital(pool.id))
        issued = books.amounts(pool_issued(pool.id))
        share, shares = next(iter(issued.items()), ("", 0))
        price = self._ports.live.mid(pool.id)
        nav = self._worth(pool).units(capital)
        exits = {market.base: pool.exit_base_units, market.quote: pool.exit_quote_units}
        holders = sum(1 for account, asset in books.units if _is_holder(account, asset, share))
        return PoolView(
            pool_id=pool.id,
            name=market.symbol,
            symbol=market.symbol,
            venue_account=pool.account,
            state="PAUSED" if pool.paused else "OPEN",
            epoch=int(share.rpartition(":")[2] or 0),
            base=self._scales.money(market.base, capital.get(market.base, 0)),
            quote=self._scales.money(market.quote, capital.get(market.quote, 0)),
            exits=tuple(self._scales.money(asset, units) for asset, units in exits.items()),
            shares=self._scales.text(share, shares),
            holders=holders,
            nav=self._scales.money(market.quote, nav) if nav is not None else None,
            share_price=self._share_price(pool, nav, share, shares),
            inventory_ppm=_inventory_ppm(capital, pool, price),
            target_ppm=pool.strategy.inventory_target_ppm,
            band_ppm=pool.strategy.inventory_band_ppm,
            fills=self._ports.live.fills_booked(pool.id),
            profit=pool_profit(flows, pool_capital(pool.id), self._worth(pool), self._scales),
        )

    def _share_price(self, pool: Pool, nav: int | None, share: str, shares: int) -> str | None:
        """Quote for one share, 1 at the first join of its epoch."""
        if nav is None or not shares:
            return None
        quote = power_of_ten(self._scales.of(pool.market.quote))
        value = nav * power_of_ten(self._scales.of(share)) * PPM
        ppm = divide(value, shares * quote, Rounding.DOWN)
        return f"{ppm // PPM}.{ppm % PPM:06d}"

    def _trial_line(self, asset: str, legs: Sequence[Leg]) -> TrialLine:
        held: defaultdict[str, int] = defaultdict(int)
        owed: defaultdict[str, int] = defaultdict(int)
        for leg in legs:
            group = _group_of(leg.account)
            if normal_of(leg.account) is Normal.HELD:
                held[group] += leg.units
            else:
                owed[group] -= leg.units
        text = self._scales.text
        held_total, owed_total = sum(held.values()), sum(owed.values())
        return TrialLine(
            asset=asset,
            held=_places(held, "held", asset, text),
            owed=_places(owed, "owed", asset, text),
            held_total=text(asset, held_total),
            owed_total=text(asset, owed_total),
            difference=text(asset, held_total - owed_total),
        )


def _group_of(account: str) -> str:
    head, _, rest = account.partition(":")
    if head == "custody":
        return _CUSTODY_GROUPS.get(rest.partition(":")[0], "custody")
    return _GROUPS.get(head, "platform")


def _is_holder(account: str, asset: str, share: str) -> bool:
    return asset == share and account.endswith(":shares")


def _places(
    groups: Mapping[str, int], side: str, asset: str, text: Callable[[str, int], str]
) -> tuple[CustodyLocation, ...]:
    return tuple(CustodyLocation(name, side, text(asset, groups[name])) for name in sorted(groups))


def _display(scale: int, *, is_quote: bool) -> int:
    return min(scale, DISPLAY_QUOTE if is_quote else DISPLAY_MAX)


def _inventory_ppm(capital: Mapping[str, int], pool: Pool, price: Ratio | None) -> int | None:
    if price is None:
        return None
    base = price.of(capital.get(pool.market.base, 0), Rounding.DOWN)
    whole = base + capital.get(pool.market.quote, 0)
    return base * PPM // whole if whole > 0 else None
