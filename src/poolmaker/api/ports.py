"""What the surfaces need of the platform. ``app.py`` plugs every one of these.

Conventions
- Amounts cross as exact decimal texts; the API has checked their form and their scale.
- A method that changes something takes a request id. The API has stored it under the caller's
  Idempotency-Key before it calls, so the same call may come again, also after a crash, and must
  then answer as the first did and move nothing twice.
- An expected refusal is a ``Refused`` value with a stable code, never an exception. Codes of the
  ledger (``insufficient``, ``not_funded``, …) and of order states pass through unchanged.
- ``OutcomeUnknown`` and ``Unavailable`` are raised and become 503: the caller asks again with the
  same Idempotency-Key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import Ids, OrderId, PoolId, UserId
from poolmaker.kernel.rng import Rng
from poolmaker.views.model import Mode, Money, OrderSeen, UserSeen, WithdrawalSeen
from poolmaker.views.ports import Live, Reading, Stage


class Role(StrEnum):
    """Who may do what; a caller has exactly one role."""

    USER = "user"
    """Owns orders; sees and moves only his own."""
    VIEWER = "viewer"
    """Sees everything, changes nothing."""
    OPERATOR = "operator"
    """Runs the platform: users, deposits, operator's money."""
    TREASURER = "treasurer"
    """Second person for money that leaves; has no route of its own yet."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling."""

    role: Role
    name: str
    user_id: UserId | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An expected refusal: nothing moved. ``code`` is stable, ``facts`` fill its sentence."""

    code: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Done and durable. ``seq`` is the ledger transaction that moved money."""

    id: str
    seq: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one asset of a payout goes."""

    asset: str
    network: str
    address: str
    memo: str = ""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A user order to open: funds are locked, funded, and join the pool at its next barrier.

    ``pays_by_mixin``: the funds are still to come from the user's wallet.
    """

    request_id: str
    user_id: UserId
    pool_id: PoolId
    base: Money
    quote: Money
    pays_by_mixin: bool = False


@dataclass(frozen=True, slots=True)
class NewPayout:
    """Available money that goes to its user's own Mixin wallet."""

    request_id: str
    user_id: UserId
    money: Money


@dataclass(frozen=True, slots=True)
class Incoming:
    """Money that a person says has arrived. One ``reference`` at one ``location`` is one credit."""

    request_id: str
    location: str
    money: Money
    reference: str


# ----------------------------------------------------------------------- the API's own two stores


@dataclass(frozen=True, slots=True)
class Claim:
    """What an Idempotency-Key stands for.

    ``made_id`` was chosen by the first call and is the same ever after. ``answer`` is the stored
    answer, None while the first call has not ended. ``same`` is False when the key was used for
    another body.
    """

    made_id: str
    same: bool
    answer: tuple[int, bytes] | None


class Requests(Protocol):
    """Idempotency keys, per caller. The row is durable before anything is done."""

    async def claim(self, caller: str, key: str, fingerprint: bytes, fresh_id: str) -> Claim:
        """Store the key with ``fresh_id``, or say what it already stands for."""
        ...

    async def answered(self, caller: str, key: str, status: int, body: bytes) -> None:
        """Store the answer; the first one stays."""
        ...


class Tokens(Protocol):
    """The hashes of tokens. A token itself is never stored."""

    async def grant(self, token_hash: bytes, role: Role, name: str, user_id: UserId | None) -> None:
        """Let the token with this SHA-256 in, until revoked."""
        ...

    async def principal(self, token_hash: bytes) -> Principal | None:
        """Whose token this is, or None."""
        ...


# -------------------------------------------------------------------------- what app.py must plug


class People(Protocol):
    """Users."""

    async def create(self, request_id: str, name: str, mixin_id: str) -> UserSeen | Refused:
        """Make a user; the same request is the same user. ``mixin_id`` may be empty.

        Refuses ``name_taken`` and ``mixin_id_taken``.
        """
        ...

    async def users(self) -> Sequence[UserSeen]:
        """All users by time of creation, at most 10,000."""
        ...

    async def user(self, user_id: UserId) -> UserSeen | None:
        """One user, or None."""
        ...


class Treasury(Protocol):
    """Money that a person says has arrived: facts for the ledger."""

    async def operator_in(self, incoming: Incoming) -> Receipt | Refused:
        """OPERATOR_IN. Refuses ``reference_used`` for another amount under the same reference."""
        ...

    async def credit_deposit(self, user_id: UserId, incoming: Incoming) -> Receipt | Refused:
        """CREDIT_DEPOSIT. Refuses ``unknown_user``, ``reference_used``."""
        ...


class Orders(Protocol):
    """User orders: wishes become sagas; the answer is the order as it stands after the wish."""

    async def open(self, order: NewOrder) -> OrderSeen | Refused:
        """Open an order.

        Refuses ``unknown_pool``, ``insufficient``, ``below_minimum``, and ``no_mixin`` where no
        link can be made: Mixin is not configured, or the user has no Mixin id.
        """
        ...

    async def pause(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderSeen | Refused:
        """Take the order's shares out into locked. Refuses ``wrong_state``, ``unknown_order``."""
        ...

    async def resume(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderSeen | Refused:
        """Fund and join again. Refuses ``wrong_state``, ``unknown_order``."""
        ...

    async def withdraw(
        self,
        user_id: UserId,
        order_id: OrderId,
        payout: Sequence[Destination],
        request_id: str,
    ) -> OrderSeen | Refused:
        """Leave, pay out to one destination for each asset of the pool, close.

        No destination at all means the user's Mixin wallet. Refuses ``wrong_state``,
        ``unknown_order``, ``destination_missing``, ``destination_refused``, ``no_mixin``.
        """
        ...


class Payouts(Protocol):
    """Money that leaves for its owner, besides the payouts of orders."""

    async def request(self, payout: NewPayout) -> WithdrawalSeen | Refused:
        """Pay available money to the user's Mixin wallet; the answer is where that stands.

        Refuses ``no_mixin`` and ``bad_amount`` for more decimals than Mixin keeps. What is not
        covered shows as DECLINED.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """All ports of the surfaces in one place.

    ``rng`` makes tokens: give it ``kernel.rng.system_rng()``. ``stopping`` is set when the process
    is about to end, so that open streams end first.
    """

    mode: Mode
    clock: Clock
    ids: Ids
    rng: Rng
    operator_token_hash: bytes
    tokens: Tokens
    requests: Requests
    people: People
    treasury: Treasury
    orders: Orders
    payouts: Payouts
    reading: Reading
    live: Live
    stage: Stage
    stopping: asyncio.Event
