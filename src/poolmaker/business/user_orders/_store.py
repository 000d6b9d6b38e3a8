"""User orders in PostgreSQL: ``business.app_user``, ``request``, ``user_order`` and its lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from poolmaker.business.user_orders.model import (
    DepositLeg,
    Order,
    PayoutDestination,
    RequestedAction,
    RequestRow,
    TimelineLine,
    User,
    UserOrderState,
    WalletClaim,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import OrderId, PoolId, SagaId, UserId, VenueAccountId
from poolmaker.messages.base import Money

_COLUMNS: Final = (
    "order_id, user_id, pool, account, base_asset, base_units, quote_asset, quote_units,"
    " created_us, state, wish, child, children, share_asset, shares, joined_at_us, destinations,"
    " by_mixin, reason, shares_min"
)
_USER: Final = (
    "SELECT user_id, name, created_us, coalesce(mixin_id, ''), disabled_us FROM business.app_user"
)
_ORDERS_BEFORE: Final = """
SELECT * FROM business.user_order
WHERE ($1::text IS NULL OR user_id = $1) AND ($2 = '' OR order_id < $2)
ORDER BY order_id DESC LIMIT $3
"""
_SAVE_CLAIM: Final = """
INSERT INTO business.wallet_claim (trace, user_id, mixin_id, claimed_us, until_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (trace) DO UPDATE SET claimed_us = $4, until_us = $5
"""
_ADD_ORDER: Final = f"""
INSERT INTO business.user_order ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    $20)
"""  # noqa: S608 - constants of this module
_SAVE_ORDER: Final = """
UPDATE business.user_order
SET state = $2, wish = $3, child = $4, children = $5, share_asset = $6, shares = $7,
    joined_at_us = $8, destinations = $9, reason = $10
