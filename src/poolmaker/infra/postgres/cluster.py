"""Our own PostgreSQL: one owner starts and stops it, everybody else only connects.

Every process that uses the server holds ``users.lock`` together with the others; one of them at a
time holds ``owner.lock``. Both are given back by the kernel when their process dies, so a killed
owner leaves a running server that the next starter adopts, and the last to leave stops it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar, assert_never

from poolmaker.infra.postgres import binaries, bootstrap, data_directory, passwords
from poolmaker.infra.postgres.dsn import local_dsn
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.model import (
    ADMIN,
    DATABASE,
    Busy,
    DatabaseRole,
    LoginRefused,
    NoRoom,
    Probe,
    Progress,
    Ready,
    Silent,
)
from poolmaker.infra.postgres.placement import Placement, place
from poolmaker.infra.postgres.probe import knock
from poolmaker.infra.postgres.process import ServerProcess
from poolmaker.infra.postgres.processes import listener_of, working_in, works_elsewhere
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem

_PATIENCE_US: Final = 30 * SECOND_US
_OWNER_PATIENCE_US: Final = 660 * SECOND_US
_POLL_US: Final = 50_000
_BACK_OFF_MAX_US: Final = 2 * SECOND_US
_TELL_EVERY_US: Final = 5 * SECOND_US
_WATCH_US: Final = SECOND_US
_DEATHS_MAX: Final = 3
_WHO: Final = f"process {os.getpid()}"

P = ParamSpec("P")
T = TypeVar("T")


def _say_nothing(_sentence: str) -> None:
    """Progress that nobody listens to."""


class Cluster:
    """The server of one home, up and with our roles and database.

    Promises: every answer came from a server that reported our data directory and system
    identifier with fsync on; nobody gets in without a password; a process that dies takes nothing
    with it. Two Cluster objects count as two processes, also within one.
    """

    def __init__(
        self,
        placement: Placement,
        clock: Clock,
        on_progress: Progress,
        settings: Mapping[str, str],
    ) -> None:
        self._placement = placement
        self._clock = clock
        self._tell = _Teller(clock, on_progress)
        self._settings = settings
        self._owner = FileLock(placement.owner_lock)
        self._user = FileLock(placement.users_lock)
        self._process = ServerProcess(placement, settings)

    @classmethod
    async def start(
        cls,
        home: Path,
        clock: Clock,
        *,
        on_progress: Progress | None = None,
        placement: Placement | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Start, adopt or join the server of ``home`` and wait until it answers.

        A crash recovery is waited for without limit, as long as the server says so; ``on_progress``
        hears a sentence about each phase. ``settings`` are more server settings, for tests.
        Raises EnvironmentProblem when this cannot work here; then nothing was changed.
        """
        chosen = placement or place(home)
        cluster = cls(chosen, clock, on_progress or _say_nothing, settings or {})
        data_directory.refuse_what_is_not_ours(chosen)
        data_directory.prepare_folders(chosen)
        try:
            await cluster._join()
            await cluster._come_up()
        except BaseException:
            cluster._let_go()
            raise
        return cluster

    @property
    def placement(self) -> Placement:
        """Where the server lies."""
        return self._placement

    @property
    def data(self) -> Path:
        return self._placement.data

    @property
    def is_owner(self) -> bool:
        """We are the one who starts and stops it."""
        return self._owner.held

    def dsn(self, role: DatabaseRole, database: str | None = None) -> str:
        """Where and as whom to connect. It names a password file and contains no password."""
        return self._dsn(role, database or DATABASE)

    def admin_dsn(self, database: str = "postgres") -> str:
        """The administrator's entrance: for making databases and for doctors, never for money."""
        return self._dsn(ADMIN, database)

    async def stop(self) -> None:
        """Leave. Whoever leaves last stops the server; while others use it, it stays up."""
        try:
            self._user.release()
            while self._owner.held or self._owner.try_exclusive():
                if await self._stopped_as_last():
                    break
                # Somebody uses it. If he leaves while we still own it he counts on us,
                # so one looks again after the ownership is given back.
                self._owner.release()
                if not self._user.free():
                    break
        finally:
            self._let_go()

    async def watch(self) -> None:
        """Start the server again whenever it dies, until cancelled; cancel it before ``stop``.

        The owner does this; a process that joined takes the ownership over when the owner is gone.
        A full disk is waited for, and said.
        """
        while True:
            await self._clock.sleep_us(_WATCH_US)
            try:
                if not self._owner.held and not self._owner.try_exclusive(note=_WHO):
                    continue
                if not self._process.alive():
                    await self._come_up()
            except NoRoom as problem:
                self._tell(str(problem))

    @classmethod
    async def stop_unused(cls, home: Path, clock: Clock) -> bool:
        """Stop the server of ``home`` when it runs and nobody uses it; whether it is down now."""
        placement = place(home)
        if data_directory.living_server(placement) is not None:
            # Whoever leaves last stops the server: so we join it and leave.
            cluster = await cls.start(home, clock)
            await cluster.stop()
        return data_directory.living_server(placement) is None

    @classmethod
    async def erase(cls, home: Path, clock: Clock, *, placement: Placement | None = None) -> None:
        """Stop the server of ``home`` and remove its data, passwords and logs for good.

        Raises EnvironmentProblem while any process uses it. Programs copied for root stay.
        """
        chosen = placement or place(home)
        if not chosen.marker.exists():
            return
        cluster = cls(chosen, clock, _say_nothing, {})
        try:
            if not cluster._owner.try_exclusive() or not await cluster._stopped_as_last():
                raise EnvironmentProblem(
                    f"The database in {chosen.base} is in use; stop poolmaker before erasing it."
                )
            await _to_the_end(_remove, chosen)
        finally:
            cluster._let_go()

    async def _join(self) -> None:
        deadline_us = self._clock.monotonic_us() + _OWNER_PATIENCE_US
        while not self._user.try_shared():
            self._tell("Another process is just stopping PostgreSQL")
            self._refuse_after(deadline_us, "does not finish stopping PostgreSQL")
            await self._clock.sleep_us(_POLL_US)

    async def _come_up(self) -> None:
        """Own the server or find it owned and ready."""
        deadline_us = self._clock.monotonic_us() + _OWNER_PATIENCE_US
        while True:
            if self._owner.held or self._owner.try_exclusive(note=_WHO):
                return await self._own()
            match await self._knock():
                case Ready(prepared=True) as ready:
                    return self._recognise(ready)
                case Busy(sentence):
                    self._tell(f"PostgreSQL says: {sentence}")
                    deadline_us = self._clock.monotonic_us() + _OWNER_PATIENCE_US
                case Ready() | Silent() | LoginRefused():
                    self._tell("Waiting for the process that starts PostgreSQL")
            self._refuse_after(deadline_us, "owns PostgreSQL, which does not answer")
            await self._clock.sleep_us(_POLL_US)

    async def _own(self) -> None:
        placement = self._placement
        programs = await _to_the_end(binaries.find, placement)
        major = await _to_the_end(programs.major)
        data_directory.clear_half_made(placement)
        if not data_directory.exists(placement):
            self._tell("Making the database")
            await _to_the_end(data_directory.make, placement, programs)
        data_directory.refuse_another_version(placement, major)
        secrets = passwords.read(placement.passwords)
        for _ in range(_DEATHS_MAX):
            await self._run(programs)
            if await bootstrap.prepare(self.admin_dsn(), secrets):
                return
        kind = NoRoom if self._process.is_out_of_room() else EnvironmentProblem
        raise kind(
            f"PostgreSQL in {placement.data} starts but dies at once; see {placement.data}/log."
        )

    async def _run(self, programs: binaries.Binaries) -> None:
        """Adopt the server that is there, or start one and wait for it."""
        self._process.forget()
        patience = _Patience(self._clock)
        while True:
            match await self._knock():
                case Ready() as ready:
                    return self._recognise(ready)
                case Busy(sentence):
                    self._tell(f"PostgreSQL says: {sentence}")
                    patience = _Patience(self._clock)
                case LoginRefused(sentence):
                    raise EnvironmentProblem(
                        f"The server at {self._placement.socket} refuses us ({sentence}); "
                        f"restore {self._placement.passwords} or stop that server."
                    )
                case Silent():
                    self._start_or_wait(programs, patience)
                case never:
                    assert_never(never)
            await patience.pause()

    def _start_or_wait(self, programs: binaries.Binaries, patience: _Patience) -> None:
        if (reason := self._process.failure()) is not None:
            kind = NoRoom if self._process.is_out_of_room() else EnvironmentProblem
            raise kind(
                f"PostgreSQL does not start in {self._placement.data}: {reason}. "
                "Mend that and start again."
            )
        if patience.is_over():
            raise EnvironmentProblem(self._held_by_others())
        if self._process.alive():
            self._tell("Waiting for PostgreSQL")
            return
        data_directory.prepare_run(self._placement)
        self._tell("Starting PostgreSQL")
        self._process.spawn(programs)

    def _held_by_others(self) -> str:
        data = self._placement.data
        pids = ", ".join(str(pid) for pid in working_in(data)) or "unknown"
        return (
            f"Other processes (ids: {pids}) have held {data} for half a minute without answering; "
            "end them and start again."
        )

    async def _knock(self) -> Probe:
        # The owner may be making the database just now.
        if not self._placement.passwords.exists():
            return Silent()
        return await knock(self.admin_dsn())

    def _recognise(self, ready: Ready) -> None:
        """Raise EnvironmentProblem unless the server that answered is ours and safe for money."""
        data = self._placement.data
        if not self._is_ours(ready):
            raise EnvironmentProblem(
                f"The server at {self._placement.socket} runs on {ready.data_directory} and is not "
                f"the one of {data}; stop it and start again."
            )
        if not (ready.fsync and ready.full_page_writes):
            raise EnvironmentProblem(
                f"The server on {data} runs with fsync or full_page_writes off, which loses money "
                "in a crash; stop it, and poolmaker will start it safely."
            )

    def _is_ours(self, ready: Ready) -> bool:
        data = self._placement.data
        if Path(ready.data_directory).resolve() != data.resolve():
            return False
        if ready.system_identifier != data_directory.system_identifier(data):
            return False
        # Both are read by path; where folders were exchanged under the server, the kernel knows.
        pid = listener_of(self._placement.socket)
        return pid is None or not works_elsewhere(pid, data)

    async def _stopped_as_last(self) -> bool:
        if not self._user.try_exclusive():
            return False
        self._tell("Stopping PostgreSQL")
        await self._process.stop(self._clock)
        return True

    def _let_go(self) -> None:
        self._owner.release()
        self._user.release()

    def _dsn(self, user: str, database: str) -> str:
        return local_dsn(self._placement.run, self._placement.passwords, user, database)

    def _refuse_after(self, deadline_us: int, complaint: str) -> None:
        if self._clock.monotonic_us() > deadline_us:
            holder = self._owner.note() or "unknown"
            raise EnvironmentProblem(
                f"Another poolmaker ({holder}) {complaint}; end it and start again."
            )


