"""Run by a test in an environment that holds python-binance; prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from binance import AsyncClient, BinanceSocketManager  # type: ignore[import-not-found]
from binance.exceptions import BinanceAPIException  # type: ignore[import-not-found]

WAIT_S = 20


async def next_of(socket: Any, kind: str) -> Any:
    async with asyncio.timeout(WAIT_S):
        while True:
            message = await socket.recv()
            if message.get("e") == kind:
                return message


async def main(ready: dict[str, Any]) -> dict[str, Any]:
    AsyncClient.API_URL = ready["rest"] + "/api"
    AsyncClient.MARGIN_API_URL = ready["rest"] + "/sapi"
    AsyncClient.WS_API_URL = ready["ws_api"]
    BinanceSocketManager.STREAM_URL = ready["ws"].removesuffix("stream/ws")
    one = await AsyncClient.create("key1", "secret1")
    two = await AsyncClient.create("key2", "secret2")
    seen: dict[str, Any] = {}
    sockets = BinanceSocketManager(one)
    async with (
        sockets.user_socket() as user,
        sockets.trade_socket("BTCUSDT") as trades,
        sockets.multiplex_socket(["btcusdt@depth@100ms", "ethusdt@trade"]) as both,
    ):
        placed = await one.order_limit_sell(symbol="BTCUSDT", quantity="0.002", price="61000")
        seen["new"] = (await next_of(user, "executionReport"))["X"]
        seen["wrapped"] = (await both.recv())["data"]["a"]
        taken = await two.order_market_buy(symbol="BTCUSDT", quantity="0.0005")
        seen["taken"] = taken["fills"][0]["price"]
        seen["part"] = (await next_of(user, "executionReport"))["X"]
        seen["trade"] = (await next_of(trades, "trade"))["q"]
        await one.cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
        seen["end"] = (await next_of(user, "executionReport"))["X"]
    seen["fills"] = [fill["qty"] for fill in await one.get_my_trades(symbol="BTCUSDT")]
    seen["open"] = len(await one.get_open_orders())
    seen["balance"] = (await one.get_asset_balance("BTC"))["free"]
    seen["book"] = await one.get_order_book(symbol="BTCUSDT")
    seen["symbols"] = sorted(row["symbol"] for row in await one.get_all_tickers())
    seen["address"] = (await one.get_deposit_address("USDT", network="ETH"))["address"]
    sent = await one.withdraw(coin="USDT", address="0x" + "1" * 40, amount="20", network="ETH")
    seen["withdrawal"] = sent["id"] == (await one.get_withdraw_history())[0]["id"]
    try:
        await one.order_limit_buy(symbol="BTCUSDT", quantity="1", price="61000.001")
    except BinanceAPIException as refusal:
        seen["refusal"] = [refusal.code, refusal.message]
    placed = await one.ws_create_order(
        symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.001",
        price="50000",
    )  # fmt: skip
    seen["ws_order"] = placed["status"]
    seen["last_id"] = isinstance(seen["book"].pop("lastUpdateId"), int)
    await one.close_connection()
    await two.close_connection()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
