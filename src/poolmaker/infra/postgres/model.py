"""Values of the database server: roles, account, and what a knock at its socket found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from poolmaker.kernel.errors import EnvironmentProblem

ADMIN: Final = "poolmaker_admin"
DATABASE: Final = "poolmaker"
PORT: Final = 5432
POSTGRES_MAJOR_MIN: Final = 15

Progress = Callable[[str], None]


class NoRoom(EnvironmentProblem):
    """The disk is full: nothing can be started there until somebody makes room."""

    code = "no_room"


class DatabaseRole(StrEnum):
    """Who a connection is; the value is the role's name in PostgreSQL."""

    OWNER = "poolmaker_owner"
    """Owns every object; used by migrations only."""
    WRITER = "poolmaker_writer"
    """The ledger's writer: executes the ledger's functions and reads, nothing else."""
    APP = "poolmaker_app"
    """Everything else that writes."""
    READER = "poolmaker_reader"
    """Reads."""


class PostgresServer(Protocol):
    """A PostgreSQL that is up and has our roles, wherever it runs."""

    def dsn(self, role: DatabaseRole, database: str | None = None) -> str:
        """Where and as whom to connect, for asyncpg. It never contains a password."""
        ...

    @property
    def data(self) -> Path | None:
        """Its data directory where that is on this machine."""
        ...

    async def stop(self) -> None:
        """Let go of the server; our own is stopped when nobody else uses it."""
        ...

    async def watch(self) -> None:
        """Keep the server running until cancelled; returns at once where that is not our task."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the operating system that the server runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The server answered an authenticated connection."""

    data_directory: str
    system_identifier: int
    fsync: bool
    full_page_writes: bool
    prepared: bool
    """The platform's roles and database exist."""


@dataclass(frozen=True, slots=True)
class Busy:
    """The server is there and says that it is starting, recovering or shutting down."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Silent:
    """Nobody answers at the socket."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """Somebody answers but does not let us in."""

    sentence: str


Probe = Ready | Busy | Silent | LoginRefused
