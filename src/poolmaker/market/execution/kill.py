"""The kill switch: a latch that every create asks last, and that only a release clears.

A latch is a file in the home folder and a row in the database. Each works without the other: a
person can set the file while the database is down and the engine hangs. Whatever cannot be read
counts as set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from poolmaker.infra.approvals.model import Approver
from poolmaker.infra.approvals.rules import consent, is_agreed
from poolmaker.infra.logging import get_logger
from poolmaker.infra.postgres.passwords import sync_folder, write_private
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.market.execution.ports import KillSwitch

_LOG: Final = get_logger("market")
FOLDER: Final = "kill"
PLATFORM: Final = "platform"
OPERATOR: Final = "operator"
"""Who a latch of the command line is set by: whoever has the machine, which is no person's name."""
UNPROVEN: Final = frozenset({"", OPERATOR})
"""Names of setters that prove nobody: releasing takes two others, or one and a day."""
UNREADABLE: Final = "its file cannot be read"
_SCOPE: Final = re.compile(r"platform|(account|pool):[A-Za-z0-9][A-Za-z0-9._\-]{0,62}")
_SUFFIX: Final = ".json"
_DIGEST_CHARS: Final = 16
_BIGINT: Final = 2**63


def require_scope(scope: str) -> str:
    """``platform``, ``account:ID`` or ``pool:ID``; raises CallerFault for anything else."""
    require(is_scope(scope), "scope: expected platform, account:ID or pool:ID")
    return scope


def is_scope(text: str) -> bool:
    """Whether it names the platform, an account or a pool."""
    return _SCOPE.fullmatch(text) is not None


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
    STILL_HELD = "still_held"
    """What was judged is released, and the scope is still held: by one set meanwhile, or by a file
    that cannot be removed."""


def release_verdict(latch: KillLatch, approver: Approver, now_us: int) -> ReleaseVerdict:
    """Whether somebody may release a latch now, as the second of two or alone after a day.

    The first person is who asked to release it, and who set it, as far as that is proven.
    """
    firsts = [(latch.set_by, now_us)] if latch.set_by not in UNPROVEN else []
    if latch.asked_us:
        firsts.append((latch.asked_by, latch.asked_us))
    if any(is_agreed(consent(*first, approver, now_us, DAY_US)) for first in firsts):
        return ReleaseVerdict.RELEASED
    return ReleaseVerdict.WAITS if approver.alone else ReleaseVerdict.SECOND_PERSON


@dataclass(frozen=True, slots=True)
class LatchFile:
    """What became of a latch's file: whether it holds, and why it is not as it should be."""

    holds: bool
    problem: str = ""


class KillFiles:
    """The files of latches, one each. A file that is there holds, whatever it says.

    A file's name says the scope that it holds, and which latch it is of. What names no scope holds
    the platform. What cannot be read is a latch of its own, told apart by file and time.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home.joinpath(FOLDER)

    def open(self) -> None:
        """Make the folder; without it everything counts as killed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def set(self, latch: KillLatch) -> LatchFile:
        """Hold from now on, durably. Never raises: on a full disk a name without content holds."""
        path = self._folder.joinpath(_name(latch))
        try:
            self.open()
            write_private(path, msgspec.json.encode(latch).decode())
        except OSError as problem:
            return LatchFile(_is_there(path), problem.strerror or type(problem).__name__)
        return LatchFile(holds=True)

    def clear(self, ids: Collection[str]) -> None:
        """Remove the files of these latches, as far as that is possible; no others."""
        for path, latch in self._found():
            if latch.id in ids:
                try:
                    path.unlink(missing_ok=True)
                    sync_folder(self._folder)
                except OSError as problem:
                    _LOG.error("a released latch's file stays", file=path.name, why=str(problem))

    def latches(self) -> list[KillLatch]:
        """Every latch that a file holds; of one that cannot be read only its scope is known."""
        return [latch for _, latch in self._found()]

    def why(self, scopes: Iterable[str]) -> str:
        """Why a create with these scopes must not leave; empty when it may."""
        try:
            held = {_scope_of(path) for path in self._files()}
        except OSError as problem:
            return f"the kill latches cannot be read: {problem.strerror}"
        return next((scope for scope in scopes if scope in held), "")

    def _files(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.suffix == _SUFFIX]

    def _found(self) -> list[tuple[Path, KillLatch]]:
        """What is there now; nothing where the folder itself cannot be read (see ``why``)."""
        try:
            files = sorted(self._files())
        except OSError:
            return []
        found = ((path, _read(path)) for path in files)
        return [(path, latch) for path, latch in found if latch is not None]


def _name(latch: KillLatch) -> str:
    digest = sha256(latch.id.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{quote(latch.scope, safe='')}@{digest}{_SUFFIX}"


def _scope_of(path: Path) -> str:
    """The scope that a file holds by its name; the whole platform where it names none."""
    scope = unquote(path.name.removesuffix(_SUFFIX).partition("@")[0])
    return scope if is_scope(scope) else PLATFORM


def _is_there(path: Path) -> bool:
    """Make an empty file of this name, where it is missing; whether it is there now."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        sync_folder(path.parent)
    except OSError:
        return os.path.lexists(path)
    return True


def _read(path: Path) -> KillLatch | None:
    """The latch of a file; None where there is none any more."""
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return None
    except OSError:
        return _unreadable(path, 0, 0)
    try:
        latch = msgspec.json.decode(path.read_bytes(), type=KillLatch)
    except (OSError, msgspec.MsgspecError):
        return _unreadable(path, seen.st_ino, seen.st_mtime_ns)
    # Older releases named the file by its scope alone.
    named = path.name in (_name(latch), quote(latch.scope, safe="") + _SUFFIX)
    readable = named and is_scope(latch.scope) and _is_storable(latch)
    return latch if readable else _unreadable(path, seen.st_ino, seen.st_mtime_ns)


def _unreadable(path: Path, inode: int, changed_ns: int) -> KillLatch:
    return KillLatch(
        id=f"file:{path.name}:{inode}:{changed_ns}",
        scope=_scope_of(path),
        set_by="",
        reason=UNREADABLE,
        set_us=changed_ns // 1_000,
    )


def _is_storable(latch: KillLatch) -> bool:
    words = latch.id, latch.scope, latch.set_by, latch.reason
    return all(word == plain(word) for word in words) and 0 <= latch.set_us < _BIGINT


def plain(text: str) -> str:
    """A text as files and rows can hold it; what they cannot hold is a question mark."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


class LatchedKillSwitch:
    """``KillSwitch`` over the files, the rows as they were read last, and what has neither yet."""

    def __init__(self, files: KillFiles) -> None:
        self._files = files
        self.rows: frozenset[str] = frozenset()
        self.unwritten: dict[str, KillLatch] = {}
        """Latches by id that were set here and whose file could not be written."""

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:
        """The files are looked at anew; it costs some microseconds."""
        scopes, held = scopes_of(account, pool), self.scopes()
        return self._files.why(scopes) or next((s for s in scopes if s in held), "")

    def scopes(self) -> set[str]:
        """Scopes that are held by a row or from memory."""
        return {*self.rows, *(latch.scope for latch in self.unwritten.values())}


@dataclass(frozen=True, slots=True)
class _Never:
    """For engines that nobody can kill but by ending them: tests and measurements."""

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:  # noqa: ARG002
        return ""


NO_KILL_SWITCH: Final[KillSwitch] = _Never()
