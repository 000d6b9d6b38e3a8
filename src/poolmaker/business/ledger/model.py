"""Values of the ledger: legs, transactions and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolmaker.kernel.ids import CommandKey, LedgerId


class Refusal(StrEnum):
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
    STALE_PRICE = "stale_price"
    """The price is older than allowed."""
    TOO_EARLY = "too_early"
    """The minimum stay has not passed."""
    BELOW_MINIMUM = "below_minimum"
    """Less than the smallest first join, or no share would be minted."""
    NAV_AT_FLOOR = "nav_at_floor"
    """The pool is worth no more than its floor."""
    INSUFFICIENT = "insufficient"
    """The balance does not cover it."""
    NOT_FUNDED = "not_funded"
    """The venue account's custody does not cover pools and exits with it."""
    EQUITY_BELOW_ZERO = "equity_below_zero"
    """Platform equity would fall below zero."""


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
class Refused:
    """Refused and stored: the same key gets the same answer for ever."""

    reason: Refusal


Outcome = Posted | Refused


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of the log as consumers read it; ``body`` is the command's bytes."""

    ledger: LedgerId
    seq: int
    key: CommandKey
    kind: str
    at_us: int
    body: bytes
    legs: tuple[Leg, ...]
