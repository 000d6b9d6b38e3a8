"""Values of the treasury: what an operator is answered, and where custody is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolmaker.business.ledger.model import Refusal


class Trouble(StrEnum):
    """Why an operator's command is refused before the ledger is asked."""

    UNKNOWN_USER = "unknown_user"
    """There is no such user: the money stays where it is until somebody says whose it is."""
    BAD_AMOUNT = "bad_amount"
    """Zero or below."""


@dataclass(frozen=True, slots=True)
class Booked:
    """In the ledger at ``seq``. ``already`` when the same command was booked before."""

    seq: int
    already: bool


@dataclass(frozen=True, slots=True)
class NotBooked:
    """Refused; nothing was moved."""

    reason: Refusal | Trouble


Booking = Booked | NotBooked


@dataclass(frozen=True, slots=True)
class InFlight:
    """Money that a place may have let go before the ledger says so, atomic units."""

    location: str
    asset: str
    units: int
    what: str


@dataclass(frozen=True, slots=True)
class CustodyRow:
    """What the ledger says is at a place, and by which named rows the place may already differ."""

    location: str
    asset: str
    units: int
    in_flight: tuple[InFlight, ...]
