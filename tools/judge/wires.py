"""One HTTP client for all places, with a patience and no opinion. Time is read only here."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from tools.judge.model import NotReadable

TIMEOUT_S: Final = 10
TRIES: Final = 5
BODY_MAX: Final = 64_000_000
_PAUSE_S: Final = 0.2
_OK: Final = 200


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000  # noqa: TID251 - the judge takes no clock of the platform


async def pause(seconds: float = _PAUSE_S) -> None:
    """Wait a little."""
    await asyncio.sleep(seconds)  # noqa: TID251 - as above


class Wires:
    """Asks, a few times where nobody answers; raises NotReadable.

    An address is sent as it is written, for a signature covers its query.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def read(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        """The bytes of an answer with status 200."""
        problem = ""
        for _ in range(TRIES):
            try:
                async with self._session.request(
                    method, URL(url, encoded=True), headers=headers, data=body
                ) as answer:
                    found = await answer.content.read(BODY_MAX)
                    if answer.status == _OK:
                        return found
                    problem = f"answered {answer.status}: {found[:200].decode('utf-8', 'replace')}"
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                problem = str(error) or type(error).__name__
            await pause()
        raise NotReadable(f"{url.partition('?')[0]} {problem}")

    async def json(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """The same, decoded; its numbers with a point stay texts."""
        found = await self.read(method, url, headers=headers, body=body)
        try:
            return json.loads(found, parse_float=str)
        except ValueError:
            raise NotReadable(f"{url.partition('?')[0]} did not answer with JSON") from None