class _Teller:
    """Passes sentences on: a new one at once, a repeated one every few seconds with the time."""

    def __init__(self, clock: Clock, on_progress: Progress) -> None:
        self._clock = clock
        self._on_progress = on_progress
        self._sentence = ""
        self._since_us = 0
        self._told_us = 0

    def __call__(self, sentence: str) -> None:
        now_us = self._clock.monotonic_us()
        if sentence != self._sentence:
            self._sentence, self._since_us, self._told_us = sentence, now_us, now_us
            self._on_progress(sentence)
        elif now_us - self._told_us >= _TELL_EVERY_US:
            self._told_us = now_us
            self._on_progress(f"{sentence} ({(now_us - self._since_us) // SECOND_US} s)")


class _Patience:
    """Half a minute of retries, quick at first and slower later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadline_us = clock.monotonic_us() + _PATIENCE_US
        self._pause_us = _POLL_US // 2

    def is_over(self) -> bool:
        """It lasted long enough."""
        return self._clock.monotonic_us() > self._deadline_us

    async def pause(self) -> None:
        """Wait a little, each time a little longer."""
        await self._clock.sleep_us(self._pause_us)
        self._pause_us = min(self._pause_us * 3 // 2, _BACK_OFF_MAX_US)


async def _to_the_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``work`` in a thread; a cancellation is passed on only after it has ended.

    Our locks must not be given back while a thread still changes files under them.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _remove(placement: Placement) -> None:
    if placement.run.exists():
        shutil.rmtree(placement.run)
    shutil.rmtree(placement.base)
