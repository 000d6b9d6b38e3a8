"""Connection strings without passwords: they name a password file that only we can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from poolmaker.infra.postgres import passwords
from poolmaker.infra.postgres.model import PORT


def local_dsn(folder: Path, passfile: Path, user: str, database: str) -> str:
    """The address of a server that listens in ``folder`` and nowhere else."""
    query = {"host": str(folder), "port": str(PORT), "passfile": str(passfile)}
    return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{urlencode(query)}"


def query_of(dsn: str) -> dict[str, str]:
    """The parameters after the question mark."""
    return {key: values[-1] for key, values in parse_qs(urlsplit(dsn).query).items()}


def connect_arguments(dsn: str) -> dict[str, Any]:
    """What to hand to asyncpg for ``dsn``.

    asyncpg prefers a PGPASSWORD of the environment to the file that the string names; the file's
    own password is handed over instead, so a stray variable cannot lock us out.
    """
    parts = urlsplit(dsn)
    query = query_of(dsn)
    passfile = query.get("passfile")
    if passfile is None or parts.password is not None:
        return {"dsn": dsn}
    user = unquote(parts.username or query.get("user", ""))
    password = passwords.read(Path(passfile)).get(user)
    return {"dsn": dsn} if password is None else {"dsn": dsn, "password": password}
