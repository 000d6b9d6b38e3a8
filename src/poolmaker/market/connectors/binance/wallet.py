"""Money in and out of a venue account.

A withdrawal has no idempotency of its own at most venues: after doubt the history is read, the
request is never repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, VenueUnavailable
from poolmaker.kernel.money import SCALE_MAX
from poolmaker.market.connectors.binance import wire
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.edges import (
    OddRows,
    asset_code,
    decode,
    each,
    plain,
    time_us,
    units,
)
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.execution.model import VenueRefusal
from poolmaker.market.execution.throttle import Limit, Throttle
from poolmaker.market.tracking.model import OddRow

T = TypeVar("T")
V = TypeVar("V")
_WITHDRAWALS: Final = "sapiGetCapitalWithdrawHistory"
_DEPOSITS: Final = "sapiGetCapitalDepositHisrec"
_STATES: Final = {
    0: "EMAIL_SENT",
    1: "CANCELLED",
    2: "AWAITING_APPROVAL",
    3: "REJECTED",
    4: "PROCESSING",
    5: "FAILURE",
    6: "COMPLETED",
}

DAY_MS: Final = 86_400_000
REFERENCE_SPAN_MS: Final = 7 * DAY_MS - 1
"""The longest time that the venue searches for one reference; the ends are both included."""
HISTORY_SPAN_MS: Final = 90 * DAY_MS - 1
HISTORY_BEGINS_MS: Final = 1_498_867_200_000
"""July 2017: no venue of this wire has older histories."""
PAGE: Final = 1_000
PAGES_MAX: Final = 100
APPLY: Final = Limit("withdraw_apply", 180_000, 60_000_000)
HISTORY: Final = Limit("withdraw_history", 180_000, 1_000_000)
DEPOSITS: Final = Limit("deposit_history", 12_000, 60_000_000)
ADDRESS: Final = Limit("deposit_address", 12_000, 60_000_000)
_WEIGHTS: Final = {APPLY: 900, HISTORY: 18_000, DEPOSITS: 1, ADDRESS: 10}
"""Each endpoint under ``/sapi`` has a limit of its own, apart from that of ``/api``."""


_ABOUT_US: Final = frozenset({VenueRefusal.RATE_LIMITED, VenueRefusal.CLOCK, VenueRefusal.KEY})
"""Refusals that say nothing of the withdrawal: the same one may be taken a moment later."""


class _WithdrawalRow(msgspec.Struct, rename="camel"):
    id: str
    amount: str
    transaction_fee: str
    coin: str
    status: int
    address: str
    tx_id: str
    apply_time: str
    network: str = ""
    withdraw_order_id: str = ""


class _DepositRow(msgspec.Struct, rename="camel"):
    id: str
    amount: str
    coin: str
    network: str
    status: int
    address: str
    tx_id: str
    insert_time: int


class _AddressRow(msgspec.Struct):
    coin: str
    address: str
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueWithdrawal:
    """A withdrawal as the venue's history shows it. ``amount_text`` is what leaves, fee beside."""

    withdrawal_id: str
    client_reference: str
    asset: str
    network: str
    amount_text: str
    fee_text: str
    address: str
    transaction_id: str
    state: str
    applied_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueDeposit:
    """A deposit as the venue's history shows it. Credited when ``is_credited``."""

    deposit_id: str
    asset: str
    network: str
    amount_text: str
    address: str
    transaction_id: str
    is_credited: bool
    seen_ms: int


@dataclass(frozen=True, slots=True)
class VenueWithdrawalAddress:
    """Where a withdrawal goes. Some networks want a ``tag`` beside the address."""

    network: str
    address: str
    tag: str = ""


class WithdrawalRefused(PreconditionError):
    """The venue definitely refused a withdrawal; nothing left."""

    code = "withdrawal_refused"


@dataclass(frozen=True, slots=True)
class _History(Generic[T, V]):
    """A history and how its rows are read."""

    method: str
    limit: Limit
    kind: type[T]
    row: Callable[[T], V]
    source: str


