"""Values of user orders: users, orders with their time line, and the states of funding and exit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import (
    CommandKey,
    CorrelationId,
    OrderId,
    PoolId,
    SagaId,
    UserId,
    VenueAccountId,
    WithdrawalId,
)
from poolmaker.kernel.states import StateTable
from poolmaker.messages.base import Message, Money

NO_CHILD: Final = SagaId("")

FUND: Final = "order.fund"
EXIT: Final = "order.exit"

MIXIN: Final = "mixin"
"""The network of payouts to a Mixin user: the address is his user id there."""

NAME_MAX: Final = 80
ADDRESS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whose money we may owe. ``mixin_id`` is their user id at Mixin.

    Only users of before have none; they bind one by a payment from it. ``disabled_us``: since when
    they may open nothing, 0 for never.
    """

    id: UserId
    name: str
    created_us: int
    mixin_id: str = ""
    disabled_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletClaim:
    """A user says that a wallet is theirs. A payment from it that names ``trace`` proves it."""

    trace: str
    user: UserId
    mixin_id: str
    claimed_us: int
    until_us: int


class UserOrderState(StrEnum):
    """Where an order stands."""

    CREATED = "created"
    """Its funds are not reserved yet."""
    LOCKED = "locked"
    """Its funds are reserved."""
    FUNDING = "funding"
    """It waits for its place in the pool."""
    IN_MM = "in_mm"
    """Its shares make the market."""
    PAUSE = "pause"
    """It is out of the pool; its funds are still reserved."""
    WITHDRAW = "withdraw"
    """Its funds are on their way out."""
    CLOSED = "closed"
    """It is over."""
    EXPIRED = "expired"
    """Its funds did not come in time."""
    REFUNDED = "refunded"
    """The pool did not take it; its funds are the user's again."""


class UserOrderEvent(StrEnum):
    """What happens to an order."""

    LOCK_POSTED = "lock_posted"
    LOCK_REFUSED = "lock_refused"
    DEADLINE_PASSED = "deadline_passed"
    FUNDING_STARTED = "funding_started"
    JOINED = "joined"
    GIVEN_BACK = "given_back"
    HELD_BACK = "held_back"
    JOINED_MORE = "joined_more"
    EXCESS_RETURNED = "excess_returned"
    LEFT = "left"
    RESUMED = "resumed"
    PAYOUT_STARTED = "payout_started"
    PAYOUT_ENDED = "payout_ended"
    NOTHING_LEFT = "nothing_left"


ORDER_TABLE: Final[StateTable[UserOrderState, UserOrderEvent]] = StateTable(
    name="User order",
    initial=UserOrderState.CREATED,
    terminal=frozenset({UserOrderState.CLOSED, UserOrderState.EXPIRED, UserOrderState.REFUNDED}),
    transitions={
        (UserOrderState.CREATED, UserOrderEvent.LOCK_POSTED): UserOrderState.LOCKED,
        (UserOrderState.CREATED, UserOrderEvent.LOCK_REFUSED): UserOrderState.CLOSED,
        (UserOrderState.CREATED, UserOrderEvent.DEADLINE_PASSED): UserOrderState.EXPIRED,
        (UserOrderState.LOCKED, UserOrderEvent.FUNDING_STARTED): UserOrderState.FUNDING,
        # The user changed his mind before the pool took the order.
        (UserOrderState.LOCKED, UserOrderEvent.HELD_BACK): UserOrderState.PAUSE,
        (UserOrderState.FUNDING, UserOrderEvent.HELD_BACK): UserOrderState.PAUSE,
        (UserOrderState.FUNDING, UserOrderEvent.JOINED): UserOrderState.IN_MM,
        (UserOrderState.FUNDING, UserOrderEvent.GIVEN_BACK): UserOrderState.REFUNDED,
        # What was not in the pool's ratio joins later, or goes back to its user.
        (UserOrderState.IN_MM, UserOrderEvent.JOINED_MORE): UserOrderState.IN_MM,
        (UserOrderState.IN_MM, UserOrderEvent.EXCESS_RETURNED): UserOrderState.IN_MM,
        (UserOrderState.IN_MM, UserOrderEvent.LEFT): UserOrderState.PAUSE,
        (UserOrderState.PAUSE, UserOrderEvent.RESUMED): UserOrderState.FUNDING,
        (UserOrderState.PAUSE, UserOrderEvent.PAYOUT_STARTED): UserOrderState.WITHDRAW,
        (UserOrderState.PAUSE, UserOrderEvent.NOTHING_LEFT): UserOrderState.CLOSED,
        (UserOrderState.WITHDRAW, UserOrderEvent.PAYOUT_ENDED): UserOrderState.CLOSED,
    },
)


