"""Passes of the oracles over escrows in memory: nothing lost, nothing twice, trouble and all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from poolmaker.hufi.rules import ScoredTrade
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.chain.model import USDT
from poolmaker.sandbox.hufi.auth import Tokens
from poolmaker.sandbox.hufi.exchange import AccessRefused
from poolmaker.sandbox.hufi.files import Files
from poolmaker.sandbox.hufi.jobs import Job, Jobs
from poolmaker.sandbox.hufi.model import Campaign, ExchangeKey, ExchangePermission, Processing
from poolmaker.sandbox.hufi.refusals import HufiRefusal
from poolmaker.sandbox.hufi.results import results_file
from poolmaker.sandbox.hufi.texts import iso
from poolmaker.sandbox.hufi.world import FORGOTTEN, HufiWorld
from tests.support.escrows import LAUNCHER, MemoryEscrows

DAY_MS = 10_000


@dataclass
class PlannedAccounts:
    """Accounts by key: trades, a balance, a deposit address, trouble."""

    trades_of: dict[str, list[ScoredTrade]] = field(default_factory=dict)
    balance_of: dict[str, float] = field(default_factory=dict)
    shared_address: bool = False
    refused: set[str] = field(default_factory=set)
    is_down: bool = False

    def _look(self, key: tuple[str, str]) -> None:
        if self.is_down:
            raise Unavailable("the exchange does not answer")
        if key[0] in self.refused:
            raise AccessRefused(ExchangePermission.TRADES)

    async def balance(self, key: tuple[str, str], symbol: str) -> float | None:
        self._look(key)
        return self.balance_of.get(key[0])

    async def deposit_address(self, key: tuple[str, str]) -> str:
        if self.is_down:
            raise Unavailable("the exchange does not answer")
        return "0xshared" if self.shared_address else f"0xdeposit{key[0]}"

    async def trades(
        self, key: tuple[str, str], pair: str, since_ms: int, until_ms: int
    ) -> list[ScoredTrade]:
        self._look(key)
        return self.trades_of.get(key[0], [])

    async def missing(
        self, key: tuple[str, str], wanted: Sequence[ExchangePermission]
    ) -> tuple[ExchangePermission, ...]:
        return tuple(wanted[:1]) if key[0] in self.refused else ()

    async def markets(self) -> list[tuple[str, str]]:
        return [("HMT", "USDT")]


@dataclass
class Bench:
    """A world in memory."""

    clock: ManualClock
    escrows: MemoryEscrows
    accounts: PlannedAccounts
    world: HufiWorld
    jobs: Jobs

    async def launch(self, units: int = 100_000_000, days: int = 1, **changes: Any) -> Campaign:
        start_ms = self.clock.now_us() // 1_000
        manifest = {
            "type": "MARKET_MAKING", "exchange": "mexc", "pair": "HMT/USDT",
            "daily_volume_target": 1_000, "day_s": DAY_MS // 1_000, "start_date": iso(start_ms),
            "end_date": iso(start_ms + days * DAY_MS), **changes,
        }  # fmt: skip
        address, _ = await self.escrows.create(USDT, units, json.dumps(manifest))
        await self.jobs.run(Job.DISCOVERY)
        return self.world.campaigns[address]

    async def join(self, campaign: Campaign, count: int) -> list[str]:
        found = []
        for number in range(count):
            address = f"0x{number + 1:040x}"
            user = self.world.sign_up(address)
            user.keys["mexc"] = ExchangeKey("id", "mexc", f"k{number}", "s", None)
            await self.world.join(user, campaign)
            found.append(address)
        return found

    def traded(self, number: int, cost: float, *, is_maker: bool = True) -> None:
        time_ms = self.clock.now_us() // 1_000
        trade = ScoredTrade("HMT/USDT", "buy", is_maker, cost, time_ms)
        self.accounts.trades_of.setdefault(f"k{number}", []).insert(0, trade)

    def pass_ms(self, duration_ms: int) -> None:
        self.clock.advance(duration_ms * 1_000)


@pytest.fixture
def bench() -> Bench:
    clock = ManualClock()
    escrows, accounts = MemoryEscrows(clock), PlannedAccounts()
    world = HufiWorld(escrows, accounts, Tokens(Rng(1), clock, 600, 3_600), clock)
    return Bench(clock, escrows, accounts, world, Jobs(world, Files()))


async def test_a_day_is_recorded_paid_and_completed_once(bench: Bench) -> None:
    campaign = await bench.launch()
    one, two = await bench.join(campaign, 2)
    bench.traded(0, 300.0)
    bench.traded(1, 100.0)
    bench.pass_ms(DAY_MS - 1)
    await bench.jobs.run_all()
    assert bench.escrows.writes == []
    bench.pass_ms(1)
    for _ in range(3):
        await bench.jobs.run_all()
    assert bench.escrows.writes == ["store", "pay", "complete"]
    # 400 of 1,000 is 40 % of 96 net.
    assert (bench.escrows.received[one], bench.escrows.received[two]) == (28_800_000, 9_600_000)
    assert bench.escrows.received[LAUNCHER] == 60_000_000
    assert campaign.processing is Processing.COMPLETED
    assert bench.world.events == []


async def test_missed_days_are_recorded_in_one_store_and_paid_one_by_one(bench: Bench) -> None:
    campaign = await bench.launch(300_000_000, days=3)
    await bench.join(campaign, 1)
    for _ in range(3):
        bench.traded(0, 2_000.0)
        bench.pass_ms(DAY_MS)
    await bench.jobs.run_all()
    assert bench.escrows.writes == ["store", "pay", "pay", "pay"]
    assert len(campaign.recorded) == 3
    assert campaign.escrow.remaining_units == 0


async def test_a_batch_holds_at_most_99_and_a_competition_is_paid_in_one(bench: Bench) -> None:
    campaign = await bench.launch()
    wallets = await bench.join(campaign, 120)
    for number in range(120):
        bench.traded(number, 10.0)
    bench.pass_ms(DAY_MS)
    await bench.jobs.run_all()
    assert bench.escrows.writes == ["store", "pay", "pay", "complete"]
    assert {bench.escrows.received[one] for one in wallets} == {800_000}
    shown = json.loads(results_file(campaign).body)["results"][0]
    sizes = [len(batch["results"]) for batch in shown["participants_outcomes_batches"]]
    assert sizes == [99, 21]


async def test_a_doubt_about_a_write_is_resolved_by_reading_the_chain(bench: Bench) -> None:
    campaign = await bench.launch()
    (one,) = await bench.join(campaign, 1)
    bench.traded(0, 5_000.0)
    bench.pass_ms(DAY_MS)
    for job in (Job.RECORD, Job.RECORD, Job.PAYOUT, Job.PAYOUT):
        bench.escrows.doubts = True
        await bench.jobs.run(job)
    assert bench.escrows.writes == ["store", "pay"]
    assert bench.escrows.received[one] == 96_000_000
    assert len(bench.world.events) == 2
    assert campaign.processing is Processing.COMPLETED


async def test_a_reorganisation_is_followed_by_the_same_writes_again(bench: Bench) -> None:
    campaign = await bench.launch(days=2)
    await bench.join(campaign, 1)
    bench.traded(0, 500.0)
    bench.pass_ms(DAY_MS)
    before = bench.escrows.states[campaign.address]
    await bench.jobs.run_all()
    paid = bench.escrows.states[campaign.address]
    bench.escrows.states[campaign.address] = before
    bench.escrows.payout_ids[campaign.address] = []
    await bench.jobs.run_all()
    assert bench.escrows.writes == ["store", "pay", "store", "pay"]
    again = bench.escrows.states[campaign.address]
    assert replace(again, payments=()) == replace(paid, payments=())
    assert again.paid_units == paid.paid_units


async def test_a_campaign_that_a_reorganisation_removed_is_forgotten(bench: Bench) -> None:
    campaign = await bench.launch()
    bench.escrows.states.clear()
    bench.escrows.launches.clear()
    await bench.jobs.run_all()
    assert campaign.address not in bench.world.campaigns


async def test_a_refused_payout_is_made_by_the_next_pass(bench: Bench) -> None:
    campaign = await bench.launch()
    (one,) = await bench.join(campaign, 1)
    bench.traded(0, 1_000.0)
    bench.pass_ms(DAY_MS)
    await bench.jobs.run(Job.RECORD)
    bench.escrows.refuses_next = True
    await bench.jobs.run(Job.PAYOUT)
    assert one not in bench.escrows.received
    await bench.jobs.run(Job.PAYOUT)
    assert bench.escrows.received[one] == 96_000_000


async def test_a_silent_exchange_fails_the_pass_and_a_refused_key_only_its_owner(
    bench: Bench,
) -> None:
    campaign = await bench.launch()
    one, two = await bench.join(campaign, 2)
    bench.traded(0, 1_000.0)
    bench.traded(1, 1_000.0)
    bench.pass_ms(DAY_MS)
    bench.accounts.is_down = True
    await bench.jobs.run_all()
    assert campaign.recorded == []
    bench.accounts.is_down = False
    bench.accounts.refused.add("k1")
    await bench.jobs.run_all()
    assert bench.escrows.received[one] == 96_000_000
    assert two not in bench.escrows.received
    assert bench.world.users[two].keys["mexc"].missing == (ExchangePermission.TRADES,)


async def test_a_deposit_address_counts_once(bench: Bench) -> None:
    campaign = await bench.launch()
    one, two = await bench.join(campaign, 2)
    bench.accounts.shared_address = True
    bench.traded(0, 1_000.0)
    bench.traded(1, 1_000.0)
    bench.pass_ms(DAY_MS)
    await bench.jobs.run_all()
    assert one in bench.escrows.received
    assert two not in bench.escrows.received


async def test_a_day_without_volume_is_recorded_and_pays_nobody(bench: Bench) -> None:
    campaign = await bench.launch()
    await bench.join(campaign, 1)
    bench.pass_ms(DAY_MS)
    await bench.jobs.run_all()
    assert bench.escrows.writes == ["store", "complete"]
    assert bench.escrows.received == {LAUNCHER: 100_000_000}


async def test_a_cancelled_day_is_cut_at_the_request_and_paid(bench: Bench) -> None:
    campaign = await bench.launch(days=2)
    (one,) = await bench.join(campaign, 1)
    bench.traded(0, 500.0)
    bench.pass_ms(DAY_MS // 2)
    await bench.escrows.request_cancellation(campaign.address)
    bench.pass_ms(1)
    await bench.jobs.run(Job.SYNC)
    with pytest.raises(HufiRefusal, match="Campaign cancelled"):
        await bench.world.join(bench.world.sign_up("0xlate"), campaign)
    await bench.jobs.run_all()
    assert campaign.recorded[0].to_ms - campaign.recorded[0].from_ms == DAY_MS // 2
    assert bench.escrows.received == {one: 24_000_000, LAUNCHER: 75_000_000}
    assert campaign.processing is Processing.CANCELLED


async def test_a_threshold_removes_who_did_not_reach_it(bench: Bench) -> None:
    campaign = await bench.launch(
        type="THRESHOLD", symbol="HMT", minimum_balance_target=10, max_participants=2
    )
    one, two = await bench.join(campaign, 2)
    with pytest.raises(HufiRefusal, match=r"maximum number of participants. Total: 2"):
        await bench.world.join(bench.world.sign_up("0xthird"), campaign)
    bench.accounts.balance_of = {"k0": 10.0, "k1": 9.9}
    bench.pass_ms(DAY_MS)
    await bench.jobs.run_all()
    assert bench.escrows.received[one] == 48_000_000
    assert list(campaign.joined_ms) == [bench.world.users[one].user_id]
    assert two not in bench.escrows.received


async def test_autojoin_joins_what_is_wanted_and_a_failing_key_ends_the_wish(
    bench: Bench,
) -> None:
    user = bench.world.sign_up("0xwish")
    user.keys["mexc"] = ExchangeKey("id", "mexc", "k0", "s", None)
    wish = user.preferences
    wish.enabled, wish.exchanges, wish.tokens = True, ["mexc"], ["HMT"]
    assert (await bench.launch()).joined_ms == {}
    wish.campaign_types = ["MARKET_MAKING"]
    assert list((await bench.launch()).joined_ms) == [user.user_id]
    bench.accounts.refused.add("k0")
    assert (await bench.launch()).joined_ms == {}
    assert wish.exchanges == []


async def test_a_campaign_that_somebody_joins_before_it_is_found_is_read_from_the_chain(
    bench: Bench,
) -> None:
    known = await bench.launch()
    text = bench.escrows.states[known.address].manifest
    address, _ = await bench.escrows.create(USDT, 100_000_000, text)
    asker, other = bench.world.sign_up("0xasker"), bench.world.sign_up("0xother")
    for number, user in enumerate((asker, other)):
        user.keys["mexc"] = ExchangeKey("id", "mexc", f"k{number}", "s", None)
        wish = user.preferences
        wish.enabled, wish.exchanges, wish.tokens = True, ["mexc"], ["HMT"]
        wish.campaign_types = ["MARKET_MAKING"]
    campaign = await bench.world.learn(address, asker)
    assert list(campaign.joined_ms) == [other.user_id]
    await bench.world.join(asker, campaign)
    await bench.jobs.run(Job.DISCOVERY)
    assert bench.world.campaigns[address] is campaign
    assert len(campaign.joined_ms) == 2


async def test_deleting_a_key_ends_taking_part_and_joining_again_counts_from_then(
    bench: Bench,
) -> None:
    campaign = await bench.launch()
    (one,) = await bench.join(campaign, 1)
    bench.traded(0, 400.0)
    bench.pass_ms(1_000)
    user = bench.world.users[one]
    bench.world.forget_key(user, "mexc")
    assert campaign.joined_ms == {}
    await bench.join(campaign, 1)
    bench.traded(0, 100.0)
    bench.pass_ms(DAY_MS)
    await bench.jobs.run_all()
    assert campaign.recorded[0].scores.total == 100.0


async def test_a_restart_finds_what_is_not_recorded_and_leaves_alone_what_is(bench: Bench) -> None:
    """HuFi invariant 5: nothing reserved for people goes back to the launcher."""
    recorded, fresh = await bench.launch(days=2), await bench.launch(days=3)
    (one,) = await bench.join(recorded, 1)
    bench.traded(0, 300.0)
    bench.pass_ms(DAY_MS)
    await bench.jobs.record(recorded)
    world = HufiWorld(
        bench.escrows, bench.accounts, Tokens(Rng(1), bench.clock, 600, 3_600), bench.clock
    )
    again = Bench(bench.clock, bench.escrows, bench.accounts, world, Jobs(world, Files()))
    bench.pass_ms(4 * DAY_MS)
    for _ in range(3):
        await again.jobs.run(Job.DISCOVERY)
    assert list(world.campaigns) == [fresh.address]
    assert [text for text in world.events if recorded.address in text] == [
        f"{recorded.address}: {FORGOTTEN}"
    ]
    await again.jobs.run(Job.RECORD)
    await again.jobs.run(Job.PAYOUT)
    assert bench.escrows.states[recorded.address].reserved_units > 0
    # The launcher has the other campaign's money back, which nobody had joined, and no more.
    assert bench.escrows.received == {LAUNCHER: 100_000_000}
    assert bench.escrows.writes == ["store", "store", "complete"]
    user = world.sign_up(one)
    with pytest.raises(HufiRefusal, match="recorded before this start"):
        await world.learn(recorded.address, user)
