"""The data directory: made whole or not at all, recognised, and cleared of what the dead left."""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from poolmaker.infra.postgres import passwords
from poolmaker.infra.postgres.binaries import Binaries
from poolmaker.infra.postgres.model import ADMIN, Account, NoRoom
from poolmaker.infra.postgres.placement import Placement, make_private
from poolmaker.infra.postgres.processes import works_in
from poolmaker.kernel.errors import EnvironmentProblem

_MAKE_TIMEOUT_S: Final = 600
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_HALF: Final = "data.init-"
_ACCESS_RULES: Final = """\
# Written by poolmaker at every start. Nobody is trusted, and there is no network address.
local all all scram-sha-256
local replication all scram-sha-256
"""


def prepare_folders(placement: Placement) -> None:
    """Make the folders of the server that are missing. Never touches one that is not ours."""
    with refusals_as_sentences(placement.base):
        if placement.account is None:
            placement.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            make_private(placement.base, 0o700, None)
        else:
            _make_shelf(placement.base.parent)
            make_private(placement.base, 0o711, None)
        if not placement.marker.exists():
            passwords.write_private(placement.marker, f"{placement.home}\n")


def prepare_run(placement: Placement) -> None:
    """Make what a start needs: the folder of the socket and the rules of access."""
    with refusals_as_sentences(placement.base):
        make_private(placement.run, 0o700, placement.account)
        passwords.write_private(placement.access_rules, _ACCESS_RULES)
        if placement.account is not None:
            # The rules are no secret; the account that runs the server reads them.
            placement.access_rules.chmod(0o644)


def exists(placement: Placement) -> bool:
    """There is something at the data directory's place."""
    with refusals_as_sentences(placement.data):
        return placement.data.exists()


def refuse_what_is_not_ours(placement: Placement) -> None:
    """Raise EnvironmentProblem when something else lies where our data would. Touches nothing."""
    data = placement.data
    if not exists(placement):
        return
    with refusals_as_sentences(data):
        owner = data.stat().st_uid
    expected = os.getuid() if placement.account is None else placement.account.uid
    if owner != expected:
        raise EnvironmentProblem(
            f"{data} belongs to {_name_of(owner)}; run poolmaker as that user."
        )
    with refusals_as_sentences(data):
        found = version_of(data)
    if found is None:
        raise EnvironmentProblem(
            f"{data} is not a PostgreSQL data directory (it has no PG_VERSION); "
            "restore it from your backup, or move it away to start with an empty one."
        )


def refuse_another_version(placement: Placement, major: int) -> None:
    """Raise EnvironmentProblem unless the data directory was made by this major version."""
    data = placement.data
    found = version_of(data)
    if found != str(major):
        raise EnvironmentProblem(
            f"{data} was made by PostgreSQL {found}, but this is PostgreSQL {major}; dump it with "
            f"version {found} and restore it into a new home, or use the older poolmaker."
        )


def version_of(data: Path) -> str | None:
    """The major version that made the directory; None when it is no data directory."""
    try:
        return (data / "PG_VERSION").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def system_identifier(data: Path) -> int:
    """The number that tells this cluster from every other, out of its control file."""
    with refusals_as_sentences(data), (data / "global" / "pg_control").open("rb") as control:
        raw = control.read(8)
    if len(raw) < 8:  # noqa: PLR2004
        raise EnvironmentProblem(f"{data}/global/pg_control is cut off; restore it from a backup.")
    return int(struct.unpack("=Q", raw)[0])


def make(placement: Placement, binaries: Binaries) -> None:
    """Run initdb beside the final place and rename: a crash leaves no half-made directory."""
    with refusals_as_sentences(placement.base):
        passwords.make(placement.passwords)
        half = placement.base / f"{_HALF}{secrets.token_hex(4)}"
        make_private(half, 0o700, placement.account)
        try:
            _run_initdb(placement, binaries, half)
            half.rename(placement.data)
        finally:
            shutil.rmtree(half, ignore_errors=True)
        passwords.sync_folder(placement.base)


def clear_half_made(placement: Placement) -> None:
    """Remove what an interrupted ``make`` left; only the owner may call this."""
    with refusals_as_sentences(placement.base):
        for left in placement.base.glob(f"{_HALF}*"):
            if left.is_dir():
                # An orphaned initdb may still write here; then it stays until the next start.
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def living_server(placement: Placement) -> int | None:
    """The process of the pid file, if it lives and works in our data; anything else is stale."""
    try:
        first = (placement.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
        pid = int(first)
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and works_in(pid, placement.data) else None


def clear_stale(placement: Placement) -> None:
    """Remove the pid and socket files of a server that is proven dead.

    They name a process by a number that may be anybody's by now, and PostgreSQL would believe it.
    """
    with refusals_as_sentences(placement.base):
        for path in (
            placement.data / "postmaster.pid",
            placement.socket,
            placement.socket.with_name(f"{placement.socket.name}.lock"),
        ):
            path.unlink(missing_ok=True)


def _make_shelf(shelf: Path) -> None:
    try:
        shelf.mkdir(mode=0o755)
    except FileExistsError:
        return
    shelf.chmod(0o755)


def _run_initdb(placement: Placement, binaries: Binaries, half: Path) -> None:
    secret = passwords.read(placement.passwords)[ADMIN]
    with _password_file(half.with_name(f"{half.name}.pw"), secret, placement.account) as file:
        command = [
            os.fspath(binaries.initdb),
            f"--pgdata={half}",
            f"--username={ADMIN}",
            f"--pwfile={file}",
            "--auth-local=scram-sha-256",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            # The data must sort the same on every machine: no locale of the system is used.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--data-checksums",
        ]
        try:
            done = subprocess.run(  # noqa: S603
                command,
                capture_output=True,
                text=True,
                timeout=_MAKE_TIMEOUT_S,
                check=False,
                **as_account(placement.account),
            )
        except subprocess.TimeoutExpired as error:
            raise EnvironmentProblem(
                f"Making the database in {placement.base} took over {_MAKE_TIMEOUT_S} s; "
                "use a quicker disk or another POOLMAKER_HOME."
            ) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise EnvironmentProblem(
            f"The database could not be made in {placement.base}: {said[-1]}. "
            "Make room and rights there, then start again."
        )


@contextmanager
def _password_file(path: Path, secret: str, account: Account | None) -> Iterator[Path]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secret}\n")
        if account is not None:
            os.chown(path, account.uid, account.gid)
        yield path
    finally:
        path.unlink(missing_ok=True)


def as_account(account: Account | None) -> dict[str, Any]:
    """Arguments of ``subprocess`` that make a child the account, alone and with a plain world."""
    plain: dict[str, Any] = {
        "cwd": "/",
        "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        "stdin": subprocess.DEVNULL,
        "umask": 0o077,
        "start_new_session": True,
    }
    if account is not None:
        plain |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return plain


@contextmanager
def refusals_as_sentences(path: Path) -> Iterator[None]:
    """Raise EnvironmentProblem, for a full disk NoRoom, where the system refuses."""
    try:
        yield
    except OSError as error:
        kind = NoRoom if error.errno in _NO_ROOM else EnvironmentProblem
        raise kind(
            f"{error.filename or path} cannot be used ({error.strerror}); "
            "give this user the right and the room, or choose another POOLMAKER_HOME."
        ) from error


def _name_of(uid: int) -> str:
    with suppress(KeyError):
        return f"user {pwd.getpwuid(uid).pw_name}"
    return f"user id {uid}"
