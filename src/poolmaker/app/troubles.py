"""What a person has to look at: the rooms' incidents and money that waits too long, in health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.business.campaigns.service import CampaignDesk
from poolmaker.business.rewards.service import RewardDesk
from poolmaker.business.treasury.service import Treasury
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.infra.health import HealthReporter
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.mixin.service import Mixin

POLL_US: Final = 5 * SECOND_US
PATIENCE_US: Final = 30 * MINUTE_US
"""How long money may be under way before somebody is told."""
_GRAVE: Final = frozenset({"conflict", "not_journalled", "spent_elsewhere"})
"""Incidents at Mixin of our own outputs; of the others anybody can cause any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TroublePorts:
    """Whom is asked, and who is told."""

    treasury: Treasury
    withdrawals: Withdrawals
    rewards: RewardDesk
    campaigns: CampaignDesk
    mixin: Mixin | None
    health: HealthReporter
    clock: Clock


class TroubleWatch:
    """Holds in health what the rooms only record. Nothing here changes anything."""

    def __init__(self, ports: TroublePorts) -> None:
        self._ports = ports
        self._first_seen_us: dict[str, int] = {}

    async def run(self) -> None:
        """Look until cancelled. A database that does not answer is asked again."""
        while True:
            try:
                await self.look()
            except (Unavailable, OutcomeUnknown) as problem:
                self._ports.health.report("troubles", ok=False, sentence=f"not read: {problem}")
            else:
                self._ports.health.report("troubles", ok=True, sentence="read")
            await self._ports.clock.sleep_us(POLL_US)

    async def look(self) -> None:
        """Tell what there is now."""
        ports = self._ports
        self._tell("treasury", await ports.treasury.troubles())
        rewards = await ports.rewards.open_incidents()
        self._tell("rewards", [f"{one.trouble} of {one.reward}: {one.note}" for one in rewards])
        campaigns = await ports.campaigns.troubles()
        self._tell("campaigns", [f"{view.campaign.id}: {view.campaign.text}" for view in campaigns])
        if ports.mixin is not None:
            problem = ports.mixin.walker.problem
            self._tell("mixin.walk", [problem] if problem else [])
            incidents = await ports.mixin.desk.incidents()
            grave = [one for one in incidents if one.kind in _GRAVE]
            self._tell("mixin.money", [f"{one.kind} {one.subject}: {one.note}" for one in grave])
        freeze = await ports.withdrawals.frozen()
        frozen = [f"frozen by {freeze.by}: {freeze.reason}"] if freeze is not None else []
        self._tell("outgoing_money", frozen)
        self._tell("money_under_way", await self._late())

    def _tell(self, component: str, found: Sequence[str]) -> None:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        sentence = f"{found[0]}{more}" if found else "nothing to look at"
        self._ports.health.report(component, ok=not found, sentence=sentence)

    async def _late(self) -> list[str]:
        """Payouts, transfers and fundings that have taken too long, whatever they wait for."""
        ports, before_us = self._ports, self._ports.clock.now_us() - PATIENCE_US
        payouts = [
            f"withdrawal {row.id} of {row.asset} is {row.state}"
            for row in await ports.withdrawals.under_way()
            if row.requested_us <= before_us
        ]
        transfers = [
            f"transfer {row.id} of {row.asset} is {row.state}"
            for row in await ports.treasury.transfers_under_way()
            if row.requested_us <= before_us
        ]
        return [*payouts, *transfers, *await self._unfunded(before_us)]

    async def _unfunded(self, before_us: int) -> list[str]:
        """Orders that wait for cash; since when is counted from the first look at them."""
        wanted = {
            f"order {row.order} waits for {row.asset} at {row.account}"
            for row in await self._ports.treasury.wanted()
        }
        now_us, known = self._ports.clock.now_us(), self._first_seen_us
        self._first_seen_us = {one: known.get(one, now_us) for one in sorted(wanted)}
        return [one for one, since_us in self._first_seen_us.items() if since_us <= before_us]
