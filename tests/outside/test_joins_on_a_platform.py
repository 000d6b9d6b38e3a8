"""Found rows 1 and 2 against a running platform: a thin book, and somebody who writes its prices.

The book is made by other accounts of the venue through ccxt, so nothing else trades.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import ccxt.async_support as ccxt
import pytest

from poolmaker.market.connectors.binance.config import BinanceConfig
from tests.support.platforms import RunningPlatform, running_platform

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("platform")]
MAKER, SPOOFER = 1, 2
SYMBOL = "BTC/USDT"


class Trader:
    """One account of the venue, used through ccxt."""

    def __init__(self, platform: RunningPlatform, account: int) -> None:
        self._venue, self._account = platform.venue, account

    def limit(self, side: str, amount: str, price: str) -> str:
        """Rest an order; its id."""

        async def order(client: Any) -> str:
            made = await client.create_order(SYMBOL, "limit", side, amount, price)
            return str(made["id"])

        return str(asyncio.run(self._with_client(order)))

    async def _with_client(self, act: Any) -> Any:
        keys = self._venue["accounts"][self._account]
        config = BinanceConfig(
            key=keys["key"],
            secret=keys["secret"],
            rest_url=self._venue["rest"],
            ws_url=self._venue["ws"],
            ws_api_url=self._venue["ws_api"],
        )
        client = ccxt.binance(config.ccxt_options())
        try:
            return await act(client)
        finally:
            await client.close()


def user_with(platform: RunningPlatform, name: str, wallet: int, **amounts: str) -> dict[str, Any]:
    """A user whose money is at the venue account."""
    body = {"name": name, "mixin_id": platform.mixin["users"][wallet]["app_id"]}
    user: dict[str, Any] = platform.insist("/users", body)
    networks = {"USDT": "ETH", "BTC": "BTC"}
    for asset, amount in amounts.items():
        reference = f"{name}-{asset.lower()}"
        arrived = {"account": 1, "asset": asset, "network": networks[asset], "amount": amount}
        platform.at_venue("/deposit", {**arrived, "tx_id": reference})
        told = {"asset": asset, "amount": amount, "reference": reference}
        path = f"/users/{user['user_id']}/deposits"
        platform.insist(path, {"location": "custody:venue:main", **told})
    return user


def open_order(platform: RunningPlatform, user: dict[str, Any], base: str, quote: str) -> str:
    order = {"pool_id": "btcusdt", "base": base, "quote": quote}
    answer = platform.post("/orders", order, user["token"])
    assert answer.status == 201, answer.body
    return str(answer.json["order_id"])


def order_of(platform: RunningPlatform, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.get(f"/orders/{order_id}")
    return found


def own_levels(platform: RunningPlatform) -> list[Any]:
    return [level for market in platform.get("/market/live") for level in market["own"]]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path_factory.mktemp("platform"), "--flow", "none") as found:
        maker = Trader(found, MAKER)
        maker.limit("buy", "2", "57000")
        maker.limit("sell", "2", "63000")
        yield found


@pytest.fixture(scope="module")
def ada(platform: RunningPlatform) -> str:
    """The order of a user who owns the whole pool, in quote only: it makes bids and no asks."""
    user = user_with(platform, "ada", 0, USDT="60000")
    order_id = open_order(platform, user, "0", "60000")
    platform.until(lambda: order_of(platform, order_id)["state"] == "IN_MM", "ada joins")
    return order_id


def test_found_1_a_tiny_bid_moves_neither_the_price_of_a_join_nor_the_pools_quotes(
    platform: RunningPlatform, ada: str
) -> None:
    """0.0001 BTC at 62,990 in a book of 57,000 / 63,000: who joins with BTC is credited 57,000."""
    first = order_of(platform, ada)
    Trader(platform, SPOOFER).limit("buy", "0.0001", "62990")
    bo = user_with(platform, "bo", 1, BTC="0.1")
    order_id = open_order(platform, bo, "0.1", "0")
    platform.until(lambda: order_of(platform, order_id)["state"] == "IN_MM", "bo joins")
    platform.until(lambda: own_levels(platform), "the pool quotes")
    own = own_levels(platform)
    assert all(float(level["price"]) < 62_000 for level in own if level["side"] == "BUY")
    # 0.1 BTC for at most its depth price of 57,000, and never for the spoofed one.
    assert float(first["shares"]) == pytest.approx(60_000, rel=1e-6)
    assert 5_500 < float(order_of(platform, order_id)["shares"]) <= 5_700


def test_found_2_who_moves_the_middle_with_little_joins_at_the_depth_price(
    platform: RunningPlatform, ada: str
) -> None:
    """A bid and an ask of 0.0001 BTC put the middle of the best orders at 62,945."""
    assert ada
    spoofer = Trader(platform, SPOOFER)
    spoofer.limit("sell", "0.0001", "62999")
    cy = user_with(platform, "cy", 2, BTC="0.05")
    order_id = open_order(platform, cy, "0.05", "0")
    platform.until(lambda: order_of(platform, order_id)["state"] == "IN_MM", "cy joins")
    assert float(order_of(platform, order_id)["shares"]) <= 0.05 * 57_000 * 1.001