WHERE order_id = $1
"""
_ADD_LINE: Final = """
INSERT INTO business.user_order_line (order_id, line, at_us, state, event, key, note)
SELECT $1, coalesce(max(line), 0) + 1, $2, $3, $4, $5, $6
FROM business.user_order_line WHERE order_id = $1
"""
_ORDERS_OF: Final = """
SELECT * FROM business.user_order WHERE user_id = $1 AND order_id > $2 ORDER BY order_id LIMIT $3
"""
_REMEMBER: Final = """
INSERT INTO business.request (key, body_hash, subject, at_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO NOTHING
"""


class PgOrderStore:
    """``OrderStore`` over PostgreSQL."""

    async def add_user(self, tx: Tx, user: User) -> None:
        await connection_of(tx).execute(
            "INSERT INTO business.app_user (user_id, name, created_us, mixin_id)"
            " VALUES ($1, $2, $3, nullif($4, ''))",
            user.id,
            user.name,
            user.created_us,
            user.mixin_id,
        )

    async def user(self, tx: Tx, user: UserId) -> User | None:
        row = await connection_of(tx).fetchrow(f"{_USER} WHERE user_id = $1", user)
        return User(*row) if row is not None else None

    async def user_at_mixin(self, tx: Tx, mixin_id: str) -> User | None:
        row = await connection_of(tx).fetchrow(f"{_USER} WHERE mixin_id = $1", mixin_id)
        return User(*row) if row is not None else None

    async def set_mixin_id(self, tx: Tx, user: UserId, mixin_id: str) -> None:
        await connection_of(tx).execute(
            "UPDATE business.app_user SET mixin_id = $2 WHERE user_id = $1", user, mixin_id
        )

    async def users(self, tx: Tx, after: UserId, limit: int) -> Sequence[User]:
        rows = await connection_of(tx).fetch(
            f"{_USER} WHERE user_id > $1 ORDER BY user_id LIMIT $2", after, limit
        )
        return [User(*row) for row in rows]

    async def user_named(self, tx: Tx, name: str) -> User | None:
        query = f"{_USER} WHERE name = $1 ORDER BY user_id LIMIT 1"
        row = await connection_of(tx).fetchrow(query, name)
        return User(*row) if row is not None else None

    async def set_disabled(self, tx: Tx, user: UserId, disabled_us: int) -> None:
        await connection_of(tx).execute(
            "UPDATE business.app_user SET disabled_us = $2 WHERE user_id = $1", user, disabled_us
        )

    async def save_claim(self, tx: Tx, claim: WalletClaim) -> None:
        await connection_of(tx).execute(
            _SAVE_CLAIM, claim.trace, claim.user, claim.mixin_id, claim.claimed_us, claim.until_us
        )

    async def claim(self, tx: Tx, trace: str) -> WalletClaim | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.wallet_claim WHERE trace = $1", trace
        )
        if row is None:
            return None
        return WalletClaim(
            trace=row["trace"],
            user=UserId(row["user_id"]),
            mixin_id=row["mixin_id"],
            claimed_us=row["claimed_us"],
            until_us=row["until_us"],
        )

    async def recall(self, tx: Tx, key: str) -> RequestRow | None:
        row = await connection_of(tx).fetchrow(
            "SELECT key, body_hash, subject, at_us FROM business.request WHERE key = $1", key
        )
        return RequestRow(*row) if row is not None else None

    async def remember(self, tx: Tx, request: RequestRow) -> bool:
        done = await connection_of(tx).execute(
            _REMEMBER, request.key, request.body_hash, request.subject, request.at_us
        )
        return done == "INSERT 0 1"

    async def add_order(self, tx: Tx, order: Order, line: TimelineLine) -> None:
        await connection_of(tx).execute(
            _ADD_ORDER,
            order.id,
            order.user,
            order.pool,
            order.account,
            order.base.asset,
            order.base.units,
            order.quote.asset,
            order.quote.units,
            order.created_us,
            order.state,
            order.wish,
            order.child,
            order.children,
            order.share_asset,
            order.shares,
            order.joined_at_us,
            _encoded(order),
            order.by_mixin,
            order.reason,
            order.shares_min,
        )
        await _add_line(tx, order, line)

    async def order(self, tx: Tx, order: OrderId) -> Order | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.user_order WHERE order_id = $1", order
        )
        return _order(row) if row is not None else None

    async def lock_order(self, tx: Tx, order: OrderId) -> Order | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.user_order WHERE order_id = $1 FOR UPDATE", order
        )
        return _order(row) if row is not None else None

    async def save_order(self, tx: Tx, order: Order, line: TimelineLine) -> None:
        await connection_of(tx).execute(
            _SAVE_ORDER,
            order.id,
            order.state,
            order.wish,
            order.child,
            order.children,
            order.share_asset,
            order.shares,
            order.joined_at_us,
            _encoded(order),
            order.reason,
        )
        await _add_line(tx, order, line)

    async def timeline(self, tx: Tx, order: OrderId) -> Sequence[TimelineLine]:
        rows = await connection_of(tx).fetch(
            "SELECT at_us, state, event, key, note FROM business.user_order_line"
            " WHERE order_id = $1 ORDER BY line",
            order,
        )
        return [
            TimelineLine(
                row["at_us"], UserOrderState(row["state"]), row["event"], row["key"], row["note"]
            )
            for row in rows
        ]

    async def orders_before(
        self, tx: Tx, user: UserId | None, before: OrderId, limit: int
    ) -> Sequence[Order]:
        rows = await connection_of(tx).fetch(_ORDERS_BEFORE, user, before, limit)
        return [_order(row) for row in rows]

    async def orders_of(self, tx: Tx, user: UserId, after: OrderId, limit: int) -> Sequence[Order]:
        rows = await connection_of(tx).fetch(_ORDERS_OF, user, after, limit)
        return [_order(row) for row in rows]

    async def add_leg(self, tx: Tx, leg: DepositLeg) -> None:
        await connection_of(tx).execute(
            "INSERT INTO business.deposit_leg"
            " (trace, intent, order_id, asset, units, paid_units, key)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            leg.trace,
            leg.intent,
            leg.order,
            leg.asset,
            leg.units,
            leg.paid_units,
            leg.key,
        )

    async def save_leg(self, tx: Tx, leg: DepositLeg) -> None:
        await connection_of(tx).execute(
            "UPDATE business.deposit_leg SET paid_units = $2, key = $3 WHERE trace = $1",
            leg.trace,
            leg.paid_units,
            leg.key,
        )

    async def leg(self, tx: Tx, trace: str) -> DepositLeg | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.deposit_leg WHERE trace = $1", trace
        )
        return _leg(row) if row is not None else None

    async def leg_of(self, tx: Tx, intent: str, asset: str) -> DepositLeg | None:
        row = await connection_of(tx).fetchrow(
            "SELECT * FROM business.deposit_leg WHERE intent = $1 AND asset = $2", intent, asset
        )
        return _leg(row) if row is not None else None

    async def legs(self, tx: Tx, order: OrderId) -> Sequence[DepositLeg]:
        rows = await connection_of(tx).fetch(
            "SELECT * FROM business.deposit_leg WHERE order_id = $1 ORDER BY asset", order
        )
        return [_leg(row) for row in rows]


async def _add_line(tx: Tx, order: Order, line: TimelineLine) -> None:
    await connection_of(tx).execute(
        _ADD_LINE, order.id, line.at_us, line.state, line.event, line.key, line.note
    )


def _encoded(order: Order) -> str:
    return msgspec.json.encode(order.destinations).decode()


def _leg(row: Record) -> DepositLeg:
    values = dict(row.items())
    values["order"] = OrderId(values.pop("order_id"))
    return DepositLeg(**values)


def _order(row: Record) -> Order:
    return Order(
        id=OrderId(row["order_id"]),
        user=UserId(row["user_id"]),
        pool=PoolId(row["pool"]),
        account=VenueAccountId(row["account"]),
        base=Money(asset=row["base_asset"], units=row["base_units"]),
        quote=Money(asset=row["quote_asset"], units=row["quote_units"]),
        created_us=row["created_us"],
        state=UserOrderState(row["state"]),
        wish=RequestedAction(row["wish"]),
        child=SagaId(row["child"]),
        children=row["children"],
        share_asset=row["share_asset"],
        shares=row["shares"],
        joined_at_us=row["joined_at_us"],
        destinations=msgspec.json.decode(row["destinations"], type=tuple[PayoutDestination, ...]),
        by_mixin=row["by_mixin"],
        reason=row["reason"],
        shares_min=row["shares_min"],
    )
