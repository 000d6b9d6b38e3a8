"""The saga ``reward``: book it, bring it where users are paid, allocate, credit, pay out.

Every step is one transaction: what it writes, what it asks and its advance commit together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, assert_never

import msgspec

from poolmaker.business.ledger.accounts import user_available
from poolmaker.business.ledger.commands import (
    AllocateReward,
    CreditReward,
    Dust,
    KeepReward,
    ReceiveReward,
)
from poolmaker.business.ledger.model import Outcome, Posted, PostingRefused
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.rewards.model import (
    REWARD_TABLE,
    Allocation,
    AllocationPart,
    DistributionSettings,
    Reward,
    RewardData,
    RewardDecision,
    RewardDecisionKind,
    RewardEvent,
    RewardIncident,
    RewardLine,
    RewardState,
    RewardTrouble,
    StoredAllocation,
)
from poolmaker.business.rewards.ports import (
    CampaignPools,
    OrderDirectory,
    RewardPayouts,
    RewardStore,
)
from poolmaker.business.rewards.rules import (
    allocate,
    digest_of,
    dust_units,
    form_of,
    payable_units,
    step_of,
    target_of,
    users_after,
    weights,
)
from poolmaker.business.rewards.service.shares import ShareHistory
from poolmaker.business.treasury.model import TransferArrived, TransferRefused, TransferRequest
from poolmaker.business.treasury.ports import Transfers
from poolmaker.business.user_orders.model import ORDER_TABLE
from poolmaker.infra.sagas.model import Saga, SagaChange, back_off_us
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, OrderId, UserId, fact_key, request_key
from poolmaker.messages.base import Money, decode, encode

PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardPorts:
    """What rewards reach the outside through."""

    transactions: Transactions
    store: RewardStore
    shares: ShareHistory
    ledger: LedgerClient
    sagas: SagaStore
    transfers: Transfers
    campaigns: CampaignPools
    orders: OrderDirectory
    payouts: RewardPayouts


@dataclass(frozen=True, slots=True)
class _Work:
    tx: Tx
    saga: Saga
    data: RewardData
    row: Reward


class DistributionSaga:
    """Handler of ``reward``. The state of the saga is the state of the row."""

    def __init__(self, ports: RewardPorts, clock: Clock, settings: DistributionSettings) -> None:
        self._ports = ports
        self._clock = clock
        self._settings = settings

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state."""
        async with self._ports.transactions.begin(f"reward.{saga.state}") as tx:
            await self._step(await self._work(tx, saga))

    async def _step(self, work: _Work) -> None:
        state = work.row.state
        match state:
            case RewardState.CONFIRMED:
                await self._confirmed(work)
            case RewardState.TRANSFERRING:
                await self._transferring(work)
            case RewardState.TRANSFERRED:
                await self._transferred(work)
            case RewardState.ALLOCATING:
                await self._allocating(work)
            case RewardState.ALLOCATED:
                await self._allocated(work)
            case RewardState.CREDITED:
                await self._credited(work)
            case RewardState.OBSERVED | RewardState.VANISHED | RewardState.DONE:
                raise InvariantBroken(f"{work.row.id} has no saga in {state}")
            case _:
                assert_never(state)

    # -------------------------------------------------------------------------- until it is there

    async def _confirmed(self, work: _Work) -> None:
        if not work.data.received:
            key = receive_key(work.row)
            if await self._posted(work, key):
                data = msgspec.structs.replace(work.data, received=True)
                await self._go(work, RewardEvent.RECEIVED, data, key=key)
            return
        dust = dust_units(work.row.seen.units, self._step_units(work.row))
        if dust and not work.data.dust_asked:
            await self._ask_dust(work, dust)
        elif dust and not await self._posted(work, _dust_key(work.saga)):
            return
        elif dust == work.row.seen.units:
            await self._go(work, RewardEvent.ALL_DUST)
        elif target_of(work.row.seen.location) == work.row.seen.location:
            await self._go(work, RewardEvent.IN_PLACE)
        else:
            await self._ask_transfer(work)

    async def _ask_dust(self, work: _Work, dust: int) -> None:
        key = _dust_key(work.saga)
        money = Money(asset=work.row.seen.asset, units=dust)
        await self._ports.ledger.ask(
            work.tx, Dust(key=key, campaign=work.row.seen.campaign, money=money)
        )
        row = replace(work.row, dust_units=dust)
        data = msgspec.structs.replace(work.data, dust_asked=True)
        await self._go(replace(work, row=row), RewardEvent.DUST_ASKED, data, key=key)

    async def _ask_transfer(self, work: _Work) -> None:
        key = request_key(work.saga.id, "transfer", work.data.attempt)
        seen = work.row.seen
        wish = TransferRequest(
            key=key,
            source=seen.location,
            target=target_of(seen.location),
            money=Money(asset=seen.asset, units=seen.units - work.row.dust_units),
            saga=work.saga.id,
            correlation=work.row.correlation,
        )
        transfer = await self._ports.transfers.request_transfer(work.tx, wish)
        row = replace(work.row, transfer=transfer)
        data = msgspec.structs.replace(work.data, transfer_asked=True)
        wait_us = self._settings.transfer_wait_us
        event = RewardEvent.TRANSFER_ASKED
        await self._go(replace(work, row=row), event, data, after_us=wait_us, note=transfer)

    async def _transferring(self, work: _Work) -> None:
        if not work.data.transfer_asked:
            await self._ask_transfer(work)
            return
        end = await self._ports.transfers.transfer_end(work.tx, work.row.transfer)
        match end:
            case None:
                await self._wait(work, self._settings.transfer_wait_us, "on its way")
            case TransferArrived(_, transaction_id):
                await self._close(work, RewardTrouble.TRANSFER_REFUSED)
                # What the way cost is the platform's: users share what was received.
                await self._go(work, RewardEvent.ARRIVED, note=transaction_id)
            case TransferRefused(reason):
                await self._open(work, RewardTrouble.TRANSFER_REFUSED, reason)
                data = msgspec.structs.replace(
                    work.data, attempt=work.data.attempt + 1, transfer_asked=False
                )
                retry_us = self._settings.retry_us
                event = RewardEvent.TRANSFER_REFUSED
                await self._go(work, event, data, after_us=retry_us, note=reason)
            case _:
                assert_never(end)

    # ---------------------------------------------------------------------------------- allocation

    async def _transferred(self, work: _Work) -> None:
        seen = work.row.seen
        decision = await self._ports.store.decision(work.tx, work.row.id)
        if decision is not None and decision.kind is RewardDecisionKind.KEEP:
            await self._keep(work, decision)
            return
        assigned = decision.pool if decision is not None else None
        pool = assigned or await self._ports.campaigns.pool_of(work.tx, seen.campaign)
        if pool is None:
            note = f"no pool of ours makes the market of {seen.campaign}"
            await self._not_allocated(work, RewardTrouble.NO_POOL, note)
            return
        await self._close(work, RewardTrouble.NO_POOL)
        campaigns, shares = self._ports.campaigns, self._ports.shares
        from_us, to_us = await campaigns.counted(work.tx, seen.campaign, seen.from_us, seen.to_us)
        window = await shares.window(work.tx, pool, from_us, max(from_us, to_us))
        if not window.is_complete:
            note = "the ledger has not passed the end of the period yet"
            await self._wait(work, self._settings.shares_wait_us, note)
            return
        found = weights(window)
        if not found:
            note = f"nobody had shares of {pool} from {from_us} to {to_us}"
            await self._not_allocated(work, RewardTrouble.NO_WEIGHT, note)
            return
        await self._close(work, RewardTrouble.NO_WEIGHT)
        allocating = replace(work, row=replace(work.row, pool=pool))
        await self._allocate(allocating, found, (from_us, to_us))

    async def _keep(self, work: _Work, decision: RewardDecision) -> None:
        """By a person's word it is the operator's: all of it is the platform's part."""
        units = work.row.seen.units - work.row.dust_units
        key = request_key(work.saga.id, "keep", 0)
        if not work.data.keep_asked:
            keep = KeepReward(
                key=key,
                campaign=work.row.seen.campaign,
                reward=work.row.id,
                money=Money(asset=work.row.seen.asset, units=units),
                reason=decision.reason,
            )
            await self._ports.ledger.ask(work.tx, keep)
            data = msgspec.structs.replace(work.data, keep_asked=True)
            note = f"decided by {decision.by}: {decision.reason}"
            await self._go(work, RewardEvent.KEEP_ASKED, data, key=key, note=note)
        elif await self._posted(work, key):
            for trouble in (RewardTrouble.NO_POOL, RewardTrouble.NO_WEIGHT):
                await self._close(work, trouble)
            row = replace(work.row, fee_units=units)
            await self._go(replace(work, row=row), RewardEvent.KEPT, key=key)

    async def _not_allocated(self, work: _Work, trouble: RewardTrouble, note: str) -> None:
        """Nobody can be given it: a person is told once, and it is tried again for ever."""
        retry_us = self._settings.retry_us
        if await self._open(work, trouble, note):
            await self._go(work, RewardEvent.NOT_ALLOCATED, after_us=retry_us, note=note)
        else:
            await self._wait(work, retry_us, note)

    async def _allocate(
        self, work: _Work, found: dict[OrderId, int], counted: tuple[int, int]
    ) -> None:
        """Store who gets what and ask for it, in one transaction."""
        owners = {order: await self._owner(work, order) for order in found}
        step = self._step_units(work.row)
        allocation = allocate(work.row, owners, found, self._settings.fee_ppm, step, counted)
        digest = digest_of(allocation)
        await self._ports.store.add_allocation(work.tx, allocation, digest)
        command = _allocate_command(work.saga, allocation, digest)
        await self._ports.ledger.ask(work.tx, command)
        row = replace(work.row, fee_units=allocation.fee_units, users_units=allocation.users_units)
        event, work = RewardEvent.ALLOCATE_ASKED, replace(work, row=row)
        await self._go(work, event, key=command.key, note=digest)

    async def _owner(self, work: _Work, order: OrderId) -> UserId:
        found = await self._ports.orders.order(work.tx, order)
        if found is None:
            raise InvariantBroken(f"{work.row.id}: {order} has shares and is nobody's order")
        return found.user

    async def _allocating(self, work: _Work) -> None:
        key = _allocate_key(work.saga)
        if await self._posted(work, key):
            await self._go(work, RewardEvent.ALLOCATE_POSTED, key=key)

    # -------------------------------------------------------------------------- credits and payouts

    async def _allocated(self, work: _Work) -> None:
        """A batch of parts after the other; a part of nothing is through by itself."""
        stored = await self._allocation(work)
        batch = stored.allocation.parts[work.row.credited :][: self._settings.batch]
        if not batch:
            await self._go(work, RewardEvent.ALL_CREDITED)
            return
        if not work.data.credits_asked:
            for part in batch:
                if part.units:
                    await self._ports.ledger.ask(work.tx, _credit(work.saga, work.row, part))
            data = msgspec.structs.replace(work.data, credits_asked=True)
            await self._go(work, RewardEvent.CREDITS_ASKED, data)
            return
        for part in batch:
            if part.units and not await self._posted(work, _credit_key(work.saga, part.order)):
                return
        row = replace(
            work.row,
            credited=work.row.credited + len(batch),
            credited_units=work.row.credited_units + sum(part.units for part in batch),
        )
        data = msgspec.structs.replace(work.data, credits_asked=False)
        await self._go(replace(work, row=row), RewardEvent.CREDITS_POSTED, data)

    async def _credited(self, work: _Work) -> None:
        """Users without an open order are paid what is theirs, once it is worth it."""
        minimum = self._settings.payout_min.get(work.row.seen.asset)
        users: list[UserId] = []
        if minimum is not None:
            parts = (await self._allocation(work)).allocation.parts
            users = users_after(parts, work.data.last_user, self._settings.batch)
        if minimum is None or not users:
            await self._go(work, RewardEvent.CLOSED)
            return
        for user in users:
            await self._pay_out(work, user, minimum)
        data = msgspec.structs.replace(work.data, last_user=users[-1])
        await self._go(work, RewardEvent.PAYOUTS_REQUESTED, data)

    async def _pay_out(self, work: _Work, user: UserId, minimum: int) -> None:
        if await self._has_open_order(work.tx, user):
            return
        asset, payouts = work.row.seen.asset, self._ports.payouts
        # What waits is read first: a hold that posts meanwhile pays too little, never twice.
        waiting = await payouts.waiting(work.tx, user, asset)
        available = await self._ports.ledger.balance(work.tx, user_available(user), asset)
        units = payable_units(available, waiting, self._step_units(work.row))
        if units >= max(1, minimum):
            key = request_key(work.saga.id, f"payout-{user}", 0)
            await payouts.request(work.tx, user, asset, units, key)

    async def _has_open_order(self, tx: Tx, user: UserId) -> bool:
        after = OrderId("")
        while True:
            page = await self._ports.orders.orders_of(tx, user, after, PAGE)
            if any(order.state not in ORDER_TABLE.terminal for order in page):
                return True
            if len(page) < PAGE:
                return False
            after = page[-1].id

    # ------------------------------------------------------------------------------------- helpers

    def _step_units(self, row: Reward) -> int:
        name = form_of(row.seen.location)
        form = self._settings.forms.get(name) if name is not None else None
        if name is not None and (form is None or form.asset.code != row.seen.asset):
            raise InvariantBroken(f"{row.id}: {row.seen.asset} has no form {name}")
        return step_of(form)

    async def _allocation(self, work: _Work) -> StoredAllocation:
        stored = await self._ports.store.allocation(work.tx, work.row.id)
        if stored is None:
            raise InvariantBroken(f"{work.row.id}: its allocation is missing")
        if digest_of(stored.allocation) != stored.digest:
            raise InvariantBroken(f"{work.row.id}: its allocation is not what the digest says")
        return stored

    async def _posted(self, work: _Work, key: CommandKey) -> bool:
        """Whether a command is posted; when it is not decided the saga comes back."""
        outcome: Outcome | None = await self._ports.ledger.outcome(work.tx, key)
        match outcome:
            case None:
                settings = self._settings
                tries, first_us = work.saga.tries, settings.ledger_first_us
                wait_us = back_off_us(tries, first_us, settings.ledger_max_us)
                await self._wait(work, wait_us, "the ledger has not answered yet")
                return False
            case Posted():
                return True
            case PostingRefused(reason):
                raise InvariantBroken(f"{work.row.id}: {key} was refused: {reason}")
            case _:
                assert_never(outcome)

    async def _open(self, work: _Work, trouble: RewardTrouble, note: str) -> bool:
        incident = RewardIncident(work.row.id, trouble, self._clock.now_us(), note)
        return await self._ports.store.open_incident(work.tx, incident)

    async def _close(self, work: _Work, trouble: RewardTrouble) -> None:
        await self._ports.store.close_incident(work.tx, work.row.id, trouble, self._clock.now_us())

    async def _work(self, tx: Tx, saga: Saga) -> _Work:
        row = await self._ports.store.lock(tx, saga.id)
        if row is None:
            raise InvariantBroken(f"reward {saga.id} has a saga and no row")
        return _Work(tx, saga, decode(saga.data, RewardData), row)

    async def _go(
        self,
        work: _Work,
        event: RewardEvent,
        data: RewardData | None = None,
        *,
        after_us: int = 0,
        key: str = "",
        note: str = "",
    ) -> None:
        """Move the row and its saga together."""
        state = REWARD_TABLE.next(work.row.state, event)
        if state is None:
            raise InvariantBroken(f"{work.row.id}: {event} is not possible in {work.row.state}")
        now_us = self._clock.now_us()
        line = RewardLine(now_us, state, event, key, note)
        await self._ports.store.save(work.tx, replace(work.row, state=state), line)
        due_us = None if state in REWARD_TABLE.terminal else now_us + after_us
        change = SagaChange(state, due_us, encode(data or work.data), event)
        await self._ports.sagas.advance(work.tx, work.saga, change, now_us)

    async def _wait(self, work: _Work, after_us: int, note: str) -> None:
        due_us = self._clock.now_us() + after_us
        await self._ports.sagas.retry(work.tx, work.saga, due_us, note)


