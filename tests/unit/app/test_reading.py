"""What can be looked at: one order is found however many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace

from poolmaker.app.figures import AssetRegistry
from poolmaker.app.reading import PlatformReading
from poolmaker.business.ledger.model import GENESIS_HASH, LedgerHead
from poolmaker.business.user_orders.model import Order
from poolmaker.kernel.ids import OrderId, PoolId, UserId, VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Money

ORDER = Order(
    id=OrderId("uo_0"),
    user=UserId("us_a"),
    pool=PoolId("p"),
    account=VenueAccountId("a"),
    base=Money(asset="BTC", units=1),
    quote=Money(asset="USDT", units=0),
    created_us=0,
)
ORDERS = [replace(ORDER, id=OrderId(f"uo_{n}"), created_us=n) for n in range(201)]


@dataclass
class FakePeople:
    async def orders(
        self, user: UserId | None, before: OrderId = OrderId(""), limit: int = 200
    ) -> list[Order]:
        return ORDERS[::-1][:limit]

    async def order(self, order_id: OrderId) -> Order | None:
        return next((order for order in ORDERS if order.id == order_id), None)

    async def timeline(self, order_id: OrderId) -> tuple[Sequence[object], str]:
        return (), ""

    async def steps(self, lines: Sequence[object]) -> tuple[object, ...]:
        return ()

    async def name(self, user: UserId) -> str:
        return user

    async def withdrawals(self, user: UserId) -> list[object]:
        return []


class FakeTransactions:
    @asynccontextmanager
    async def begin(self, name: str) -> AsyncIterator[object]:
        yield object()

    look = begin


class Nothing:
    async def head(self, tx: object) -> LedgerHead:
        return LedgerHead(1, 0, GENESIS_HASH, 0)

    async def balances(self, tx: object) -> list[object]:
        return []

    async def pools(self, tx: object) -> list[object]:
        return []

    async def flows(self, tx: object, accounts: Sequence[str]) -> list[object]:
        return []

    async def credited(self, orders: Sequence[OrderId]) -> dict[OrderId, dict[str, int]]:
        return {}


def reading() -> PlatformReading:
    ports = SimpleNamespace(
        transactions=FakeTransactions(),
        history=Nothing(),
        pools=Nothing(),
        people=FakePeople(),
        money=Nothing(),
    )
    scales = AssetRegistry({"BTC": Asset("BTC", 8), "USDT": Asset("USDT", 2)})
    return PlatformReading(ports, scales)  # type: ignore[arg-type]


async def test_an_order_older_than_the_newest_two_hundred_is_found() -> None:
    oldest = await reading().order(ORDERS[0].id)
    assert oldest is not None
    assert oldest.order_id == ORDERS[0].id


async def test_an_order_that_never_was_is_none() -> None:
    assert await reading().order(OrderId("uo_none")) is None
