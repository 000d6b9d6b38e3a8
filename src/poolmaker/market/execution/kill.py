"""The kill switch: a latch that every create asks last, and that only a release clears.

A latch is a file in the home folder and a row in the database. Each works without the other: a
person can set the file while the database is down and the engine hangs. Whatever cannot be read
counts as set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from poolmaker.infra.postgres.passwords import sync_folder, write_private
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.market.execution.ports import KillSwitch

FOLDER: Final = "kill"
PLATFORM: Final = "platform"
_SCOPE: Final = re.compile(r"platform|(account|pool):[A-Za-z0-9][A-Za-z0-9._\-]{0,62}")
_SUFFIX: Final = ".json"


def require_scope(scope: str) -> str:
    """``platform``, ``account:ID`` or ``pool:ID``; raises CallerFault for anything else."""
    require(_SCOPE.fullmatch(scope), "scope: expected platform, account:ID or pool:ID")
    return scope


def scopes_of(account: VenueAccountId, pool: PoolId) -> tuple[str, str, str]:
    """The scopes whose latch stops a pool's orders."""
    return PLATFORM, f"account:{account}", f"pool:{pool}"


class KillLatch(msgspec.Struct, frozen=True, kw_only=True):
    """One latch. ``asked_by`` has asked to release it at ``asked_us``, 0 while nobody has."""

    id: str
    scope: str
    set_by: str
    reason: str
    set_us: int
    asked_by: str = ""
    asked_us: int = 0


class ReleaseVerdict(StrEnum):
    """What a person's wish to release a latch leads to."""

    RELEASED = "released"
    """A second person wishes it, or the only person and a day has passed since they asked."""
    SECOND_PERSON = "second_person"
    """Somebody else who may has to release it."""
    WAITS = "waits"
    """Nobody else could: it may be released a day after it was asked for."""


def release_verdict(latch: KillLatch, name: str, *, alone: bool, now_us: int) -> ReleaseVerdict:
    """Whether ``name`` may release a latch now: a second person is not who set it or who asked."""
    if name != latch.set_by or (latch.asked_us and name != latch.asked_by):
        return ReleaseVerdict.RELEASED
    if not alone:
        return ReleaseVerdict.SECOND_PERSON
    asked = latch.asked_us > 0 and latch.asked_by == name
    return ReleaseVerdict.RELEASED if asked and now_us >= latch.asked_us + DAY_US else _WAITS


_WAITS: Final = ReleaseVerdict.WAITS


class KillFiles:
    """The files of latches, one for each scope. A file that is there holds, whatever it says."""

    def __init__(self, home: Path) -> None:
        self._folder = home.joinpath(FOLDER)

    def open(self) -> None:
        """Make the folder; without it everything counts as killed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def set(self, latch: KillLatch) -> None:
        """Hold from now on, durably. A latch that is there already stays as it is."""
        self.open()
        if not self._path(latch.scope).exists():
            write_private(self._path(latch.scope), msgspec.json.encode(latch).decode())

    def clear(self, scope: str) -> None:
        """Let go."""
        self._path(scope).unlink(missing_ok=True)
        sync_folder(self._folder)

    def latches(self) -> list[KillLatch]:
        """Every latch that a file holds; one that cannot be read is named by its file alone."""
        if not self._folder.is_dir():
            return []
        files = sorted(path for path in self._folder.iterdir() if path.suffix == _SUFFIX)
        return [self._read(path) for path in files]

    def why(self, scopes: Iterable[str]) -> str:
        """Why a create with these scopes must not leave; empty when it may."""
        try:
            names = {entry.name for entry in self._folder.iterdir()}
        except OSError as problem:
            return f"the kill latches cannot be read: {problem.strerror}"
        return next((scope for scope in scopes if _name(scope) in names), "")

    def _path(self, scope: str) -> Path:
        return self._folder.joinpath(_name(require_scope(scope)))

    def _read(self, path: Path) -> KillLatch:
        scope = unquote(path.name.removesuffix(_SUFFIX))
        try:
            return msgspec.json.decode(path.read_bytes(), type=KillLatch)
        except (OSError, msgspec.MsgspecError):
            return KillLatch(id=f"file:{scope}", scope=scope, set_by="", reason="", set_us=0)


def _name(scope: str) -> str:
    return quote(scope, safe="") + _SUFFIX


class LatchedKillSwitch:
    """``KillSwitch`` over the files, and the rows as they were read last."""

    def __init__(self, files: KillFiles) -> None:
        self._files = files
        self.rows: frozenset[str] = frozenset()

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:
        """See ``KillSwitch.holds``. The files are looked at anew; it costs some microseconds."""
        scopes = scopes_of(account, pool)
        return self._files.why(scopes) or next((s for s in scopes if s in self.rows), "")


@dataclass(frozen=True, slots=True)
class _Never:
    """For engines that nobody can kill but by ending them: tests and measurements."""

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:  # noqa: ARG002
        """See ``KillSwitch.holds``."""
        return ""


NO_KILL_SWITCH: Final[KillSwitch] = _Never()
