"""The API as one ASGI application, and the server that serves it with the pages beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, Final, cast

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from poolmaker.api.access import Access
from poolmaker.api.budgets import Budgets, BudgetSizes
from poolmaker.api.calls import Allow
from poolmaker.api.description import described
from poolmaker.api.gate import RequestGate
from poolmaker.api.http_protocol import KEEP_ALIVE_S, Connections, LimitedProtocol
from poolmaker.api.params import unbounded
from poolmaker.api.ports import Platform
from poolmaker.api.problems import ApiProblem, answer
from poolmaker.api.routes import router
from poolmaker.api.routes_attention import router as attention_router
from poolmaker.api.routes_money import router as money_router
from poolmaker.api.routes_outgoing import router as outgoing_router
from poolmaker.api.routes_safety import router as safety_router
from poolmaker.api.routes_treasury import router as treasury_router
from poolmaker.api.routes_users import router as users_router
from poolmaker.api.streams import Streams
from poolmaker.api.streams import router as streams_router
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.errors import (
    EnvironmentProblem,
    OutcomeUnknown,
    PoolmakerError,
    PreconditionError,
)

ROUTERS: Final = (
    router,
    money_router,
    treasury_router,
    users_router,
    outgoing_router,
    attention_router,
    streams_router,
    safety_router,
)
SHUTDOWN_S: Final = 3
WHAT_MAX: Final = 300
_ADDRESS_IN_USE: Final = frozenset({98, 48})
_NOT_PERMITTED: Final = 13


def _problem(request: Request, problem: ApiProblem) -> Response:
    return answer(problem, request.state.correlation, request.headers.get("accept-language", ""))


async def _on_problem(request: Request, problem: Exception) -> Response:
    ensure(isinstance(problem, ApiProblem), "handler: expected a Problem")
    return (
        _problem(request, problem) if isinstance(problem, ApiProblem) else Response(status_code=500)
    )


async def _on_validation(request: Request, error: Exception) -> Response:
    return _problem(request, ApiProblem("invalid", {"what": _what(error)}))


def _what(error: Exception) -> str:
    if not isinstance(error, RequestValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    said = f"{place}: {first['msg']}"[:WHAT_MAX]
    return "".join(sign if sign.isprintable() else "?" for sign in said)


async def _on_http(request: Request, error: Exception) -> Response:
    if isinstance(error.__cause__, ApiProblem):
        return _problem(request, error.__cause__)  # the body grew too large while it was read
    status = error.status_code if isinstance(error, HTTPException) else 500
    codes = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}
    answer = _problem(request, ApiProblem(codes.get(status, "invalid"), {"what": str(error)}))
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


class _NotFound:
    """What is below /api and no route: 405 where another method would be one, else 404."""

    def __init__(self, routes: Sequence[APIRoute]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the problem."""
        request = Request(scope)
        path = {**scope, "root_path": ""}
        methods = {
            method
            for route in self._routes
            if route.matches(path)[0] is Match.PARTIAL
            for method in route.methods or ()
        }
        problem = ApiProblem("method_not_allowed" if methods else "not_found")
        answer = _problem(request, problem)
        if methods:
            answer.headers["Allow"] = ", ".join(sorted(methods))
        await answer(scope, receive, send)


async def _on_poolmaker(request: Request, error: Exception) -> Response:
    if isinstance(error, PreconditionError):
        return _problem(request, ApiProblem("invalid", {"what": str(error)}))
    code = "outcome_unknown" if isinstance(error, OutcomeUnknown) else "unavailable"
    return _problem(request, ApiProblem(code))


async def _on_anything(request: Request, _: Exception) -> Response:
    """The last resort: the server logs the error itself, the caller gets the id to quote."""
    return _problem(request, ApiProblem("internal"))


def routes() -> list[APIRoute]:
    """Every route of the API."""
    return [route for part in ROUTERS for route in part.routes if isinstance(route, APIRoute)]


def access_of(route: APIRoute) -> Access | None:
    """What lets callers into a route; None would let nobody in."""
    found = (d.call for d in route.dependant.dependencies if isinstance(d.call, Allow))
    allow = next(found, None)
    return allow.access if allow is not None else None


def create_api(
    platform: Platform, site: ASGIApp | None = None, sizes: BudgetSizes | None = None
) -> FastAPI:
    """The API, and the pages below it where there are any."""
    api = FastAPI(
        title="Poolmaker",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    api.state.platform = platform
    api.state.streams = Streams(platform)
    for part in ROUTERS:
        api.include_router(part)
    for route in routes():
        ensure(access_of(route) is not None, f"{route.path}: a route must say who may use it")
        loose = ", ".join(unbounded(route.dependant))
        ensure(not loose, f"{route.path}: parameters without a bounded form: {loose}")
    api.openapi = lambda: described(api)  # type: ignore[method-assign]
    api.add_exception_handler(ApiProblem, _on_problem)
    api.add_exception_handler(RequestValidationError, _on_validation)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(PoolmakerError, _on_poolmaker)
    api.add_exception_handler(Exception, _on_anything)
    budgets = Budgets(platform.clock, sizes)
    api.add_middleware(RequestGate, ids=platform.ids, tokens=platform.tokens, budgets=budgets)
    api.mount("/api", _NotFound(routes()))
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
        timeout_keep_alive=KEEP_ALIVE_S,
        http=cast("Any", partial(LimitedProtocol, Connections())),
        ws="none",
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
