"""Values of campaigns: what is offered, for how long, and whether we take part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import PoolId, VenueAccountId, require_slug
from poolmaker.kernel.states import StateTable

NO_POOL: Final = PoolId("")


class CampaignStatus(StrEnum):
    """What whoever runs a campaign says of it."""

    ACTIVE = "active"
    """Its days run or will run."""
    ENDING = "ending"
    """Cancellation was asked for: its running day is the last."""
    ENDED = "ended"
    """Completed or cancelled; what was earned may still be paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCampaign:
    """A campaign as it is offered outside. Times are microseconds, ``fund_units`` of ``form``.

    ``cancelled_us`` is when its cancellation was asked for: nothing counts from then on; 0 before.

    ``id`` is a slug and its identity for ever, such as ``hufi-1338-0xab…``. ``market`` is a symbol
    such as BTC/USDT, or a code for campaigns that count balances.
    """

    id: str
    source: str
    kind: str
    venue: str
    market: str
    start_us: int
    end_us: int
    day_us: int
    form: str
    fund_units: int
    target: str
    status: CampaignStatus
    cancelled_us: int = 0

    def __post_init__(self) -> None:
        require_slug(self.id, "campaign")
        require(self.start_us < self.end_us, "end_us: expected a time after the start")
        require(self.day_us > 0, "day_us: expected a positive int")
        require(self.fund_units >= 0, "fund_units: expected 0 or more")


class JoinState(StrEnum):
    """Whether we take part in a campaign."""

    SEEN = "seen"
    """It is offered; it is none of our pools' or nobody wants it yet."""
    WANTED = "wanted"
    """A pool of ours makes its market: it is to be joined."""
    JOINED = "joined"
    """We take part."""
    REFUSED = "refused"
    """Whoever runs it does not let us take part, for good."""
    ENDED = "ended"
    """It is over."""


class JoinEvent(StrEnum):
    """What happens to our taking part."""

    WANTED = "wanted"
    JOINED = "joined"
    PUT_OFF = "put_off"
    REFUSED = "refused"
    WANTED_AGAIN = "wanted_again"
    ENDED = "ended"


_S, _E = JoinState, JoinEvent

JOIN_TABLE: Final[StateTable[JoinState, JoinEvent]] = StateTable(
    name="Taking part in a campaign",
    initial=_S.SEEN,
    terminal=frozenset({_S.ENDED}),
    transitions={
        (_S.SEEN, _E.WANTED): _S.WANTED,
        (_S.WANTED, _E.PUT_OFF): _S.WANTED,
        (_S.WANTED, _E.REFUSED): _S.REFUSED,
        (_S.REFUSED, _E.WANTED_AGAIN): _S.WANTED,
        # Whoever runs it may have joined us by himself: what he says is so.
        (_S.SEEN, _E.JOINED): _S.JOINED,
        (_S.WANTED, _E.JOINED): _S.JOINED,
        (_S.REFUSED, _E.JOINED): _S.JOINED,
        (_S.SEEN, _E.ENDED): _S.ENDED,
        (_S.WANTED, _E.ENDED): _S.ENDED,
        (_S.JOINED, _E.ENDED): _S.ENDED,
        (_S.REFUSED, _E.ENDED): _S.ENDED,
    },
)


class JoinPolicy(StrEnum):
    """What a refusal to let us take part means. Neither ever touches an order."""

    OPTIONAL = "optional"
    """It is recorded and shown."""
    REQUIRED = "required"
    """It is a trouble that stays in sight until it is joined or over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign with our part in it. ``pool`` is empty while no pool of ours makes its market.

    ``text`` is the last answer of whoever runs it to our wish, empty when he took us.
    """

    seen: ObservedCampaign
    pool: PoolId = NO_POOL
    state: JoinState = JoinState.SEEN
    joined_at_us: int = 0
    text: str = ""

    @property
    def id(self) -> str:
        """Its identity for ever."""
        return self.seen.id


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """One line of a campaign's story."""

    at_us: int
    state: JoinState
    event: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """Day ``day`` of a campaign, counted from 0: ``[from_us, to_us)``."""

    day: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """A campaign as people see it. ``window`` is the running day, None before and after.

    ``is_trouble``: it is required and did not let us take part when it was asked last.
    """

    campaign: Campaign
    window: Window | None
    days: int
    policy: JoinPolicy
    is_trouble: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """Which venue account an outside name of a venue stands for, and what is joined.

    ``join``: campaigns of our pools' markets are wanted without asking. ``required`` names pools
    for which not taking part is a trouble.
    """

    accounts: Mapping[str, VenueAccountId] = field(default_factory=dict)
    join: bool = True
    required: frozenset[PoolId] = frozenset()
