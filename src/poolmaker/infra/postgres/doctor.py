"""What ``poolmaker doctor`` says about our own PostgreSQL. Looks only; changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poolmaker.infra.postgres import binaries, data_directory, passwords
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.placement import Placement, is_too_long, place
from poolmaker.kernel.errors import EnvironmentProblem

FREE_BYTES_MIN: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty when it is in order."""

    name: str
    ok: bool
    sentence: str
    remedy: str = ""


def examine(home: Path, *, placement: Placement | None = None) -> list[Finding]:
    """Everything that can be said without connecting, in the order in which it matters."""
    try:
        chosen = placement or place(home)
    except EnvironmentProblem as problem:
        return [_finding_of("account", problem)]
    checks: dict[str, Callable[[Placement], str]] = {
        "binaries": _binaries,
        "data directory": _data,
        "passwords": _passwords,
        "socket": _socket,
        "owner": _owner,
        "server": _server,
        "disk space": lambda where: disk_space(
            where, shutil.disk_usage(_existing(where.base)).free
        ),
    }
    return list(_findings(checks, chosen))


def disk_space(placement: Placement, free_bytes: int) -> str:
    """What to say about ``free_bytes``; raises EnvironmentProblem when they are too few."""
    sentence = f"{free_bytes >> 20} MiB are free for {placement.base}"
    if free_bytes < FREE_BYTES_MIN:
        raise EnvironmentProblem(
            f"Only {sentence}; make room, since PostgreSQL stops when its disk is full."
        )
    return sentence


def _findings(
    checks: dict[str, Callable[[Placement], str]], placement: Placement
) -> Iterator[Finding]:
    for name, check in checks.items():
        try:
            yield Finding(name, ok=True, sentence=check(placement))
        except EnvironmentProblem as problem:
            yield _finding_of(name, problem)
        except OSError as error:
            sentence = f"{error.filename} cannot be read ({error.strerror})"
            yield Finding(name, False, sentence, "Run poolmaker as the user who owns it.")


def _finding_of(name: str, problem: EnvironmentProblem) -> Finding:
    # Our sentences say what is wrong up to the last semicolon, and what to do after it.
    sentence, _, remedy = str(problem).rpartition("; ")
    return Finding(name, False, sentence or remedy, f"{remedy[:1].upper()}{remedy[1:]}")


def _binaries(placement: Placement) -> str:
    source = binaries.in_wheel()
    account = "" if placement.account is None else f" and runs as {placement.account.name}"
    return f"PostgreSQL {source.major()} is in {source.bin}{account}"


def _data(placement: Placement) -> str:
    if not data_directory.exists(placement):
        return f"{placement.data} will be made at the first start"
    data_directory.refuse_what_is_not_ours(placement)
    data_directory.refuse_another_version(placement, binaries.in_wheel().major())
    identifier = data_directory.system_identifier(placement.data)
    return f"{placement.data} has the system identifier {identifier}"


def _passwords(placement: Placement) -> str:
    if not data_directory.exists(placement):
        return "They will be made with the database"
    missing = set(passwords.USERS) - passwords.read(placement.passwords).keys()
    if missing:
        raise EnvironmentProblem(
            f"{placement.passwords} lacks {', '.join(sorted(missing))}; restore it from a backup."
        )
    return f"{placement.passwords} is readable to us alone"


def _socket(placement: Placement) -> str:
    if is_too_long(placement.run):
        raise EnvironmentProblem(
            f"The path {placement.socket} is too long for a socket; "
            "choose a shorter POOLMAKER_HOME."
        )
    return f"The server listens at {placement.socket} and nowhere else"


def _owner(placement: Placement) -> str:
    lock = FileLock(placement.owner_lock)
    if lock.free():
        return "No process owns the server"
    return f"The server is owned by {lock.note() or 'a process that does not say its name'}"


def _server(placement: Placement) -> str:
    if not FileLock(placement.server_lock).free():
        return "The server is running"
    if (pid := data_directory.living_server(placement)) is not None:
        raise EnvironmentProblem(
            f"Process {pid} runs on {placement.data} but poolmaker did not start it; stop it."
        )
    return "The server is not running"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
