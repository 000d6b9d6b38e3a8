"""What HuFi knows: users, keys, campaigns, who takes part, what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final

from poolmaker.hufi import rules
from poolmaker.sandbox.chain.model import Token

Json = dict[str, object]


class EscrowStatus(IntEnum):
    """The contract's own states."""

    LAUNCHED = 0
    PENDING = 1
    PARTIAL = 2
    PAID = 3
    COMPLETE = 4
    CANCELLED = 5
    TO_CANCEL = 6


@dataclass(frozen=True, slots=True)
class Launch:
    """An escrow as the factory's log tells it."""

    address: str
    token: str
    requester: str
    block: int


@dataclass(frozen=True, slots=True)
class Payment:
    """One payout that is on the chain; amounts are smallest units, the oracles' fees included."""

    time_ms: int
    units: int


@dataclass(frozen=True, slots=True)
class EscrowState:
    """What the chain says of one escrow now."""

    address: str
    token: str
    status: EscrowStatus
    launcher: str
    oracles: tuple[str, str, str]
    fees: tuple[int, int, int]
    manifest: str
    manifest_hash: str
    fund_units: int
    remaining_units: int
    reserved_units: int
    balance_units: int
    intermediate_url: str
    intermediate_hash: str
    final_url: str
    payments: tuple[Payment, ...]
    created_ms: int
    cancel_requested_ms: int | None
    finalized_ms: int | None

    @property
    def paid_units(self) -> int:
        """All that was paid out, the oracles' fees included."""
        return sum(payment.units for payment in self.payments)


class ExchangePermission(StrEnum):
    """What an exchange key must allow."""

    BALANCE = "VIEW_ACCOUNT_BALANCE"
    DEPOSIT = "VIEW_DEPOSIT_ADDRESS"
    TRADES = "VIEW_SPOT_TRADING_HISTORY"


class Status(StrEnum):
    """What lists call a campaign."""

    ACTIVE = "active"
    TO_CANCEL = "to_cancel"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


class Processing(StrEnum):
    """How far the recording oracle is with a campaign."""

    ACTIVE = "active"
    TO_CANCEL = "to_cancel"
    PENDING_CANCELLATION = "pending_cancellation"
    CANCELLED = "cancelled"
    PENDING_COMPLETION = "pending_completion"
    COMPLETED = "completed"


STATUS_OF: Final = {
    Processing.ACTIVE: Status.ACTIVE,
    Processing.PENDING_COMPLETION: Status.ACTIVE,
    Processing.TO_CANCEL: Status.TO_CANCEL,
    Processing.PENDING_CANCELLATION: Status.TO_CANCEL,
    Processing.CANCELLED: Status.CANCELLED,
    Processing.COMPLETED: Status.COMPLETED,
}
LIVE: Final = frozenset({Processing.ACTIVE, Processing.TO_CANCEL})
STATUS_ON_CHAIN: Final = {
    EscrowStatus.LAUNCHED: Status.ACTIVE,
    EscrowStatus.PENDING: Status.ACTIVE,
    EscrowStatus.PARTIAL: Status.ACTIVE,
    EscrowStatus.PAID: Status.ACTIVE,
    EscrowStatus.COMPLETE: Status.COMPLETED,
    EscrowStatus.CANCELLED: Status.CANCELLED,
    EscrowStatus.TO_CANCEL: Status.TO_CANCEL,
}


@dataclass(slots=True, eq=False)
class ExchangeKey:
    """A user's key at one exchange, as it was when last checked."""

    key_id: str
    exchange: str
    key: str
    secret: str
    extras: Json | None
    missing: tuple[ExchangePermission, ...] = ()


@dataclass(slots=True, eq=False)
class Preferences:
    """What a user wants done without asking."""

    enabled: bool = False
    exchanges: list[str] = field(default_factory=list)
    campaign_types: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    notifies: bool = False


@dataclass(slots=True, eq=False)
class User:
    """A wallet that signed in once. Addresses of wallets are in lower case."""

    user_id: str
    address: str
    nonce: str
    refresh_token: str | None = None
    refresh_until_us: int = 0
    preferences: Preferences = field(default_factory=Preferences)
    keys: dict[str, ExchangeKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was found in order. ``details`` are its targets, as they were written."""

    terms: rules.Terms
    exchange: str
    day_ms: int
    details: Json
    end_text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Outcomes that one payout pays; ``payout_id`` is its text on the chain."""

    batch_id: str
    payout_id: str
    outcomes: tuple[rules.ScoreOutcome, ...]
    payments: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded period and what it pays, net of fees, in tokens."""

    from_ms: int
    to_ms: int
    pool: Decimal
    scores: rules.PeriodScores
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Interim:
    """The leaderboard of the running period."""

    scores: rules.PeriodScores
    pool: Decimal
    time_us: int


@dataclass(slots=True, eq=False)
class Campaign:
    """One escrow with its manifest, as the recording oracle knows it."""

    campaign_id: str
    address: str
    token: Token
    manifest: Manifest
    escrow: EscrowState
    seen_us: int
    processing: Processing = Processing.ACTIVE
    joined_ms: dict[str, int] = field(default_factory=dict)
    recorded: list[Recorded] = field(default_factory=list)
    interim: Interim | None = None

    @property
    def terms(self) -> rules.Terms:
        """What its manifest says about scoring."""
        return self.manifest.terms

    @property
    def status(self) -> Status:
        """What lists call it."""
        return STATUS_OF[self.processing]

    @property
    def fee_percent(self) -> int:
        """What the three oracles take together."""
        return sum(self.escrow.fees)

    @property
    def fund(self) -> Decimal:
        """What the launcher put in, in tokens."""
        return Decimal(self.escrow.fund_units).scaleb(-self.token.decimals)

    @property
    def net_fund(self) -> Decimal:
        """What it can pay, in tokens."""
        return rules.net_fund(self.fund, self.fee_percent, self.token.decimals)

    @property
    def daily_reward(self) -> Decimal:
        """The most that one of its days pays, in tokens."""
        return rules.daily_reward(
            self.terms, self.net_fund, self.token.decimals, self.manifest.day_ms
        )

    @property
    def until_ms(self) -> int:
        """When its last period ends: at the end or at the request to cancel."""
        requested = self.escrow.cancel_requested_ms
        return self.terms.end_ms if requested is None else min(self.terms.end_ms, requested)

    def next_period(self) -> tuple[int, int] | None:
        """The first period that is not recorded, None after the last."""
        start = self.recorded[-1].to_ms if self.recorded else self.terms.start_ms
        if start >= self.until_ms:
            return None
        return start, min(start + self.manifest.day_ms, self.until_ms)
