"""ccxt.pro's Binance with our own reading of answers and frames.

ccxt signs, connects, pings and reconnects. What it would do beyond that hides failures: unified
orders that go back in time, floats, errors mapped by address, fills collapsed between two reads.
So answers are judged by ``refusals.verdict`` and frames reach us raw, with every decimal as text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import ccxt.pro

from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused, verdict
from poolmaker.market.execution.throttle import Throttle

Frame = Mapping[str, Any]
_USED_WEIGHT: Final = "x-mbx-used-weight-1m"
_OK: Final = 200
_DIGITS_MAX: Final = 9
# What the library may raise of its own over an answer that it did not expect.
_LIBRARY: Final = (
    ccxt.BaseError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


class NotSent(NoAnswer):
    """The request did not leave: a latch was found set, after signing and before the socket."""


LAST_LOOK: ContextVar[Callable[[], str] | None] = ContextVar("last_look", default=None)
"""Why the request that is being made must not leave any more; asked after it was signed.

A request that was signed before the look and leaves much later is refused by the venue's receive
window, so that whoever sets a latch and waits for that window knows that nothing follows.
"""


class RawBinance(ccxt.pro.binance):  # type: ignore[misc]
    """The library's client with its two readers replaced."""

    on_frame: Callable[[Frame], None] | None = None
    on_used_weight: Callable[[int], None] | None = None

    def open(self, lazy: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        """Open the session. aiohttp would silently repeat a GET or DELETE on a cut connection."""
        super().open(lazy)
        if self.session is not None:
            self.session._retry_connection = False  # noqa: SLF001 - there is no public way

    async def fetch(self, *request: Any, **options: Any) -> Any:
        """Send a signed request, unless a last look says no (see ``Exchange.fetch``)."""
        look = LAST_LOOK.get()
        if look is not None and (reason := look()):
            raise NotSent(reason)
        return await super().fetch(*request, **options)

    def handle_errors(self, *answer: Any) -> None:
        """Judge an answer before the library maps it (see ``Exchange.handle_errors``)."""
        status, _, _, _, headers, text, body = answer[:7]
        lowered = {name.lower(): value for name, value in headers.items()}
        used = lowered.get(_USED_WEIGHT, "")
        if self.on_used_weight is not None and used.isascii() and used.isdecimal():
            self.on_used_weight(int(used[:_DIGITS_MAX]))
        if problem := verdict(status, body, text, lowered.get("retry-after")):
            raise problem

    def client(self, url: str) -> Any:
        """A socket whose reader survives what is no JSON.

        The library's own reader ends without a word there: the stream would be silent for ever.
        """
        known = url in (self.clients or {})
        socket = super().client(url)
        if not known:
            read = socket.handle_text_or_binary_message
            socket.handle_text_or_binary_message = lambda text: self._read(socket, read, text)
        return socket

    def _read(self, socket: Any, read: Callable[[Any], None], text: Any) -> None:
        try:
            read(text)
        except (ValueError, RecursionError) as problem:
            socket.on_error(ccxt.NetworkError(f"a text that is no frame: {problem}"))

    def handle_message(self, client: Any, message: Any) -> None:
        """Take a frame raw; answers to our requests settle what waits for them."""
        if not isinstance(message, dict):
            return
        if message.get("id") is not None:
            self._settle(client, message)
            return
        event = message.get("event", message.get("data", message))
        if self.on_frame is not None and isinstance(event, dict):
            self.on_frame(event)

    def _settle(self, client: Any, message: Frame) -> None:
        waiting = f"answer:{message['id']}"
        if message.get("error") is not None or message.get("status", _OK) != _OK:
            client.reject(NoAnswer(f"refused: {message.get('error')}"), waiting)
        else:
            client.resolve(message, waiting)


class Transport:
    """Requests over one client, each with a limit of time and of the account's weight."""

    def __init__(self, config: BinanceConfig, throttle: Throttle) -> None:
        self.config = config
        self.throttle = throttle
        self.client = self.new_client()
        self.client.on_used_weight = self._observe

    def new_client(self) -> RawBinance:
        """A fresh client; close it when done."""
        return RawBinance(self.config.ccxt_options())

    async def ask(self, method: str, params: Frame, weight: int) -> Any:
        """One request after waiting for the throttle. Raises VenueRefused or NoAnswer."""
        await self.throttle.take({"weight": weight})
        return await self.send(method, params)

    async def send(self, method: str, params: Frame, throttle: Throttle | None = None) -> Any:
        """One request now; whoever calls has asked the throttle, ``throttle`` where it has its own.

        Raises VenueRefused or NoAnswer.
        """
        try:
            async with asyncio.timeout(self.config.timeout_ms / 1_000):
                return await getattr(self.client, method)(dict(params))
        except TimeoutError as error:
            raise NoAnswer(f"{method}: no answer within {self.config.timeout_ms} ms") from error
        except _LIBRARY as error:
            # Every answer was judged before the library could; what it raises is the transport's.
            raise NoAnswer(f"{method}: {type(error).__name__}: {str(error)[:200]}") from error
        except VenueRefused as refused:
            if refused.wait_us:
                (throttle or self.throttle).stop_for(refused.wait_us)
            raise

    def set_clock_difference(self, difference_ms: int) -> None:
        """How far this machine's clock is ahead of the venue's."""
        self.client.options["timeDifference"] = difference_ms

    @property
    def clock_difference_ms(self) -> int:
        """How far this machine's clock is ahead of the venue's."""
        return int(self.client.options.get("timeDifference", 0))

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()

    def _observe(self, used: int) -> None:
        self.throttle.observe("weight", used)
