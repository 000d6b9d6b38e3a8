"""What the surfaces need of the platform. ``app.py`` plugs every one of these.

Conventions
- Amounts cross as exact decimal texts; the API has checked their form and their scale.
- A method that changes something takes a request id. The API has stored it under the caller's
  Idempotency-Key before it calls, so the same call may come again, also after a crash, and must
  then answer as the first did and move nothing twice.
- An expected refusal is an ``ActionRefused`` value with a stable code, never an exception. Codes of
  the ledger (``insufficient``, ``not_funded``, …) and of order states pass through unchanged.
- ``OutcomeUnknown`` and ``Unavailable`` are raised and become 503: the caller asks again with the
  same Idempotency-Key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from poolmaker.api.approving import Approvals, LoneLimits
from poolmaker.api.interventions import Interventions
from poolmaker.api.results import ActionReceipt, ActionRefused
from poolmaker.api.tokens import Tokens
from poolmaker.infra.approvals.model import Approver
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import Ids, OrderId, PoolId, UserId
from poolmaker.kernel.rng import Rng
from poolmaker.recon.ports import Attention
from poolmaker.views.custody import CustodyIncidentView, UnlistedView
from poolmaker.views.model import (
    AmountView,
    OrderView,
    UserView,
    WalletClaimView,
    WithdrawalView,
    WorldMode,
)
from poolmaker.views.ports import DemoProgress, Live, Reading

__all__ = ["ActionReceipt", "ActionRefused"]


@dataclass(frozen=True, slots=True)
class WithdrawalDestination:
    """Where one asset of a payout goes."""

    asset: str
    network: str
    address: str
    memo: str = ""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A user order to open: funds are locked, funded, and join the pool at its next barrier.

    ``pays_by_mixin``: the funds are still to come from the user's wallet. ``least_shares`` is a
    decimal text of shares, empty for none: with it the order joins whole for so many or not at all.
    """

    request_id: str
    user_id: UserId
    pool_id: PoolId
    base: AmountView
    quote: AmountView
    pays_by_mixin: bool = False
    least_shares: str = ""


@dataclass(frozen=True, slots=True)
class NewPayout:
    """Available money that goes to its user's own Mixin wallet."""

    request_id: str
    user_id: UserId
    money: AmountView


@dataclass(frozen=True, slots=True)
class Incoming:
    """Money that a person says has arrived. One ``reference`` at one ``location`` is one credit."""

    request_id: str
    location: str
    money: AmountView
    reference: str


@dataclass(frozen=True, slots=True)
class UnlistedReturn:
    """What a sender paid at Mixin in an asset without a form, and who gets it."""

    asset_id: str
    sender: str
    receiver: str
    amount: str
    number: int
    """Which return of that sender's payments it is."""


# ----------------------------------------------------------------------- the API's own two stores


@dataclass(frozen=True, slots=True)
class Claim:
    """What an Idempotency-Key stands for.

    ``made_id`` was chosen by the first call and is the same ever after. ``answer`` is the stored
    answer, None while no call has ended. ``same`` is False when the key was used for another body.
    ``is_mine``: this call is the one that works under the key; it answers or gives up.
    """

    made_id: str
    same: bool
    answer: tuple[int, bytes] | None
    is_mine: bool


class Requests(Protocol):
    """Idempotency keys, per caller. The row is durable before anything is done."""

    async def claim(self, caller: str, key: str, fingerprint: bytes, fresh_id: str) -> Claim:
        """Store the key with ``fresh_id``, or say what it already stands for.

        Whoever works under a key keeps it for 30 seconds, longer than a request may take; after
        that it died, and the next call takes over with the same ``made_id``.
        """
        ...

    async def given_up(self, caller: str, key: str, made_id: str) -> None:
        """The call that works under the key ended without an answer: the next one may."""
        ...

    async def answered(self, caller: str, key: str, status: int, body: bytes) -> None:
        """Store the answer; the first one stays."""
        ...

    async def forget(self, before_us: int, limit: int) -> int:
        """Remove at most ``limit`` keys that were answered and are older; how many there were.

        A key whose outcome is not known is kept for ever: whoever asks again must find it.
        """
        ...


