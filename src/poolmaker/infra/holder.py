"""Who holds a lease: one start of one process, named so that another process can judge it.

A holder's name is ``host/pid/space/start``: ``space`` names the kernel's boot and the space of
process numbers, ``start`` when the process began. Only where ``space`` is our own can we see that
a process is gone; everywhere else its lease has to run out.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PARTS: Final = 4
_START_FIELD: Final = 19
"""Place of the start time behind the closing bracket of ``/proc/<pid>/stat``."""


def own_holder() -> str:
    """The name of this process, different for every start."""
    pid = os.getpid()
    return f"{os.uname().nodename}/{pid}/{_space()}/{_started(pid)}"


def is_gone(holder: str) -> bool:
    """The process has surely ended; False where that cannot be seen from here."""
    parts = holder.rsplit("/", _PARTS - 1)
    if len(parts) != _PARTS or not parts[1].isdigit():
        return False
    _, pid, space, started = parts
    return bool(space) and space == _space() and _started(int(pid)) != started


def described(holder: str) -> str:
    """The holder in words: ``process 12 on host``."""
    parts = holder.rsplit("/", _PARTS - 1)
    return f"process {parts[1]} on {parts[0]}" if len(parts) == _PARTS else holder


def _space() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return hashlib.sha256(f"{boot}|{(_PROC / 'self/ns/pid').readlink()}".encode()).hexdigest()[
            :12
        ]
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a living process began, in the kernel's ticks; empty for none and for a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[_START_FIELD]
