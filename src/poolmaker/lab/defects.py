"""Planted defects: mistakes that systems like this one have made, switched on only in the lab.

A simulation that cannot find them proves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import assert_never

from poolmaker.business.withdrawals.model import (
    PayoutAnswer,
    PayoutRefused,
    PayoutRequest,
    PayoutStatus,
)
from poolmaker.business.withdrawals.ports import PayoutProvider
from poolmaker.kernel.errors import OutcomeUnknown


class Defect(StrEnum):
    """What is wrong."""

    RESEND_UNDER_NEW_KEY = "resend_under_new_key"
    """A payout whose answer was lost is sent again under another reference."""
    LOST_ANSWER_IS_REFUSAL = "lost_answer_is_refusal"
    """A payout whose answer was lost is taken for refused."""


class _Resending:
    def __init__(self, inner: PayoutProvider) -> None:
        self._inner = inner
        self._resends = 0

    async def send(self, request: PayoutRequest) -> PayoutAnswer:
        try:
            return await self._inner.send(request)
        except OutcomeUnknown:
            self._resends += 1
            again = replace(request, reference=f"{request.reference}-{self._resends}")
            return await self._inner.send(again)

    async def find(self, request: PayoutRequest, since_us: int) -> PayoutStatus:
        return await self._inner.find(request, since_us)


class _Presuming:
    def __init__(self, inner: PayoutProvider) -> None:
        self._inner = inner

    async def send(self, request: PayoutRequest) -> PayoutAnswer:
        try:
            return await self._inner.send(request)
        except OutcomeUnknown as lost:
            return PayoutRefused(str(lost))

    async def find(self, request: PayoutRequest, since_us: int) -> PayoutStatus:
        return await self._inner.find(request, since_us)


def with_defect(provider: PayoutProvider, defect: Defect | None) -> PayoutProvider:
    """The provider as the platform sees it when it has ``defect``."""
    match defect:
        case None:
            return provider
        case Defect.RESEND_UNDER_NEW_KEY:
            return _Resending(provider)
        case Defect.LOST_ANSWER_IS_REFUSAL:
            return _Presuming(provider)
        case _:
            assert_never(defect)
