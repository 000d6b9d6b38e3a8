"""Values of the ledger: legs, transactions and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.errors import InvariantBroken, PoolmakerError, TakenOver
from poolmaker.kernel.ids import CommandKey, LedgerId
from poolmaker.kernel.money import Asset

GENESIS_HASH: Final = bytes(32)


class Fenced(TakenOver):
    """Another writer took the ledger: nothing was written, this writer must stop."""

    code = "ledger_fenced"


class BooksDiverged(InvariantBroken):
    """What the writer decided is not what the database computes; nothing was written."""

    code = "ledger_diverged"


class Unbookable(PoolmakerError):
    """A fact cannot be booked yet. Nothing was written and nothing is lost: its stream waits.

    ``obstacle`` says why, ``subject`` what has to be mended; an incident is open.
    """

    code = "ledger_unbookable"

    def __init__(self, obstacle: BlockReason, subject: str) -> None:
        super().__init__(f"{obstacle.value}: {subject}")
        self.obstacle = obstacle
        self.subject = subject


class BlockReason(StrEnum):
    """Why a fact has to wait; a fact is never refused."""

    UNKNOWN_ASSET = "unknown_asset"
    """Its asset is not registered."""
    MALFORMED = "malformed"
    """Its amounts, its rate or its location make no sense."""


class LedgerRefusal(StrEnum):
    """Why a request was refused; when several hold, the earliest member is given."""

    SAME_KEY_DIFFERENT_CONTENT = "same_key_different_content"
    """The key was used for another command: a conflict, recorded."""
    UNKNOWN_ASSET = "unknown_asset"
    """The asset is not registered."""
    BAD_AMOUNT = "bad_amount"
    """Zero, negative or beyond 38 digits where that makes no sense."""
    UNKNOWN_POOL = "unknown_pool"
    """Nobody has joined that pool."""
    UNKNOWN_ORDER = "unknown_order"
    """The order holds nothing of what is asked."""
    POOL_MISMATCH = "pool_mismatch"
    """Account or assets are not those of the pool."""
    UNKNOWN_EXIT = "unknown_exit"
    """The exit does not exist or is closed."""
    UNKNOWN_TRANSACTION = "unknown_transaction"
    """There is nothing under that key to reverse."""
    BLOCKED_BY_DEFICIT = "blocked_by_deficit"
    """The owner has an open deficit."""
    BEHIND_BARRIER = "behind_barrier"
    """Facts that stand before the barrier are not booked yet."""
    TOO_EARLY = "too_early"
    """The minimum stay or the time after a leave has not passed."""
    UNSETTLED_FACTS = "unsettled_facts"
    """Orders with an unknown outcome or fees without a price could still change the capital."""
    STALE_PRICE = "stale_price"
    """The price is older than allowed."""
    PRICES_DIVERGE = "prices_diverge"
    """A price that is needed is missing, or mid, average and depth prices are too far apart."""
    BELOW_MINIMUM = "below_minimum"
    """Less than the smallest first join or holding, or no share would be minted."""
    ABOVE_MAXIMUM = "above_maximum"
    """More than the largest holding, or than the pool takes altogether."""
    BELOW_LEAST_SHARES = "below_least_shares"
    """Fewer shares than the least that the user accepts."""
    NAV_AT_FLOOR = "nav_at_floor"
    """The pool is worth no more than its floor."""
    INSUFFICIENT = "insufficient"
    """The balance does not cover it."""
    NOT_FUNDED = "not_funded"
    """The venue account's custody does not cover pools and exits with it."""
    EQUITY_BELOW_ZERO = "equity_below_zero"
    """Platform equity would fall below zero."""
    SET_ASIDE = "set_aside"
    """It could not be booked, and a person has decided that it never is."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry: raw ``units`` (debit positive) of ``asset`` on ``account``."""

    account: str
    asset: str
    units: int


@dataclass(frozen=True, slots=True)
class Posted:
    """Applied at ``seq`` and durable. ``already`` when it had been applied before this ask."""

    seq: int
    at_us: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class PostingRefused:
    """Refused and stored: the same key gets the same answer for ever."""

    reason: LedgerRefusal


