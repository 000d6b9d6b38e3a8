"""Users: they exist by their Mixin id, which is where their money comes from and goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.user_orders.model import (
    NAME_MAX,
    Declined,
    OrderRefusal,
    User,
    WalletClaim,
)
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.user_orders.rules import claim_trace, proves
from poolmaker.business.user_orders.service.requests import RequestLog
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import DAY_US, Clock
from poolmaker.kernel.ids import Ids, UserId
from poolmaker.messages.base import Message

CLAIM_US: Final = DAY_US


class _UserAsked(Message, frozen=True, kw_only=True, tag="user"):
    name: str
    mixin_id: str = ""


class UserRegistry:
    """Makes users, binds wallets, disables. One wallet is one user, and it is never exchanged."""

    def __init__(
        self, transactions: Transactions, store: OrderStore, ids: Ids, clock: Clock
    ) -> None:
        self._transactions = transactions
        self._store = store
        self._ids = ids
        self._clock = clock
        self._requests = RequestLog(store, clock)

    async def create_user(self, name: str, key: str, mixin_id: str) -> UserId:
        """A new user with that Mixin id; the same key and content answer the same user.

        Raises CallerFault without a Mixin id, for another content under a used key, and for a name
        or a Mixin id that is taken.
        """
        require(0 < len(name.strip()) <= NAME_MAX, f"name: expected 1 to {NAME_MAX} characters")
        require(0 < len(mixin_id) <= NAME_MAX, f"mixin_id: expected 1 to {NAME_MAX} characters")
        asked = _UserAsked(name=name, mixin_id=mixin_id)
        async with self._transactions.begin("orders.create_user") as tx:
            done = await self._requests.done(tx, key, asked)
            require(not isinstance(done, Declined), f"key: {key!r} was used for another user")
            if isinstance(done, str):
                return UserId(done)
            require(await self._store.user_named(tx, name) is None, "name: another user has it")
            await self._require_free(tx, mixin_id)
            user = User(self._ids.user(), name, self._clock.now_us(), mixin_id)
            await self._store.add_user(tx, user)
            await self._requests.remember(tx, key, asked, user.id)
        return user.id

    async def claim_wallet(self, user_id: UserId, mixin_id: str) -> WalletClaim | Declined:
        """A user who has no wallet says which one is theirs; a payment from it proves it.

        The same claim again runs anew for a day. Refused for unknown users, for those who have
        another wallet, and for the wallet of another user.
        """
        require(0 < len(mixin_id) <= NAME_MAX, f"mixin_id: expected 1 to {NAME_MAX} characters")
        async with self._transactions.begin("users.claim_wallet") as tx:
            user = await self._store.user(tx, user_id)
            if user is None:
                return Declined(OrderRefusal.UNKNOWN_USER)
            if user.mixin_id or await self._store.user_at_mixin(tx, mixin_id) is not None:
                return Declined(OrderRefusal.WALLET_TAKEN)
            now_us = self._clock.now_us()
            claim = WalletClaim(
                trace=claim_trace(user_id, mixin_id),
                user=user_id,
                mixin_id=mixin_id,
                claimed_us=now_us,
                until_us=now_us + CLAIM_US,
            )
            await self._store.save_claim(tx, claim)
        return claim

    async def prove_wallet(self, tx: Tx, trace: str, sender: str, at_us: int) -> UserId | None:
        """Bind the wallet that a payment proves, and whose money the payment is; None for no claim.

        ``sender`` is who paid as Mixin says it, ``at_us`` when.
        """
        claim = await self._store.claim(tx, trace)
        if claim is None or not proves(claim, sender, at_us):
            return None
        user = await self._store.user(tx, claim.user)
        taken = await self._store.user_at_mixin(tx, sender)
        if user is None or user.mixin_id or taken is not None:
            return None
        await self._store.set_mixin_id(tx, user.id, sender)
        return user.id

    async def disable(self, user_id: UserId, *, disabled: bool) -> User | Declined:
        """Let a user open nothing from now on, or again. Their money stays theirs either way."""
        async with self._transactions.begin("users.disable") as tx:
            if await self._store.user(tx, user_id) is None:
                return Declined(OrderRefusal.UNKNOWN_USER)
            at_us = self._clock.now_us() if disabled else 0
            await self._store.set_disabled(tx, user_id, at_us)
            found = await self._store.user(tx, user_id)
        return found or Declined(OrderRefusal.UNKNOWN_USER)

    async def user(self, user_id: UserId) -> User | None:
        """One user, or None."""
        async with self._transactions.begin("users.user") as tx:
            return await self._store.user(tx, user_id)

    async def user_at_mixin(self, mixin_id: str) -> User | None:
        """Who has that id at Mixin, or None."""
        async with self._transactions.begin("orders.user_at_mixin") as tx:
            return await self._store.user_at_mixin(tx, mixin_id)

    async def user_named(self, name: str) -> User | None:
        """Who is called so, or None."""
        async with self._transactions.begin("users.named") as tx:
            return await self._store.user_named(tx, name)

    async def made_by(self, key: str) -> UserId | None:
        """The user that the request with this key made, or None."""
        async with self._transactions.begin("orders.made_by") as tx:
            found = await self._store.recall(tx, key)
        return UserId(found.subject) if found is not None else None

    async def users(self, after: UserId, limit: int) -> Sequence[User]:
        """Users after an id, by id; an empty id begins."""
        async with self._transactions.begin("orders.users") as tx:
            return await self._store.users(tx, after, limit)

    async def knows(self, tx: Tx, user: UserId) -> bool:
        """Whether there is such a user."""
        return await self._store.user(tx, user) is not None

    async def _require_free(self, tx: Tx, mixin_id: str) -> None:
        taken = await self._store.user_at_mixin(tx, mixin_id) is not None
        require(not taken, "mixin_id: another user has it")