# -------------------------------------------------------------------------- what app.py must plug


class UserAdministration(Protocol):
    """Users."""

    async def create(self, request_id: str, name: str, mixin_id: str) -> UserView | ActionRefused:
        """Make a user by their Mixin id; the same request is the same user.

        Refuses ``name_taken`` and ``mixin_id_taken``.
        """
        ...

    async def users(self, after: str, limit: int) -> Sequence[UserView]:
        """Users after an id, by id, which is by time of creation; an empty id begins."""
        ...

    async def user(self, user_id: UserId) -> UserView | None:
        """One user, or None."""
        ...

    async def claim_wallet(self, user_id: UserId, mixin_id: str) -> WalletClaimView | ActionRefused:
        """How a user of before proves that a wallet is theirs: by a payment from it.

        Refuses ``unknown_user``, ``wallet_taken``, ``no_mixin``.
        """
        ...

    async def disable(self, user_id: UserId, *, disabled: bool) -> UserView | ActionRefused:
        """Let a user open nothing any more, or again. Refuses ``unknown_user``."""
        ...


@dataclass(frozen=True, slots=True)
class OwnMoney:
    """The operator's own money that a person moves; one ``reference`` is one movement."""

    request_id: str
    money: AmountView
    reference: str


@dataclass(frozen=True, slots=True)
class BearableView:
    """What equity would bear of a shortfall, by which attempt."""

    money: AmountView
    attempt: int


class TreasuryActions(Protocol):
    """What people state about money and decide about the operator's own.

    ``second_person``: another person has approved it. Besides the codes named below the ledger's
    and the treasury's own pass through unchanged.
    """

    async def operator_in(
        self, incoming: Incoming, *, second_person: bool = False
    ) -> ActionReceipt | ActionRefused:
        """OPERATOR_IN. Refuses ``not_confirmed`` where the place does not know the reference.

        Also ``unknown_place``, ``amount_differs``, ``nothing_behind``, ``reference_used``.
        """
        ...

    async def credit_deposit(
        self, user_id: UserId, incoming: Incoming, *, second_person: bool = False
    ) -> ActionReceipt | ActionRefused:
        """CREDIT_DEPOSIT. Refuses as ``operator_in``, and ``unknown_user``."""
        ...

    async def operator_out(self, location: str, own: OwnMoney) -> ActionReceipt | ActionRefused:
        """OPERATOR_OUT. Refuses ``not_free``, ``custody_stopped``, ``equity_below_zero``."""
        ...

    async def settle(self, account: str, own: OwnMoney) -> ActionReceipt | ActionRefused:
        """SETTLE_FEES of ``platform:fees`` or ``platform:dust``. Refuses ``insufficient``."""
        ...

    async def trade_float(
        self, own: OwnMoney, *, into_float: bool
    ) -> ActionReceipt | ActionRefused:
        """FLOAT_TRADE. Refuses ``equity_below_zero`` and ``insufficient``."""
        ...

    async def reverse(
        self, request_id: str, seq: int, reason: str
    ) -> ActionReceipt | ActionRefused:
        """REVERSAL of what people state or decide. Refuses ``not_reversible``."""
        ...

    async def bearable(self, incident: str) -> BearableView | ActionRefused:
        """What equity would bear of an open shortfall now.

        Refuses ``unknown_incident``, and ``not_seen_again`` while the place has not been compared
        since it was borne last.
        """
        ...

    async def bear(
        self, request_id: str, incident: str, what: BearableView
    ) -> ActionReceipt | ActionRefused:
        """BEAR_SHORTFALL of exactly that. Refuses as ``bearable``, and ``difference_changed``."""
        ...

    async def incidents(self) -> Sequence[CustodyIncidentView]:
        """Custody incidents, open and closed, newest first."""
        ...

    async def take(self, incident: str, by: str) -> CustodyIncidentView | ActionRefused:
        """A person looks after an open incident. Refuses ``unknown_incident``."""
        ...

    async def unlisted(self, after: str, limit: int) -> Sequence[UnlistedView]:
        """What is here of assets without a form, by ``asset:sender``, after one of them."""
        ...

    async def next_return(self, asset_id: str, sender: str) -> int | ActionRefused:
        """Which return of a sender's payments is the next.

        Refuses ``nothing_to_return`` and ``return_under_way``.
        """
        ...

    async def return_unlisted(self, wish: UnlistedReturn) -> UnlistedView | ActionRefused:
        """Pay exactly that to a user of Mixin, the sender's oldest payments.

        Refuses ``nothing_to_return``, ``asset_configured``, ``return_under_way``, ``frozen`` and
        ``return_differs`` where they do not hold exactly the amount.
        """
        ...


