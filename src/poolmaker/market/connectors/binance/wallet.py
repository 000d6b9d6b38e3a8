"""Money in and out of a venue account.

A withdrawal has no idempotency of its own at most venues: after doubt the history is read, the
request is never repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from poolmaker.kernel.errors import CallerFault, OutcomeUnknown, VenueUnavailable
from poolmaker.market.connectors.binance import wire
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.execution.model import Refusal

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

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

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
        """The venue's history of an asset, oldest first."""
        asked = {"coin": asset, "startTime": since_ms}
        rows = await self._rows("sapiGetCapitalWithdrawHistory", asked, list[_WithdrawalRow])
        return sorted((_withdrawal(row) for row in rows), key=lambda one: one.applied_ms)

    async def withdrawal(
        self, asset: str, client_reference: str, since_ms: int
    ) -> VenueWithdrawal | None:
        """What the venue's history says of our reference; None when it does not know it.

        The venue filters by the reference itself, so that no page can hide the row.
        """
        asked = {"coin": asset, "withdrawOrderId": client_reference, "startTime": since_ms}
        rows = await self._rows("sapiGetCapitalWithdrawHistory", asked, list[_WithdrawalRow])
        mine = [row for row in rows if row.withdraw_order_id == client_reference]
        return _withdrawal(mine[-1]) if mine else None

    async def deposits(self, asset: str, since_ms: int) -> list[VenueDeposit]:
        """Deposits of an asset that the venue has seen, oldest first."""
        asked = {"coin": asset, "startTime": since_ms}
        rows = await self._rows("sapiGetCapitalDepositHisrec", asked, list[_DepositRow])
        return sorted((_deposit(row) for row in rows), key=lambda one: one.seen_ms)

    async def deposit_address(self, asset: str, network: str) -> tuple[str, str]:
        """(address, tag) to pay an asset in over a network."""
        asked = {"coin": asset, "network": network}
        row = await self._rows("sapiGetCapitalDepositAddress", asked, _AddressRow)
        return row.address, row.tag

    async def balances(self) -> dict[str, tuple[str, str]]:
        """(free, locked) of every asset."""
        account = await self._rows("privateGetAccount", {}, wire.AccountRow)
        return {row.asset: (row.free, row.locked) for row in account.balances}

    async def _rows(self, method: str, asked: dict[str, Any], kind: type[wire.T]) -> wire.T:
        try:
            return wire.decode(await self._transport.ask(method, asked, 20), kind)
        except (VenueRefused, NoAnswer) as problem:
            raise VenueUnavailable(str(problem)) from problem


def _withdrawal(row: _WithdrawalRow) -> VenueWithdrawal:
    applied = datetime.strptime(row.apply_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return VenueWithdrawal(
        withdrawal_id=row.id,
        client_reference=row.withdraw_order_id,
        asset=row.coin,
        network=row.network,
        amount_text=row.amount,
        fee_text=row.transaction_fee,
        address=row.address,
        transaction_id=row.tx_id,
        state=_STATES.get(row.status, "PROCESSING"),
        applied_ms=int(applied.timestamp()) * 1_000,
    )


def _deposit(row: _DepositRow) -> VenueDeposit:
    return VenueDeposit(
        deposit_id=row.id,
        asset=row.coin,
        network=row.network,
        amount_text=row.amount,
        address=row.address,
        transaction_id=row.tx_id,
        is_credited=row.status == 1,
        seen_ms=row.insert_time,
    )
