"""Values of rewards: what arrived, for which days, and who gets what of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import (
    CorrelationId,
    OrderId,
    PoolId,
    SagaId,
    UserId,
    content_hash,
    require_slug,
)
from poolmaker.kernel.money import AssetOnNetwork
from poolmaker.kernel.states import StateTable
from poolmaker.messages.base import Message

REWARD: Final = "reward"
KEY_MAX: Final = 512
PPM: Final = 1_000_000
SHARE_SCALE: Final = 18
"""Decimals in which shares of all epochs are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedReward:
    """One payment of a campaign to us, attributed to its days. Times are microseconds.

    ``key`` is its identity out there: chain, escrow, payout and recipient. ``location`` is the
    custody account where it stands, ``units`` atomic units of ``asset``. Only an ``is_final`` one
    is ever booked; one that is not may vanish.
    """

    key: str
    campaign: str
    location: str
    asset: str
    units: int
    from_us: int
    to_us: int
    transaction_id: str
    is_final: bool

    def __post_init__(self) -> None:
        require(0 < len(self.key) <= KEY_MAX, f"key: expected 1 to {KEY_MAX} characters")
        require_slug(self.campaign, "campaign")
        require(self.units > 0, "units: expected a positive int")
        require(self.from_us < self.to_us, "to_us: expected a time after from_us")


class RewardState(StrEnum):
    """Where a reward stands."""

    OBSERVED = "observed"
    """Seen outside and not final: shown, not booked."""
    VANISHED = "vanished"
    """It was seen and is not there any more; it may come back."""
    CONFIRMED = "confirmed"
    """Final: RECEIVE_REWARD is asked or posted."""
    TRANSFERRING = "transferring"
    """On its way to where users are paid from."""
    TRANSFERRED = "transferred"
    """There; it waits for the ledger to pass the end of its period, then for its weights."""
    ALLOCATING = "allocating"
    """The allocation is stored and ALLOCATE_REWARD is asked."""
    ALLOCATED = "allocated"
    """Everybody's part is fixed; the parts are being credited."""
    CREDITED = "credited"
    """Everybody has his part; payouts are being requested."""
    DONE = "done"
    """Over."""


class RewardEvent(StrEnum):
    """What happens to a reward."""

    SEEN_AGAIN = "seen_again"
    VANISHED = "vanished"
    CONFIRMED = "confirmed"
    RECEIVED = "received"
    DUST_ASKED = "dust_asked"
    ALL_DUST = "all_dust"
    IN_PLACE = "in_place"
    TRANSFER_ASKED = "transfer_asked"
    TRANSFER_REFUSED = "transfer_refused"
    ARRIVED = "arrived"
    NOT_ALLOCATED = "not_allocated"
    KEEP_ASKED = "keep_asked"
    KEPT = "kept"
    ALLOCATE_ASKED = "allocate_asked"
    ALLOCATE_POSTED = "allocate_posted"
    CREDITS_ASKED = "credits_asked"
    CREDITS_POSTED = "credits_posted"
    ALL_CREDITED = "all_credited"
    PAYOUTS_REQUESTED = "payouts_requested"
    CLOSED = "closed"


_S, _E = RewardState, RewardEvent

