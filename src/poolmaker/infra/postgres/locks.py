"""Locks that the kernel releases when their holder dies, whatever kills it.

A lock belongs to the open file: it survives neither the holder's death nor depends on process
numbers, clocks or containers. Child processes do not inherit it unless it is passed on purpose.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from poolmaker.kernel.checks import ensure
from poolmaker.kernel.errors import EnvironmentProblem, InvariantBroken


class FileLock:
    """A lock on a file beside the data. Not re-entrant: two objects are two holders."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """We hold it, shared or exclusive."""
        return self._descriptor is not None

    def try_exclusive(self, note: str = "") -> bool:
        """Take it for ourselves alone; False when anybody else holds it."""
        if not self._take(fcntl.LOCK_EX):
            return False
        if note:
            with suppress(OSError):  # For messages only: a full disk keeps nobody from owning.
                self._write(note)
        return True

    def try_shared(self) -> bool:
        """Take it together with others; False when somebody holds it alone."""
        return self._take(fcntl.LOCK_SH)

    def release(self) -> None:
        """Give it back; no effect when we do not hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def hand_over(self) -> int:
        """The descriptor for a child to inherit: the lock then lives as long as the child does."""
        if self._descriptor is None:
            raise InvariantBroken(f"{self._path} is not held")
        return self._descriptor

    def note(self) -> str:
        """What the last exclusive holder wrote, for messages only."""
        try:
            return self._path.read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def free(self) -> bool:
        """Nobody holds it at this moment."""
        if not self._path.exists():
            return True
        probe = FileLock(self._path)
        try:
            return probe.try_exclusive()
        finally:
            probe.release()

    def _take(self, operation: int) -> bool:
        # Changing the kind of a held lock can lose it, so nobody is offered that.
        ensure(not self.held, f"{self._path} is held already")
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EnvironmentProblem(
                f"{self._path} cannot be used ({error.strerror}); run poolmaker as the user "
                "who owns that folder, or choose another POOLMAKER_HOME."
            ) from error
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _write(self, note: str) -> None:
        os.ftruncate(self.hand_over(), 0)
        os.pwrite(self.hand_over(), f"{note}\n".encode(), 0)
