"""Whose what is: names of users behind accounts of the ledger, orders as people see them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from poolmaker.app.figures import AssetRegistry, Valuation
from poolmaker.app.profits import Flows, added, moneys, order_flows, order_profit
from poolmaker.business.ledger.accounts import (
    exit_account,
    order_locked,
    order_shares,
    pool_capital,
    pool_issued,
    user_available,
    withdrawal_held,
)
from poolmaker.business.ledger.history import LedgerHistory
from poolmaker.business.ledger.model import Leg
from poolmaker.business.pools.model import Pool
from poolmaker.business.user_orders.model import Order, TimelineLine, User, UserOrderState
from poolmaker.business.user_orders.service import UserOrders
from poolmaker.business.withdrawals.model import Withdrawal, WithdrawalState
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.ids import CommandKey, OrderId, UserId, WithdrawalId
from poolmaker.views.model import AmountView, BarPart, MoneyBarPart, OrderView, Step

NAMES_KEPT: Final = 50_000
_PAGE: Final = 200
_NEWEST: Final = OrderId("")
_ENDED: Final = frozenset(
    {
        WithdrawalState.DEBITED,
        WithdrawalState.DONE,
        WithdrawalState.RELEASED,
        WithdrawalState.DECLINED,
    }
)


@dataclass(frozen=True, slots=True)
class BookView:
    """Normal balances of one moment by (account, asset)."""

    units: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, legs: Sequence[Leg]) -> BookView:
        """The balances of raw legs."""
        return cls({(leg.account, leg.asset): abs(leg.units) for leg in legs})

    def amounts(self, account: str) -> dict[str, int]:
        """Everything on an account by asset."""
        return {asset: units for (name, asset), units in self.units.items() if name == account}


class StoryLine(Protocol):
    """A line of any story: of an order, a payout, a transfer, a reward."""

    @property
    def at_us(self) -> int:
        """When it happened."""
        ...

    @property
    def state(self) -> StrEnum:
        """The state behind it."""
        ...

    @property
    def event(self) -> str:
        """What happened."""
        ...

    @property
    def key(self) -> str:
        """The ledger command that moved money, empty for none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDirectoryPorts:
    """Where people are looked up."""

    transactions: Transactions
    orders: UserOrders
    withdrawals: Withdrawals
    history: LedgerHistory