REWARD_TABLE: Final[StateTable[RewardState, RewardEvent]] = StateTable(
    name="Reward",
    initial=_S.OBSERVED,
    terminal=frozenset({_S.DONE}),
    transitions={
        (_S.OBSERVED, _E.SEEN_AGAIN): _S.OBSERVED,
        (_S.OBSERVED, _E.VANISHED): _S.VANISHED,
        (_S.VANISHED, _E.SEEN_AGAIN): _S.OBSERVED,
        (_S.OBSERVED, _E.CONFIRMED): _S.CONFIRMED,
        (_S.VANISHED, _E.CONFIRMED): _S.CONFIRMED,
        (_S.CONFIRMED, _E.RECEIVED): _S.CONFIRMED,
        (_S.CONFIRMED, _E.DUST_ASKED): _S.CONFIRMED,
        # Less than the smallest payable amount.
        (_S.CONFIRMED, _E.ALL_DUST): _S.DONE,
        (_S.CONFIRMED, _E.IN_PLACE): _S.TRANSFERRED,
        (_S.CONFIRMED, _E.TRANSFER_ASKED): _S.TRANSFERRING,
        (_S.TRANSFERRING, _E.TRANSFER_REFUSED): _S.TRANSFERRING,
        (_S.TRANSFERRING, _E.TRANSFER_ASKED): _S.TRANSFERRING,
        (_S.TRANSFERRING, _E.ARRIVED): _S.TRANSFERRED,
        (_S.TRANSFERRED, _E.NOT_ALLOCATED): _S.TRANSFERRED,
        # A person has decided that it is the operator's.
        (_S.TRANSFERRED, _E.KEEP_ASKED): _S.TRANSFERRED,
        (_S.TRANSFERRED, _E.KEPT): _S.DONE,
        (_S.TRANSFERRED, _E.ALLOCATE_ASKED): _S.ALLOCATING,
        (_S.ALLOCATING, _E.ALLOCATE_POSTED): _S.ALLOCATED,
        (_S.ALLOCATED, _E.CREDITS_ASKED): _S.ALLOCATED,
        (_S.ALLOCATED, _E.CREDITS_POSTED): _S.ALLOCATED,
        (_S.ALLOCATED, _E.ALL_CREDITED): _S.CREDITED,
        (_S.CREDITED, _E.PAYOUTS_REQUESTED): _S.CREDITED,
        (_S.CREDITED, _E.CLOSED): _S.DONE,
    },
)

UNBOOKED: Final = frozenset({_S.OBSERVED, _S.VANISHED})
"""Of these the ledger knows nothing."""


def reward_id(key: str) -> str:
    """The name of a reward in our books: a pure function of its key, fit for any identifier."""
    return f"rw_{content_hash(key.encode()).hex()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """A reward with its place in the books, atomic units of its asset.

    ``dust_units`` is what the place where users are paid cannot hold, ``fee_units`` the platform's
    part and ``users_units`` what all users get; the last two are 0 until it is allocated.
    ``credited`` counts the parts that are through, in the order of the allocation.
    """

    seen: ObservedReward
    seen_us: int
    state: RewardState = RewardState.OBSERVED
    pool: PoolId = PoolId("")
    transfer: str = ""
    dust_units: int = 0
    fee_units: int = 0
    users_units: int = 0
    credited: int = 0
    credited_units: int = 0

    @property
    def id(self) -> str:
        """Its name in our books."""
        return reward_id(self.seen.key)

    @property
    def saga(self) -> SagaId:
        """Its saga bears its name."""
        return SagaId(self.id)

    @property
    def correlation(self) -> CorrelationId:
        """All that happens to a reward is one story."""
        return CorrelationId(self.id)


@dataclass(frozen=True, slots=True)
class RewardLine:
    """One line of a reward's story; ``key`` is the ledger command that moved money, if any."""

    at_us: int
    state: RewardState
    event: str
    key: str = ""
    note: str = ""


class RewardData(Message, frozen=True, kw_only=True):
    """What the saga remembers. ``attempt`` counts transfers that were refused.

    ``last_user`` is up to whom payouts were considered.
    """

    received: bool = False
    dust_asked: bool = False
    attempt: int = 0
    transfer_asked: bool = False
    credits_asked: bool = False
    last_user: str = ""
    keep_asked: bool = False


class RewardTrouble(StrEnum):
    """What a person has to look at."""

    CONTRADICTED = "contradicted"
    """The payment was told again with another content, which is not believed."""
    TRANSFER_REFUSED = "transfer_refused"
    """It was refused the way to where users are paid; it is tried again."""
    NO_POOL = "no_pool"
    """Nobody knows whose campaign it was: no pool makes its market."""
    NO_WEIGHT = "no_weight"
    """Nobody had shares in the reward's period."""


class RewardDecisionKind(StrEnum):
    """What a person may decide about a reward that nobody can be given by the rules."""

    KEEP = "keep"
    """It is the operator's."""
    ASSIGN = "assign"
    """It belongs to the share holders of a named pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardDecision:
    """A named person's word on a reward. ``pool`` is empty unless it is assigned to one."""

    reward: str
    kind: RewardDecisionKind
    pool: PoolId
    by: str
    reason: str
    at_us: int


