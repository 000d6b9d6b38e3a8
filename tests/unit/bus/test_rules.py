"""The chain of a stream, and which failures bury an event."""

from __future__ import annotations

import asyncpg
import pytest

from poolmaker.bus.rules import link, raise_when_it_may_pass
from poolmaker.kernel.errors import Unavailable


def test_a_link_covers_the_event_and_everything_before_it() -> None:
    whole = link(bytes(32), 1, "a", b"body", 5)
    others = {
        link(b"x" * 32, 1, "a", b"body", 5),
        link(bytes(32), 2, "a", b"body", 5),
        link(bytes(32), 1, "b", b"body", 5),
        link(bytes(32), 1, "a", b"other", 5),
        link(bytes(32), 1, "a", b"body", 6),
    }
    assert len(others) == 5
    assert whole not in others
    assert link(bytes(32), 1, "a", b"body", 5) == whole


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("two waited for each other"),
        asyncpg.SerializationError("again"),
        asyncpg.DiskFullError("no room"),
        asyncpg.LockNotAvailableError("busy"),
    ],
)
def test_what_may_pass_by_itself_buries_nothing(error: Exception) -> None:
    with pytest.raises(Unavailable):
        raise_when_it_may_pass(error)


@pytest.mark.parametrize("error", [ValueError("x"), asyncpg.UniqueViolationError("twice")])
def test_what_a_person_has_to_mend_is_buried(error: Exception) -> None:
    raise_when_it_may_pass(error)