class UserDirectory:
    """Users, their orders and withdrawals. Names never change, so they are remembered."""

    def __init__(self, ports: UserDirectoryPorts) -> None:
        self._ports = ports
        self._names: OrderedDict[str, str] = OrderedDict()

    async def users(self, after: UserId, limit: int) -> Sequence[User]:
        """Users after an id, by id."""
        return await self._ports.orders.registry.users(after, limit)

    async def every_user(self) -> AsyncIterator[User]:
        """Every user by id, a page at a time."""
        after = UserId("")
        while page := await self.users(after, _PAGE):
            for user in page:
                yield user
            after = page[-1].id

    async def user(self, user_id: UserId) -> User | None:
        """One user as they are now, or None."""
        return await self._ports.orders.registry.user(user_id)

    async def name(self, user_id: UserId) -> str:
        """What a user is called; the id itself for nobody."""
        if user_id not in self._names:
            found = await self.user(user_id)
            if found is None:
                return user_id
            self._remember(user_id, found.name)
        return self._names[user_id]

    async def orders(
        self, user_id: UserId | None, before: OrderId = _NEWEST, limit: int = _PAGE
    ) -> Sequence[Order]:
        """Orders of one user or of all before an id, newest first; an empty id begins."""
        return await self._ports.orders.orders_before(user_id, before, limit)

    async def every_order(self, user_id: UserId) -> list[Order]:
        """Every order of a user, oldest first."""
        return list(await self._ports.orders.orders_of(user_id))

    async def order(self, order_id: OrderId) -> Order | None:
        """One order, however old, or None."""
        return await self._ports.orders.order(order_id)

    async def withdrawals(self, user_id: UserId) -> list[Withdrawal]:
        """Every withdrawal of a user, oldest first."""
        found: list[Withdrawal] = []
        after = WithdrawalId("")
        while page := await self._ports.withdrawals.of_user(user_id, after, _PAGE):
            found += page
            after = page[-1].id
        return found

    async def name_behind(self, account_or_id: str) -> str:
        """The user's name behind an account of the chart or an id; the text itself for nobody."""
        head, _, rest = account_or_id.partition(":")
        subject = rest.partition(":")[0] if rest else head
        if subject not in self._names:
            owner = await self._owner(head if rest else subject[:2], subject)
            if not owner:
                return subject
            self._remember(subject, await self.name(owner))
        return self._names[subject]

    async def _owner(self, kind: str, subject: str) -> UserId:
        """Whose an account or an id of that kind is, empty for nobody."""
        if kind in ("user", "us"):
            return UserId(subject)
        if kind in ("order", "exit", "uo"):
            order = await self.order(OrderId(subject))
            return order.user if order is not None else UserId("")
        if kind in ("withdrawal", "wd"):
            view = await self._ports.withdrawals.view(WithdrawalId(subject))
            return view[0].user if view is not None else UserId("")
        return UserId("")

    def _remember(self, subject: str, name: str) -> None:
        self._names[subject] = name
        while len(self._names) > NAMES_KEPT:
            self._names.popitem(last=False)

    async def timeline(self, order_id: OrderId) -> tuple[Sequence[TimelineLine], str]:
        """The story of an order, and where the saga at work stands."""
        view = await self._ports.orders.view(order_id)
        return (view.timeline, view.step) if view is not None else ((), "")

    async def steps(self, lines: Sequence[StoryLine]) -> tuple[Step, ...]:
        """The states of a story as they were reached, with the entries that moved money."""
        steps: list[Step] = []
        async with self._ports.transactions.begin("people.steps") as tx:
            for line in lines:
                key = CommandKey(line.key)
                posted = await self._ports.history.seq_of(tx, key) if line.key else 0
                by = "user" if line.event in _ASKED_BY_USERS else "system"
                if steps and steps[-1].state == line.state.value.upper():
                    # A line that does not change the state may still name the entry that did.
                    if posted and not steps[-1].entry_seq:
                        steps[-1] = replace(steps[-1], entry_seq=posted)
                    continue
                steps.append(Step(line.state.value.upper(), line.at_us, by, posted))
        return tuple(steps)


