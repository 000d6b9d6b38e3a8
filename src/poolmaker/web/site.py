"""The pages as one ASGI application. ``app.py`` mounts it at ``/`` beside the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.money import power_of_ten
from poolmaker.views.catalogue import Catalogues
from poolmaker.views.model import WorldMode
from poolmaker.web.assets import Assets
from poolmaker.web.feed import Feed
from poolmaker.web.look import SnapshotLoader
from poolmaker.web.naming import account_words, owners
from poolmaker.web.ports import PageContext
from poolmaker.web.render import HERE, Pages, account_url

_LOG: Final = get_logger("web")
ENTRIES_PER_PAGE: Final = 100
LANGUAGE_COOKIE: Final = "lang"
ACCOUNT_LENGTH_MAX: Final = 200
ORDERS_NAMED: Final = 200
SEQ_DIGITS_MAX: Final = 16

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """Puts the same strict headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, adding headers where an answer starts."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


_Page = Callable[[Request], Awaitable[Response]]


class _Site:
    def __init__(self, showing: PageContext) -> None:
        self._showing = showing
        self._assets = Assets(HERE / "static")
        self._pages = Pages(self._assets, Catalogues(HERE / "catalogues"))
        self._looker = SnapshotLoader(showing)
        self._feed = Feed(showing, self._pages.parts)

    def routes(self) -> list[Route]:
        return [
            Route("/", self._guard(self._story)),
            Route("/stream", self._guard(self._stream)),
            Route("/account/{account:path}", self._guard(self._account)),
            Route("/entry/{seq:int}", self._guard(self._entry)),
            Route("/static/{name:path}", self._static),
        ]

    def _language(self, request: Request) -> str:
        wish = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE) or ""
        if wish in self._pages.catalogues.languages:
            return wish
        return self._pages.catalogues.negotiate(request.headers.get("accept-language", ""))

    def _notice(self, request: Request, key: str, status: int) -> Response:
        language = self._language(request)
        words = self._pages.catalogues.words(language)
        html = self._pages.page(
            "notice.html",
            language,
            heading=words.say(f"notice.{key}.heading"),
            sentence=words.say(f"notice.{key}.sentence"),
        )
        return HTMLResponse(html, status, {"Cache-Control": "no-store"})

    async def _story(self, request: Request) -> Response:
        language = self._language(request)
        answer = HTMLResponse(
            self._pages.story(await self._looker.take(), language),
            headers={"Cache-Control": "no-store"},
        )
        if "lang" in request.query_params:
            answer.set_cookie(LANGUAGE_COOKIE, language, httponly=True, samesite="strict")
        return answer

    async def _stream(self, request: Request) -> Response:
        if self._feed.full:
            return PlainTextResponse("", 503, {"Retry-After": "5"})
        return StreamingResponse(
            self._events(self._language(request)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _events(self, language: str) -> AsyncIterator[str]:
        async for message in self._feed.watch(language):
            yield message

    async def _account(self, request: Request) -> Response:
        account = request.path_params["account"]
        if len(account) > ACCOUNT_LENGTH_MAX or "\0" in account:
            return self._notice(request, "missing", 404)
        after = request.query_params.get("after", "0")
        is_number = after.isascii() and after.isdecimal() and len(after) < SEQ_DIGITS_MAX
        position = int(after) if is_number else 0
        page = await self._showing.reading.account(account, position, ENTRIES_PER_PAGE)
        language = self._language(request)
        words = self._pages.catalogues.words(language)
        names = owners(await self._showing.reading.orders(None, "", ORDERS_NAMED))
        render = self._pages.entries(
            account_words(words, account, names), account, page.entries, names, language
        )
        more = page.next_after
        link = f"{account_url(account)}?after={more}" if more is not None else ""
        return HTMLResponse(render(next=link), headers={"Cache-Control": "no-store"})

    async def _entry(self, request: Request) -> Response:
        seq: int = request.path_params["seq"]
        known = seq < power_of_ten(SEQ_DIGITS_MAX)
        happening = await self._showing.reading.transaction(seq) if known else None
        if happening is None:
            return self._notice(request, "missing", 404)
        language = self._language(request)
        words = self._pages.catalogues.words(language)
        names = owners(await self._showing.reading.orders(None, "", ORDERS_NAMED))
        heading = words.say("entries.transaction", seq=happening.seq, kind=happening.kind)
        render = self._pages.entries(heading, happening.key, happening.entries, names, language)
        return HTMLResponse(render(next=""), headers={"Cache-Control": "no-store"})

    async def _static(self, request: Request) -> Response:
        found = self._assets.at(request.url.path)
        if found is None:
            return self._notice(request, "missing", 404)
        return Response(
            found.body,
            media_type=found.media_type,
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

    def _guard(self, page: _Page) -> _Page:
        async def guarded(request: Request) -> Response:
            if self._showing.mode is not WorldMode.SANDBOX:
                return self._notice(request, "closed", 403)
            try:
                return await page(request)
            except (Unavailable, OutcomeUnknown):
                return self._notice(request, "unavailable", 503)
            except Exception:  # supervisor
                _LOG.exception("a page failed", path=request.url.path)
                return self._notice(request, "failed", 500)

        return guarded


def create_site(showing: PageContext) -> Starlette:
    """The pages. They are open in sandbox mode and say why they are closed in any other."""
    site = Starlette(routes=_Site(showing).routes())
    site.add_middleware(SecurityHeaders)
    return site
