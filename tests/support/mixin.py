"""A sandbox Mixin inside the test's event loop, and a bot that speaks to it as a client would."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from poolmaker.infra.clock import SystemClock
from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.amounts import to_units
from poolmaker.mixin.codec.ids import ghost_hint, kernel_asset_id, token_asset_id
from poolmaker.mixin.codec.keys import GhostKeys, seed_scalar
from poolmaker.mixin.codec.messages import SUBPROTOCOL, decode_frame, encode_frame
from poolmaker.mixin.codec.tokens import BotSession, Issue, WireRequest, bot_token
from poolmaker.mixin.codec.transactions import Input, Output, Transaction
from poolmaker.sandbox.mixin.options import MixinOptions
from poolmaker.sandbox.mixin.server import MixinAddresses, MixinServer, build_house

USDT = "218bc6f4-7927-3f8e-8568-3a3725b74361"
ETHER_USDT = "4d8c508b-91c5-375b-92b0-ee702ed2dac5"
ETHER = "43d61dcd-e413-450d-80b8-101d5e903357"
POLYGON = "b7938396-3f94-4e0a-9179-d3440718156f"
HUMAN = token_asset_id(POLYGON, "0xc748b2a084f8efc47e086ccddd9b7e67aeb571bf")
CASHIER = "674d6776-d600-4346-af46-58e77d8df185"
ADDRESS = "0x86fa049857e0209aa7d9e616f7eb3b3b78ecfdb0"
NAMES = itertools.count(1)


def fresh_id() -> str:
    """A request id that no other has."""
    return str(uuid.UUID(int=next(NAMES) | 4 << 76 | 8 << 60))


@dataclass(frozen=True)
class Part:
    """A transaction on its way: what it spends, and the id under which it goes."""

    request_id: str
    tx: Transaction
    input_keys: list[list[bytes]]

    def plain(self) -> dict[str, str]:
        """As it is verified."""
        return {"request_id": self.request_id, "raw": codec.encode_unsigned(self.tx).hex()}


class LocalMixin:
    """A server, and calls signed with one keystore after another."""

    def __init__(
        self, server: MixinServer, addresses: MixinAddresses, session: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.addresses = addresses
        self.session = session
        self.bot = addresses.bot
        self.users = addresses.users

    def token(
        self, store: dict[str, str], request: WireRequest, request_id: str, shift_s: int = 0
    ) -> str:
        """A token as a bot makes it."""
        seed = bytes.fromhex(store["session_private_key"])
        session = BotSession(store["app_id"], store["session_id"], seed)
        now_s = SystemClock().now_us() // 1_000_000 + shift_s
        return bot_token(session, request, Issue(request_id, now_s))

    async def raw(
        self, method: str, uri: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Exactly these bytes: status, decoded answer, headers."""
        url = URL(self.addresses.api + uri, encoded=True)
        given = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.request(method, url, data=body or None, headers=given) as answer:
            return answer.status, json.loads(await answer.read()), answer.headers

    async def call(
        self, method: str, uri: str, body: object = None, *, store: dict[str, str] | None = None
    ) -> Any:
        """Data of a signed call, or its error."""
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        request_id = fresh_id()
        token = self.token(store or self.bot, WireRequest(method, uri, data), request_id)
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": request_id}
        _, said, seen = await self.raw(method, uri, data, headers)
        assert seen["X-Request-Id"] == request_id
        return said.get("data", said)

    async def admin(self, method: str, path: str, body: object = None) -> Any:
        """One request to the admin port."""
        async with self.session.request(method, self.addresses.admin + path, json=body) as answer:
            return await answer.json()

    async def fund(self, amount: str, asset: str = USDT) -> None:
        """The first user pays the bot."""
        order = {"user": self.users[0]["app_id"], "asset": asset, "amount": amount}
        assert (await self.admin("POST", "/pay", order))["state"] == "spent"

    async def unspent(self, asset: str = USDT) -> list[dict[str, Any]]:
        """What the bot can spend."""
        found: list[dict[str, Any]] = await self.call(
            "GET", f"/safe/outputs?asset={asset}&state=unspent&limit=500"
        )
        return found

    async def balance(self, asset: str = USDT) -> int:
        """The bot's units."""
        return sum(to_units(one["amount"]) for one in await self.unspent(asset))

    async def lock(self, receiver: str, index: int, hint: str) -> GhostKeys:
        """One-time keys from the server."""
        body = [{"receivers": [receiver], "index": index, "hint": hint}]
        made = (await self.call("POST", "/safe/keys", body))[0]
        return GhostKeys(bytes.fromhex(made["mask"]), tuple(map(bytes.fromhex, made["keys"])))

    async def part(
        self,
        payees: Sequence[tuple[str, str]],
        *,
        asset: str = USDT,
        leaving: Output | None = None,
        references: tuple[bytes, ...] = (),
        spent: Sequence[dict[str, Any]] | None = None,
    ) -> Part:
        """A transaction that spends everything (or ``spent``) and takes the change back."""
        inputs = list(await self.unspent(asset) if spent is None else spent)
        trace, outputs = fresh_id(), [leaving] if leaving else []
        for receiver, amount in payees:
            index = len(outputs)
            lock = await self.lock(receiver, index, ghost_hint(trace, index))
            outputs.append(codec.pay_to(to_units(amount), lock, 1))
        total = sum(to_units(one["amount"]) for one in inputs)
        change = total - sum(one.units for one in outputs)
        if change > 0:
            index = len(outputs)
            lock = await self.lock(self.bot["app_id"], index, ghost_hint(trace, index))
            outputs.append(codec.pay_to(change, lock, 1))
        tx = Transaction(
            asset=kernel_asset_id(asset),
            inputs=tuple(
                Input(bytes.fromhex(one["transaction_hash"]), one["output_index"])
                for one in inputs
            ),
            outputs=tuple(outputs), references=references,
        )  # fmt: skip
        return Part(trace, tx, [[bytes.fromhex(key) for key in one["keys"]] for one in inputs])

    async def verify(self, *parts: Part) -> Any:
        """Bind request ids."""
        body = [part.plain() for part in parts]
        return await self.call("POST", "/safe/transaction/requests", body)

    async def signed(self, *parts: Part) -> list[dict[str, str]]:
        """The parts verified and signed, ready to be sent."""
        bound = await self.verify(*parts)
        assert isinstance(bound, list), bound
        scalar = seed_scalar(bytes.fromhex(self.bot["spend_private_key"]))
        ready = []
        for part, one in zip(parts, bound, strict=True):
            views = list(map(bytes.fromhex, one["views"]))
            done = codec.sign(part.tx, views, scalar, input_keys=part.input_keys)
            ready.append({"request_id": part.request_id, "raw": codec.encode(done).hex()})
        return ready

    async def send(self, *parts: Part) -> Any:
        """Verify, sign and send."""
        return await self.call("POST", "/safe/transactions", await self.signed(*parts))

    @contextlib.asynccontextmanager
    async def blaze(self, store: dict[str, str] | None = None) -> AsyncIterator[BlazeClient]:
        """A Blaze connection that has asked for what waits."""
        token = self.token(store or self.bot, WireRequest("GET", "/"), fresh_id())
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.ws_connect(
            self.addresses.blaze, protocols=(SUBPROTOCOL,), headers=headers
        ) as socket:
            client = BlazeClient(socket)
            await client.send("LIST_PENDING_MESSAGES")
            assert (await client.frame())["action"] == "LIST_PENDING_MESSAGES"
            yield client


class BlazeClient:
    """Frames in and out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, action: str, **params: object) -> None:
        """One frame."""
        await self.socket.send_bytes(
            encode_frame({"id": fresh_id(), "action": action, "params": params})
        )

    async def frame(self, limit_s: float = 10) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(limit_s):
            return decode_frame(await self.socket.receive_bytes())


@contextlib.asynccontextmanager
async def local_mixin(*, beats: bool = False, **changes: Any) -> AsyncIterator[LocalMixin]:
    """A server on free ports with three users; ``beats`` runs its loop."""
    options = MixinOptions(**{"users": 3, **changes})
    server = MixinServer(build_house(options, SystemClock()))
    addresses = await server.start(0, 0)
    tasks = [asyncio.create_task(server.beat())] if beats else []
    timeout = aiohttp.ClientTimeout(total=20)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield LocalMixin(server, addresses, session)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop()
