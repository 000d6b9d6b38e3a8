"""The kill switch: a latch that every create asks last, and that only a release clears.

A latch is a file in the home folder and a row in the database. Each works without the other: a
person can set the file while the database is down and the engine hangs.
"""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.market.execution.ports import KillSwitch


class _Never:
    """For engines that nobody can kill but by ending them: tests and measurements."""

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:  # noqa: ARG002
        """See ``KillSwitch.holds``."""
        return ""


NO_KILL_SWITCH: Final[KillSwitch] = _Never()
