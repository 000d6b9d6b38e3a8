"""Values of the bus."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that stopped its consumer; nothing behind it is applied until it is.

    ``skip_by`` names the person who asked to leave it out, empty while nobody has.
    """

    consumer: str
    stream: str
    seq: int
    error: str
    failures: int
    failed_at_us: int
    replay_asked: bool = False
    skip_by: str = ""
    skip_reason: str = ""


@dataclass(frozen=True, slots=True)
class Lag:
    """The oldest event that a consumer has not applied, and how many wait."""

    consumer: str
    stream: str
    seq: int
    waiting: int
    recorded_at_us: int


class Condition(StrEnum):
    """How a consumer is doing."""

    STARTING = "starting"
    """It has not read anything yet."""
    RUNNING = "running"
    """It applies what comes."""
    STOPPED = "stopped"
    """An event could not be applied; a person has to mend it and ask for a replay."""
    UNREACHABLE = "unreachable"
    """The database cannot be reached; it goes on by itself."""


@dataclass(frozen=True, slots=True)
class ConsumerHealth:
    """What a person sees of a consumer. ``lag`` is how many events wait, as last seen."""

    consumer: str
    stream: str
    condition: Condition
    applied_seq: int
    lag: int
    letter: DeadLetter | None
