"""Planted defects: mistakes that systems like this one have made, switched on only in the lab.

A simulation that cannot find them proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, assert_never, cast

import msgspec

from poolmaker.bus.ports import Bus, NewEvent
from poolmaker.business.ledger.model import LedgerRefusal, Outcome, PostingRefused
from poolmaker.business.ledger.ports import CommandStore
from poolmaker.business.treasury.model import SendAnswer, SendRefused, SendRequest, SendStatus
from poolmaker.business.treasury.ports import SendingProvider
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.kernel.ids import CommandKey
from poolmaker.messages.market import FillFact


class Defect(StrEnum):
    """What is wrong."""

    RESEND_UNDER_NEW_KEY = "resend_under_new_key"
    """A payout whose answer was lost is sent again under another reference."""
    LOST_ANSWER_IS_REFUSAL = "lost_answer_is_refusal"
    """A payout whose answer was lost is taken for refused."""
    SILENCE_IS_REFUSAL = "silence_is_refusal"
    """A ledger command that is not answered yet is taken for refused."""
    FILL_UNDER_ARRIVAL_TIME = "fill_under_arrival_time"
    """The key of a fill holds the time at which it was told, so that it is booked twice."""


class _Resending:
    def __init__(self, inner: SendingProvider) -> None:
        self._inner = inner
        self._resends = 0

    async def send(self, request: SendRequest) -> SendAnswer:
        try:
            return await self._inner.send(request)
        except OutcomeUnknown:
            self._resends += 1
            again = replace(request, reference=f"{request.reference}-{self._resends}")
            return await self._inner.send(again)

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        return await self._inner.find(request, since_us)


class _Presuming:
    def __init__(self, inner: SendingProvider) -> None:
        self._inner = inner

    async def send(self, request: SendRequest) -> SendAnswer:
        try:
            return await self._inner.send(request)
        except OutcomeUnknown as lost:
            return SendRefused(str(lost))

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        return await self._inner.find(request, since_us)


def provider_with(provider: SendingProvider, defect: Defect | None) -> SendingProvider:
    """The provider as the platform sees it when it has ``defect``."""
    match defect:
        case None:
            return provider
        case Defect.RESEND_UNDER_NEW_KEY:
            return _Resending(provider)
        case Defect.LOST_ANSWER_IS_REFUSAL:
            return _Presuming(provider)
        case Defect.SILENCE_IS_REFUSAL | Defect.FILL_UNDER_ARRIVAL_TIME:
            return provider
        case _:
            assert_never(defect)


class _Impatient:
    """Rows whose silence is an answer."""

    def __init__(self, inner: CommandStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        return await self._inner.outcome(tx, key) or PostingRefused(LedgerRefusal.INSUFFICIENT)


def rows_with(rows: CommandStore, defect: Defect | None) -> CommandStore:
    """The ledger's rows as the platform sees them when it has ``defect``."""
    return cast("CommandStore", _Impatient(rows)) if defect is Defect.SILENCE_IS_REFUSAL else rows


class _Stamping:
    """A bus whose fills are told under the time of telling."""

    def __init__(self, inner: Bus) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(
        self, tx: Tx, stream: str, events: Sequence[NewEvent], now_us: int
    ) -> list[int]:
        stamped = [_stamped(event, now_us) for event in events]
        return await self._inner.append(tx, stream, stamped, now_us)


def _stamped(event: NewEvent, now_us: int) -> NewEvent:
    if not isinstance(event.message, FillFact):
        return event
    fill = msgspec.structs.replace(event.message, trade_id=f"{event.message.trade_id}@{now_us}")
    return replace(event, key=f"{event.key}@{now_us}", message=fill)


def bus_with(bus: Bus, defect: Defect | None) -> Bus:
    """The bus as the engine sees it when it has ``defect``."""
    return cast("Bus", _Stamping(bus)) if defect is Defect.FILL_UNDER_ARRIVAL_TIME else bus
