"""Pools, user orders and withdrawals in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from poolmaker.business.pools.model import (
    BarrierMet,
    DealingRequest,
    DealingRequestState,
    Pool,
    PooledAccountRow,
)
from poolmaker.business.user_orders.model import (
    DepositLeg,
    Order,
    RequestRow,
    TimelineLine,
    User,
    WalletClaim,
)
from poolmaker.business.withdrawals.model import (
    CLAIMS_CASH,
    IN_FLIGHT,
    WITHDRAWAL_TABLE,
    Freeze,
    Withdrawal,
    WithdrawalLine,
    WithdrawalState,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import OrderId, PoolId, UserId, VenueAccountId, WithdrawalId
from poolmaker.lab.stores.base import model_tx

_ACCOUNT: Final = "account"
_POOL: Final = "pool"
_TICKET: Final = "ticket"
_BARRIER: Final = "barrier"
_USER: Final = "user"
_CLAIM: Final = "wallet_claim"
_ORDER: Final = "order"
_REQUEST: Final = "request"
_LEG: Final = "deposit_leg"
_ORDER_LINES: Final = "order_lines"
_WITHDRAWAL: Final = "withdrawal"
_WITHDRAWAL_KEY: Final = "withdrawal_key"
_WITHDRAWAL_LINES: Final = "withdrawal_lines"
_LANE: Final = "lane"
_FREEZE: Final = "freeze"


def _values(tx: Tx, table: str) -> list[Any]:
    return [value for _, value in model_tx(tx).rows(table)]


def _tell(tx: Tx, table: str, owner: str, line: Any) -> None:
    model_tx(tx).put(table, owner, (*(model_tx(tx).get(table, owner) or ()), line))


class ModelPoolStore:
    """``PoolStore`` in memory."""

    async def lock_account(self, tx: Tx, account: VenueAccountId) -> PooledAccountRow:
        row: PooledAccountRow | None = model_tx(tx).get(_ACCOUNT, account)
        return row or PooledAccountRow(account=account)

    async def save_account(self, tx: Tx, row: PooledAccountRow) -> None:
        model_tx(tx).put(_ACCOUNT, row.account, row)

    async def pools(self, tx: Tx) -> Sequence[Pool]:
        found: list[Pool] = _values(tx, _POOL)
        return sorted(found, key=lambda pool: pool.id)

    async def pool(self, tx: Tx, pool: PoolId) -> Pool | None:
        found: Pool | None = model_tx(tx).get(_POOL, pool)
        return found

    async def save_pool(self, tx: Tx, pool: Pool) -> None:
        for other in _values(tx, _POOL):
            place = (other.account, other.market.symbol)
            ensure(
                other.id == pool.id or place != (pool.account, pool.market.symbol),
                f"two pools of {place}",
            )
        model_tx(tx).put(_POOL, pool.id, pool)

    async def add_ticket(self, tx: Tx, ticket: DealingRequest) -> bool:
        if model_tx(tx).get(_TICKET, ticket.id) is not None:
            return False
        model_tx(tx).put(_TICKET, ticket.id, ticket)
        return True

    async def ticket(self, tx: Tx, ticket: str) -> DealingRequest | None:
        found: DealingRequest | None = model_tx(tx).get(_TICKET, ticket)
        return found

    async def tickets(self, tx: Tx, account: VenueAccountId) -> Sequence[DealingRequest]:
        found: list[DealingRequest] = _values(tx, _TICKET)
        return [
            ticket
            for ticket in found
            if ticket.account == account and ticket.state is not DealingRequestState.GONE
        ]

    async def move_ticket(
        self, tx: Tx, before: DealingRequestState, ticket: DealingRequest
    ) -> bool:
        found: DealingRequest | None = model_tx(tx).get(_TICKET, ticket.id)
        if found is None or found.state is not before:
            return False
        model_tx(tx).put(_TICKET, ticket.id, ticket)
        return True

    async def add_barrier(
        self, tx: Tx, account: VenueAccountId, barrier_id: str, met: BarrierMet
    ) -> None:
        if model_tx(tx).get(_BARRIER, (account, barrier_id)) is None:
            model_tx(tx).put(_BARRIER, (account, barrier_id), met)

    async def barrier(self, tx: Tx, account: VenueAccountId, barrier_id: str) -> BarrierMet | None:
        found: BarrierMet | None = model_tx(tx).get(_BARRIER, (account, barrier_id))
        return found


class ModelOrderStore:
    """``OrderStore`` in memory."""

    async def add_user(self, tx: Tx, user: User) -> None:
        ensure(model_tx(tx).get(_USER, user.id) is None, f"user {user.id} is there already")
        model_tx(tx).put(_USER, user.id, user)

    async def user(self, tx: Tx, user: UserId) -> User | None:
        found: User | None = model_tx(tx).get(_USER, user)
        return found

    async def users(self, tx: Tx, after: UserId, limit: int) -> Sequence[User]:
        found = [user for user in _values(tx, _USER) if user.id > after]
        return sorted(found, key=lambda user: str(user.id))[:limit]

    async def user_at_mixin(self, tx: Tx, mixin_id: str) -> User | None:
        return next((user for user in _values(tx, _USER) if user.mixin_id == mixin_id), None)

    async def set_mixin_id(self, tx: Tx, user: UserId, mixin_id: str) -> None:
        ensure(await self.user_at_mixin(tx, mixin_id) is None, f"{mixin_id} is taken")
        model_tx(tx).put(_USER, user, replace(model_tx(tx).get(_USER, user), mixin_id=mixin_id))

    async def user_named(self, tx: Tx, name: str) -> User | None:
        found = [user for user in _values(tx, _USER) if user.name == name]
        return min(found, key=lambda user: str(user.id), default=None)

    async def set_disabled(self, tx: Tx, user: UserId, disabled_us: int) -> None:
        found = model_tx(tx).get(_USER, user)
        model_tx(tx).put(_USER, user, replace(found, disabled_us=disabled_us))

    async def save_claim(self, tx: Tx, claim: WalletClaim) -> None:
        model_tx(tx).put(_CLAIM, claim.trace, claim)

    async def claim(self, tx: Tx, trace: str) -> WalletClaim | None:
        found: WalletClaim | None = model_tx(tx).get(_CLAIM, trace)
        return found

    async def recall(self, tx: Tx, key: str) -> RequestRow | None:
        found: RequestRow | None = model_tx(tx).get(_REQUEST, key)
        return found

    async def remember(self, tx: Tx, request: RequestRow) -> bool:
        if model_tx(tx).get(_REQUEST, request.key) is not None:
            return False
        model_tx(tx).put(_REQUEST, request.key, request)
        return True

    async def add_order(self, tx: Tx, order: Order, line: TimelineLine) -> None:
        ensure(model_tx(tx).get(_ORDER, order.id) is None, f"order {order.id} is there already")
        await self.save_order(tx, order, line)

    async def order(self, tx: Tx, order: OrderId) -> Order | None:
        found: Order | None = model_tx(tx).get(_ORDER, order)
        return found

    async def lock_order(self, tx: Tx, order: OrderId) -> Order | None:
        return await self.order(tx, order)

    async def save_order(self, tx: Tx, order: Order, line: TimelineLine) -> None:
        model_tx(tx).put(_ORDER, order.id, order)
        _tell(tx, _ORDER_LINES, order.id, line)

    async def timeline(self, tx: Tx, order: OrderId) -> Sequence[TimelineLine]:
        lines: tuple[TimelineLine, ...] | None = model_tx(tx).get(_ORDER_LINES, order)
        return lines or ()

    async def orders_before(
        self, tx: Tx, user: UserId | None, before: OrderId, limit: int
    ) -> Sequence[Order]:
        mine = [one for one in _values(tx, _ORDER) if user in (None, one.user)]
        found = [one for one in mine if not before or one.id < before]
        return sorted(found, key=lambda order: str(order.id), reverse=True)[:limit]

    async def orders_of(self, tx: Tx, user: UserId, after: OrderId, limit: int) -> Sequence[Order]:
        found = [one for one in _values(tx, _ORDER) if one.user == user and one.id > after]
        return sorted(found, key=lambda order: str(order.id))[:limit]

    async def add_leg(self, tx: Tx, leg: DepositLeg) -> None:
        ensure(await self.leg(tx, leg.trace) is None, f"leg {leg.trace} is there already")
        await self.save_leg(tx, leg)

    async def save_leg(self, tx: Tx, leg: DepositLeg) -> None:
        model_tx(tx).put(_LEG, leg.trace, leg)

    async def leg(self, tx: Tx, trace: str) -> DepositLeg | None:
        found: DepositLeg | None = model_tx(tx).get(_LEG, trace)
        return found

    async def leg_of(self, tx: Tx, intent: str, asset: str) -> DepositLeg | None:
        legs: list[DepositLeg] = _values(tx, _LEG)
        return next((leg for leg in legs if (leg.intent, leg.asset) == (intent, asset)), None)

    async def legs(self, tx: Tx, order: OrderId) -> Sequence[DepositLeg]:
        found = [leg for leg in _values(tx, _LEG) if leg.order == order]
        return sorted(found, key=lambda leg: str(leg.asset))


class ModelWithdrawalStore:
    """``WithdrawalStore`` in memory."""

    async def add(self, tx: Tx, row: Withdrawal, line: WithdrawalLine) -> bool:
        if model_tx(tx).get(_WITHDRAWAL_KEY, row.key) is not None:
            return False
        model_tx(tx).put(_WITHDRAWAL_KEY, row.key, row.id)
        await self.save(tx, row, line)
        return True

    async def by_key(self, tx: Tx, key: str) -> Withdrawal | None:
        found: WithdrawalId | None = model_tx(tx).get(_WITHDRAWAL_KEY, key)
        return await self.row(tx, found) if found is not None else None

    async def row(self, tx: Tx, withdrawal: WithdrawalId) -> Withdrawal | None:
        found: Withdrawal | None = model_tx(tx).get(_WITHDRAWAL, withdrawal)
        return found

    async def lock(self, tx: Tx, withdrawal: WithdrawalId) -> Withdrawal | None:
        return await self.row(tx, withdrawal)

    async def save(self, tx: Tx, row: Withdrawal, line: WithdrawalLine) -> None:
        model_tx(tx).put(_WITHDRAWAL, row.id, row)
        _tell(tx, _WITHDRAWAL_LINES, row.id, line)

    async def claims(self, tx: Tx, source: str, asset: str) -> Sequence[Withdrawal]:
        found: list[Withdrawal] = [
            row
            for row in _values(tx, _WITHDRAWAL)
            if row.source == source and row.asset == asset and row.state in CLAIMS_CASH
        ]
        return sorted(found, key=lambda row: row.held_seq)

    async def waiting_units(self, tx: Tx, source: str, asset: str) -> int:
        found: list[Withdrawal] = [
            row for row in _values(tx, _WITHDRAWAL) if row.source == source and row.asset == asset
        ]
        return sum(row.units for row in found if row.state is WithdrawalState.AWAITING_CASH)

    async def in_flight(self, tx: Tx) -> Sequence[Withdrawal]:
        found = [row for row in _values(tx, _WITHDRAWAL) if row.state in IN_FLIGHT]
        return sorted(found, key=lambda row: str(row.id))

    async def under_way(self, tx: Tx, limit: int) -> Sequence[Withdrawal]:
        over = WITHDRAWAL_TABLE.terminal
        found = [row for row in _values(tx, _WITHDRAWAL) if row.state not in over]
        return sorted(found, key=lambda row: (row.requested_us, str(row.id)))[:limit]

    async def of_user(
        self, tx: Tx, user: UserId, after: WithdrawalId, limit: int
    ) -> Sequence[Withdrawal]:
        found = [row for row in _values(tx, _WITHDRAWAL) if row.user == user and row.id > after]
        return sorted(found, key=lambda row: str(row.id))[:limit]

    async def newest(
        self, tx: Tx, user: UserId | None, before: WithdrawalId, limit: int
    ) -> Sequence[Withdrawal]:
        mine = [row for row in _values(tx, _WITHDRAWAL) if user in (None, row.user)]
        found = [row for row in mine if not before or row.id < before]
        return sorted(found, key=lambda row: str(row.id), reverse=True)[:limit]

    async def timeline(self, tx: Tx, withdrawal: WithdrawalId) -> Sequence[WithdrawalLine]:
        lines: tuple[WithdrawalLine, ...] | None = model_tx(tx).get(_WITHDRAWAL_LINES, withdrawal)
        return lines or ()

    async def claim_lane(self, tx: Tx, row: Withdrawal) -> bool:
        lane = (row.source, row.asset, row.address)
        holder = model_tx(tx).get(_LANE, lane)
        if holder is not None:
            return bool(holder == row.id)
        model_tx(tx).put(_LANE, lane, row.id)
        return True

    async def free_lane(self, tx: Tx, row: Withdrawal) -> None:
        lane = (row.source, row.asset, row.address)
        if model_tx(tx).get(_LANE, lane) == row.id:
            model_tx(tx).delete(_LANE, lane)

    async def freeze(self, tx: Tx) -> Freeze | None:
        found: tuple[Freeze | None] | None = model_tx(tx).get(_FREEZE, "")
        return found[0] if found is not None else None

    async def set_freeze(self, tx: Tx, freeze: Freeze) -> None:
        known = await self.freeze(tx)
        later_us = max(freeze.at_us, known.at_us + 1) if known is not None else freeze.at_us
        model_tx(tx).put(_FREEZE, "", (replace(freeze, at_us=later_us),))

    async def lift_freeze(self, tx: Tx, at_us: int) -> None:
        known = await self.freeze(tx)
        if known is not None and known.at_us == at_us:
            model_tx(tx).put(_FREEZE, "", (None,))
