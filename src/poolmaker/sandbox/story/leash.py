"""``python leash.py PARENT PROGRAM …``: becomes PROGRAM, which ends when PARENT does.

A demo that is killed leaves no exchange, chain or platform behind. Needs the standard library only,
so that it starts in no time; where the kernel has no such promise (it is Linux's), nothing is lost.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_SET_PARENT_DEATH_SIGNAL: Final = 1


def main(arguments: list[str]) -> None:
    """Ask the kernel for SIGTERM at the parent's end, then become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)  # It ended before the kernel was asked.
    os.execv(program[0], program)  # noqa: S606 - the caller's own program, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