class RewardDecisionRefusal(StrEnum):
    """Why a decision is not taken."""

    UNKNOWN = "unknown_reward"
    NOT_WAITING = "reward_not_waiting"
    """It does not wait for a person."""
    UNKNOWN_POOL = "unknown_pool"


@dataclass(frozen=True, slots=True)
class RewardIncident:
    """One trouble of a reward; ``closed_us`` is 0 while it is open."""

    reward: str
    trouble: RewardTrouble
    opened_us: int
    note: str
    closed_us: int = 0


# ------------------------------------------------------------------------------------- shares


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareChange:
    """One change of an order's shares in a pool, in ledger time. ``units`` is signed, never 0."""

    seq: int
    at_us: int
    pool: PoolId
    epoch: int
    order: OrderId
    units: int


@dataclass(frozen=True, slots=True)
class ShareCursor:
    """Up to where the ledger's log is applied: its sequence and the ledger time there."""

    seq: int = 0
    at_us: int = 0


@dataclass(frozen=True, slots=True)
class ShareWindow:
    """The history of a pool's shares in ``[from_us, to_us)``: enough to compute every weight.

    Shares of every epoch are in the same unit, of 18 decimals.
    ``opening`` is what each order had at ``from_us``. It is complete when ``applied`` has reached
    ``to_us``.
    """

    from_us: int
    to_us: int
    opening: Mapping[OrderId, int]
    changes: tuple[ShareChange, ...]
    applied: ShareCursor

    @property
    def is_complete(self) -> bool:
        """Whether nothing can be added to it any more: ledger time only grows."""
        return self.applied.at_us >= self.to_us


# --------------------------------------------------------------------------------- allocation


class AllocationPart(Message, frozen=True, kw_only=True):
    """One order's part. ``weight`` is share units times microseconds, ``units`` atomic units."""

    order: OrderId
    user: UserId
    weight: int
    units: int


class Allocation(Message, frozen=True, kw_only=True):
    """Who gets what of a reward and why; its canonical bytes are what the ledger's digest proves.

    ``received_units`` = ``dust_units`` + ``fee_units`` + the parts. Every part is a multiple of
    ``step_units``. Parts are in the order of their order ids.
    """

    reward: str
    key: str
    campaign: str
    pool: PoolId
    asset: str
    from_us: int
    to_us: int
    received_units: int
    dust_units: int
    fee_ppm: int
    fee_units: int
    step_units: int
    parts: tuple[AllocationPart, ...]

    @property
    def users_units(self) -> int:
        """What all users get."""
        return sum(part.units for part in self.parts)


@dataclass(frozen=True, slots=True)
class StoredAllocation:
    """An allocation with the SHA-256 of its canonical bytes, hexadecimal."""

    allocation: Allocation
    digest: str


@dataclass(frozen=True, slots=True)
class RewardSummary:
    """A reward with its story and its incidents."""

    reward: Reward
    timeline: tuple[RewardLine, ...]
    incidents: tuple[RewardIncident, ...]


@dataclass(frozen=True, slots=True)
class UserPart:
    """One order's part of a reward as its user sees it."""

    reward: str
    campaign: str
    asset: str
    from_us: int
    to_us: int
    order: OrderId
    units: int
    credited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTotals:
    """Sums over all booked rewards of one asset, atomic units.

    What was received and is neither dust, fee nor users' waits for its allocation.
    """

    asset: str
    received: int
    dust: int
    fee: int
    users: int
    credited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionSettings:
    """What is taken and how long is waited.

    ``forms`` says how Mixin holds each form, by name: their decimals bound what can be paid.
    ``payout_min`` is by asset, atomic units; without one nothing is paid out by itself.
    """

    forms: Mapping[str, AssetOnNetwork] = field(default_factory=dict)
    fee_ppm: int = 0
    payout_min: Mapping[str, int] = field(default_factory=dict)
    ledger_first_us: int = SECOND_US // 50
    ledger_max_us: int = SECOND_US
    transfer_wait_us: int = 5 * SECOND_US
    shares_wait_us: int = SECOND_US // 5
    retry_us: int = 30 * SECOND_US
    batch: int = 100

    def __post_init__(self) -> None:
        # A fee of everything would leave nothing to allocate.
        require(0 <= self.fee_ppm < PPM, "fee_ppm: expected 0 or more and less than 1000000")
        require(self.batch > 0, "batch: expected a positive int")