class RequestedAction(StrEnum):
    """What the user wants of an order; his child saga obeys at its next safe point."""

    NONE = "none"
    """Make the market."""
    PAUSE = "pause"
    """Leave the pool, keep the funds reserved."""
    WITHDRAW = "withdraw"
    """Leave the pool and pay out."""
    TAKE_BACK = "take_back"
    """Stay in the pool with what has joined; what waits for a price goes back, free of charge."""


class PayoutDestination(Message, frozen=True, kw_only=True):
    """Where an asset is paid out to. ``tag`` is what some networks want beside an address."""

    asset: str
    network: str
    address: str
    tag: str = ""

    def __post_init__(self) -> None:
        """Refuse what no network could mean."""
        for name in ("asset", "network", "address"):
            require(getattr(self, name).strip(), f"{name}: expected a text")
        require(len(self.address) <= ADDRESS_MAX, f"address: at most {ADDRESS_MAX} characters")
        require(len(self.tag) <= ADDRESS_MAX, f"tag: at most {ADDRESS_MAX} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A user's order for a pool. ``base`` and ``quote`` are what he put in; one may be zero.

    ``child`` is the saga at work, empty when there is none; ``children`` counts all there were.
    ``shares`` of ``share_asset`` are held since ``joined_at_us`` while the order is IN_MM.
    ``by_mixin``: its user pays it from his Mixin wallet and is paid out there. ``shares_min`` is
    the least that its first join may mint, 0 where its user named none.
    """

    id: OrderId
    user: UserId
    pool: PoolId
    account: VenueAccountId
    base: Money
    quote: Money
    created_us: int
    state: UserOrderState = UserOrderState.CREATED
    wish: RequestedAction = RequestedAction.NONE
    child: SagaId = NO_CHILD
    children: int = 0
    share_asset: str = ""
    shares: int = 0
    joined_at_us: int = 0
    destinations: tuple[PayoutDestination, ...] = ()
    by_mixin: bool = False
    reason: str = ""
    shares_min: int = 0

    @property
    def correlation(self) -> CorrelationId:
        """All that happens to an order is one story."""
        return CorrelationId(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositLeg:
    """What an order waits for of one asset. ``trace`` is the payment link's.

    ``paid_units`` have come and are credited; ``key`` is the newest credit's, empty before.
    """

    trace: str
    intent: str
    order: OrderId
    asset: str
    units: int
    paid_units: int = 0
    key: str = ""

    @property
    def is_paid(self) -> bool:
        """Whether all of it has come."""
        return self.paid_units >= self.units


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositIntent:
    """What a user is asked to pay for an order until ``until_us``; ``memo`` names it as well."""

    id: str
    order: OrderId
    memo: bytes
    until_us: int
    legs: tuple[DepositLeg, ...]


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """One line of an order's story; ``key`` is the ledger command that moved money, if any."""

    at_us: int
    state: UserOrderState
    event: str
    key: str = ""
    note: str = ""


class OrderRefusal(StrEnum):
    """Why a user's request is refused; when several hold, the earliest member is given."""

    SAME_KEY_DIFFERENT_CONTENT = "same_key_different_content"
    """The caller's key was used for another request."""
    UNKNOWN_USER = "unknown_user"
    """There is no such user."""
    USER_DISABLED = "user_disabled"
    """The operator has disabled the user."""
    WALLET_TAKEN = "wallet_taken"
    """The user has a wallet already, or the wallet is another user's."""
    UNKNOWN_POOL = "unknown_pool"
    """There is no such pool."""
    POOL_PAUSED = "pool_paused"
    """The operator has paused the pool."""
    BAD_AMOUNT = "bad_amount"
    """Below zero, or nothing at all; through Mixin also what its form cannot carry to the venue,
    or what the fee of the way there would take."""
    BELOW_MINIMUM = "below_minimum"
    """Less than the smallest order of the pool."""
    NO_WALLET = "no_wallet"
    """The user has no Mixin id, or Mixin does not hold the asset."""
    UNKNOWN_ORDER = "unknown_order"
    """The user has no such order."""
    WRONG_STATE = "wrong_state"
    """The order is not where this is possible."""
    STILL_WAITING = "still_waiting"
    """What waits for a price has not waited long enough to be taken back."""
    DESTINATION_MISSING = "destination_missing"
    """An asset of the pool has no destination, or has two."""
    DESTINATION_REFUSED = "destination_refused"
    """It is not the user's own wallet, or payouts do not go to that network."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Recorded; ``order`` is on its way. The same request again answers the same."""

    order: OrderId


@dataclass(frozen=True, slots=True)
class Declined:
    """Refused; nothing was changed."""

    reason: OrderRefusal


Answer = Accepted | Declined


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request that was accepted once under the caller's ``key``."""

    key: str
    body_hash: bytes
    subject: str
    at_us: int


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """An order as its user sees it. ``step`` says where its child stands, empty without one."""

    order: Order
    step: str
    note: str
    timeline: tuple[TimelineLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """What a user is owed of one asset, atomic units, without his part of pools."""

    asset: str
    available: int
    locked: int


# ------------------------------------------------------------------------------------ funding


class FundState(StrEnum):
    """Where the funding of an order stands."""

    AWAITING_DEPOSITS = "awaiting_deposits"
    """Its user has not paid all legs yet."""
    LOCKING = "locking"
    """LOCK is asked."""
    LOCKED = "locked"
    """The funds are reserved."""
    CHARGING = "charging"
    """PLATFORM_FEE is asked: what was quoted for the way to the venue."""
    FUNDING = "funding"
    """The venue account has not enough yet that nobody claims."""
    QUEUED = "queued"
    """It waits for a barrier."""
    JOINING = "joining"
    """JOIN_POOL is asked."""
    UNFUNDED = "unfunded"
    """The venue account does not hold enough yet, or a deficit must be mended first."""
    UNLOCKING = "unlocking"
    """The pool does not take it, or its user took it back: UNLOCK is asked."""
    DONE = "done"
    """Over."""


class FundEvent(StrEnum):
    """What happens to a funding."""

    DEPOSITED = "deposited"
    EXPIRED = "expired"
    CHARGE_ASKED = "charge_asked"
    CHARGED = "charged"
    CASH_WANTED = "cash_wanted"
    LOCK_POSTED = "lock_posted"
    LOCK_REFUSED = "lock_refused"
    QUEUED = "queued"
    REQUEUED = "requeued"
    BARRIER_MET = "barrier_met"
    JOINED = "joined"
    PART_JOINED = "part_joined"
    PRICE_AWAITED = "price_awaited"
    NOT_NOW = "not_now"
    GIVE_BACK = "give_back"
    UNLOCKED = "unlocked"
    UNLOCK_REFUSED = "unlock_refused"
    HELD_BACK = "held_back"


FUND_TABLE: Final[StateTable[FundState, FundEvent]] = StateTable(
    name="Funding of an order",
    initial=FundState.AWAITING_DEPOSITS,
    terminal=frozenset({FundState.DONE}),
    transitions={
        (FundState.AWAITING_DEPOSITS, FundEvent.DEPOSITED): FundState.LOCKING,
        (FundState.AWAITING_DEPOSITS, FundEvent.EXPIRED): FundState.DONE,
        (FundState.LOCKING, FundEvent.LOCK_POSTED): FundState.LOCKED,
        (FundState.LOCKING, FundEvent.LOCK_REFUSED): FundState.DONE,
        (FundState.LOCKED, FundEvent.CHARGE_ASKED): FundState.CHARGING,
        (FundState.LOCKED, FundEvent.CASH_WANTED): FundState.FUNDING,
        (FundState.LOCKED, FundEvent.QUEUED): FundState.QUEUED,
        (FundState.LOCKED, FundEvent.HELD_BACK): FundState.DONE,
        (FundState.CHARGING, FundEvent.CHARGED): FundState.LOCKED,
        (FundState.FUNDING, FundEvent.QUEUED): FundState.QUEUED,
        (FundState.FUNDING, FundEvent.HELD_BACK): FundState.DONE,
        (FundState.QUEUED, FundEvent.REQUEUED): FundState.QUEUED,
        (FundState.QUEUED, FundEvent.BARRIER_MET): FundState.JOINING,
        (FundState.QUEUED, FundEvent.HELD_BACK): FundState.DONE,
        (FundState.QUEUED, FundEvent.GIVE_BACK): FundState.UNLOCKING,
        (FundState.JOINING, FundEvent.JOINED): FundState.DONE,
        # What is not in the pool's ratio waits for a barrier whose prices agree.
        (FundState.JOINING, FundEvent.PART_JOINED): FundState.QUEUED,
        (FundState.JOINING, FundEvent.PRICE_AWAITED): FundState.QUEUED,
        (FundState.JOINING, FundEvent.REQUEUED): FundState.QUEUED,
        (FundState.JOINING, FundEvent.NOT_NOW): FundState.UNFUNDED,
        (FundState.JOINING, FundEvent.GIVE_BACK): FundState.UNLOCKING,
        (FundState.JOINING, FundEvent.HELD_BACK): FundState.DONE,
        (FundState.UNFUNDED, FundEvent.REQUEUED): FundState.QUEUED,
        (FundState.UNFUNDED, FundEvent.GIVE_BACK): FundState.UNLOCKING,
        (FundState.UNFUNDED, FundEvent.HELD_BACK): FundState.DONE,
        (FundState.UNLOCKING, FundEvent.UNLOCK_REFUSED): FundState.UNLOCKING,
        (FundState.UNLOCKING, FundEvent.UNLOCKED): FundState.DONE,
    },
)


class FundData(Message, frozen=True, kw_only=True):
    """What a funding remembers. ``attempt`` of JOIN, ``unlock`` of UNLOCK, ``round`` of tickets.

    ``charges`` are the fees that were asked for; ``charged`` that this is over. ``base_units``
    and ``quote_units`` are what the last command offers or moves. ``price_waits`` counts joins in
    a row that found no price for the excess, ``price_since_us`` is when it began to wait, 0 before.
    """

    order: OrderId
    resumed: bool = False
    charges: tuple[Money, ...] = ()
    charged: bool = False
    attempt: int = 0
    round: int = 0
    unlock: int = 0
    base_units: int = 0
    quote_units: int = 0
    price_waits: int = 0
    price_since_us: int = 0


# --------------------------------------------------------------------------------------- exit


class ExitState(StrEnum):
    """Where the exit of an order stands."""

    STAYING = "staying"
    """Its minimum stay is not over, or a deficit must be mended first."""
    DRAINING = "draining"
    """The pool's orders are reduced and a barrier is on its way."""
    LEAVING = "leaving"
    """LEAVE_POOL is asked."""
    SETTLING = "settling"
    """SETTLE_EXIT is asked."""
    EVIDENCE = "evidence"
    """A part is out; the rest waits until UNKNOWN orders are known and fees have their price."""
    SETTLED = "settled"
    """Everything is in the order's locked funds."""
    CHARGING = "charging"
    """PLATFORM_FEE is asked: what was quoted for the way back."""
    UNLOCKING = "unlocking"
    """UNLOCK is asked, the payout follows."""
    PAYING = "paying"
    """Withdrawals are at work."""
    DONE = "done"
    """Over."""


class ExitEvent(StrEnum):
    """What happens to an exit."""

    STAYED = "stayed"
    BARRIER_MET = "barrier_met"
    REQUEUED = "requeued"
    NOT_NOW = "not_now"
    LEFT = "left"
    SETTLE_REFUSED = "settle_refused"
    PART_SETTLED = "part_settled"
    EVIDENCE_MET = "evidence_met"
    ALL_SETTLED = "all_settled"
    PAUSED = "paused"
    NOTHING_LEFT = "nothing_left"
    CHARGE_ASKED = "charge_asked"
    CHARGED = "charged"
    UNLOCK_ASKED = "unlock_asked"
    UNLOCK_REFUSED = "unlock_refused"
    PAYOUT_STARTED = "payout_started"
    PAYOUT_ENDED = "payout_ended"


EXIT_TABLE: Final[StateTable[ExitState, ExitEvent]] = StateTable(
    name="Exit of an order",
    initial=ExitState.STAYING,
    terminal=frozenset({ExitState.DONE}),
    transitions={
        (ExitState.STAYING, ExitEvent.STAYED): ExitState.DRAINING,
        (ExitState.DRAINING, ExitEvent.BARRIER_MET): ExitState.LEAVING,
        (ExitState.LEAVING, ExitEvent.REQUEUED): ExitState.DRAINING,
        (ExitState.LEAVING, ExitEvent.NOT_NOW): ExitState.STAYING,
        (ExitState.LEAVING, ExitEvent.LEFT): ExitState.SETTLING,
        (ExitState.SETTLING, ExitEvent.SETTLE_REFUSED): ExitState.SETTLING,
        (ExitState.SETTLING, ExitEvent.PART_SETTLED): ExitState.EVIDENCE,
        (ExitState.SETTLING, ExitEvent.ALL_SETTLED): ExitState.SETTLED,
        (ExitState.EVIDENCE, ExitEvent.EVIDENCE_MET): ExitState.SETTLING,
        (ExitState.SETTLED, ExitEvent.PAUSED): ExitState.DONE,
        (ExitState.SETTLED, ExitEvent.NOTHING_LEFT): ExitState.DONE,
        (ExitState.SETTLED, ExitEvent.CHARGE_ASKED): ExitState.CHARGING,
        (ExitState.CHARGING, ExitEvent.CHARGED): ExitState.SETTLED,
        (ExitState.SETTLED, ExitEvent.UNLOCK_ASKED): ExitState.UNLOCKING,
        (ExitState.UNLOCKING, ExitEvent.UNLOCK_REFUSED): ExitState.UNLOCKING,
        (ExitState.UNLOCKING, ExitEvent.PAYOUT_STARTED): ExitState.PAYING,
        (ExitState.PAYING, ExitEvent.PAYOUT_ENDED): ExitState.DONE,
    },
)


class ExitData(Message, frozen=True, kw_only=True):
    """What an exit remembers. ``settles`` counts SETTLE_EXIT that posted, ``round`` the tickets.

    ``*_at_risk`` is the least that UNKNOWN orders and unpriced fees of the leaver's time could
    still take, at the newest barrier; ``orders_open`` and ``fees_open`` count them. ``left_us`` is
    when the shares were burnt. ``base_units`` and ``quote_units`` are what is paid out.
    ``charges`` are the fees that were asked for and ``dust`` what no payout can carry; ``charged``
    that this is over.
    """

    order: OrderId
    exit_id: str = ""
    attempt: int = 0
    round: int = 0
    settles: int = 0
    settle: int = 0
    unlock: int = 0
    base_at_risk: int = 0
    quote_at_risk: int = 0
    base_units: int = 0
    quote_units: int = 0
    charges: tuple[Money, ...] = ()
    dust: tuple[Money, ...] = ()
    charged: bool = False
    payouts: tuple[WithdrawalId, ...] = ()
    orders_open: int = 0
    fees_open: int = 0
    left_us: int = 0


class PayoutEnd(StrEnum):
    """How a withdrawal ended."""

    PAID = "paid"
    """The receiver has it."""
    NOT_PAID = "not_paid"
    """It could not be paid; the money is the user's available again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRequest:
    """What an exit asks of withdrawals. The same ``key`` is the same withdrawal for ever.

    ``source`` is the custody account that pays; ``saga`` is woken when the withdrawal has ended.
    """

    key: CommandKey
    user: UserId
    source: str
    money: Money
    destination: PayoutDestination
    saga: SagaId
    correlation: CorrelationId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """Waiting times. A wait for the ledger looks again soon, others are woken and look seldom.

    ``mixin_forms`` names the form in which Mixin holds an asset; what it does not name is not
    paid through Mixin. The fees are what an order that is paid through Mixin was quoted for the
    way to the venue and back, in atomic units by asset. ``steps`` are the smallest amounts that an
    asset's form can carry, in atomic units by asset and network, 1 where nothing is said. When a
    user's last order ends, what else is available to him goes to his wallet too, from
    ``leftover_min`` atomic units of an asset on; assets that are not named stay.

    ``own_wallet_only`` is switched off only where users have no wallets: in worlds of tests.

    ``price_first_us`` to ``price_max_us`` is how long an excess without a price waits before the
    next barrier is asked, doubled each time, so that a large one does not keep the prices of
    others away; from ``take_back_us`` on its user may take it back. An exit waits for the price of
    a fee for ``fee_wait_us`` at most: no payout waits for a price for ever.
    """

    own_wallet_only: bool = True

    mixin_forms: Mapping[str, str] = field(default_factory=dict)
    funding_fees: Mapping[str, int] = field(default_factory=dict)
    exit_fees: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[tuple[str, str], int] = field(default_factory=dict)
    leftover_min: Mapping[str, int] = field(default_factory=dict)
    deposit_wait_us: int = 15 * MINUTE_US
    ledger_first_us: int = SECOND_US // 50
    ledger_max_us: int = SECOND_US
    event_wait_us: int = 5 * SECOND_US
    retry_us: int = 10 * SECOND_US
    price_first_us: int = SECOND_US
    price_max_us: int = 5 * MINUTE_US
    take_back_us: int = 10 * MINUTE_US
    fee_wait_us: int = 10 * MINUTE_US
