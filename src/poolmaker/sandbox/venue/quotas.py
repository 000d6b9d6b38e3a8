"""Limits of ``/sapi``: each endpoint has one of its own, by address or by account.

They are independent of ``/api`` and of each other. Whoever uses one up gets 429 until its span is
over; a ban (418) never follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.sandbox.venue.model import AccountId
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.windows import Window


class Scope(StrEnum):
    """Whose use is counted together: that of an address, or that of an account."""

    IP = "IP"
    UID = "UID"


@dataclass(frozen=True, slots=True)
class Quota:
    """What each endpoint of this kind may be used in one span."""

    scope: Scope
    weight_max: int
    span_us: int
    span_text: str
    header: str


BY_ADDRESS: Final = Quota(
    Scope.IP, 12_000, MINUTE_US, "1 MINUTE", "x-sapi-used-ip-weight-1m"
)  # fmt: skip
BY_ACCOUNT: Final = Quota(
    Scope.UID, 180_000, MINUTE_US, "1 MINUTE", "x-sapi-used-uid-weight-1m"
)  # fmt: skip
BY_ADDRESS_AND_SECOND: Final = Quota(
    Scope.IP, 180_000, SECOND_US, "1 SECOND", "x-sapi-used-ip-weight-1s"
)  # fmt: skip


class Quotas:
    """What was used of every endpoint's own limit."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, AccountId | None], Window] = {}

    def _window(self, endpoint: str, quota: Quota, account: AccountId | None) -> Window:
        key = (endpoint, account if quota.scope is Scope.UID else None)
        found = self._windows.get(key)
        if found is None:
            found = self._windows[key] = Window(quota.span_us)
        return found

    def admit(
        self, endpoint: str, quota: Quota, weight: int, account: AccountId | None, time_us: int
    ) -> None:
        """Count one request, or refuse it with 429."""
        window = self._window(endpoint, quota, account).at(time_us)
        window.count += weight
        if window.count > quota.weight_max:
            message = (
                f"Too much request weight used; current limit is {quota.weight_max} request "
                f"weight per {quota.span_text}. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
            retry = {"Retry-After": str(window.retry_after_s(time_us))}
            raise WireRefusal(-1003, message, 429, headers=retry)

    def headers(
        self, endpoint: str, quota: Quota, account: AccountId | None, time_us: int
    ) -> Mapping[str, str]:
        """What an answer tells; nothing where it is the account that counts and none is known."""
        if quota.scope is Scope.UID and account is None:
            return {}
        return {quota.header: str(self._window(endpoint, quota, account).at(time_us).count)}

    def clear(self) -> None:
        """Forget all counts."""
        self._windows.clear()
