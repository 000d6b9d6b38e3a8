"""Requests that wait for a second person, or for the one who requested them to send them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from poolmaker.infra.approvals.model import Approval, ApprovalState
from poolmaker.infra.approvals.rules import is_of_one
from poolmaker.infra.attention import LISTED_MAX, AttentionItem, Remedy, and_more
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import ApprovalId

SOURCE: Final = "approvals"
_PAGE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ApprovalWait(StrEnum):
    """What a request waits for."""

    WAITING = "waiting"
    """A second person says yes or no."""
    APPROVED = "approved"
    """Whoever requested it sends the same command again."""


class OpenApprovals(Protocol):
    """Where requests are read."""

    async def page(
        self, after: ApprovalId, limit: int, *, ended: bool = False
    ) -> Sequence[Approval]:
        """Approvals by id, the oldest first; without ``ended`` only open ones."""
        ...


class ApprovalAttention:
    """Lists open requests: what, by whom, until when, and what to do. ``valid_us``: their life."""

    def __init__(self, approvals: OpenApprovals, clock: Clock, valid_us: int) -> None:
        self._approvals = approvals
        self._clock = clock
        self._valid_us = valid_us

    async def attention(self) -> Sequence[AttentionItem]:
        """One item for each request that has not lapsed."""
        now_us = self._clock.now_us()
        found = [
            one
            for one in await self._approvals.page(ApprovalId(""), _PAGE)
            if now_us < self._until_us(one) and not is_of_one(one)
        ]
        return [item for kind in ApprovalWait for item in self._items(kind, found)]

    def _items(self, kind: ApprovalWait, found: Sequence[Approval]) -> Sequence[AttentionItem]:
        here = [one for one in found if one.state is ApprovalState(kind.value)]
        return and_more([self._item(kind, one) for one in here[:LISTED_MAX]], len(here))

    def _until_us(self, one: Approval) -> int:
        return (one.approved_us or one.requested_us) + self._valid_us

    def _item(self, kind: ApprovalWait, one: Approval) -> AttentionItem:
        words = json.loads(one.body)
        until = _EPOCH + timedelta(microseconds=self._until_us(one))
        evidence = {
            "action": one.action,
            "of": one.subject,
            "what": ", ".join(f"{name}: {words[name]}" for name in sorted(words)),
            "requested_by": one.requested_by,
            "approved_by": one.approved_by,
            "until": f"{until:%Y-%m-%d %H:%M:%S} UTC",
        }
        approve = _remedy("approve", one)
        return AttentionItem(
            source=SOURCE,
            kind=kind.value,
            subject=one.id,
            since_us=one.approved_us or one.requested_us,
            evidence={name: value for name, value in evidence.items() if value},
            blocks=(one.action,),
            remedies=(
                *([approve] if kind is ApprovalWait.WAITING else []),
                _remedy("cancel", one),
            ),
        )


def _remedy(action: str, one: Approval) -> Remedy:
    return Remedy(
        action=action,
        command=f"poolmaker approval {action} {one.id}",
        route=f"POST /api/v1/approvals/{{approval_id}}/{action}",
    )
