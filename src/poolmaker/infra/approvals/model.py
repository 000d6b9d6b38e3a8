"""What waits for a second person: values and the table of states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.ids import ApprovalId
from poolmaker.kernel.states import StateTable


class ApprovalState(StrEnum):
    """Where a requested action stands."""

    WAITING = "waiting"
    """Requested; nobody has approved it."""
    APPROVED = "approved"
    """It may be done once."""
    USED = "used"
    """It was done by the request that is named in ``used_for``."""
    CANCELLED = "cancelled"
    """Somebody took it back or refused it."""
    LAPSED = "lapsed"
    """It grew older than approvals are valid."""


class ApprovalEvent(StrEnum):
    """What can happen to it."""

    SECOND_PERSON = "second_person"
    """Another person than the one who requested it approves."""
    SAME_PERSON_AFTER_DELAY = "same_person_after_delay"
    """The requester approves, is the only one who could, and the delay has passed."""
    SAME_PERSON = "same_person"
    """The requester approves although there are others, or before the delay has passed."""
    NOT_AN_APPROVER = "not_an_approver"
    """Somebody says yes who may not be the second person."""
    WITHIN_LIMIT = "within_limit"
    """It is within what one person may do alone."""
    USED = "used"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


_S, _E = ApprovalState, ApprovalEvent
APPROVAL_TABLE: Final[StateTable[ApprovalState, ApprovalEvent]] = StateTable(
    name="Approval",
    initial=_S.WAITING,
    terminal=frozenset({_S.USED, _S.CANCELLED, _S.LAPSED}),
    transitions={
        (_S.WAITING, _E.SECOND_PERSON): _S.APPROVED,
        (_S.WAITING, _E.SAME_PERSON_AFTER_DELAY): _S.APPROVED,
        (_S.WAITING, _E.SAME_PERSON): _S.WAITING,
        (_S.WAITING, _E.NOT_AN_APPROVER): _S.WAITING,
        (_S.WAITING, _E.WITHIN_LIMIT): _S.APPROVED,
        (_S.WAITING, _E.CANCELLED): _S.CANCELLED,
        (_S.WAITING, _E.LAPSED): _S.LAPSED,
        (_S.APPROVED, _E.USED): _S.USED,
        (_S.APPROVED, _E.CANCELLED): _S.CANCELLED,
        (_S.APPROVED, _E.LAPSED): _S.LAPSED,
    },
)


@dataclass(frozen=True, slots=True)
class Approver:
    """Who asks or approves.

    ``may_approve``: role and scope allow to be the second person; whoever may not can only ask.
    ``alone``: nobody else of this installation could approve. ``hand``: further names that nobody
    but this person has vouched for; whoever answers to them is not known to be somebody else.
    """

    name: str
    may_approve: bool = False
    alone: bool = False
    hand: frozenset[str] = frozenset()

    def may_be(self, name: str) -> bool:
        """Whether ``name`` is this person, or is not known to be another."""
        return name == self.name or name in self.hand


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsk:
    """An action that needs approval. ``request_id`` repeats with the request, never otherwise."""

    action: str
    subject: str
    body: Mapping[str, str]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One requested action. Times are microseconds since the Unix epoch, 0 for not yet."""

    id: ApprovalId
    action: str
    subject: str
    body: bytes
    """Canonical JSON of everything that is approved."""
    state: ApprovalState
    requested_by: str
    requested_us: int
    approved_by: str = ""
    approved_us: int = 0
    used_for: str = ""
    """The request that did it."""


@dataclass(frozen=True, slots=True)
class ApprovalStep:
    """A line of the history of one approval."""

    state: ApprovalState
    event: str
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class ApprovalGranted:
    """The action may be done now, by this request only."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class ApprovalPending:
    """Nothing may be done yet. ``may_repeat_us``: when the requester alone may approve, 0 never."""

    approval: Approval
    may_repeat_us: int = 0


class ApprovalRefusal(StrEnum):
    """Why an approval cannot be given or taken back, most basic first."""

    UNKNOWN = "unknown_approval"
    ENDED = "approval_ended"
    SAME_PERSON = "second_person_needed"


@dataclass(frozen=True, slots=True)
class ApprovalRefused:
    """A refusal; nothing changed."""

    reason: ApprovalRefusal
