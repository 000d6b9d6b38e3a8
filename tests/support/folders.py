"""Folders for servers of tests: short paths, in memory where the machine has enough."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poolmaker.infra.postgres.placement import Placement, place

MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 2 << 30
_PREFIX = "pmt-"


def own_placement(folder: Path) -> Placement:
    """A placement for a server of one test. As root ``folder`` must be open to walk through."""
    return place(folder / "home", service_root=folder / "service")


def abandon(folder: Path) -> None:
    """End every process that still works in ``folder``, stopped or not, and remove the folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(folder):
                os.kill(int(entry.name), signal.SIGQUIT)
                os.kill(int(entry.name), signal.SIGCONT)
    shutil.rmtree(folder, ignore_errors=True)


def abandon_what_killed_runs_left() -> None:
    """Tidy up after test processes that were killed in the middle of ``open_folder``."""
    for parent in (MEMORY, Path("/tmp")):
        for folder in parent.glob(f"{_PREFIX}*"):
            pid = folder.name.removeprefix(_PREFIX).split("-")[0]
            if os.getuid() in {0, folder.stat().st_uid} and not is_alive(int(pid)):
                abandon(folder)


def is_alive(pid: int) -> bool:
    """There is such a process, as far as we may know."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that other accounts can walk into, unlike pytest's, with a short path."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=roomy_parent()))
    folder.chmod(0o711)
    (folder / "service").mkdir(mode=0o755)
    try:
        yield folder
    finally:
        abandon(folder)


def roomy_parent() -> Path:
    """Memory, which makes a server quick, or /tmp."""
    with suppress(OSError):
        if shutil.disk_usage(MEMORY).free > _MEMORY_BYTES_MIN and os.access(MEMORY, os.W_OK):
            return MEMORY
    return Path("/tmp")
