"""Passwords of our roles: made once, kept in a file that only we can read, never sent in clear.

The server is told only the SCRAM verifier, so neither its log nor its catalogue can give a
password away. Connection strings name the file instead of holding a password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from poolmaker.infra.postgres.model import ADMIN, DatabaseRole
from poolmaker.kernel.errors import EnvironmentProblem

_ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16
USERS: Final = (ADMIN, *DatabaseRole)


def make(path: Path) -> None:
    """Write a file of new passwords; whoever reads ``path`` sees a whole file or none."""
    lines = [line(user, secrets.token_urlsafe(32)) for user in USERS]
    write_private(path, "".join(lines))


def line(user: str, password: str) -> str:
    """One line of the file, for every host, port and database."""
    return f"*:*:*:{_escaped(user)}:{_escaped(password)}\n"


def read(path: Path) -> dict[str, str]:
    """The passwords by user, of lines that hold for every host.

    Raises EnvironmentProblem when the file is missing or readable to others.
    """
    try:
        found = path.stat()
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"The database's passwords in {path} cannot be read ({error.strerror}); "
            "restore that file from your backup, or run as the user who started the database."
        ) from error
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise EnvironmentProblem(
            f"{path} is readable to others; make it private with: chmod 600 {path}."
        )
    return dict(_parsed(entry) for entry in text.splitlines() if entry.startswith("*:*:*:"))


def verifier(password: str) -> str:
    """What the server stores for SCRAM-SHA-256: enough to check the password, not to know it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    keys = f"{_base64(stored)}:{_base64(server)}"
    return f"SCRAM-SHA-256${_ITERATIONS}:{_base64(salt)}${keys}"


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` at once and durably, readable to us alone.

    Raises OSError where that cannot be done; then nothing is left of it.
    """
    half = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        half.replace(path)
    except OSError:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


def _parsed(entry: str) -> tuple[str, str]:
    fields = re.findall(r"(?:^|:)((?:\\.|[^\\:])*)", entry)
    user, password = (re.sub(r"\\(.)", r"\1", field) for field in fields[3:5])
    return user, password


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
