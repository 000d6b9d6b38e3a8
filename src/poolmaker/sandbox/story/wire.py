"""How the story speaks to the platform's API, as operator and as users."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.sandbox.story.model import StoryFailed
from poolmaker.sandbox.story.patience import Patience

TIMEOUT_S: Final = 30
PATIENCE_US: Final = 180 * SECOND_US
PAUSE_US: Final = SECOND_US // 5
_AGAIN: Final = frozenset({502, 503, 504})
_OK: Final = range(200, 300)


class NotReached(Exception):
    """Nobody answered, or the answer was: ask again."""


class Api:
    """The platform's public API. Wishes carry a key and are repeated until they are answered."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        base: str,
        check: Callable[[], bool] = lambda: False,
    ) -> None:
        """``check`` raises when nobody will ever answer; True while the platform is restarted."""
        self._session = session
        self._clock = clock
        self._check = check
        self._base = f"{base}/api/v1"
        self._keys = 0
        self.token = ""

    async def try_get(self, path: str, token: str = "") -> Any:
        """One attempt; raises NotReached where nobody answers."""
        return await self._call("GET", path, None, token, {})

    async def get(self, path: str, token: str = "") -> Any:
        """Ask until somebody answers."""
        return await self._patiently("GET", path, None, token, {})

    async def post(self, path: str, body: Mapping[str, Any], token: str = "") -> Any:
        """A wish under a key of its own, repeated under that key until it is answered."""
        self._keys += 1
        headers = {"Idempotency-Key": f"story-{self._keys:06d}"}
        return await self._patiently("POST", path, body, token, headers)

    async def _patiently(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        token: str,
        headers: Mapping[str, str],
    ) -> Any:
        patience = Patience(self._clock, PATIENCE_US)
        while True:
            try:
                return await self._call(method, path, body, token, headers)
            except NotReached as problem:
                if self._check():
                    # The restart is waited for by itself, with a patience of its own.
                    patience.renew(PATIENCE_US)
                elif patience.is_over():
                    raise StoryFailed(
                        f"{method} {path} was not answered in {patience.waited_s} s: {problem}"
                    ) from None
                await self._clock.sleep_us(PAUSE_US)

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        token: str,
        headers: Mapping[str, str],
    ) -> Any:
        sent = {"Authorization": f"Bearer {token or self.token}", **headers}
        try:
            async with self._session.request(
                method, f"{self._base}{path}", json=body, headers=sent
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotReached(str(error) or type(error).__name__) from None
        if response.status in _AGAIN:
            raise NotReached(text[:200])
        if response.status not in _OK:
            raise StoryFailed(f"{method} {path} was refused: {_detail(text)}")
        return json.loads(text)


def _detail(text: str) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


def session() -> aiohttp.ClientSession:
    """A session whose every request has a timeout."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
