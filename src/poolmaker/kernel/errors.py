"""The exception tree of Poolmaker; every error carries a stable code.

PoolmakerError
├── CallerFault          a value handed over is not valid (also a ValueError)
├── InvariantBroken      our own promise does not hold; the room stops
├── EnvironmentProblem   the machine or the configuration; one sentence with what to do, exit code 2
├── TakenOver            another process has taken over what was ours; we end and take nothing back
├── OutcomeUnknown       an effect may or may not have happened; only evidence resolves it
└── Unavailable          an outside party cannot be reached now; nothing happened, may be retried
    └── VenueUnavailable a venue does not answer, or not in a form that can be read

The database has its own branches in ``infra.database``: a handler that means a venue never catches
them.
"""

from __future__ import annotations

from typing import ClassVar


class PoolmakerError(Exception):
    """Root of all expected failures. ``code`` is stable and may be shown and matched."""

    code: ClassVar[str] = "poolmaker"


class PreconditionError(PoolmakerError, ValueError):
    """A value handed over by the caller is not valid; nothing was changed."""

    code = "caller_fault"


class InvariantBroken(PoolmakerError):
    """Our own promise does not hold; whoever sees it stops its room and tells a person."""

    code = "invariant_broken"


class EnvironmentProblem(PoolmakerError):
    """The machine or the configuration prevents the work.

    The message is one clear sentence that says what to do. Commands end with exit code 2 on it.
    """

    code = "environment"


class TakenOver(PoolmakerError):
    """Another process has taken over a lease or an epoch of ours.

    Whoever sees it ends at once: it cancels nothing, sends nothing and never takes back what it
    lost.
    """

    code = "taken_over"


class OutcomeUnknown(PoolmakerError):
    """A request was sent and no answer came: it may have had its effect.

    It must never be resolved by a time-out, only by evidence from the other side.
    """

    code = "outcome_unknown"


class Unavailable(PoolmakerError):
    """An outside party could not be asked; nothing happened and the same call may be made again."""

    code = "unavailable"


class VenueUnavailable(Unavailable):
    """A venue could not be asked, or its answer could not be read; nothing happened there."""

    code = "venue_unavailable"
