"""Files that commands write: looked at before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

from poolmaker.kernel.errors import EnvironmentProblem


def require_writable(file: Path | None, what: str) -> None:
    """Refuse, before anything is done, a file that could not be written afterwards."""
    if file is None:
        return
    try:
        if file.is_dir():
            raise EnvironmentProblem(f"{file} is a folder; name a file for {what}")
        probe = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
    except OSError as error:
        raise unwritable(file, what, error) from None


def unwritable(file: Path, what: str, error: OSError) -> EnvironmentProblem:
    """The sentence about a file that cannot be written."""
    return EnvironmentProblem(
        f"{what} cannot be written to {file} ({error.strerror}); name a file in a folder that "
        "exists and that you may write to; nothing was done"
    )