class VenueWallet:
    """Withdrawals, deposits and balances of one account; decimal texts exactly as the venue's."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        # A wait for one of these must not hold up orders.
        self._throttle = Throttle(clock, tuple(_WEIGHTS))
        self.odd = OddRows(clock)

    async def withdraw(
        self,
        asset: str,
        amount_text: str,
        destination: VenueWithdrawalAddress,
        client_reference: str,
    ) -> str:
        """Ask once for a withdrawal and answer the venue's id.

        Raises WithdrawalRefused when the venue definitely said no to this withdrawal,
        VenueUnavailable when it said no to us (asked too often, our clock, our key) and nothing
        left, and OutcomeUnknown when it may have gone out: then read ``withdrawals`` and look
        for ``client_reference``.
        """
        asked = {
            "coin": asset,
            "amount": amount_text,
            "address": destination.address,
            "network": destination.network,
            "withdrawOrderId": client_reference,
        }
        if destination.tag:
            asked["addressTag"] = destination.tag
        try:
            answer = await self._sapi("sapiPostCapitalWithdrawApply", asked, APPLY)
        except VenueRefused as refused:
            if refused.refusal in _ABOUT_US:
                raise VenueUnavailable(f"withdrawal {client_reference}: {refused}") from refused
            raise WithdrawalRefused(str(refused)) from refused
        except NoAnswer as problem:
            raise OutcomeUnknown(f"withdrawal {client_reference}: {problem}") from problem
        if not isinstance(answer, dict) or not answer.get("id"):
            raise OutcomeUnknown(f"withdrawal {client_reference}: an answer without an id")
        return str(answer["id"])

    async def withdrawals(self, asset: str, since_ms: int) -> list[VenueWithdrawal]:
        """The venue's history of an asset, oldest first, without rows that cannot be read."""
        name = f"withdrawals {asset}"
        read = _History(_WITHDRAWALS, HISTORY, _WithdrawalRow, _withdrawal, name)
        rows = await self._since(read, {"coin": asset}, since_ms)
        return sorted(rows, key=lambda one: one.applied_ms)

    async def withdrawal(
        self, asset: str, client_reference: str, since_ms: int
    ) -> VenueWithdrawal | None:
        """What the venue's history says of our reference; None when it does not know it.

        The venue filters by the reference itself and searches seven days at once, so every such
        window since ``since_ms`` is asked, however long ago that is. A row that cannot be read may
        be ours: then nothing is concluded, and VenueUnavailable is raised.
        """
        name = f"withdrawal {client_reference}"
        read = _History(_WITHDRAWALS, HISTORY, _WithdrawalRow, _withdrawal, name)
        asked = {"coin": asset, "withdrawOrderId": client_reference}
        mine: list[VenueWithdrawal] = []
        odd: list[OddRow] = []
        for start_ms, end_ms in self._windows(since_ms, REFERENCE_SPAN_MS):
            good, bad = await self._window(read, asked, start_ms, end_ms)
            mine = [row for row in good if row.client_reference == client_reference]
            odd = [*odd, *bad]
            if mine:
                break
        self.odd.read(name, "", odd)
        if odd and not mine:
            raise VenueUnavailable(f"{name}: {odd[0].problem}")
        return max(mine, key=lambda one: one.applied_ms) if mine else None

    async def deposits(self, asset: str, since_ms: int) -> list[VenueDeposit]:
        """Deposits of an asset that the venue has seen, oldest first, without unreadable rows."""
        read = _History(_DEPOSITS, DEPOSITS, _DepositRow, _deposit, f"deposits {asset}")
        rows = await self._since(read, {"coin": asset}, since_ms)
        return sorted(rows, key=lambda one: one.seen_ms)

    async def deposit_address(self, asset: str, network: str) -> tuple[str, str]:
        """(address, tag) to pay an asset in over a network."""
        asked = {"coin": asset, "network": network}
        answer = await self._read("sapiGetCapitalDepositAddress", asked, ADDRESS)
        try:
            row = decode(answer, _AddressRow)
            if row.coin != asset or not row.address:
                raise NoAnswer(f"an address of {ascii(row.coin)[:40]} instead of {asset}")
            return plain(row.address), plain(row.tag)
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem

    async def balances(self) -> dict[str, tuple[str, str]]:
        """(free, locked) of every asset that can be read; the texts are decimals not below zero."""
        try:
            answer = await self._transport.ask("privateGetAccount", {}, 20)
        except (VenueRefused, NoAnswer) as problem:
            raise VenueUnavailable(str(problem)) from problem
        config = self._transport.config

        def read(row: wire.BalanceRow) -> tuple[str, tuple[str, str]]:
            return wire.balance(row, config).asset, (row.free, row.locked)

        try:
            rows = decode(answer, wire.AccountPayload).balances
            good, odd = each(rows, wire.BalanceRow, read, "wallet balances")
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem
        self.odd.read("wallet balances", "", odd)
        return dict(good)

    def _windows(self, since_ms: int, span_ms: int) -> Iterator[tuple[int, int]]:
        """Spans that the venue takes, without a gap, until one that holds the present."""
        now_ms = self._clock.now_us() // 1_000
        start_ms = min(max(since_ms, HISTORY_BEGINS_MS), now_ms)
        while start_ms <= now_ms:
            yield start_ms, start_ms + span_ms
            start_ms += span_ms + 1

    async def _since(self, read: _History[T, V], asked: dict[str, Any], since_ms: int) -> list[V]:
        """Every row since then that can be read."""
        rows: list[V] = []
        odd: list[OddRow] = []
        for start_ms, end_ms in self._windows(since_ms, HISTORY_SPAN_MS):
            good, bad = await self._window(read, asked, start_ms, end_ms)
            rows, odd = [*rows, *good], [*odd, *bad]
        self.odd.read(read.source, "", odd)
        return rows

    async def _window(
        self, read: _History[T, V], asked: dict[str, Any], start_ms: int, end_ms: int
    ) -> tuple[list[V], list[OddRow]]:
        """Every page of one span: rows that can be read, and the others."""
        good: list[V] = []
        odd: list[OddRow] = []
        for offset in range(0, PAGE * PAGES_MAX, PAGE):
            span = {"startTime": start_ms, "endTime": end_ms, "limit": PAGE, "offset": offset}
            answer = await self._read(read.method, {**asked, **span}, read.limit)
            try:
                rows, bad = each(answer, read.kind, read.row, read.source)
            except NoAnswer as problem:
                raise VenueUnavailable(str(problem)) from problem
            good, odd = [*good, *rows], [*odd, *bad]
            if len(answer) < PAGE:
                return good, odd
        raise VenueUnavailable(f"{read.source}: more than {PAGES_MAX} pages in one span")

    async def _read(self, method: str, asked: dict[str, Any], limit: Limit) -> Any:
        try:
            return await self._sapi(method, asked, limit)
        except (VenueRefused, NoAnswer) as problem:
            raise VenueUnavailable(str(problem)) from problem

    async def _sapi(self, method: str, asked: dict[str, Any], limit: Limit) -> Any:
        await self._throttle.take({limit.name: _WEIGHTS[limit]})
        return await self._transport.send(method, asked, self._throttle)


