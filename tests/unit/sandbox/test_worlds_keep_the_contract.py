"""The start-up contract of the worlds as processes: ready line, ports, faults before and after."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.mixin.codec.encoding import to_base64url
from poolmaker.mixin.codec.ids import conversation_id
from poolmaker.mixin.codec.tokens import BotSession, Issue, WireRequest, bot_token
from poolmaker.sandbox.chain.options import CHAIN_ID, MNEMONIC
from poolmaker.sandbox.chain.wallet import account_of
from tests.support.hufi import Worlds, running_worlds
from tests.support.mixin import fresh_id
from tests.support.worlds import RunningWorld, running_world

Do = Callable[[], Awaitable[int]]
Seen = Callable[[], Awaitable[int]]
READY = {
    "mixin": {"api", "blaze", "admin", "bot", "users"},
    "chain": {"rpc", "chain_id", "mnemonic", "contracts", "admin"},
    "hufi": {"oracle", "launcher", "files", "admin", "admin_key"},
}


@dataclass(frozen=True)
class Case:
    """A world, a call that changes it, its name for faults, and how often it has had its effect."""

    world: RunningWorld
    endpoint: str
    do: Do
    seen: Seen
    cycle: int = 1_000
    """After so many effects it looks as before."""


async def ask(method: str, url: str, body: object, headers: dict[str, str] | None = None) -> int:
    """The status of a call, 0 without an answer."""
    timeout = aiohttp.ClientTimeout(total=20)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, data=msgspec.json.encode(body), headers=headers) as reply,
        ):
            return reply.status
    except aiohttp.ClientError:
        return 0


def mixin_case(world: RunningWorld) -> Case:
    """The bot writes to the first user."""
    bot, user = world.ready["bot"], world.ready["users"][0]["app_id"]

    async def do() -> int:
        body = [{
            "message_id": fresh_id(), "recipient_id": user, "category": "PLAIN_TEXT",
            "conversation_id": conversation_id(bot["app_id"], user),
            "data_base64": to_base64url(b"hello"),
        }]  # fmt: skip
        seed = bytes.fromhex(bot["session_private_key"])
        session = BotSession(bot["app_id"], bot["session_id"], seed)
        request = WireRequest("POST", "/messages", msgspec.json.encode(body))
        issue = Issue(fresh_id(), SystemClock().now_us() // 1_000_000)
        headers = {
            "Authorization": f"Bearer {bot_token(session, request, issue)}",
            "Content-Type": "application/json",
        }
        return await ask("POST", world.ready["api"] + "/messages", body, headers)

    async def seen() -> int:
        found = await world.admin("GET", f"/messages/{user}")
        return sum(one["category"] == "PLAIN_TEXT" for one in found["messages"])

    return Case(world, "POST /messages", do, seen)


def chain_case(world: RunningWorld) -> Case:
    """A wallet pays one wei to somebody."""
    wallet, to = account_of(MNEMONIC, 9), "0x" + "12" * 20
    common: dict[str, Any] = {
        "chainId": CHAIN_ID, "type": 2, "value": 1, "gas": 21_000, "to": to,
        "maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip

    async def do() -> int:
        # Without its effect the nonce is free, and the next call uses it.
        nonce = await seen()
        raw = wallet.sign_transaction({**common, "nonce": nonce}).raw_transaction
        body = {
            "jsonrpc": "2.0", "id": nonce, "method": "eth_sendRawTransaction",
            "params": ["0x" + bytes(raw).hex()],
        }  # fmt: skip
        return await ask("POST", world.ready["rpc"], body)

    async def seen() -> int:
        return int((await world.admin("GET", f"/balances/{to}"))["ETH"])

    return Case(world, "eth_sendRawTransaction", do, seen)


def hufi_case(worlds: Worlds) -> Case:
    """A participant wishes for one token more."""
    person = worlds.people[0]

    async def do() -> int:
        tokens = [f"T{number}" for number in range((await seen() + 1) % 11)]
        headers = {"Authorization": f"Bearer {person.tokens['access_token']}"}
        url = worlds.hufi.ready["oracle"] + "/me/preferences"
        return await ask("PATCH", url, {"campaigns_autojoin": {"tokens": tokens}}, headers)

    async def seen() -> int:
        found = await person.ask("GET", "/me")
        return len(found.body["preferences"]["campaigns_autojoin"]["tokens"])

    return Case(worlds.hufi, "PATCH /me/preferences", do, seen, cycle=11)


@pytest.fixture(params=["mixin", "chain", "hufi"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "mixin":
        async with running_world("mixin", "--users", "2") as mixin:
            yield mixin_case(mixin)
    elif request.param == "chain":
        async with running_world("chain", "--block-ms", "0") as chain:
            yield chain_case(chain)
    else:
        async with running_worlds(people=1) as worlds:
            yield hufi_case(worlds)


async def test_faults_happen_before_or_after_the_effect_and_as_often_as_planned(
    case: Case,
) -> None:
    done = 0
    for when, happens in (("before", 0), ("after", 1)):
        for effect, status in (("drop", 0), ("reset", 0), ("error", 500)):
            fault = {"endpoint": case.endpoint, "account": None, "when": when, "effect": effect}
            planned = await case.world.admin("POST", "/faults", {**fault, "count": 2})
            assert planned == {"planned": True, "status": 200}
            for _ in range(2):
                assert await case.do() == status, (when, effect)
                done += happens
                assert await case.seen() == done % case.cycle, (when, effect)
            assert await case.do() == 200
            done += 1
            assert await case.seen() == done % case.cycle
    late = {"endpoint": case.endpoint, "effect": "delay", "delay_ms": 1}
    await case.world.admin("POST", "/faults", late)
    assert await case.do() == 200
    await case.world.admin("POST", "/faults", {"endpoint": case.endpoint, "effect": "error"})
    assert (await case.world.admin("DELETE", "/faults"))["cleared"] == 1
    assert await case.do() == 200


async def test_a_fault_that_cannot_happen_is_refused_and_one_for_another_does_not(
    case: Case,
) -> None:
    fault = {"endpoint": case.endpoint, "effect": "error"}
    for wrong in (
        {"count": 0}, {"effect": "burn"}, {"when": "never"}, {"unknown": 1}, {"delay_ms": -1},
        {"effect": "duplicate"}, {"effect": "stale"}, {"endpoint": "event:x", "effect": "reset"},
    ):  # fmt: skip
        assert (await case.world.admin("POST", "/faults", {**fault, **wrong}))["status"] == 400
    mine, others = {"mixin": (0, 1), "hufi": (1, 2)}.get(_name(case), (None, 1))
    answered = await case.world.admin("POST", "/faults", {**fault, "account": others})
    assert answered["status"] == (400 if mine is None else 200)
    assert await case.do() == 200
    await case.world.admin("DELETE", "/faults")
    await case.world.admin("POST", "/faults", {**fault, "account": mine})
    assert await case.do() == 500


def _name(case: Case) -> str:
    return next(name for name, keys in READY.items() if keys == set(case.world.ready))


async def test_the_ready_line_names_what_the_contract_says(case: Case) -> None:
    assert set(case.world.ready) in READY.values()


def two_free_ports() -> int:
    """The first of two ports that nobody has."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two free ports beside each other")


async def test_ports_and_seeds_are_obeyed_and_the_launcher_follows_the_oracle() -> None:
    port = two_free_ports()
    first = running_world("mixin", "--port", str(port), "--seed", "7", "--users", "1")
    async with first as mixin, running_world("mixin", "--seed", "7", "--users", "1") as twin:
        assert mixin.ready["api"] == f"http://127.0.0.1:{port}"
        assert mixin.ready["bot"] == twin.ready["bot"]
        assert mixin.ready["users"] == twin.ready["users"]
    async with running_worlds("--port", str(port), people=0) as worlds:
        assert worlds.hufi.ready["oracle"] == f"http://127.0.0.1:{port}"
        assert worlds.hufi.ready["launcher"] == f"http://127.0.0.1:{port + 1}"
