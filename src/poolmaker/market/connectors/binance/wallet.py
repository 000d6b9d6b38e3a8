"""Money in and out of a venue account.

A withdrawal has no idempotency of its own at most venues: after doubt the history is read, the
request is never repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import CallerFault, OutcomeUnknown, VenueUnavailable
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
from poolmaker.market.execution.model import Refusal
from poolmaker.market.tracking.model import OddRow

T = TypeVar("T")
V = TypeVar("V")
_WITHDRAWALS: Final = "sapiGetCapitalWithdrawHistory"
_STATES: Final = {
    0: "EMAIL_SENT",
    1: "CANCELLED",
    2: "AWAITING_APPROVAL",
    3: "REJECTED",
    4: "PROCESSING",
    5: "FAILURE",
    6: "COMPLETED",
}

_ABOUT_US: Final = frozenset({Refusal.RATE_LIMITED, Refusal.CLOCK, Refusal.KEY})
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
class Destination:
    """Where a withdrawal goes. Some networks want a ``tag`` beside the address."""

    network: str
    address: str
    tag: str = ""


class WithdrawalRefused(CallerFault):
    """The venue definitely refused a withdrawal; nothing left."""

    code = "withdrawal_refused"


class VenueWallet:
    """Withdrawals, deposits and balances of one account; decimal texts exactly as the venue's."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self.odd = OddRows(clock)

    async def withdraw(
        self, asset: str, amount_text: str, destination: Destination, client_reference: str
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
            answer = await self._transport.ask("sapiPostCapitalWithdrawApply", asked, 600)
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
        asked = {"coin": asset, "startTime": since_ms}
        rows, _ = await self._each(_WITHDRAWALS, asked, _WithdrawalRow, _withdrawal, "withdrawals")
        return sorted(rows, key=lambda one: one.applied_ms)

    async def withdrawal(
        self, asset: str, client_reference: str, since_ms: int
    ) -> VenueWithdrawal | None:
        """What the venue's history says of our reference; None when it does not know it.

        The venue filters by the reference itself, so that no page can hide the row. A row that
        cannot be read may be ours: then nothing is concluded, and VenueUnavailable is raised.
        """
        asked = {"coin": asset, "withdrawOrderId": client_reference, "startTime": since_ms}
        rows, odd = await self._each(
            _WITHDRAWALS, asked, _WithdrawalRow, _withdrawal, f"withdrawal {client_reference}"
        )
        mine = [row for row in rows if row.client_reference == client_reference]
        if odd and not mine:
            raise VenueUnavailable(f"withdrawal {client_reference}: {odd[0].problem}")
        return mine[-1] if mine else None

    async def deposits(self, asset: str, since_ms: int) -> list[VenueDeposit]:
        """Deposits of an asset that the venue has seen, oldest first, without unreadable rows."""
        asked = {"coin": asset, "startTime": since_ms}
        rows, _ = await self._each(
            "sapiGetCapitalDepositHisrec", asked, _DepositRow, _deposit, f"deposits {asset}"
        )
        return sorted(rows, key=lambda one: one.seen_ms)

    async def deposit_address(self, asset: str, network: str) -> tuple[str, str]:
        """(address, tag) to pay an asset in over a network."""
        asked = {"coin": asset, "network": network}
        answer = await self._ask("sapiGetCapitalDepositAddress", asked)
        try:
            row = decode(answer, _AddressRow)
            if row.coin != asset or not row.address:
                raise NoAnswer(f"an address of {ascii(row.coin)[:40]} instead of {asset}")
            return plain(row.address), plain(row.tag)
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem

    async def balances(self) -> dict[str, tuple[str, str]]:
        """(free, locked) of every asset that can be read; the texts are decimals not below zero."""
        answer = await self._ask("privateGetAccount", {})
        config = self._transport.config

        def read(row: wire.BalanceRow) -> tuple[str, tuple[str, str]]:
            return wire.balance(row, config).asset, (row.free, row.locked)

        try:
            rows = decode(answer, wire.AccountRow).balances
            good, odd = each(rows, wire.BalanceRow, read, "wallet balances")
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem
        self.odd.read("wallet balances", "", odd)
        return dict(good)

    async def _each(
        self,
        method: str,
        asked: dict[str, Any],
        kind: type[T],
        read: Callable[[T], V],
        source: str,
    ) -> tuple[list[V], list[OddRow]]:
        answer = await self._ask(method, asked)
        try:
            good, odd = each(answer, kind, read, source)
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem
        self.odd.read(source, "", odd)
        return good, odd

    async def _ask(self, method: str, asked: dict[str, Any]) -> Any:
        try:
            return await self._transport.ask(method, asked, 20)
        except (VenueRefused, NoAnswer) as problem:
            raise VenueUnavailable(str(problem)) from problem


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
