"""Run by a test in an environment that holds the official SDK; prints what it saw as JSON.

The SDK validates every answer against its models; what does not fit is logged as
"Failed to parse", which the test counts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from binance_common.configuration import (  # type: ignore[import-not-found]
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_spot.spot import Spot  # type: ignore[import-not-found]

WAIT_S = 20


class Misfits(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "parse" in message.lower():
            self.messages.append(message[:300])


def rest(ready: dict[str, Any], seen: dict[str, Any]) -> None:
    one, two = (
        Spot(
            config_rest_api=ConfigurationRestAPI(
                api_key=f"key{number}", api_secret=f"secret{number}", base_path=ready["rest"],
                timeout=20_000,
            )
        ).rest_api
        for number in (1, 2)
    )  # fmt: skip
    seen["server_time"] = one.time().data().server_time > 0
    seen["listed"] = len(one.exchange_info().data().symbols)
    order = one.new_order(
        symbol="BTCUSDT", side="SELL", type="LIMIT", time_in_force="GTC", quantity=0.002,
        price=61000,
    ).data()  # fmt: skip
    seen["placed"] = order.status
    taken = two.new_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.0005).data()
    seen["taken"] = [taken.status, taken.fills[0].price]
    seen["order"] = one.get_order(symbol="BTCUSDT", order_id=order.order_id).data().status
    seen["fills"] = [fill.qty for fill in one.my_trades(symbol="BTCUSDT").data()]
    seen["cancelled"] = one.delete_order(symbol="BTCUSDT", order_id=order.order_id).data().status
    account = one.get_account().data()
    seen["uid"] = account.uid
    seen["commission"] = one.account_commission(symbol="BTCUSDT").data().standard_commission.maker
    seen["open"] = len(one.get_open_orders(symbol="BTCUSDT").data())
    one.depth(symbol="BTCUSDT").data()
    one.klines(symbol="BTCUSDT", interval="1m").data()
    one.ticker24hr(symbol="BTCUSDT").data()
    one.all_orders(symbol="BTCUSDT").data()
    one.rate_limit_order().data()


async def sockets(ready: dict[str, Any], seen: dict[str, Any]) -> None:
    spot = Spot(
        config_ws_api=ConfigurationWebSocketAPI(
            api_key="key1", api_secret="secret1", stream_url=ready["ws_api"], timeout=20_000
        ),
        config_ws_streams=ConfigurationWebSocketStreams(
            stream_url=ready["ws"].removesuffix("/stream/ws")
        ),
    )
    api = await spot.websocket_api.create_connection()
    stream = await spot.websocket_streams.create_connection()
    events: asyncio.Queue[Any] = asyncio.Queue()
    handle = await stream.trade(symbol="btcusdt")
    handle.on("message", events.put_nowait)
    subscribed = await api.user_data_stream_subscribe_signature()
    user: asyncio.Queue[Any] = asyncio.Queue()
    subscribed.stream.on("message", user.put_nowait)
    placed = await api.order_place(
        symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.001,
        price=59000, new_client_order_id="sdk-1",
    )  # fmt: skip
    seen["ws_placed"] = placed.data().result.status
    async with asyncio.timeout(WAIT_S):
        report = await user.get()
    seen["user_event"] = type(report).__name__, str(report)[:400]
    other = Spot(
        config_rest_api=ConfigurationRestAPI(
            api_key="key2", api_secret="secret2", base_path=ready["rest"], timeout=20_000
        )
    ).rest_api
    await asyncio.to_thread(
        other.new_order, symbol="BTCUSDT", side="SELL", type="MARKET", quantity=0.0005
    )
    async with asyncio.timeout(WAIT_S):
        trade = await events.get()
    seen["trade"] = trade.q
    status = await api.account_status()
    seen["ws_account"] = status.data().result.account_type
    cancelled = await api.order_cancel(symbol="BTCUSDT", orig_client_order_id="sdk-1")
    seen["ws_cancelled"] = cancelled.data().result.status
    await api.close_connection(close_session=True)
    await stream.close_connection(close_session=True)


if __name__ == "__main__":
    misfits = Misfits()
    logging.getLogger().addHandler(misfits)
    logging.getLogger().setLevel(logging.DEBUG)
    found: dict[str, Any] = {}
    where = json.loads(sys.argv[1])
    rest(where, found)
    asyncio.run(sockets(where, found))
    found["misfits"] = misfits.messages
    sys.stdout.write(json.dumps(found, default=str))
