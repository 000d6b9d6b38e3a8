"""What a node says under whatever HTTP status: refusals are read, and stop no watcher."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from poolmaker.evm.rpc import Rpc, RpcFailed, RpcRefused, RpcSilent
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from tests.support.scripted_node import FINALITY, Kept, Node, stored_in, true_of, watcher_of

Refuses = Callable[[Mapping[str, Any]], bool]
ERROR: Final = {"code": -32602, "message": "query returned more than 10000 results"}
BODIES: Final = ("error", "html", "empty")
LOOKS_MAX: Final = 30


@contextlib.asynccontextmanager
async def served(node: Node, refuses: Refuses, status: int, kind: str) -> AsyncIterator[Rpc]:
    """The node behind real HTTP; what ``refuses`` says is answered by a status and a body."""

    def refusal(body: Any) -> web.Response:
        if kind == "error":
            number = None if isinstance(body, list) else body["id"]
            error = {"jsonrpc": "2.0", "id": number, "error": ERROR}
            return web.json_response(error, status=status)
        text = "<html>no</html>" if kind == "html" else ""
        return web.Response(status=status, text=text, content_type="text/html")

    async def answered(request: web.Request) -> web.Response:
        body = await request.json()
        calls = body if isinstance(body, list) else [body]
        if any(refuses(call) for call in calls):
            return refusal(body)
        found = [node.answer(call) for call in calls]
        return web.json_response(found if isinstance(body, list) else found[0])

    application = web.Application()
    application.router.add_post("/", answered)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Rpc(session, f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()


def whole_blocks(call: Mapping[str, Any]) -> bool:
    return call["method"] == "eth_getLogs" and "address" not in call["params"][0]


def long_ranges(call: Mapping[str, Any]) -> bool:
    if call["method"] != "eth_getLogs":
        return False
    asked = call["params"][0]
    return int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= 7


ANSWERS: Final = [
    *itertools.product((400, 403, 413, 429), BODIES),
    *itertools.product((500, 503), BODIES),
    (200, "error"),
]


@pytest.mark.parametrize("refuses", [whole_blocks, long_ranges])
@pytest.mark.parametrize(("status", "kind"), ANSWERS)
async def test_a_question_that_a_node_always_refuses_stops_no_watcher(
    refuses: Refuses, status: int, kind: str
) -> None:
    node, kept = Node(payments={20: 2, 33: 1, 300: 1}, newest=FINALITY), Kept()
    async with served(node, refuses, status, kind) as rpc:
        watcher = watcher_of(rpc, kept)
        await watcher.look()
        node.newest = 400
        for _ in range(LOOKS_MAX):
            with contextlib.suppress(Unavailable):
                await watcher.look()
        assert stored_in(kept) == true_of(node)
        assert kept.at is not None
        assert kept.at.head.number == node.newest - FINALITY


@pytest.mark.parametrize("status", [429, 503])
async def test_a_node_that_is_silent_for_a_moment_is_not_believed_with_less_evidence(
    status: int,
) -> None:
    """A receipt without one of its logs is noticed once the node answers what stands in a block."""
    node, kept = Node(payments={20: 2}, newest=FINALITY), Kept()
    busy = 2

    def for_a_moment(call: Mapping[str, Any]) -> bool:
        nonlocal busy
        busy -= whole_blocks(call)
        return whole_blocks(call) and busy >= 0

    async with served(node, for_a_moment, status, "empty") as rpc:
        watcher = watcher_of(rpc, kept)
        await watcher.look()
        node.newest = 60
        whole = node.receipt

        def cut(tx_hash: str) -> dict[str, Any]:
            found = whole(tx_hash)
            return {**found, "logs": found["logs"][1:]}

        node.receipt = cut  # type: ignore[method-assign]
        for _ in range(4):
            with pytest.raises(Unavailable):
                await watcher.look()
        assert stored_in(kept) == {}
        node.receipt = whole  # type: ignore[method-assign]
        await watcher.look()
        assert stored_in(kept) == true_of(node)


@pytest.mark.parametrize("status", [200, 400, 403, 413, 500, 503])
async def test_the_words_of_a_refusal_are_read_under_any_status(status: int) -> None:
    async with served(Node(), lambda _: True, status, "error") as rpc:
        with pytest.raises(RpcRefused, match="more than 10000") as refused:
            await rpc.broadcast(b"\x02")
    assert (refused.value.number, refused.value.message) == (ERROR["code"], ERROR["message"])


@pytest.mark.parametrize("kind", ["html", "empty"])
async def test_a_status_without_words_is_a_refusal_only_where_it_says_that_nothing_was_done(
    kind: str,
) -> None:
    for status in (400, 403, 413):
        async with served(Node(), lambda _: True, status, kind) as rpc:
            with pytest.raises(RpcRefused, match=f"HTTP {status}"):
                await rpc.broadcast(b"\x02")
    for status in (408, 429, 500, 502, 504):
        async with served(Node(), lambda _: True, status, kind) as rpc:
            with pytest.raises(OutcomeUnknown):
                await rpc.broadcast(b"\x02")
            with pytest.raises(RpcSilent if status < 500 else RpcFailed):
                await rpc.call("eth_chainId")
