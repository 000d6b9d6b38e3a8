"""Receives rewards: a final transfer becomes a reward with its days or goes to suspense, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.business.ledger.accounts import custody_evm
from poolmaker.business.rewards.model import ObservedReward
from poolmaker.business.treasury.model import Arrival, Disposition
from poolmaker.business.treasury.ports import Arrivals
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import ChainTransfer, RegisteredToken, TransactionReceipt, WaitingTransfer
from poolmaker.evm.watcher import Watcher
from poolmaker.hufi.escrows import Escrows
from poolmaker.hufi.files import ResultsFiles
from poolmaker.hufi.model import FileRefused, Payout, Period, Unattributed
from poolmaker.hufi.ports import RewardBooking
from poolmaker.hufi.verdicts import campaign_id, day_problem, days_of, payout_of, period_of
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.logging import get_logger
from poolmaker.infra.sagas.model import back_off_us
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import DAY_US, MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import PreconditionError, Unavailable
from poolmaker.kernel.ids import fact_key

PATIENCE_US: Final = DAY_US
"""How long a results file may be missing before its payment goes to suspense."""
BACK_OFF_FIRST_US: Final = SECOND_US
BACK_OFF_MAX_US: Final = 10 * MINUTE_US
REWARD: Final = "reward"
COMPONENT: Final = "hufi.rewards"
_LOG: Final = get_logger("hufi")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverPorts:
    """What the receiver reaches the outside through."""

    transactions: Transactions
    rewards: RewardBooking
    arrivals: Arrivals
    clock: Clock
    health: HealthReporter


class Attributor:
    """Finds out what a transfer is for, by the chain's evidence alone."""

    def __init__(
        self,
        chain: Chain,
        escrows: Escrows,
        files: ResultsFiles,
        tokens: Sequence[RegisteredToken],
        *,
        is_sandbox: bool,
    ) -> None:
        self._chain = chain
        self._escrows = escrows
        self._files = files
        self._is_sandbox = is_sandbox
        self._tokens = {one.contract: one for one in tokens}

    async def judge(
        self, transfer: ChainTransfer, *, is_final: bool, may_wait: bool = True
    ) -> ObservedReward | Unattributed:
        """A reward with its days, or why it is none.

        Raises Unavailable while the chain does not answer, and while the results file cannot be
        had and ``may_wait``.
        """
        if not await self._escrows.has(transfer.sender):
            return Unattributed("its sender is no escrow of the factory")
        if await self._escrows.token(transfer.sender) != transfer.contract:
            return Unattributed("its sender is an escrow of another token")
        payout = payout_of(await self._receipt(transfer), transfer)
        if isinstance(payout, Unattributed):
            return payout
        period = await self._period(payout, transfer, may_wait=may_wait)
        if isinstance(period, Unattributed):
            return period
        return self._reward(transfer, payout, period, is_final=is_final)

    async def _receipt(self, transfer: ChainTransfer) -> TransactionReceipt:
        receipt = await self._chain.receipt(transfer.tx_hash)
        if receipt is None or receipt.block != transfer.block or not receipt.succeeded:
            raise Unavailable(f"{transfer.reference} is not in block {transfer.block} now")
        return receipt

    async def _period(
        self, payout: Payout, transfer: ChainTransfer, *, may_wait: bool
    ) -> Period | Unattributed:
        try:
            body = await self._files.fetch(payout.results_url, payout.results_hash)
            found = period_of(body, payout, transfer)
        except (FileRefused, PreconditionError) as refused:
            return Unattributed(str(refused))
        except Unavailable as missing:
            if may_wait:
                raise
            return Unattributed(str(missing))
        if isinstance(found, Unattributed):
            return found
        return await self._day(transfer.sender, found)

    async def _day(self, escrow: str, period: Period) -> Period | Unattributed:
        """The period, if it is a day of the campaign: a file may name any time at all."""
        days = days_of(await self._escrows.manifest(escrow), is_sandbox=self._is_sandbox)
        if isinstance(days, Unattributed):
            return days
        problem = day_problem(period, days, is_cancelled=False)
        if problem and await self._escrows.is_cancelled(escrow):
            problem = day_problem(period, days, is_cancelled=True)
        return Unattributed(problem) if problem else period

    def _reward(
        self, transfer: ChainTransfer, payout: Payout, period: Period, *, is_final: bool
    ) -> ObservedReward:
        form = self._tokens[transfer.contract].form
        return ObservedReward(
            key=fact_key(
                str(transfer.chain_id), transfer.sender, payout.payout_id, transfer.recipient
            ),
            campaign=campaign_id(transfer.chain_id, transfer.sender),
            location=custody_evm(transfer.recipient, form.name),
            asset=form.asset.code,
            units=form.read(transfer.units).units,
            from_us=period.from_us,
            to_us=period.to_us,
            transaction_id=transfer.tx_hash,
            is_final=is_final,
        )

    def arrival(self, transfer: ChainTransfer) -> Arrival:
        """A transfer as money of whomever the treasury finds."""
        form = self._tokens[transfer.contract].form
        return Arrival(
            location=custody_evm(transfer.recipient, form.name),
            asset=form.asset.code,
            units=form.read(transfer.units).units,
            reference=transfer.reference,
            at_us=transfer.at_us,
            sender=transfer.sender,
            transaction_id=transfer.tx_hash,
        )


