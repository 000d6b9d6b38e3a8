"""The API as one ASGI application, and the server that serves it with the pages beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poolmaker.api.calls import Allow
from poolmaker.api.ports import Platform
from poolmaker.api.problems import CATALOGUES, CORRELATION_HEADER, Problem, answer
from poolmaker.api.routes import router
from poolmaker.api.routes_money import router as money_router
from poolmaker.api.streams import Streams
from poolmaker.api.streams import router as streams_router
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.errors import (
    CallerFault,
    EnvironmentProblem,
    OutcomeUnknown,
    PoolmakerError,
)
from poolmaker.kernel.ids import Ids

ROUTERS: Final = (router, money_router, streams_router)
BODY_BYTES_MAX: Final = 65_536
SHUTDOWN_S: Final = 3
_ADDRESS_IN_USE: Final = frozenset({98, 48})
_NOT_PERMITTED: Final = 13


class Correlate:
    """Gives every request a correlation id and a language, and bounds its body."""

    def __init__(self, app: ASGIApp, ids: Ids) -> None:
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on with the id in the state and in the answer's headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation = self._ids.correlation()
        request = Request(scope)
        state = scope.setdefault("state", {})
        state["correlation"] = correlation
        state["language"] = CATALOGUES.negotiate(request.headers.get("accept-language", ""))

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[CORRELATION_HEADER] = correlation
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if _announced(request) > BODY_BYTES_MAX:
            await _problem(request, Problem("too_large", {"limit": str(BODY_BYTES_MAX)}))(
                scope, receive, with_id
            )
            return
        await self._app(scope, _Bounded(receive), with_id)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() else BODY_BYTES_MAX + 1


class _Bounded:
    """Ends a body that was sent in pieces and grew too large."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = BODY_BYTES_MAX

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise Problem("too_large", {"limit": str(BODY_BYTES_MAX)})
        return message


def _problem(request: Request, problem: Problem) -> Response:
    return answer(problem, request.state.correlation, request.headers.get("accept-language", ""))


async def _on_problem(request: Request, problem: Exception) -> Response:
    ensure(isinstance(problem, Problem), "handler: expected a Problem")
    return _problem(request, problem) if isinstance(problem, Problem) else Response(status_code=500)


async def _on_validation(request: Request, error: Exception) -> Response:
    return _problem(request, Problem("invalid", {"what": _what(error)}))


def _what(error: Exception) -> str:
    if not isinstance(error, RequestValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"


async def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    codes = {404: "not_found", 405: "method_not_allowed"}
    return _problem(request, Problem(codes.get(status, "invalid"), {"what": str(error)}))


async def _on_poolmaker(request: Request, error: Exception) -> Response:
    if isinstance(error, CallerFault):
        return _problem(request, Problem("invalid", {"what": str(error)}))
    code = "outcome_unknown" if isinstance(error, OutcomeUnknown) else "unavailable"
    return _problem(request, Problem(code))


async def _on_anything(request: Request, _: Exception) -> Response:
    """The last resort: the server logs the error itself, the caller gets the id to quote."""
    return _problem(request, Problem("internal"))


def routes() -> list[APIRoute]:
    """Every route of the API."""
    return [route for part in ROUTERS for route in part.routes if isinstance(route, APIRoute)]


def roles_of(route: APIRoute) -> Allow | None:
    """What lets callers into a route; None would let nobody in."""
    found = (d.call for d in route.dependant.dependencies if isinstance(d.call, Allow))
    return next(found, None)


def create_api(platform: Platform, site: ASGIApp | None = None) -> FastAPI:
    """The API, and the pages below it where there are any."""
    api = FastAPI(title="Poolmaker", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    api.state.platform = platform
    api.state.streams = Streams()
    for part in ROUTERS:
        api.include_router(part)
    for route in routes():
        ensure(roles_of(route) is not None, f"{route.path}: a route must name its roles")
    api.add_exception_handler(Problem, _on_problem)
    api.add_exception_handler(RequestValidationError, _on_validation)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(PoolmakerError, _on_poolmaker)
    api.add_exception_handler(Exception, _on_anything)
    api.add_middleware(Correlate, ids=platform.ids)
    if site is not None:
        api.mount("/", site)
    return api


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; EnvironmentProblem says what to do when there is none to be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise EnvironmentProblem(_refused(host, port, error)) from error
    listener.setblocking(False)
    return listener


def _refused(host: str, port: int, error: OSError) -> str:
    if error.errno in _ADDRESS_IN_USE:
        return (
            f"port {port} on {host} is taken by another program; stop that program or choose "
            f"another port (--port, or port in [web] of the configuration)"
        )
    if error.errno == _NOT_PERMITTED:
        return f"port {port} needs permission that this user lacks; choose a port above 1023"
    return f"cannot listen on {host} port {port}: {error.strerror}; choose another host or port"


async def serve(api: ASGIApp, listener: socket.socket, stopping: asyncio.Event) -> None:
    """Serve until ``stopping`` is set; open requests get a moment, streams end by themselves."""
    config = uvicorn.Config(
        api,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=SHUTDOWN_S,
        timeout_keep_alive=30,
        limit_concurrency=1_000,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web-server")
    waiting = asyncio.create_task(stopping.wait(), name="web-stopping")
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    waiting.cancel()
    await serving


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the whole process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield
