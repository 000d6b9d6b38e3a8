"""The manual clock, checks that stay on, and errors with stable codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from poolmaker.kernel.checks import ensure, require, require_int
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import (
    EnvironmentProblem,
    InvariantBroken,
    OutcomeUnknown,
    PoolmakerError,
    PreconditionError,
    Unavailable,
)


async def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(5)
    assert (clock.now_us(), clock.monotonic_us()) == (5, 5)
    await clock.sleep_us(10)
    clock.advance(-3)
    assert clock.now_us() == 12


def test_require_blames_the_caller_and_ensure_blames_us() -> None:
    require(1, "fine")
    ensure([0], "fine")
    with pytest.raises(PreconditionError, match="no"):
        require([], "no")
    with pytest.raises(InvariantBroken, match="no"):
        ensure(0, "no")


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_an_int_is_an_int_and_nothing_like_it(value: object) -> None:
    with pytest.raises(PreconditionError, match="lots"):
        require_int(value, "lots")


def test_checks_stay_on_when_python_optimises() -> None:
    code = "from poolmaker.kernel.checks import require; require(False, 'still here')"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False
    )
    assert "still here" in done.stderr


def test_every_error_has_its_own_stable_code() -> None:
    kinds = (PreconditionError, InvariantBroken, EnvironmentProblem, OutcomeUnknown, Unavailable)
    codes = {kind.code for kind in kinds}
    assert codes == {
        "caller_fault",
        "invariant_broken",
        "environment",
        "outcome_unknown",
        "unavailable",
    }
    assert all(issubclass(kind, PoolmakerError) for kind in kinds)


def test_what_may_have_happened_is_not_what_did_not_happen() -> None:
    assert not issubclass(OutcomeUnknown, Unavailable)
    assert not issubclass(Unavailable, OutcomeUnknown)
    assert not issubclass(OutcomeUnknown, TimeoutError)
