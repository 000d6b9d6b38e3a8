"""Request weights of ``/api``, order counts and bans: per address and per account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.clock import DAY_US, MINUTE_US, SECOND_US
from poolmaker.sandbox.venue.model import AccountId
from poolmaker.sandbox.venue.quotas import Quotas
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.windows import Window

BAN_FIRST_US: Final = 2 * MINUTE_US
BAN_LONGEST_US: Final = 3 * DAY_US
REFUSED_BEFORE_BAN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """The limits that exchangeInfo announces."""

    weight_per_minute: int = 6_000
    orders_per_10s: int = 100
    orders_per_day: int = 200_000
    raw_per_5_minutes: int = 300_000
    connections_per_5_minutes: int = 300

    def announce(self) -> list[dict[str, object]]:
        """The rateLimits of exchangeInfo."""
        rows = (
            ("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_minute),
            ("ORDERS", "SECOND", 10, self.orders_per_10s),
            ("ORDERS", "DAY", 1, self.orders_per_day),
            ("RAW_REQUESTS", "MINUTE", 5, self.raw_per_5_minutes),
        )
        return [
            {"rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit}
            for kind, unit, number, limit in rows
        ]


class Limiter:
    """Counts requests and orders; refuses with 429, then bans with 418."""

    def __init__(self, settings: LimitSettings) -> None:
        self.settings = settings
        self.quotas = Quotas()
        self._weight = Window(MINUTE_US)
        self._raw = Window(5 * MINUTE_US)
        self._connections = Window(5 * MINUTE_US)
        self._orders: dict[AccountId, tuple[Window, Window]] = {}
        self._refused = 0
        self._banned_until_us = 0
        self._next_ban_us = BAN_FIRST_US

    def used_weight(self, time_us: int) -> int:
        """Weight used in the running minute."""
        return self._weight.at(time_us).count

    def ban(self, time_us: int, duration_us: int) -> None:
        """Refuse every call of ``/api`` until then."""
        self._banned_until_us = time_us + duration_us

    def clear(self) -> None:
        """Forget bans and counts."""
        self._banned_until_us = self._refused = 0
        self._next_ban_us = BAN_FIRST_US
        self._weight.count = self._raw.count = self._connections.count = 0
        self._orders.clear()
        self.quotas.clear()

    def admit(self, weight: int, time_us: int) -> None:
        """Count one request of ``weight`` to ``/api``, or refuse it."""
        if time_us < self._banned_until_us:
            raise self._banned(time_us)
        window, raw = self._weight.at(time_us), self._raw.at(time_us)
        raw.count += 1
        window.count += weight
        if window.count > self.settings.weight_per_minute:
            raise self._too_much("request weight", "1 MINUTE", window, time_us)
        if raw.count > self.settings.raw_per_5_minutes:
            raise self._too_much("raw requests", "5 MINUTE", raw, time_us)

    def admit_connection(self, time_us: int) -> None:
        """Count one WebSocket connection, or refuse it."""
        window = self._connections.at(time_us)
        window.count += 1
        limit = self.settings.connections_per_5_minutes
        if window.count > limit:
            message = (
                f"Too many connection attempts from IP; current limit is {limit} per '5 MINUTE'."
            )
            retry = {"Retry-After": str(window.retry_after_s(time_us))}
            raise WireRefusal(-1034, message, 429, headers=retry)

    def charge(self, weight: int, time_us: int) -> None:
        """Add weight after the fact, as for a refused order."""
        self._weight.at(time_us).count += weight

    def _too_much(self, what: str, span: str, window: Window, time_us: int) -> WireRefusal:
        self._refused += 1
        if self._refused > REFUSED_BEFORE_BAN:
            self._refused = 0
            self.ban(time_us, self._next_ban_us)
            self._next_ban_us = min(2 * self._next_ban_us, BAN_LONGEST_US)
            return self._banned(time_us)
        limit = (
            self.settings.weight_per_minute
            if window is self._weight
            else self.settings.raw_per_5_minutes
        )
        message = (
            f"Too much {what} used; current limit is {limit} {what} per {span}. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        retry = {"Retry-After": str(window.retry_after_s(time_us))}
        return WireRefusal(-1003, message, 429, headers=retry)

    def _banned(self, time_us: int) -> WireRefusal:
        until_ms = self._banned_until_us // 1000
        left_s = max(1, (self._banned_until_us - time_us) // SECOND_US)
        message = (
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return WireRefusal(-1003, message, 418, headers={"Retry-After": str(left_s)})

    def _windows(self, account: AccountId, time_us: int) -> tuple[Window, Window]:
        found = self._orders.get(account)
        if found is None:
            found = self._orders[account] = (Window(10 * SECOND_US), Window(DAY_US))
        return found[0].at(time_us), found[1].at(time_us)

    def admit_order(self, account: AccountId, time_us: int) -> None:
        """Refuse a new order when the account has too many unfilled ones."""
        short, day = self._windows(account, time_us)
        for window, limit, span in (
            (short, self.settings.orders_per_10s, "10 SECOND"),
            (day, self.settings.orders_per_day, "1 DAY"),
        ):
            if window.count >= limit:
                message = f"Too many new orders; current limit is {limit} orders per {span}."
                headers = {"Retry-After": str(window.retry_after_s(time_us))}
                raise WireRefusal(-1015, message, 429, headers=headers)

    def count_order(self, account: AccountId, time_us: int) -> None:
        """Count one order that was taken."""
        for window in self._windows(account, time_us):
            window.count += 1

    def count_first_fill(self, account: AccountId, time_us: int) -> None:
        """An order that trades no longer counts as unfilled."""
        for window in self._windows(account, time_us):
            window.count = max(0, window.count - 1)

    def order_counts(self, account: AccountId, time_us: int) -> tuple[int, int]:
        """Unfilled orders in the running 10 seconds and day."""
        short, day = self._windows(account, time_us)
        return short.count, day.count

    def weight_headers(self, time_us: int) -> Mapping[str, str]:
        """The headers of every answer under ``/api``."""
        used = str(self.used_weight(time_us))
        return {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}
