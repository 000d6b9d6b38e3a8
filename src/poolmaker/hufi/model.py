"""Values of the HuFi client: what its servers say, and what a payment turned out to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import msgspec

from poolmaker.kernel.errors import PoolmakerError


class HufiRefused(PoolmakerError):
    """A server of HuFi's said no, in ``words``; ``status`` is that of HTTP."""

    code = "hufi_refused"

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HuFi refused: {words} ({status})")
        self.status = status
        self.words = words


class FileRefused(PoolmakerError):
    """A results file must not be read, or is not the one that the chain names."""

    code = "file_refused"


class LaunchedCampaign(msgspec.Struct):
    """A campaign as the launcher lists it; ``fund_amount`` in the token's smallest units."""

    chain_id: int
    address: str
    type: str
    exchange_name: str
    symbol: str
    details: dict[str, msgspec.Raw]
    start_date: str
    end_date: str
    fund_amount: str
    fund_token: str
    status: str
    cancellation_requested_at: int | None = None
    """Milliseconds since the Unix epoch."""


class LaunchedPage(msgspec.Struct):
    """A page of the launcher's list."""

    has_more: bool
    results: list[LaunchedCampaign]


class JoinedCampaign(msgspec.Struct):
    """A campaign as the recording oracle lists it for a participant."""

    chain_id: int
    address: str


class JoinedPage(msgspec.Struct):
    """A page of that list."""

    has_more: bool
    results: list[JoinedCampaign]


class JoinStatus(msgspec.Struct):
    """Whether we are in a campaign or could be."""

    status: str
    joined_at: str = ""
    reason: str = ""


class RegisteredKey(msgspec.Struct):
    """A key that the oracle holds for us, without its secret."""

    exchange_name: str
    api_key: str
    is_valid: bool
    missing_permissions: list[str] = []


class LeaderboardEntry(msgspec.Struct, frozen=True):
    """One participant on a leaderboard of the running day; for display only.

    ``result`` is raw volume or balance, ``estimated_reward`` is net of fees.
    """

    address: str
    score: Decimal
    result: Decimal
    estimated_reward: Decimal


class Leaderboard(msgspec.Struct, frozen=True):
    """A campaign's leaderboard."""

    data: tuple[LeaderboardEntry, ...]
    updated_at: str


class ParticipationState(StrEnum):
    """Where the wish to join a campaign is."""

    ASKING = "asking"
    """Stored; the oracle may or may not know of it."""
    JOINED = "joined"
    """The oracle said so."""
    REFUSED = "refused"
    """The oracle said no; asked again when that may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """One campaign that was asked for. ``reason`` is the oracle's last refusal in its own words."""

    campaign: str
    state: ParticipationState
    asked_us: int
    due_us: int
    tries: int = 0
    reason: str = ""
    joined_us: int = 0


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The venue account that takes part: its read-only pair, and the key that must never leave."""

    read_only_key: str
    read_only_secret: str = field(repr=False)
    trading_key: str
    trading_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Payout:
    """What an escrow's event says of one payment to us. ``payout_id`` is a hash, 0x and hex."""

    payout_id: str
    results_url: str
    results_hash: str


@dataclass(frozen=True, slots=True)
class Period:
    """The days that a payment is for, microseconds."""

    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class CampaignDays:
    """From when to when a campaign runs, and the length of its days, microseconds."""

    start_us: int
    end_us: int
    day_us: int


@dataclass(frozen=True, slots=True)
class Unattributed:
    """A transfer that is nobody's known reward, and why."""

    reason: str
