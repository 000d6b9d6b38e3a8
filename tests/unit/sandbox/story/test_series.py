"""After the story a campaign runs for as long as the demo is left running."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.clock import MINUTE_US, SECOND_US, ManualClock
from poolmaker.sandbox.story.model import DAY_S
from poolmaker.sandbox.story.series import AHEAD_US, CampaignSeries

DAY_US = DAY_S * SECOND_US
Campaigns = list[tuple[int, int]]
"""(start, end) in microseconds, in the order of their launch."""


def _series(launch_takes_us: int = 0) -> tuple[CampaignSeries, ManualClock, Campaigns]:
    clock, campaigns = ManualClock(), Campaigns()

    async def launch(days: int, start_us: int) -> None:
        assert start_us >= clock.now_us(), "a campaign that is launched late loses rewards"
        campaigns.append((start_us, start_us + days * DAY_US))
        clock.advance(launch_takes_us)

    return CampaignSeries(launch, clock), clock, campaigns


@given(
    looks_us=st.lists(st.integers(1, AHEAD_US - 1), min_size=1, max_size=200),
    launch_takes_us=st.integers(0, AHEAD_US // 2),
)
async def test_every_campaign_starts_where_the_last_one_ends(
    looks_us: list[int], launch_takes_us: int
) -> None:
    series, clock, campaigns = _series(launch_takes_us)
    began_us = clock.now_us()
    for look_us in looks_us:
        await series.keep_up()
        clock.advance(min(look_us, AHEAD_US - 1 - launch_takes_us))
        assert clock.now_us() < campaigns[-1][1], "the last campaign has ended and none follows"
    assert campaigns[0][0] == began_us + DAY_US
    assert all(a[1] == b[0] for a, b in itertools.pairwise(campaigns))


async def test_a_demo_that_is_left_running_for_hours_has_one_campaign_at_a_time() -> None:
    series, clock, campaigns = _series()
    began_us = clock.now_us()
    while clock.now_us() < began_us + 300 * MINUTE_US:
        await series.keep_up()
        await clock.sleep_us(SECOND_US)
    covered_us = campaigns[-1][1] - campaigns[0][0]
    assert covered_us >= 300 * MINUTE_US - DAY_US
    assert len(campaigns) == covered_us // (campaigns[0][1] - campaigns[0][0])
    assert sum(1 for start_us, _ in campaigns if start_us > clock.now_us()) <= 1


async def test_a_machine_that_slept_past_the_end_gets_a_campaign_that_can_still_be_joined() -> None:
    series, clock, campaigns = _series()
    await series.keep_up()
    clock.advance(campaigns[0][1] - clock.now_us() + MINUTE_US)
    woke_us = clock.now_us()
    await series.keep_up()
    assert [start_us for start_us, _ in campaigns[1:]] == [woke_us + DAY_US]