class Receiver:
    """Walks what the watcher stored. Each transfer is judged by itself: none holds up another."""

    def __init__(self, watcher: Watcher, attributor: Attributor, ports: ReceiverPorts) -> None:
        self._watcher = watcher
        self._attributor = attributor
        self._ports = ports
        self._shown: set[str] = set()

    def sentence(self) -> str:
        """How the chain is read, for health."""
        return self._watcher.sentence

    async def look(self) -> int:
        """Look at the chain and judge what is due; how many transfers were settled.

        Raises Unavailable when the chain or the database does not answer.
        """
        await self._watcher.look()
        settled = 0
        async with self._ports.transactions.begin("hufi.waiting") as tx:
            waiting = await self._watcher.waiting(tx)
        for one in waiting:
            settled += await self._settle(one)
        await self._show_tail()
        return settled

    async def _settle(self, waiting: WaitingTransfer) -> bool:
        transfer, now_us = waiting.transfer, self._ports.clock.now_us()
        may_wait = now_us - waiting.seen_us < PATIENCE_US
        try:
            found = await self._attributor.judge(transfer, is_final=True, may_wait=may_wait)
        except Unavailable as problem:
            await self._postpone(waiting, str(problem))
            return False
        if isinstance(found, ObservedReward):
            async with self._ports.transactions.begin("hufi.reward") as tx:
                await self._watcher.settle(tx, transfer, REWARD, found.key)
                await self._ports.rewards.confirmed(tx, found)
            self._ports.health.report(COMPONENT, ok=True, sentence="the last payment has its days")
            return True
        return await self._hand_over(waiting, found)

    async def _hand_over(self, waiting: WaitingTransfer, found: Unattributed) -> bool:
        """What is no reward is the treasury's to judge; what it waits for is asked again."""
        transfer = waiting.transfer
        async with self._ports.transactions.begin("hufi.arrival") as tx:
            arrival = self._attributor.arrival(transfer)
            disposition = await self._ports.arrivals.arrived(tx, arrival)
            if disposition is not Disposition.WAITING:
                await self._watcher.settle(tx, transfer, disposition.value, found.reason)
        if disposition is Disposition.WAITING:
            await self._postpone(waiting, found.reason)
            return False
        _LOG.warning("not_a_reward", transfer=transfer.reference, reason=found.reason)
        return True

    async def _postpone(self, waiting: WaitingTransfer, note: str) -> None:
        wait_us = back_off_us(waiting.tries, BACK_OFF_FIRST_US, BACK_OFF_MAX_US)
        due_us = self._ports.clock.now_us() + wait_us
        async with self._ports.transactions.begin("hufi.postpone") as tx:
            await self._watcher.postpone(tx, waiting.transfer, due_us, note[:300])
        self._ports.health.report(
            COMPONENT, ok=False, sentence=f"{waiting.transfer.reference} waits: {note}"
        )

    async def _show_tail(self) -> None:
        """Rewards above the final block are told for display, each once while it stands there."""
        seen = {one.reference for one in self._watcher.tail}
        self._shown &= seen
        for transfer in self._watcher.tail:
            if transfer.reference in self._shown:
                continue
            try:
                found = await self._attributor.judge(transfer, is_final=False)
            except Unavailable:
                continue
            if isinstance(found, ObservedReward):
                async with self._ports.transactions.begin("hufi.observed") as tx:
                    await self._ports.rewards.observed(tx, found)
            self._shown.add(transfer.reference)
