"""The server's process: how it is started, why it ended, how it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from poolmaker.infra.postgres import data_directory
from poolmaker.infra.postgres.binaries import Binaries
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.model import PORT
from poolmaker.infra.postgres.placement import Placement
from poolmaker.infra.postgres.processes import listener_of
from poolmaker.infra.postgres.session import LIMITS_MS
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem

_LOG_TAIL_BYTES: Final = 64 * 1024
_FAST_STOP_US: Final = 60 * SECOND_US
_QUICK_STOP_US: Final = 30 * SECOND_US
_POLL_US: Final = 20_000

# A predecessor that was killed may hold its shared memory for a moment; all else will not pass.
_PASSING: Final = re.compile(r"lock file|pre-existing shared memory|could not bind")
_NO_ROOM: Final = re.compile(r"No space left on device|Disk quota exceeded")

_TO_A_CLIENT: Final = re.compile(r"the database system is|authentication failed|due to admin")


def fixed_settings(placement: Placement) -> dict[str, str]:
    """Settings given on the command line, where no file and no ALTER SYSTEM can undo them."""
    return {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": '"' + str(placement.run).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "hba_file": str(placement.access_rules),
        "password_encryption": "scram-sha-256",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        **{name: f"{limit}ms" for name, limit in LIMITS_MS.items()},
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A week of logs, each day written over its predecessor of the week before.
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "server-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_file_mode": "0600",
        "cluster_name": "poolmaker",
    }


class _Outliving(subprocess.Popen[bytes]):
    """A child that is meant to live on when we forget it, so nobody is warned when we do."""

    def __del__(self) -> None:
        self.poll()


class ServerProcess:
    """Starts and stops the server of one placement; only the owner may use it."""

    def __init__(self, placement: Placement, settings: Mapping[str, str]) -> None:
        self._placement = placement
        self._settings = fixed_settings(placement) | dict(settings)
        self._child: _Outliving | None = None

    def alive(self) -> bool:
        """A server or one of its children holds the data, whoever started it."""
        self._reap()
        placement = self._placement
        held = not FileLock(placement.server_lock).free()
        return held or data_directory.living_server(placement) is not None

    def spawn(self, binaries: Binaries) -> bool:
        """Start it in a session of its own, so that it outlives us; False when one still lives.

        The server inherits a lock: as long as it or one of its children lives, nobody else can
        start another on the same data, however the process numbers look.
        """
        lock = FileLock(self._placement.server_lock)
        if not lock.try_exclusive():
            return False
        try:
            data_directory.clear_stale(self._placement)
            with data_directory.refusals_as_sentences(self._placement.start_log):
                log = os.open(
                    self._placement.start_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
                )
            try:
                self._child = self._popen(binaries, lock.hand_over(), log)
            finally:
                os.close(log)
        finally:
            lock.release()
        return True

    def _popen(self, binaries: Binaries, lock: int, log: int) -> _Outliving:
        command = [os.fspath(binaries.postgres), "-D", os.fspath(self._placement.data)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        return _Outliving(
            command,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            **data_directory.as_account(self._placement.account),
        )

    def forget(self) -> None:
        """A child that ended before now says nothing about the next start."""
        self._reap()
        if self._child is not None and self._child.returncode is not None:
            self._child = None

    def failure(self) -> str | None:
        """Why the server that we started ended for good; None while it lives or may yet start."""
        self._reap()
        if self._child is None or (self._child.returncode or 0) <= 0:
            return None
        said = self._last_words()
        return None if _PASSING.search(said) else said

    def is_out_of_room(self) -> bool:
        """Its last words say that the disk is full."""
        return bool(_NO_ROOM.search(self._last_words()))

    async def stop(self, clock: Clock) -> None:
        """Fast shutdown; after a minute the immediate one, which PostgreSQL recovers from."""
        for how, patience_us in ((signal.SIGINT, _FAST_STOP_US), (signal.SIGQUIT, _QUICK_STOP_US)):
            if not self.alive():
                break
            self._signal(how)
            if await self._ended(clock, patience_us):
                break
        else:
            raise EnvironmentProblem(
                f"PostgreSQL in {self._placement.data} does not stop; "
                f"end the processes that hold {self._placement.server_lock}."
            )
        self._child = None

    async def _ended(self, clock: Clock, patience_us: int) -> bool:
        deadline_us = clock.monotonic_us() + patience_us
        while self.alive():
            if clock.monotonic_us() > deadline_us:
                return False
            await clock.sleep_us(_POLL_US)
        return True

    def _signal(self, how: signal.Signals) -> None:
        child = self._child
        pid = child.pid if child is not None and child.returncode is None else self._listener()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, how)

    def _listener(self) -> int | None:
        placement = self._placement
        return listener_of(placement.socket) or data_directory.living_server(placement)

    def _reap(self) -> None:
        # A dead child stays a zombie until it is asked; a zombie is dead.
        if self._child is not None:
            self._child.poll()

    def _last_words(self) -> str:
        texts = [_tail(self._placement.start_log)]
        logs = self._placement.data / "log"
        newest = max(logs.glob("server-*.log"), key=lambda log: log.stat().st_mtime, default=None)
        if newest is not None:
            texts.append(_tail(newest))
        for text in texts:
            for line in reversed(text.splitlines()):
                found = re.search(r"(?:FATAL|PANIC):\s+(.*)", line)
                if found is not None and not _TO_A_CLIENT.search(line):
                    return found.group(1)
        return f"see {self._placement.start_log}"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
