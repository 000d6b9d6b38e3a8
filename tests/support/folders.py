"""Folders for servers of tests: short paths, in memory where the machine has enough."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poolmaker.infra.postgres.placement import Placement, place

MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 2 << 30


def own_placement(folder: Path) -> Placement:
    """A placement for a server of one test. As root ``folder`` must be open to walk through."""
    return place(folder / "home", service_root=folder / "service")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that other accounts can walk into, unlike pytest's, with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="pm-", dir=roomy_parent()))
    folder.chmod(0o711)
    (folder / "service").mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def roomy_parent() -> Path:
    """Memory, which makes a server quick, or /tmp."""
    with suppress(OSError):
        if shutil.disk_usage(MEMORY).free > _MEMORY_BYTES_MIN and os.access(MEMORY, os.W_OK):
            return MEMORY
    return Path("/tmp")
