"""What the page says of campaigns, rewards and money on its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolmaker.kernel.clock import SECOND_US
from poolmaker.views.catalogue import Catalogues
from poolmaker.views.model import AmountView, ArrivalView, OrderProfitView
from poolmaker.web import rules
from poolmaker.web.look import SnapshotLoader
from poolmaker.web.model import Look
from poolmaker.web.render import HERE
from poolmaker.web.site import create_site
from tests.api.client import Client
from tests.e2e.outside import MIXIN_USER
from tests.e2e.world import FakeWorld

CATALOGUES = Catalogues(HERE / "catalogues")


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.furnish()
    return made


@pytest.fixture
async def look(world: FakeWorld) -> Look:
    return await SnapshotLoader(world.showing()).take()


async def _html(world: FakeWorld) -> str:
    answer = await Client(create_site(world.showing())).get("/")
    return answer.body.decode()


def test_a_campaign_of_two_days_is_two_bars_of_which_the_first_is_full(look: Look) -> None:
    (campaign,) = look.campaigns
    first, second = rules.day_segments(campaign, look.now_us)
    assert first == (0, 492, 492)
    assert (second[0], second[1]) == (500, 492)
    assert 0 < second[2] < second[1]
    before = rules.day_segments(campaign, campaign.start_us - SECOND_US)
    assert [done for _, _, done in before] == [0, 0]


def test_more_days_than_can_be_told_apart_are_one_bar(look: Look) -> None:
    (campaign,) = look.campaigns
    long = replace(campaign, end_us=campaign.start_us + 90 * campaign.day_us)
    ((x, width, done),) = rules.day_segments(long, campaign.start_us + 45 * campaign.day_us)
    assert (x, width, done) == (0, 992, 496)


def test_found_44_an_order_for_which_nothing_arrived_shows_no_result(look: Look) -> None:
    order = next(one for one in look.orders if one.user_name == "ada")
    assert rules.has_result(order)
    nothing = OrderProfitView(AmountView("USDT", "0.00"), (), ())
    for state in ("CREATED", "EXPIRED", "REFUNDED", "WITHDRAW"):
        assert not rules.has_result(replace(order, state=state, deposited=(), profit=nothing))
    # What moving it back has cost is shown, whatever became of the order.
    charged = OrderProfitView(AmountView("USDT", "0.00"), (AmountView("USDT", "2.00"),), ())
    assert rules.has_result(replace(order, state="REFUNDED", deposited=(), profit=charged))


async def test_found_45_trading_fees_and_rewards_stand_apart_on_the_page(world: FakeWorld) -> None:
    html = await _html(world)
    ada = html[html.index('aria-label="ada"') :]
    ada = ada[ada.index('<dl class="profit"') : ada.index("</dl>")]
    assert [word for word in ("+12.51", "-2.00", "+4.75") if word not in ada] == []
    pool = html[html.index('id="part-pool"') : html.index('id="chart-inventory"')]
    assert [word for word in ("+31.02", "-6.21") if word not in pool] == []


@pytest.mark.parametrize(("amount", "tone"), [("0.00", "muted"), ("-0.01", "down"), ("3", "up")])
def test_a_gain_is_marked_by_its_sign(amount: str, tone: str) -> None:
    assert rules.tone(AmountView("USDT", amount)) == tone
    assert rules.tone(None) == "muted"
    assert rules.negated(rules.negated(amount)) == amount


async def test_more_rewards_than_the_page_shows_do_not_lengthen_it(world: FakeWorld) -> None:
    (_, first) = world.reward_rows
    for number in range(10, 30):
        reward = f"rw_{number}"
        world.reward_rows.append(replace(first, reward_id=reward, state="DONE"))
        world.parts[reward] = [replace(world.parts["rw_1"][0], amount=AmountView("HMT", "1"))]
    assert (await _html(world)).count('class="reward"') == rules.REWARDS_SHOWN


def test_a_campaign_we_are_in_comes_before_a_newer_one_that_is_only_offered(look: Look) -> None:
    (joined,) = look.campaigns
    offered = replace(joined, campaign_id="other", joined_at_us=0, start_us=joined.start_us + 1)
    shown = rules.running([offered, joined, replace(offered, campaign_id="third")])
    assert [one.campaign_id for one in shown] == [joined.campaign_id, "other"]


@pytest.mark.parametrize(
    ("state", "now"),
    [("OBSERVED", 0), ("confirmed", 1), ("TRANSFERRING", 1), ("TRANSFERRED", 2), ("ALLOCATED", 3)],
)
def test_a_reward_stands_at_one_station_of_its_way(state: str, now: int) -> None:
    marks = [mark for _, mark in rules.reward_way(state)]
    assert marks == ["past"] * now + ["now"] + ["next"] * (4 - now)


@pytest.mark.parametrize("state", ["CREDITED", "DONE"])
def test_a_credited_reward_has_its_whole_way_behind_it(state: str) -> None:
    assert {mark for _, mark in rules.reward_way(state)} == {"past"}


def test_the_parts_of_a_reward_fill_its_bar_without_a_gap(look: Look) -> None:
    parts = rules.parts_of_reward(look.allocations["rw_1"])
    ends = [x + width for _, x, width in parts]
    assert [x for _, x, _ in parts] == [0, *ends[:-1]]
    assert ends[-1] == rules.BAR_WIDTH
    assert rules.parts_of_reward([]) == []


def test_money_on_its_way_stands_before_what_has_ended(look: Look) -> None:
    states = [row.state for row in rules.moving(look)]
    assert states == ["SENT", "SENT", "DONE", "DONE"]


def test_deposits_and_own_transfers_are_no_strangers(look: Look) -> None:
    place, money = "custody:mixin:usdt-polygon", AmountView("USDT", "1")
    rows = [
        ArrivalView(f"r{at}", place, money, disposition, "done", "", at)
        for at, disposition in enumerate(("deposit", "transfer", "suspense", "waiting", "refund"))
    ]
    found = rules.strangers(replace(look, arrivals=rows))
    assert [one.disposition for one in found] == ["suspense", "waiting", "refund"]


async def test_the_page_shows_the_day_the_standing_and_whose_a_reward_is(world: FakeWorld) -> None:
    html = await _html(world)
    for text in ("day 2 of 2", "18,432.55", "29.5384", "we take part", "47.9999", "platform fee"):
        assert text in html
    assert 'title="0.000000000000000004 HMT"' in html


async def test_an_awaited_payment_shows_its_link_and_a_strangers_payment_goes_back(
    world: FakeWorld,
) -> None:
    html = await _html(world)
    assert "pay link 9b1d02f4…" in html
    assert "refunded unless all have come by" in html
    assert "with a memo that names no order: it goes back" in html
    assert MIXIN_USER[-6:] in html


async def test_before_anything_comes_from_outside_every_part_says_what_will_appear(
    world: FakeWorld,
) -> None:
    world.campaign_rows, world.reward_rows, world.transfer_rows = [], [], []
    world.withdrawal_rows, world.arrival_rows = [], []
    html = await _html(world)
    words = CATALOGUES.words("en")
    for key in ("campaign.empty", "reward.empty", "moving.empty"):
        assert words.say(key).replace("'", "&#39;") in html


@pytest.mark.parametrize("language", CATALOGUES.languages)
def test_every_station_and_disposition_has_a_word(language: str) -> None:
    keys = CATALOGUES.keys(language)
    wanted = {f"reward.state.{name}" for name in rules.REWARD_WAY}
    wanted |= {f"moving.state.{name}" for name in rules.ENDED}
    assert wanted <= keys
