"""Static files under names that carry their content's hash, so that they may be cached for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "/static/"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HASH_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, read once."""

    body: bytes
    media_type: str


class Assets:
    """All static files of the pages; only what is here can be asked for."""

    def __init__(self, folder: Path) -> None:
        self._urls: dict[str, str] = {}
        self._by_url: dict[str, StaticFile] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix in _TYPES:
                self._add(path.relative_to(folder).as_posix(), path)

    def _add(self, name: str, path: Path) -> None:
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
        url = f"{PREFIX}{digest}/{name}"
        self._urls[name] = url
        self._by_url[url] = StaticFile(body, _TYPES[path.suffix])

    @property
    def urls(self) -> Mapping[str, str]:
        """Address by file name."""
        return self._urls

    def at(self, url: str) -> StaticFile | None:
        """The file at an address, or None."""
        return self._by_url.get(url)
