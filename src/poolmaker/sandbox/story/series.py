"""Campaigns one after another for a market that goes on, as HuFi's launcher would offer them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.sandbox.story.model import DAY_S

SERIES_DAYS: Final = 90
AHEAD_US: Final = 10 * DAY_S * SECOND_US
"""How long before its start a campaign is launched: joining takes time on a busy machine."""

Launch = Callable[[int, int], Awaitable[object]]
"""Launches a campaign of so many days that starts at a time in microseconds."""


class CampaignSeries:
    """Each campaign starts where the last one ends: rewards have neither gap nor overlap.

    Call ``keep_up`` more often than every ``AHEAD_US``. After a longer pause of the machine the
    next campaign starts one day later.
    """

    def __init__(self, launch: Launch, clock: Clock) -> None:
        self._launch = launch
        self._clock = clock
        self._ends_us = 0

    async def keep_up(self) -> None:
        """Launch the next campaign when the last one ends within ``AHEAD_US``."""
        now_us = self._clock.now_us()
        if self._ends_us - now_us > AHEAD_US:
            return
        start_us = self._ends_us if self._ends_us > now_us else now_us + DAY_S * SECOND_US
        self._ends_us = start_us + SERIES_DAYS * DAY_S * SECOND_US
        await self._launch(SERIES_DAYS, start_us)
