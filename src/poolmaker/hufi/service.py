"""The HuFi client put together, and its two loops: campaigns, and rewards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from poolmaker.business.treasury.ports import Arrivals
from poolmaker.evm.service import Evm
from poolmaker.hufi._store import PgParticipationStore
from poolmaker.hufi.api import HufiHttp, LauncherApi, OracleApi
from poolmaker.hufi.escrows import Escrows
from poolmaker.hufi.files import ResultsFiles
from poolmaker.hufi.joiner import Joiner, JoinerPorts
from poolmaker.hufi.model import AccountKeys, HufiRefused, LeaderboardEntry
from poolmaker.hufi.ports import CampaignRegistry, KeyCheck, RewardBooking
from poolmaker.hufi.receiver import Attributor, Receiver, ReceiverPorts
from poolmaker.hufi.sync import CampaignSync
from poolmaker.hufi.verdicts import place_of
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.logging import get_logger
from poolmaker.infra.settings.outside import HufiSettings
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable

_LOG: Final = get_logger("hufi")


@dataclass(frozen=True, slots=True, kw_only=True)
class HufiPorts:
    """What the HuFi client reaches the outside through."""

    session: aiohttp.ClientSession
    transactions: Transactions
    campaigns: CampaignRegistry
    rewards: RewardBooking
    arrivals: Arrivals
    clock: Clock
    health: HealthReporter
    key_check: KeyCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Hufi:
    """The parts of a HuFi client. ``joiner`` is None where the operator joins nothing."""

    sync: CampaignSync
    joiner: Joiner | None
    receiver: Receiver
    oracle: OracleApi
    ports: HufiPorts
    campaigns_poll_us: int
    rewards_poll_us: int

    async def run_campaigns(self) -> None:
        """Sync and join until cancelled. Whoever does not answer is asked again."""
        await self._for_ever(
            "hufi.campaigns", self.look_at_campaigns, self.campaigns_poll_us, lambda: "answers"
        )

    async def run_rewards(self) -> None:
        """Receive rewards until cancelled. A chain that broke its word stops the cursor only."""
        await self._for_ever(
            "hufi.chain", self.receiver.look, self.rewards_poll_us, self.receiver.sentence
        )

    async def look_at_campaigns(self) -> int:
        """One round of both."""
        told = await self.sync.look()
        return told + (await self.joiner.look() if self.joiner is not None else 0)

    async def leaderboard(self, campaign: str) -> tuple[LeaderboardEntry, ...]:
        """Standings of the running day, for display only; none for a campaign that has ended.

        Raises Unavailable when the oracle does not answer.
        """
        place = place_of(campaign)
        if place is None:
            return ()
        try:
            return (await self.oracle.leaderboard(*place)).data
        except HufiRefused:
            return ()

    async def _for_ever(
        self,
        component: str,
        look: Callable[[], Awaitable[int]],
        poll_us: int,
        sentence: Callable[[], str],
    ) -> None:
        while True:
            try:
                await look()
                self.ports.health.report(component, ok=True, sentence=sentence())
            except (Unavailable, OutcomeUnknown, InvariantBroken) as problem:
                self.ports.health.report(component, ok=False, sentence=str(problem))
                _LOG.warning("look_failed", component=component, problem=str(problem))
            await self.ports.clock.sleep_us(poll_us)


async def open_hufi(
    settings: HufiSettings,
    evm: Evm,
    rewards_poll_us: int,
    keys: AccountKeys,
    ports: HufiPorts,
    *,
    is_sandbox: bool,
) -> Hufi:
    """A HuFi client over a chain client.

    Raises EnvironmentProblem when there is no factory on the chain, CallerFault when the key to
    hand over is the one that trades, Unavailable when the node does not answer.
    """
    escrows = Escrows(evm.chain, settings.escrow_factory)
    await escrows.verify()
    oracle = OracleApi(HufiHttp(ports.session, settings.oracle_url), evm.signer)
    launcher = LauncherApi(HufiHttp(ports.session, settings.launcher_url))
    files = ResultsFiles(ports.session, settings.file_hosts, allows_http=is_sandbox)
    sync = CampaignSync(
        launcher,
        escrows,
        evm.tokens,
        (evm.chain.chain_id,),
        ports.campaigns,
        ports.transactions,
        is_sandbox=is_sandbox,
    )
    joiner_ports = JoinerPorts(
        is_known=sync.knows,
        transactions=ports.transactions,
        store=PgParticipationStore(),
        desk=ports.campaigns,
        clock=ports.clock,
        health=ports.health,
        key_check=ports.key_check,
    )
    joiner = Joiner(oracle, settings.exchange, keys, joiner_ports) if settings.join else None
    return Hufi(
        sync=sync,
        joiner=joiner,
        receiver=Receiver(
            evm.watcher,
            Attributor(evm.chain, escrows, files, evm.tokens, is_sandbox=is_sandbox),
            ReceiverPorts(
                transactions=ports.transactions,
                rewards=ports.rewards,
                arrivals=ports.arrivals,
                clock=ports.clock,
                health=ports.health,
            ),
        ),
        oracle=oracle,
        ports=ports,
        campaigns_poll_us=settings.poll_ms * 1_000,
        rewards_poll_us=rewards_poll_us,
    )
