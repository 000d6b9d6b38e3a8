"""Where everything of our own server lies, and which account runs it.

An ordinary user's server lives below the home of the platform. As root, PostgreSQL refuses to
run, so an existing unprivileged account runs it; binaries and data then lie below
``/var/lib/poolmaker``, because that account may not be able to walk into the checkout or the home.
Modes of folders that we did not make are never changed.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poolmaker.infra.postgres.model import PORT, Account
from poolmaker.kernel.errors import EnvironmentProblem

SERVICE_ROOT: Final = Path("/var/lib/poolmaker")
SOCKET_PATH_BYTES_MAX: Final = 100
_ACCOUNTS: Final = ("postgres", "nobody")
_SHORT_ROOT: Final = Path("/tmp")  # noqa: S108 - the folder made in it is checked to be ours


@dataclass(frozen=True, slots=True)
class Placement:
    """Paths of one server. ``account`` None means that it runs as ourselves."""

    home: Path
    base: Path
    run: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.base / "data"

    @property
    def socket(self) -> Path:
        """The one address of the server."""
        return self.run / f".s.PGSQL.{PORT}"

    @property
    def passwords(self) -> Path:
        """The passwords of our roles, in PostgreSQL's own format, readable to us alone."""
        return self.base / "pgpass"

    @property
    def access_rules(self) -> Path:
        """Who may log in how (``pg_hba.conf``)."""
        return self.base / "pg_hba.conf"

    @property
    def start_log(self) -> Path:
        """What the server said before its own log was open; of the last start only."""
        return self.base / "start.log"

    @property
    def marker(self) -> Path:
        """Names the home that this folder belongs to."""
        return self.base / "home"

    @property
    def owner_lock(self) -> Path:
        """Held by the one process that may start and stop the server."""
        return self.base / "owner.lock"

    @property
    def users_lock(self) -> Path:
        """Held, shared, by every process that uses the server."""
        return self.base / "users.lock"

    @property
    def server_lock(self) -> Path:
        """Inherited by the server and its children: held as long as one of them lives."""
        return self.base / "server.lock"


def place(home: Path, *, service_root: Path = SERVICE_ROOT) -> Placement:
    """Decide where the server of ``home`` lies. Touches nothing."""
    home = home.resolve()
    if os.getuid() != 0:
        base = home / "postgres"
        return Placement(home, base, _socket_folder(base), account=None)
    _refuse_a_users_server(home)
    base = service_root.resolve() / _name_of(home)
    return Placement(home, base, _socket_folder(base), account=_account_for(base / "data"))


def is_too_long(folder: Path) -> bool:
    """A socket in ``folder`` would not fit into a socket address with room to spare."""
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) >= SOCKET_PATH_BYTES_MAX


def make_private(folder: Path, mode: int, account: Account | None) -> None:
    """Make ``folder`` with ``mode`` for ``account``; an existing one must be ours already."""
    uid = os.getuid() if account is None else account.uid
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _refuse_what_is_not_ours(folder, uid)
    else:
        if account is not None:
            os.chown(folder, account.uid, account.gid)
    if stat.S_IMODE(folder.stat().st_mode) != mode:
        folder.chmod(mode)


def _refuse_what_is_not_ours(folder: Path, uid: int) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise EnvironmentProblem(
            f"{folder} exists but is not a folder of user id {uid}; remove it and start again."
        )


def _socket_folder(base: Path) -> Path:
    # The runtime folder of a login vanishes at logout while the server lives on, and another
    # login has another one; /tmp is the same for everybody, whatever the environment says.
    folder = base / "run"
    if is_too_long(folder):
        return _SHORT_ROOT / f"poolmaker-{os.getuid()}-{_name_of(base)}"
    return folder


def _name_of(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _account_for(data: Path) -> Account:
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return _account(pwd.getpwuid(owner))
    for name in _ACCOUNTS:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise EnvironmentProblem(
        "PostgreSQL does not run as root and there is no account postgres or nobody here; "
        "run poolmaker as an ordinary user or set POOLMAKER_DATABASE_URL."
    )


def _account(row: pwd.struct_passwd) -> Account:
    return Account(row.pw_name, row.pw_uid, row.pw_gid)


def _refuse_a_users_server(home: Path) -> None:
    data = home / "postgres" / "data"
    if data.exists() and (uid := data.stat().st_uid) != 0:
        raise EnvironmentProblem(
            f"The database in {home} belongs to user id {uid}; run poolmaker as that user, "
            "not as root, or choose another POOLMAKER_HOME."
        )
