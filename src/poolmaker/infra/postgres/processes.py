"""What the kernel says about processes. Hints and messages only; liveness is a lock's business."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

_PROC = Path("/proc")
_PID = struct.Struct("i")
_CREDENTIALS_SIZE = 3 * _PID.size
_SOL_LOCAL, _LOCAL_PEERPID = 0, 2
_KNOCK_TIMEOUT_S = 5


def works_in(pid: int, directory: Path) -> bool:
    """A living process ``pid`` has ``directory`` as its working directory. A zombie has none.

    The folder itself counts, not its name: one that was moved away is not the one in its place.
    """
    try:
        return (_PROC / str(pid) / "cwd").samefile(directory)
    except OSError:
        return False


def working_in(directory: Path) -> list[int]:
    """The living processes that work in ``directory``, as a PostgreSQL server does in its data."""
    pids = (int(entry.name) for entry in _PROC.glob("[0-9]*"))
    return sorted(pid for pid in pids if works_in(pid, directory))


def works_elsewhere(pid: int, directory: Path) -> bool:
    """The kernel shows us where ``pid`` works, and it is not in ``directory``."""
    try:
        return not (_PROC / str(pid) / "cwd").samefile(directory)
    except OSError:
        return False


def listener_of(socket_path: Path) -> int | None:
    """The process that listens at a unix socket, by the kernel's word; None when nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(_KNOCK_TIMEOUT_S)
        try:
            knock.connect(os.fspath(socket_path))
        except OSError:
            return None
        if sys.platform == "darwin":
            answer = knock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, _PID.size)
        else:
            answer = knock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS_SIZE)
    return int(_PID.unpack_from(answer)[0]) or None
