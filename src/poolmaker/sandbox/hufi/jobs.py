"""The work of both oracles: find, follow, record, show, pay, end; a pass does what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Final

from poolmaker.hufi import rules
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.sandbox.chain.rpc import RpcRefused
from poolmaker.sandbox.hufi.exchange import AccessRefused
from poolmaker.sandbox.hufi.files import Files
from poolmaker.sandbox.hufi.manifests import InvalidManifest
from poolmaker.sandbox.hufi.model import (
    LIVE,
    Campaign,
    EscrowStatus,
    ExchangeKey,
    Interim,
    Processing,
    User,
)
from poolmaker.sandbox.hufi.results import payouts, record, reserved_units, results_file
from poolmaker.sandbox.hufi.texts import iso
from poolmaker.sandbox.hufi.world import HufiWorld, needed

REORG_DEPTH: Final = 64
PERIODS_MAX: Final = 1_000
QUIET_PART: Final = 288
"""The leaderboard rests in the last 288th of a day, which is five minutes of a real one."""

SHOW_PART: Final = 144
"""It is refreshed every 144th of a day, which is ten minutes of a real one,"""
SHOW_EVERY_MS: Final = 5_000
"""but no more often than this: the exchange counts what it is asked."""

_TROUBLE: Final = (RpcRefused, Unavailable, OutcomeUnknown, rules.ScoringFailed, InvalidManifest)
_OVER: Final = frozenset({EscrowStatus.COMPLETE, EscrowStatus.CANCELLED})


class Job(StrEnum):
    """Work that runs by itself and on demand."""

    DISCOVERY = "campaigns_discovery"
    SYNC = "sync_campaign_statuses"
    RECORD = "progress_recording"
    INTERIM = "refresh_icp_cache"
    PAYOUT = "payout"


class Jobs:
    """Runs one job at a time. Trouble with one campaign is noted and does not stop the others."""

    def __init__(self, world: HufiWorld, files: Files) -> None:
        self._world = world
        self._files = files
        self._turn = asyncio.Lock()
        self._next_block = 0
        self._named: set[str] = set()
        self._work: Mapping[Job, Callable[[], Awaitable[None]]] = {
            Job.DISCOVERY: self._discover,
            Job.SYNC: lambda: self._each(self._sync, self._unfinished),
            Job.PAYOUT: lambda: self._each(self.pay, self._unfinished),
            Job.RECORD: lambda: self._each(self.record, lambda one: one.processing in LIVE),
            Job.INTERIM: lambda: self._each(self._show, lambda one: one.processing in LIVE),
        }
        self._by_itself: Mapping[Job, Callable[[], Awaitable[None]]] = {
            **self._work,
            Job.INTERIM: lambda: self._each(self._show, self._is_stale),
        }

    async def run(self, job: Job) -> None:
        """Do one pass of a job now."""
        async with self._turn:
            await self._work[job]()

    async def run_all(self) -> None:
        """One pass of each, in the order of a campaign's life."""
        for job in Job:
            await self.run(job)

    async def beat(self, every_s: int) -> None:
        """A pass of all jobs every so many seconds, for ever."""
        while True:
            for job in Job:
                async with self._turn:
                    await self._by_itself[job]()
            await self._world.clock.sleep_us(every_s * SECOND_US)

    def _is_stale(self, campaign: Campaign) -> bool:
        if campaign.processing not in LIVE or campaign.interim is None:
            return campaign.processing in LIVE
        pause_ms = max(SHOW_EVERY_MS, campaign.manifest.day_ms // SHOW_PART)
        return self._world.now_ms() - campaign.interim.time_us // 1_000 >= pause_ms

    @staticmethod
    def _unfinished(campaign: Campaign) -> bool:
        return campaign.processing not in {Processing.CANCELLED, Processing.COMPLETED}

    async def _each(
        self, act: Callable[[Campaign], Awaitable[None]], test: Callable[[Campaign], bool]
    ) -> None:
        for campaign in list(self._world.campaigns.values()):
            if not test(campaign):
                continue
            try:
                await act(campaign)
            except _TROUBLE as problem:
                self._world.note(f"{campaign.address}: {type(problem).__name__}: {problem}")

    async def _discover(self) -> None:
        escrows = self._world.escrows
        try:
            head = await escrows.head()
            first = max(0, min(self._next_block, head) - REORG_DEPTH)
            launches = await escrows.launched(first, head)
            for launch in launches:
                if launch.address not in self._world.campaigns:
                    await self._meet(launch.address)
        except (RpcRefused, Unavailable) as problem:
            self._world.note(f"discovery: {problem}")
            return
        self._next_block = head + 1

    async def _meet(self, address: str) -> None:
        state = await self._world.escrows.read(address)
        ours = state.oracles[1] == self._world.escrows.recording_oracle
        if not ours or state.status in _OVER:
            return
        try:
            campaign = self._world.add(state)
        except InvalidManifest as problem:
            if address not in self._named:
                self._named.add(address)
                self._world.note(f"{address}: {problem}")
            return
        await self._world.join_unasked(campaign)

    async def _sync(self, campaign: Campaign) -> None:
        """Follow a campaign; one that a reorganisation removed is forgotten."""
        if await self._world.escrows.has(campaign.address):
            await self.follow(campaign)
        else:
            self._world.campaigns.pop(campaign.address, None)

    async def follow(self, campaign: Campaign) -> None:
        """Read the escrow anew and take over what happened to it."""
        campaign.escrow = await self._world.escrows.read(campaign.address)
        status = campaign.escrow.status
        if status is EscrowStatus.COMPLETE:
            campaign.processing = Processing.COMPLETED
        elif status is EscrowStatus.CANCELLED:
            campaign.processing = Processing.CANCELLED
        elif status is EscrowStatus.TO_CANCEL and campaign.processing in {
            Processing.ACTIVE, Processing.PENDING_COMPLETION,
        }:  # fmt: skip
            campaign.processing = Processing.TO_CANCEL

    async def record(self, campaign: Campaign) -> None:
        """Score every period that is over, store the results, and let go of what is not needed."""
        await self.follow(campaign)
        if campaign.processing not in LIVE:
            return
        for _ in range(PERIODS_MAX):
            period = campaign.next_period()
            if period is None or period[1] > self._world.now_ms():
                break
            scores = await self.score(campaign, period)
            campaign.recorded.append(record(campaign, scores, period, self._world.tokens.new_id))
            for address in scores.removed:
                campaign.joined_ms.pop(self._world.users[address].user_id, None)
        await self._store(campaign)
        if campaign.processing in LIVE and campaign.next_period() is None:
            ends = campaign.processing is Processing.ACTIVE
            campaign.processing = (
                Processing.PENDING_COMPLETION if ends else Processing.PENDING_CANCELLATION
            )

    async def _store(self, campaign: Campaign) -> None:
        """Make the chain hold the newest results and the funds that they need."""
        state, url, digest = campaign.escrow, "", ""
        missing = reserved_units(campaign) - state.paid_units - state.reserved_units
        if campaign.recorded:
            made = results_file(campaign)
            url, digest = self._files.put_recording(campaign.address, made), made.digest
        frees = state.status is EscrowStatus.TO_CANCEL and (
            state.remaining_units > state.reserved_units
        )
        if digest == state.intermediate_hash and missing <= 0 and not frees:
            return
        await self._world.escrows.store_results(campaign.address, url, digest, max(0, missing))
        await self.follow(campaign)

    async def score(self, campaign: Campaign, period: tuple[int, int]) -> rules.PeriodScores:
        """Scores of a period from what the exchange says now.

        Raises Unavailable when it does not answer; the whole pass is then made again later.
        """
        by_id = {user.user_id: user for user in self._world.users.values()}
        participants = [
            await self._participant(campaign, by_id[user_id], joined_ms, period)
            for user_id, joined_ms in list(campaign.joined_ms.items())
        ]
        return rules.score_period(campaign.terms, participants, *period)

    async def _participant(
        self, campaign: Campaign, user: User, joined_ms: int, period: tuple[int, int]
    ) -> rules.Participant:
        key = user.keys.get(campaign.manifest.exchange)
        if key is None:
            return rules.Participant(user.address, "", joined_ms, key_missing=True)
        deposit_address = f"unknown of {user.address}"
        try:
            deposit_address = await self._world.exchange.deposit_address((key.key, key.secret))
            trades, balance = await self._read(campaign, key, joined_ms, period)
        except AccessRefused:
            await self._recheck(campaign, key)
            return rules.Participant(user.address, deposit_address, joined_ms, access_refused=True)
        return rules.Participant(user.address, deposit_address, joined_ms, tuple(trades), balance)

    async def _read(
        self, campaign: Campaign, key: ExchangeKey, joined_ms: int, period: tuple[int, int]
    ) -> tuple[list[rules.ScoredTrade], float | None]:
        exchange, subject = self._world.exchange, campaign.terms.subject
        pair = (key.key, key.secret)
        if not campaign.terms.type.counts_volume:
            return [], await exchange.balance(pair, subject)
        since = max(period[0], joined_ms)
        return await exchange.trades(pair, subject, since, period[1]), None

    async def _recheck(self, campaign: Campaign, key: ExchangeKey) -> None:
        wanted = needed(campaign.terms.type)
        key.missing = await self._world.exchange.missing((key.key, key.secret), wanted)

    async def _show(self, campaign: Campaign) -> None:
        """Refresh the leaderboard of the running period."""
        period, now_ms = campaign.next_period(), self._world.now_ms()
        quiet_ms = campaign.manifest.day_ms // QUIET_PART
        if period is None or not period[0] <= now_ms < campaign.until_ms - quiet_ms:
            return
        scores = await self.score(campaign, (period[0], min(now_ms, period[1])))
        decimals = campaign.token.decimals
        pool = rules.reward_pool(campaign.terms, scores, campaign.daily_reward, decimals)
        campaign.interim = Interim(scores, pool, self._world.clock.now_us())

    async def pay(self, campaign: Campaign) -> None:
        """Pay what is recorded and unpaid, in order; then complete or cancel.

        What is paid already is counted in the escrow's logs.
        """
        await self.follow(campaign)
        if not self._unfinished(campaign):
            return
        due = payouts(campaign)
        if campaign.recorded:
            made = results_file(campaign)
            url = self._files.put_final(campaign.address, made)
            for payout in due[len(campaign.escrow.payments) :]:
                await self._world.escrows.pay(
                    campaign.address, list(payout.payments), url, made.digest, payout.payout_id
                )
        await self.follow(campaign)
        if self._unfinished(campaign) and len(campaign.escrow.payments) >= len(due):
            await self._end(campaign)

    async def _end(self, campaign: Campaign) -> None:
        if campaign.processing is Processing.PENDING_CANCELLATION:
            await self._world.escrows.cancel(campaign.address)
        elif campaign.processing is Processing.PENDING_COMPLETION:
            if not campaign.recorded:
                return
            if iso(campaign.recorded[-1].to_ms) != campaign.manifest.end_text:
                self._world.note(f"{campaign.address}: its end is not written as an ISO instant")
                return
            await self._world.escrows.complete(campaign.address)
        else:
            return
        await self.follow(campaign)