def receive_key(row: Reward) -> CommandKey:
    """One payment out there is one fact."""
    return fact_key("reward", row.seen.key)


def receive_fact(row: Reward) -> ReceiveReward:
    """What the ledger is told when a payment is final."""
    return ReceiveReward(
        key=receive_key(row),
        campaign=row.seen.campaign,
        location=row.seen.location,
        money=Money(asset=row.seen.asset, units=row.seen.units),
        reference=row.seen.transaction_id,
    )


def _dust_key(saga: Saga) -> CommandKey:
    return request_key(saga.id, "dust", 0)


def _allocate_key(saga: Saga) -> CommandKey:
    return request_key(saga.id, "allocate", 0)


def _allocate_command(saga: Saga, allocation: Allocation, digest: str) -> AllocateReward:
    return AllocateReward(
        key=_allocate_key(saga),
        campaign=allocation.campaign,
        reward=allocation.reward,
        fee=Money(asset=allocation.asset, units=allocation.fee_units),
        users=Money(asset=allocation.asset, units=allocation.users_units),
        digest=digest,
    )


def _credit_key(saga: Saga, order: OrderId) -> CommandKey:
    return request_key(saga.id, f"credit-{order}", 0)


def _credit(saga: Saga, row: Reward, part: AllocationPart) -> CreditReward:
    return CreditReward(
        key=_credit_key(saga, part.order),
        campaign=row.seen.campaign,
        reward=row.id,
        user=part.user,
        order=part.order,
        money=Money(asset=row.seen.asset, units=part.units),
    )
