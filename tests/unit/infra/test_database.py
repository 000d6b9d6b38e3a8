"""Units of work over a pool that misbehaves on purpose."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from poolmaker.infra.database import (
    CommitUnknown,
    Database,
    DatabaseUnavailable,
    decode_numeric,
    encode_numeric,
)
from poolmaker.kernel.errors import PreconditionError


class _Unit:
    def __init__(self, pool: _Pool) -> None:
        self._pool = pool

    async def start(self) -> None:
        self._pool.happens("start")

    async def commit(self) -> None:
        self._pool.happens("commit")

    async def rollback(self) -> None:
        self._pool.happens("rollback")


class _Connection:
    def __init__(self, pool: _Pool) -> None:
        self._pool = pool

    def transaction(self, isolation: str) -> _Unit:
        return _Unit(self._pool)

    def terminate(self) -> None:
        self._pool.steps.append("terminate")


class _Pool:
    """A pool whose chosen step fails."""

    def __init__(self, failing: str = "", error: Exception | None = None) -> None:
        self.steps: list[str] = []
        self._failing = failing
        self._error = error

    def happens(self, step: str) -> None:
        self.steps.append(step)
        if step == self._failing and self._error is not None:
            raise self._error

    async def acquire(self, timeout: float) -> _Connection:
        self.happens("acquire")
        return _Connection(self)

    async def release(self, connection: _Connection, timeout: float) -> None:
        self.happens("release")


def _database(pool: Any) -> Database:
    return Database(pool, "postgresql:///x")


LOSSES = [
    ConnectionResetError("gone"),
    TimeoutError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("cannot switch to state 12"),
    asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CrashShutdownError("terminating connection"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
]


@pytest.mark.parametrize("error", LOSSES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("acquire", DatabaseUnavailable),
        ("start", DatabaseUnavailable),
        ("commit", CommitUnknown),
    ],
)
async def test_every_loss_is_named_by_what_may_have_been_written(
    step: str, kind: type[Exception], error: Exception
) -> None:
    pool = _Pool(step, error)
    with pytest.raises(kind) as caught:
        async with _database(pool).transaction():
            pass
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [*LOSSES, asyncpg.QueryCanceledError("reset")], ids=lambda error: type(error).__name__
)
async def test_a_connection_lost_after_the_commit_does_not_make_the_commit_doubtful(
    error: Exception,
) -> None:
    pool = _Pool("release", error)
    async with _database(pool).transaction():
        pass
    assert pool.steps == ["acquire", "start", "commit", "release", "terminate"]


async def test_a_failed_roll_back_cuts_the_connection_and_keeps_the_first_error() -> None:
    pool = _Pool("rollback", ConnectionResetError())
    with pytest.raises(ZeroDivisionError):
        async with _database(pool).transaction():
            raise ZeroDivisionError
    assert pool.steps == ["acquire", "start", "rollback", "terminate", "release"]


async def test_a_value_that_cannot_be_sent_is_the_callers_fault_not_a_loss() -> None:
    with pytest.raises(asyncpg.DataError):
        async with _database(_Pool()).acquire():
            raise asyncpg.DataError("invalid input for query argument $1")


@pytest.mark.parametrize("text", ["0", "-1", "99999999999999999999999999999999999999"])
def test_an_integer_is_read_and_written_as_an_int(text: str) -> None:
    value = decode_numeric(text)
    assert type(value) is int
    assert encode_numeric(value) == text


@pytest.mark.parametrize("text", ["0.0", "-1.50", "0.000000000000000000000000000000000000001"])
def test_a_fraction_is_read_and_written_digit_for_digit(text: str) -> None:
    assert encode_numeric(decode_numeric(text)) == text


@pytest.mark.parametrize("value", [1.0, True, None, "1", float("nan")])
def test_nothing_but_an_exact_number_is_written(value: object) -> None:
    with pytest.raises(PreconditionError):
        encode_numeric(value)