Outcome = Posted | PostingRefused


@dataclass(frozen=True, slots=True)
class LedgerTransaction:
    """One transaction of the log as consumers read it; ``body`` is the command's bytes."""

    ledger: LedgerId
    seq: int
    key: CommandKey
    kind: str
    at_us: int
    body: bytes
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry in normal units: growth is positive; ``balance_units`` is the balance behind it."""

    seq: int
    at_us: int
    key: CommandKey
    kind: str
    account: str
    asset: str
    units: int
    balance_units: int


@dataclass(frozen=True, slots=True)
class WriterLease:
    """Who may write the ledger, in which epoch, until when by the store's clock."""

    holder: str
    epoch: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Flow:
    """What transactions of one kind moved on one account in all, in normal units of one asset."""

    account: str
    kind: str
    asset: str
    units: int


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest point of a ledger's log. ``epoch`` is the fence: only its owner appends."""

    epoch: int
    seq: int
    hash: bytes
    at_us: int


@dataclass(frozen=True, slots=True)
class Line:
    """A leg as it is stored: ``after_units`` is the raw balance of its account behind it."""

    leg: Leg
    after_units: int


@dataclass(frozen=True, slots=True)
class Posting:
    """A transaction about to be stored. ``chain_hash`` covers it and all before it."""

    seq: int
    key: CommandKey
    kind: str
    at_us: int
    body: bytes
    body_hash: bytes
    chain_hash: bytes
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class StoredRefusal:
    """A refusal about to be stored under its key."""

    key: CommandKey
    body_hash: bytes
    at_us: int
    reason: LedgerRefusal


@dataclass(frozen=True, slots=True)
class CommandConflict:
    """A key that came again with another body; recorded, never applied."""

    key: CommandKey
    body: bytes
    body_hash: bytes
    at_us: int


class IncidentKind(StrEnum):
    """What a person has to look at."""

    DEFICIT = "deficit"
    """A fact took more than was there; the owner's way out is closed."""
    CUSTODY_BELOW_ZERO = "custody_below_zero"
    """A fact took more from a place than we knew to be there."""
    UNBOOKABLE = "unbookable"
    """A fact waits until its obstacle is mended."""


@dataclass(frozen=True, slots=True)
class LedgerIncident:
    """Opened once per (kind, subject, key). ``key`` is the command that caused it."""

    kind: IncidentKind
    subject: str
    key: CommandKey
    at_us: int


@dataclass(frozen=True, slots=True)
class State:
    """One small fact beside the balances: ``kind`` and ``name`` are its identity."""

    kind: str
    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What became of a command row: exactly one of ``seq`` and ``reason`` is set."""

    row: int
    seq: int | None
    reason: LedgerRefusal | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything one append writes, whole or not at all.

    It holds only if the head still is (``epoch``, ``from_seq``). ``balances`` are the raw
    balances that the writer computed: the store computes its own and raises BooksDiverged when
    they differ.
    """

    epoch: int
    from_seq: int
    postings: tuple[Posting, ...]
    refusals: tuple[StoredRefusal, ...]
    conflicts: tuple[CommandConflict, ...]
    incidents: tuple[LedgerIncident, ...]
    assets: tuple[Asset, ...]
    states: tuple[State, ...]
    balances: tuple[Leg, ...]
    rows: tuple[RowAnswer, ...]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a key was answered, with the hash of the body that got it."""

    body_hash: bytes
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """A command row that is not answered yet."""

    row: int
    key: CommandKey
    body: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything the writer keeps in memory, as stored at ``head``: enough to rebuild the books.

    ``balances`` are raw, without the ones at zero, in any order.
    """

    head: LedgerHead
    assets: tuple[Asset, ...]
    balances: tuple[Leg, ...]
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Audited:
    """A stored transaction with everything that proves it."""

    transaction: LedgerTransaction
    epoch: int
    body_hash: bytes
    chain_hash: bytes
    lines: tuple[Line, ...]
    idem_seq: int | None
    idem_body_hash: bytes | None