_ASKED_BY_USERS: Final = frozenset({"opened", "resumed", "pause_wished", "withdraw_wished"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSources:
    """Everything that one look at an order needs."""

    order: Order
    pool: Pool | None
    user_name: str
    steps: tuple[Step, ...]
    step: str
    withdrawals: Sequence[Withdrawal]
    is_newest: bool
    flows: Flows = field(default_factory=Flows)
    rewards: Mapping[str, int] = field(default_factory=dict)


def order_seen(
    sources: OrderSources, books: BookView, scales: AssetRegistry, worth: Valuation
) -> OrderView:
    """An order with its money bar: every part is a balance of the ledger."""
    order = sources.order
    paid, on_the_way = _payouts(sources)
    bar = _bar(sources, books, on_the_way)
    shown = tuple(_part(part, account, amounts, scales, worth) for part, account, amounts in bar)
    mine = [amounts for part, _, amounts in bar if part is not MoneyBarPart.AVAILABLE]
    value = worth.units(added(mine))
    # What is on its way to the user has come out of the order already.
    has = added(amounts for part, _, amounts in bar if part in _INSIDE)
    fees = _network_fees(sources)
    account = order_locked(order.id)
    flows = order_flows(sources.flows, account, has, fees, sources.rewards)
    profit = order_profit(flows, worth, scales)
    return OrderView(
        order_id=order.id,
        user_id=order.user,
        user_name=sources.user_name,
        pool_id=order.pool,
        state=order.state.value.upper(),
        waiting_for=sources.step or order.reason,
        opened_at_us=order.created_us,
        asked=scales.sums((order.base, order.quote)),
        deposited=moneys(flows.locked, scales),
        paid_out=moneys(paid, scales),
        shares=scales.text(order.share_asset, order.shares if _in_pool(order) else 0),
        value=_in_quote(value, worth, scales),
        result=profit.trading,
        profit=profit,
        bar=shown,
        steps=sources.steps,
    )


_INSIDE: Final = frozenset({MoneyBarPart.LOCKED, MoneyBarPart.IN_POOL, MoneyBarPart.LEAVING})


def _network_fees(sources: OrderSources) -> dict[str, int]:
    """What the payouts of this order have cost."""
    return added(
        {row.asset: row.fee_units}
        for row in sources.withdrawals
        if row.correlation == sources.order.correlation
    )


def _in_pool(order: Order) -> bool:
    return order.state is UserOrderState.IN_MM


def _in_quote(units: int | None, worth: Valuation, scales: AssetRegistry) -> AmountView | None:
    return scales.money(worth.quote, units) if units is not None else None


def _payouts(sources: OrderSources) -> tuple[dict[str, int], dict[str, int]]:
    """What this order's withdrawals have paid out, and what is on its way."""
    paid: defaultdict[str, int] = defaultdict(int)
    on_the_way: defaultdict[str, int] = defaultdict(int)
    for row in sources.withdrawals:
        if row.correlation != sources.order.correlation:
            continue
        if row.state in (WithdrawalState.DEBITED, WithdrawalState.DONE):
            paid[row.asset] += row.units - row.fee_units
        elif row.state not in (WithdrawalState.RELEASED, WithdrawalState.DECLINED):
            on_the_way[row.asset] += row.units
    return dict(paid), dict(on_the_way)


_Bar = list[tuple[MoneyBarPart, str, dict[str, int]]]


def _bar(sources: OrderSources, books: BookView, on_the_way: dict[str, int]) -> _Bar:
    order = sources.order
    available = user_available(order.user)
    locked = order_locked(order.id)
    leaving = {
        (account, asset): units
        for (account, asset), units in books.units.items()
        if account.startswith(exit_account("")) and order.id in account
    }
    exits = added([{asset: units} for (_, asset), units in leaving.items()])
    held = withdrawal_held(WithdrawalId(""))
    bar: _Bar = [
        (MoneyBarPart.LOCKED, locked, books.amounts(locked)),
        (MoneyBarPart.ON_THE_WAY, held, on_the_way),
        (MoneyBarPart.IN_POOL, pool_capital(order.pool), _share_of_pool(sources, books)),
        (MoneyBarPart.LEAVING, next((account for account, _ in leaving), ""), exits),
    ]
    if sources.is_newest:
        bar.insert(0, (MoneyBarPart.AVAILABLE, available, books.amounts(available)))
    return [(part, account, amounts) for part, account, amounts in bar if any(amounts.values())]


def _share_of_pool(sources: OrderSources, books: BookView) -> dict[str, int]:
    """Its fraction of the pool's capital, by the shares that the ledger says it holds now."""
    order, pool = sources.order, sources.pool
    if pool is None:
        return {}
    held, issued = books.amounts(order_shares(order.id)), books.amounts(pool_issued(pool.id))
    capital = books.amounts(pool_capital(pool.id))
    return added(
        {asset: units * held[share] // issued[share] for asset, units in capital.items()}
        for share in held
        if issued.get(share)
    )


def _part(
    part: MoneyBarPart,
    account: str,
    amounts: Mapping[str, int],
    scales: AssetRegistry,
    worth: Valuation,
) -> BarPart:
    units = worth.units(amounts)
    value = scales.text(worth.quote, units) if units is not None else None
    return BarPart(part, moneys(amounts, scales), value, account)


def valuation(order: Order, price: Valuation | None) -> Valuation:
    """How an order is valued: in its pool's quote, or unpriced when the pool is gone."""
    return price or Valuation(order.base.asset, order.quote.asset, None)


def in_withdrawal(rows: Sequence[Withdrawal]) -> dict[str, int]:
    """Held for withdrawals that are under way, by asset."""
    return added([{row.asset: row.units} for row in rows if row.state not in _ENDED])