class OrderActions(Protocol):
    """User orders: wishes become sagas; the answer is the order as it stands after the wish."""

    async def open(self, order: NewOrder) -> OrderView | ActionRefused:
        """Open an order.

        Refuses ``unknown_pool``, ``insufficient``, ``below_minimum``, and ``no_mixin`` where no
        link can be made: Mixin is not configured, or the user has no Mixin id.
        """
        ...

    async def pause(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ActionRefused:
        """Take the order's shares out into locked. Refuses ``wrong_state``, ``unknown_order``."""
        ...

    async def take_back(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ActionRefused:
        """What waits for a price goes back to its user, free; what has joined stays.

        Refuses ``wrong_state``, ``still_waiting``, ``unknown_order``.
        """
        ...

    async def resume(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ActionRefused:
        """Fund and join again. Refuses ``wrong_state``, ``unknown_order``."""
        ...

    async def withdraw(
        self,
        user_id: UserId,
        order_id: OrderId,
        payout: Sequence[WithdrawalDestination],
        request_id: str,
    ) -> OrderView | ActionRefused:
        """Leave, pay out to the user's own wallet, close.

        ``payout`` may name that wallet for each asset of the pool, and nothing else. Refuses
        ``wrong_state``, ``unknown_order``, ``destination_missing``, ``destination_refused``,
        ``no_mixin``.
        """
        ...


class AvailablePayouts(Protocol):
    """Money that leaves for its owner, besides the payouts of orders."""

    async def request(self, payout: NewPayout) -> WithdrawalView | ActionRefused:
        """Pay available money to the user's Mixin wallet; the answer is where that stands.

        Refuses ``no_mixin`` and ``bad_amount`` for more decimals than Mixin keeps. What is not
        covered shows as DECLINED.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingDecision:
    """What a person says became of a payout or transfer whose outcome nobody else tells.

    ``sending`` is the number of the sending that it is about, 1 for the first.
    """

    payment_id: str
    sending: int
    decision: str
    by: str
    transaction_id: str = ""
    taken: str = "0"
    fee: str = "0"


class OutgoingPayments(Protocol):
    """Money that leaves, where a person has to decide."""

    async def undecided(self, decision: OutgoingDecision) -> int | ActionRefused:
        """The number of the sending that the decision would be about; ``sending`` is ignored.

        Refuses as ``decide`` does.
        """
        ...

    async def decide(self, decision: OutgoingDecision) -> ActionRefused | None:
        """Keep a decision about one sending; a later one is not decided by it.

        Refuses ``unknown_payment``, ``not_waiting`` and ``bad_amount``.
        """
        ...

    async def act_on_chain(self, reference: str, action: str) -> ActionRefused | None:
        """Retry or cancel a payment that no block takes.

        Refuses ``unknown_payment``, ``frozen``, ``not_pinned`` and ``gas_at_its_cap``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchView:
    """A kill latch that holds. ``effective_us``: when the only person there is may release it."""

    id: str
    scope: str
    set_by: str
    reason: str
    set_us: int
    file: bool
    row: bool
    asked_by: str
    asked_us: int
    effective_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    """What the venue's own list of open orders shows of an account after cancelling."""

    account: str
    symbols: tuple[str, ...]
    cancelled: int
    left: tuple[str, ...]
    proven: bool
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillView:
    """A latch that was set: in a file, in a row, else in the platform's memory alone.

    ``proven``: nothing of ours stands at any account of its scope, and one was looked at.
    """

    scope: str
    file: bool
    row: bool
    proven: bool
    accounts: tuple[SweepView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What became of a wish to release; ``sentence`` says the verdict to a person.

    ``released``, ``second_person``, ``waits``, ``still_held`` where a latch holds that was not
    judged, ``held`` where the wish was taken back.
    """

    scope: str
    verdict: str
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLatchView:
    """A latch of an engine that holds, with what clears it."""

    kind: str
    subject: str
    cause: str
    since_us: int
    cleared_by: str
    released_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineView:
    """How the engine of one account is doing."""

    account: str
    ok: bool
    connected: bool
    reconciled: bool
    quoting: bool
    since_us: int
    why_not: str
    latches: tuple[EngineLatchView, ...]


@dataclass(frozen=True, slots=True)
class LatchReleased:
    """Whether such a latch held and was let go."""

    released: bool


class Safety(Protocol):
    """The kill switch and the engines."""

    async def latches(self) -> Sequence[LatchView]:
        """Kill latches that hold; those in files also while the database is away."""
        ...

    async def kill(self, scope: str, name: str, reason: str) -> KillView | ActionRefused:
        """Latch, cancel, prove. Refuses ``unknown_scope`` for what nobody here knows."""
        ...

    async def release(
        self, scope: str, approver: Approver, reason: str, ids: Sequence[str], before_us: int
    ) -> Released:
        """Release the latches of these ids, or note the wish.

        Without any: all of the scope that were set until ``before_us``.
        """
        ...

    async def take_back(self, scope: str) -> Released:
        """Take the wish back."""
        ...

    async def engines(self) -> Sequence[EngineView]:
        """Every engine of this process."""
        ...

    async def release_latch(
        self, account: str, kind: str, subject: str, word: str
    ) -> LatchReleased | ActionRefused:
        """Let a latch of an engine go. Refuses ``not_found`` for an unknown account or kind."""
        ...


class WithoutEngines:
    """``Safety`` of a process that runs no engine."""

    async def latches(self) -> Sequence[LatchView]:
        return ()

    async def kill(self, scope: str, name: str, reason: str) -> KillView | ActionRefused:  # noqa: ARG002
        return ActionRefused("unknown_scope", {"scope": scope})

    async def release(
        self,
        scope: str,
        approver: Approver,  # noqa: ARG002
        reason: str,  # noqa: ARG002
        ids: Sequence[str],  # noqa: ARG002
        before_us: int,  # noqa: ARG002
    ) -> Released:
        return Released(scope=scope, verdict="released")

    async def take_back(self, scope: str) -> Released:
        return Released(scope=scope, verdict="held")

    async def engines(self) -> Sequence[EngineView]:
        return ()

    async def release_latch(
        self,
        account: str,  # noqa: ARG002
        kind: str,  # noqa: ARG002
        subject: str,  # noqa: ARG002
        word: str,  # noqa: ARG002
    ) -> LatchReleased | ActionRefused:
        return ActionRefused("not_found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """All ports of the surfaces in one place.

    ``rng`` makes tokens: give it ``kernel.rng.system_rng()``. ``stopping`` is set when the process
    is about to end, so that open streams end first.
    """

    mode: WorldMode
    clock: Clock
    ids: Ids
    rng: Rng
    tokens: Tokens
    requests: Requests
    people: UserAdministration
    treasury: TreasuryActions
    orders: OrderActions
    payouts: AvailablePayouts
    outgoing: OutgoingPayments
    approvals: Approvals
    alone: LoneLimits
    reading: Reading
    attention: Attention
    interventions: Interventions
    live: Live
    stage: DemoProgress
    stopping: asyncio.Event
    safety: Safety = field(default_factory=WithoutEngines)
