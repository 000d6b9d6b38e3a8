"""Results files: read from known hosts only, small, unchanged."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Final

import aiohttp
from yarl import URL

from poolmaker.hufi.model import FileRefused
from poolmaker.kernel.errors import Unavailable

SIZE_MAX: Final = 16 * 1024 * 1024
REDIRECTS_MAX: Final = 3
TIMEOUT_S: Final = 30
_OK: Final = 200
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_KEPT: Final = 8


class ResultsFiles:
    """Downloads what the chain names. A URL on the chain is anybody's word.

    ``hosts`` are names, with a port where it is not https's own. Plain http only where
    ``allows_http``, and then only on loopback.
    """

    def __init__(
        self, session: aiohttp.ClientSession, hosts: Sequence[str], *, allows_http: bool
    ) -> None:
        self._session = session
        self._hosts = frozenset(hosts)
        self._allows_http = allows_http
        self._kept: dict[str, bytes] = {}

    async def fetch(self, url: str, digest: str) -> bytes:
        """The file whose SHA-256 is ``digest``.

        Raises FileRefused when it must not be read or is another one, Unavailable when its host
        does not give it now.
        """
        kept = self._kept.get(digest)
        if kept is not None:
            return kept
        body = await self._download(url)
        if hashlib.sha256(body).hexdigest() != digest.lower():
            raise FileRefused("the results file is not the one that the chain names")
        self._kept[digest] = body
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return body

    async def _download(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                place = self._checked(None, url)
                for _ in range(REDIRECTS_MAX + 1):
                    found = await self._get(place)
                    if isinstance(found, bytes):
                        return found
                    place = self._checked(place, found)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise Unavailable(f"the results file cannot be had: {problem!r}") from problem
        raise FileRefused(f"the results file moves more than {REDIRECTS_MAX} times")

    def _checked(self, before: URL | None, url: str) -> URL:
        """Where to read, seen from ``before`` when that has moved."""
        try:
            place = URL(url) if before is None else before.join(URL(url))
            port = place.explicit_port
        except ValueError:
            raise FileRefused(f"{url[:100]!r} is no address of a results file") from None
        named = f"{place.host}:{port}" if port is not None else str(place.host)
        if named not in self._hosts or place.user is not None:
            raise FileRefused(f"{named[:100]!r} is not in hufi.file_hosts")
        if place.scheme != "https" and not (
            place.scheme == "http" and self._allows_http and _is_loopback(place.host)
        ):
            raise FileRefused(f"{place.scheme!r} is not allowed for results files")
        return place

    async def _get(self, place: URL) -> bytes | str:
        async with self._session.get(place, allow_redirects=False) as reply:
            if reply.status in _MOVED and "Location" in reply.headers:
                return reply.headers["Location"]
            if reply.status != _OK:
                raise Unavailable(f"the host of a results file answers HTTP {reply.status}")
            body = bytearray()
            async for chunk in reply.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > SIZE_MAX:
                    raise FileRefused(f"the results file has more than {SIZE_MAX} bytes")
            return bytes(body)


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
