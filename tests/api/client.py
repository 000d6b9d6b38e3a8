"""A client that calls an ASGI application in this process, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from starlette.types import ASGIApp, Message

KEYS = count(1)
"""No two requests of a run share a key that they did not name."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    def __init__(self, app: ASGIApp, token: str = "") -> None:
        self.app = app
        self.token = token

    def as_(self, token: str) -> Client:
        return Client(self.app, token)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.call("GET", path, b"", headers or {})

    async def post(
        self, path: str, body: object = None, key: str | None = None, raw: bytes | None = None
    ) -> Answer:
        headers = {"content-type": "application/json"}
        if key != "":
            headers["idempotency-key"] = key or f"key-of-test-{next(KEYS)}"
        content = raw if raw is not None else json.dumps(body if body is not None else {}).encode()
        return await self.call("POST", path, content, headers)

    async def call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        path, _, query = path.partition("?")
        sent = {"content-length": str(len(body)), **headers}
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        messages: list[Message] = []
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if not pending:
                await asyncio.Event().wait()  # this client never hangs up
            return pending.pop()

        async def send(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        start = messages[0]
        return Answer(
            start["status"],
            {k.decode().lower(): v.decode() for k, v in start["headers"]},
            b"".join(m.get("body", b"") for m in messages[1:]),
        )
