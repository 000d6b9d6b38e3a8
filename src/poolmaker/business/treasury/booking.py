"""Values about what people state or command: the answers, and what places say to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolmaker.business.ledger.model import LedgerRefusal


class StatementRefusal(StrEnum):
    """Why an operator's command is refused before the ledger is asked."""

    UNKNOWN_USER = "unknown_user"
    """There is no such user: the money stays where it is until somebody says whose it is."""
    BAD_AMOUNT = "bad_amount"
    """Zero or below."""
    UNKNOWN_PLACE = "unknown_place"
    """No place of that name is configured, or it reports what comes by itself."""
    AMOUNT_DIFFERS = "amount_differs"
    """The place reports another amount under that reference."""
    IS_TRANSFER = "is_transfer"
    """It is, or may be, a transfer of ours that is on its way there."""
    NOT_CONFIRMED = "not_confirmed"
    """The place does not know the reference: a second person is needed."""
    NOTHING_BEHIND = "nothing_behind"
    """The place does not report, or not for long enough, so much more than is booked there."""
    CUSTODY_STOPPED = "custody_stopped"
    """A custody incident stops what leaves that place."""
    NOT_FREE = "not_free"
    """Others are promised what is there."""
    UNKNOWN_INCIDENT = "unknown_incident"
    """There is no such open shortfall."""
    NOT_SEEN_AGAIN = "not_seen_again"
    """It was borne before, and the place has not been compared since."""
    DIFFERENCE_CHANGED = "difference_changed"
    """Another amount is missing than the one that was approved."""
    NOT_REVERSIBLE = "not_reversible"
    """There is no such transaction, or it is none that a person may reverse."""


@dataclass(frozen=True, slots=True)
class Booked:
    """In the ledger at ``seq``. ``already`` when the same command was booked before."""

    seq: int
    already: bool


@dataclass(frozen=True, slots=True)
class NotBooked:
    """Refused; nothing was moved. ``known_units`` is what the place reports, or what is free."""

    reason: LedgerRefusal | StatementRefusal
    known_units: int = 0


Booking = Booked | NotBooked


@dataclass(frozen=True, slots=True)
class Bearable:
    """What equity would bear of a shortfall now: atomic units, by which attempt."""

    asset: str
    units: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedDeposit:
    """What a place itself says came under a reference: its own identity there, and the amount.

    ``other_names`` are what people may call it besides.
    """

    reference: str
    units: int
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How a place was watched since a time.

    ``looked_us``: everything that had come until then has been told. ``unseen_us`` of the time
    since then nobody looked, up to now.
    """

    looked_us: int
    unseen_us: int
