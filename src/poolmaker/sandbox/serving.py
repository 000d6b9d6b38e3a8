"""What the worlds' servers share: ports, the ready line, the end, faults around calls."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem, PoolmakerError, PreconditionError
from poolmaker.sandbox.venue.faults import Effect, Fault, FaultPlan, When
from poolmaker.sandbox.venue.rest import HANG_US, answer, close, reset

LOOPBACK: Final = "127.0.0.1"
CLOSE_TIMEOUT_S: Final = 5
BODY_BYTES_MAX: Final = 16 << 20
"""Two of Mixin's transactions of 4 MiB in hexadecimal."""

EVENT: Final = "event:"
EVENT_EFFECTS: Final = frozenset({Effect.DELAY, Effect.DROP, Effect.DUPLICATE})
CALL_EFFECTS: Final = frozenset(Effect) - {Effect.DUPLICATE, Effect.STALE}

T = TypeVar("T", bound=msgspec.Struct)
Body = dict[str, object]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FaultBody = Callable[[Fault, web.Request], object]


def bind(port: int, option: str = "--port") -> socket.socket:
    """A listening socket on loopback.

    Raises EnvironmentProblem when somebody else has the port.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(512)
    except (OSError, OverflowError) as problem:
        listener.close()
        raise EnvironmentProblem(
            f"Port {port} on {LOOPBACK} cannot be opened ({problem}): "
            f"stop the program that has it, or choose another with {option}."
        ) from None
    listener.setblocking(False)
    return listener


class Ports:
    """The ports of one server."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def serve(self, listener: socket.socket, handler: Handler) -> str:
        """Answer every request on a socket; the address to reach it by."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", handler)
        return await self.serve_app(listener, app)

    async def serve_app(self, listener: socket.socket, app: web.Application) -> str:
        """Serve an application on a socket; the address to reach it by."""
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_TIMEOUT_S
        )
        self._runners.append(runner)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=512).start()
        return f"http://{LOOPBACK}:{listener.getsockname()[1]}"

    async def close(self) -> None:
        """Close them all."""
        for runner in self._runners:
            await runner.cleanup()


def say(line: object) -> None:
    """The ready line."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def until(stop: asyncio.Event, loops: Sequence[Coroutine[object, object, None]]) -> None:
    """Wait for ``stop``; a loop that fails takes the server down with its error."""
    tasks = [asyncio.ensure_future(one) for one in loops]
    waiter = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, waiter], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [*tasks, waiter]:
            task.cancel()
        await asyncio.gather(*tasks, waiter, return_exceptions=True)


def guarded(act: Callable[[web.Request], Awaitable[Body]]) -> Handler:
    """An admin call: what it answers, or 400 with why not."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return answer(await act(request), 200, {})
        except (
            PreconditionError,
            msgspec.ValidationError,
            msgspec.DecodeError,
            ValueError,
        ) as problem:
            return answer({"error": str(problem)}, 400, {})
        except PoolmakerError as problem:
            return answer({"error": str(problem), "code": problem.code}, 502, {})

    return handle


async def read(request: web.Request, kind: type[T]) -> T:
    """The body of an admin call."""
    return msgspec.json.decode(await request.read() or b"{}", type=kind)


class FaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Plan a fault; what is not said is as the world usually says it."""

    endpoint: str
    effect: Effect
    when: When = When.BEFORE
    account: int | None = None
    count: int = 1
    delay_ms: int = 1_000
    status: int | None = None
    code: int | None = None
    message: str | None = None
    body: str = "<html><body><h1>502 Bad Gateway</h1></body></html>"
    headers: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class FaultWords:
    """How a world says that something went wrong inside, and what may go wrong in it."""

    body_of: FaultBody
    code: int
    message: str
    has_accounts: bool
    has_events: bool = False


class FaultyCalls:
    """Calls that go wrong as planned, before or after they had their effect."""

    def __init__(self, clock: Clock, words: FaultWords, plan: FaultPlan | None = None) -> None:
        self.plan = plan or FaultPlan()
        self._clock = clock
        self._words = words

    def routes(self) -> list[web.RouteDef]:
        """The admin calls that plan and clear."""
        return [
            web.post("/faults", guarded(self._add)),
            web.delete("/faults", guarded(self._clear)),
        ]

    async def _add(self, request: web.Request) -> Body:
        order = await read(request, FaultOrder)
        self._check(order)
        fields = msgspec.structs.asdict(order)
        if order.code is None:
            fields["code"] = self._words.code
        if order.message is None:
            fields["message"] = self._words.message
        self.plan.add(Fault(**fields))
        return {"planned": True}

    def _check(self, order: FaultOrder) -> None:
        """Refuse what could never happen."""
        require(order.count > 0, "count: expected at least 1")
        require(order.delay_ms >= 0, "delay_ms: expected at least 0")
        if order.account is not None and not self._words.has_accounts:
            raise PreconditionError("account: the calls here belong to nobody; leave it out")
        is_event = order.endpoint.startswith(EVENT)
        require(not is_event or self._words.has_events, "endpoint: there are no events here")
        possible = EVENT_EFFECTS if is_event else CALL_EFFECTS
        known = ", ".join(sorted(possible))
        require(order.effect in possible, f"effect: expected one of {known}, was {order.effect}")

    async def _clear(self, _request: web.Request) -> Body:
        return {"cleared": self.plan.clear()}

    async def around(
        self, endpoint: str, request: web.Request, act: Handler, account: int | None = None
    ) -> web.StreamResponse:
        """The answer of a call, unless a fault for ``endpoint`` is due."""
        before = self.plan.take(endpoint, account, When.BEFORE)
        ended = None if before is None else await self._suffer(before, request)
        if ended is not None:
            return ended
        response = await act(request)
        after = self.plan.take(endpoint, account, When.AFTER)
        ended = None if after is None else await self._suffer(after, request)
        return response if ended is None else ended

    async def _suffer(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        """Let the fault happen; None when the call goes on after it."""
        if fault.effect is Effect.DELAY:
            await self._clock.sleep_us(fault.delay_ms * 1_000)
            return None
        if fault.effect is Effect.ERROR:
            body = self._words.body_of(fault, request)
            return answer(body, fault.status or 500, dict(fault.headers))
        if fault.effect is Effect.HTML:
            return web.Response(
                text=fault.body, status=fault.status or 502, content_type="text/html",
                headers=dict(fault.headers),
            )  # fmt: skip
        if fault.effect is Effect.HANG:
            await self._clock.sleep_us(HANG_US)
        if fault.effect is Effect.RESET:
            reset(request)
        else:
            close(request)
        return web.Response(status=500)