def _amount(text: str) -> str:
    """A decimal text not below zero, as it was sent."""
    units(text, SCALE_MAX)
    return text


def _withdrawal(row: _WithdrawalRow) -> VenueWithdrawal:
    try:
        applied = datetime.strptime(row.apply_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as problem:
        raise NoAnswer(f"a time of another form: {ascii(row.apply_time)[:40]}") from problem
    if row.status not in _STATES:
        raise NoAnswer(f"a withdrawal in a state that is not the wire's: {row.status}")
    return VenueWithdrawal(
        withdrawal_id=plain(row.id),
        client_reference=plain(row.withdraw_order_id),
        asset=asset_code(row.coin),
        network=plain(row.network),
        amount_text=_amount(row.amount),
        fee_text=_amount(row.transaction_fee),
        address=plain(row.address),
        transaction_id=plain(row.tx_id),
        state=_STATES[row.status],
        applied_ms=int(applied.timestamp()) * 1_000,
    )


def _deposit(row: _DepositRow) -> VenueDeposit:
    return VenueDeposit(
        deposit_id=plain(row.id),
        asset=asset_code(row.coin),
        network=plain(row.network),
        amount_text=_amount(row.amount),
        address=plain(row.address),
        transaction_id=plain(row.tx_id),
        is_credited=row.status == 1,
        seen_ms=time_us(row.insert_time) // 1_000,
    )
