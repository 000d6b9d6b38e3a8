"""Results files, reached by the addresses that stand on the chain."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from poolmaker.sandbox.hufi.results import ResultsFile

FILES_MAX: Final = 20_000


class Files:
    """Keeps and serves results files; what was once served never changes."""

    def __init__(self) -> None:
        self.base = ""
        self._bodies: dict[str, bytes] = {}

    def put_recording(self, escrow: str, file: ResultsFile) -> str:
        """Keep what the recording oracle recorded; its address."""
        return self._put(f"/recordings/{escrow}/{file.digest}.json", file.body)

    def put_final(self, escrow: str, file: ResultsFile) -> str:
        """Keep what the reputation oracle paid by; its address."""
        return self._put(f"/reputations/{escrow.lower()}/{file.digest}.json", file.body)

    def _put(self, path: str, body: bytes) -> str:
        self._bodies.setdefault(path, body)
        while len(self._bodies) > FILES_MAX:
            self._bodies.pop(next(iter(self._bodies)))
        return self.base + path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one file."""
        body = self._bodies.get(request.path)
        if body is None or request.method not in {"GET", "HEAD"}:
            return web.Response(status=404)
        return web.Response(body=body, content_type="application/json")
