"""Requests on the wire, and what each way of not being answered means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import OutcomeUnknown, PoolmakerError, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.mixin import wire
from poolmaker.mixin.api import MixinApi
from poolmaker.mixin.client import SafeClient
from poolmaker.mixin.codec.keys import seed_public_key
from poolmaker.mixin.codec.tokens import WireRequest, read_token, request_digest
from poolmaker.mixin.model import Keystore, LockWanted, MixinRefused
from poolmaker.mixin.wire import Unreadable

APP = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
SEED = bytes(range(32))
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """Answers as told, in order; the last answer is repeated."""

    answers: list[Answer]
    seen: list[tuple[WireRequest, str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        token = request.headers["Authorization"].removeprefix("Bearer ")
        wired = WireRequest(request.method, request.raw_path, body)
        self.seen.append((wired, token, request.headers["X-Request-Id"]))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def _served(*answers: Answer) -> AsyncIterator[tuple[MixinApi, Server, ManualClock]]:
    server, app = Server(list(answers)), web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    clock = ManualClock()
    async with TestServer(app) as running, aiohttp.ClientSession() as session:
        keys = Keystore(APP, "session", SEED, SEED)
        yield MixinApi(session, str(running.make_url("/")), keys, clock, Rng(1)), server, clock


def _says(body: object, status: int = 200, echo: str | None = None) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.headers["X-Request-Id"] if echo is None else echo
        return web.json_response(body, status=status, headers={"X-Request-Id": name})

    return answer


def _error(code: object, status: int = 202) -> Answer:
    return _says({"error": {"status": status, "code": code, "description": "no"}}, 202)


async def _page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="Bad Gateway", status=502)


async def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def test_a_token_covers_the_very_bytes_of_its_request_and_none_is_used_twice() -> None:
    async with _served(_says({"data": 1})) as (api, server, _):
        assert await api.get("/safe/outputs", {"offset": "2026-01-01T00:00:00Z", "a": "b c+ü"}) == 1
        assert await api.post("/safe/keys", [{"memo": "ü"}]) == 1
    assert server.seen[0][0].uri == "/safe/outputs?offset=2026-01-01T00%3A00%3A00Z&a=b%20c%2B%C3%BC"
    for wired, text, request_id in server.seen:
        token = read_token(text)
        assert token.is_by(seed_public_key(SEED))
        assert token.claims["sig"] == request_digest(wired)
        assert token.claims["jti"] == request_id
    assert len({request_id for _, _, request_id in server.seen}) == 2


@pytest.mark.parametrize(
    ("answer", "read", "write"),
    [
        (_error(10105), MixinRefused, MixinRefused),
        (_error(20124), MixinRefused, MixinRefused),
        (_error(401), MixinRefused, MixinRefused),
        (_error(500, 500), Unavailable, OutcomeUnknown),
        (_error(7000, 500), Unavailable, OutcomeUnknown),
        (_error(7001), Unavailable, OutcomeUnknown),
        (_error(1, 503), Unavailable, OutcomeUnknown),
        (_error("x"), Unavailable, OutcomeUnknown),
        (_page, Unavailable, OutcomeUnknown),
        (_cut, Unavailable, OutcomeUnknown),
        (_says([]), Unavailable, OutcomeUnknown),
        (_says({"data": 1}, echo="another"), Unavailable, OutcomeUnknown),
        (_says({"data": 1}, echo=""), Unavailable, OutcomeUnknown),
    ],
)
async def test_what_an_answer_means_for_a_read_and_for_a_write(
    answer: Answer, read: type[PoolmakerError], write: type[PoolmakerError]
) -> None:
    async with _served(answer) as (api, server, _):
        with pytest.raises(read):
            await api.get("/x")
        asked = len(server.seen)
        with pytest.raises(write):
            await api.post("/x", {})
    assert len(server.seen) == asked + 1, "a write is never repeated by the transport"


async def test_who_is_told_to_slow_down_waits_longer_each_time_and_then_gives_up() -> None:
    async with _served(_error(429), _error(429), _says({"data": 5})) as (api, server, clock):
        before_us = clock.now_us()
        assert await api.post("/x", {}) == 5
        assert clock.now_us() - before_us >= 1_500_000
        assert len(server.seen) == 3
    async with _served(_error(429)) as (api, server, _):
        with pytest.raises(Unavailable):
            await api.post("/x", {})
        assert len(server.seen) == 4


async def test_without_a_connection_surely_nothing_happened() -> None:
    async with aiohttp.ClientSession() as session:
        keys = Keystore(APP, "session", SEED, SEED)
        # Port 0 is nobody's.
        api = MixinApi(session, "http://127.0.0.1:0", keys, ManualClock(), Rng(1))
        with pytest.raises(Unavailable):
            await api.post("/safe/transactions", [])


async def test_an_answer_for_other_requests_than_were_sent_is_doubt() -> None:
    row = {"request_id": "other", "transaction_hash": "h", "state": "spent"}
    async with _served(_says({"data": [row]})) as (api, _, _):
        with pytest.raises(OutcomeUnknown):
            await SafeClient(api, APP).submit([("mine", b"\0")])


async def test_keys_that_were_not_answered_are_asked_for_again_because_they_are_the_same() -> None:
    async with _served(_page, _says({"data": []})) as (api, _, _):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await SafeClient(api, APP).locks([LockWanted(APP, 0, APP)])


async def test_a_receipt_behind_a_full_page_is_found_and_one_instant_ends_the_search() -> None:
    seen = wire.output({
        "output_id": "o", "transaction_hash": "ours", "output_index": 0, "asset_id": "a",
        "amount": "1", "keys": [], "sequence": 3, "state": "unspent",
        "created_at": "2026-01-01T00:00:30Z",
    })  # fmt: skip

    def page(*rows: tuple[str, int]) -> Answer:
        return _says({
            "data": [
                {"transaction_hash": name, "amount": "1", "created_at": f"2026-01-01T00:00:{at}Z",
                 "deposit": {"deposit_hash": "0xabc"}}
                for name, at in rows
            ]
        })  # fmt: skip

    strangers = [("stranger", 10)] * 499 + [("stranger", 11)]
    async with _served(_error(404), page(*strangers), page(("ours", 30))) as (api, server, _):
        found = await SafeClient(api, APP).receipt(seen)
        assert found is not None
        assert found.deposit_hash == "0xabc"
        assert "offset=2026-01-01T00%3A00%3A11Z" in server.seen[2][0].uri
    stuck = [("stranger", 11)] * 500
    async with _served(_error(404), page(*stuck), page(*stuck)) as (api, server, _):
        assert await SafeClient(api, APP).receipt(seen) is None
        assert len(server.seen) == 3


def test_nothing_is_written_as_null_as_an_empty_text_or_not_at_all() -> None:
    plain = {
        "output_id": "o", "transaction_hash": "h", "output_index": 0, "asset_id": "a",
        "amount": "1.5", "keys": [], "sequence": 3, "state": "unspent",
        "created_at": "2026-01-01T00:00:00.123456789Z",
    }  # fmt: skip
    nothing: list[dict[str, Any]] = [
        {}, {"senders": None, "extra": None, "inscription_hash": None},
        {"senders": [], "extra": "", "inscription_hash": "0" * 64, "new_field": 1},
    ]  # fmt: skip
    read = [wire.output({**plain, **one}) for one in nothing]
    assert read[0] == read[1] == read[2]
    assert read[0].units == 150_000_000
    assert read[0].created_us % 1_000_000 == 123_456
    assert wire.output({**plain, "inscription_hash": "ab"}).is_inscription


@pytest.mark.parametrize("wrong", [None, 5, {}, {"output_id": 1}, [], "x"])
def test_what_cannot_be_read_is_named_and_never_half_read(wrong: object) -> None:
    with pytest.raises(Unreadable):
        wire.read(wrong, wire.output)
    with pytest.raises(Unreadable):
        wire.read({"output_id": wrong}, wire.output)


def test_a_keystore_shows_no_secret() -> None:
    assert SEED.hex() not in repr(Keystore(APP, "s", SEED, SEED))
    assert json.dumps(repr(Keystore(APP, "s", SEED, SEED))) == f'"Keystore({APP})"'
