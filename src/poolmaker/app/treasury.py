"""``api.ports.Treasury`` over the treasury, custody and the bot: texts to units and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolmaker.api import ports
from poolmaker.app.figures import AssetRegistry
from poolmaker.business.ledger.accounts import is_custody, venue_account_of
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.treasury.booking import Booked, Booking, NotBooked
from poolmaker.business.treasury.custody import CustodyIncident
from poolmaker.business.treasury.service import CustodyRecords, TreasuryService
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.money import Amount, format_units, parse_units
from poolmaker.mixin.codec.amounts import DECIMALS
from poolmaker.mixin.model import ReturnOrder, Unlisted
from poolmaker.mixin.unlisted import UnlistedReturns
from poolmaker.views.custody import CustodyIncidentView, UnlistedView
from poolmaker.views.model import AmountView


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasuryDeskPorts:
    """What the desk is given."""

    treasury: TreasuryService
    records: CustodyRecords
    returns: UnlistedReturns | None
    clock: Clock


class TreasuryCommands:
    """``api.ports.Treasury``."""

    def __init__(self, parts: TreasuryDeskPorts, scales: AssetRegistry) -> None:
        self._parts = parts
        self._treasury = parts.treasury
        self._scales = scales

    # --------------------------------------------------------------------------- what has come

    async def operator_in(
        self, incoming: ports.Incoming, *, second_person: bool = False
    ) -> ports.ActionReceipt | ports.ActionRefused:
        amount, location = self._amount(incoming.money), incoming.location
        if amount is None or not is_custody(location):
            return _misplaced(incoming)
        booking = await self._treasury.operator_in_at(
            location, amount, incoming.reference, second_person=second_person
        )
        return self._receipt(incoming.request_id, incoming.money, incoming.reference, booking)

    async def credit_deposit(
        self, user_id: UserId, incoming: ports.Incoming, *, second_person: bool = False
    ) -> ports.ActionReceipt | ports.ActionRefused:
        amount = self._amount(incoming.money)
        account = venue_account_of(incoming.location)
        if amount is None or account is None:
            return _misplaced(incoming)
        booking = await self._treasury.credit_deposit(
            user_id, account, amount, incoming.reference, second_person=second_person
        )
        return self._receipt(incoming.request_id, incoming.money, incoming.reference, booking)

    # --------------------------------------------------------------------- the operator's own

    async def operator_out(
        self, location: str, own: ports.OwnMoney
    ) -> ports.ActionReceipt | ports.ActionRefused:
        amount = self._amount(own.money)
        if amount is None:
            return ports.ActionRefused("unknown_asset", self._scales.facts(own.money.asset))
        return self._own(own, await self._treasury.operator_out(location, amount, own.reference))

    async def settle(
        self, account: str, own: ports.OwnMoney
    ) -> ports.ActionReceipt | ports.ActionRefused:
        amount = self._amount(own.money)
        if amount is None:
            return ports.ActionRefused("unknown_asset", self._scales.facts(own.money.asset))
        return self._own(own, await self._treasury.settle_fees(account, amount, own.reference))

    async def trade_float(
        self, own: ports.OwnMoney, *, into_float: bool
    ) -> ports.ActionReceipt | ports.ActionRefused:
        amount = self._amount(own.money)
        if amount is None:
            return ports.ActionRefused("unknown_asset", self._scales.facts(own.money.asset))
        booking = await self._treasury.trade_float(amount, own.reference, into_float=into_float)
        return self._own(own, booking)

    async def reverse(
        self, request_id: str, seq: int, reason: str
    ) -> ports.ActionReceipt | ports.ActionRefused:
        return self._plain(request_id, await self._treasury.reverse(seq, reason))

    async def bearable(self, incident: str) -> ports.BearableView | ports.ActionRefused:
        found = await self._treasury.bearable(incident)
        if isinstance(found, NotBooked):
            return ports.ActionRefused(found.reason.value)
        money = AmountView(found.asset, self._scales.text(found.asset, found.units))
        return ports.BearableView(money, found.attempt)

    async def bear(
        self, request_id: str, incident: str, what: ports.BearableView
    ) -> ports.ActionReceipt | ports.ActionRefused:
        amount = self._amount(what.money)
        if amount is None:
            return ports.ActionRefused("unknown_asset", self._scales.facts(what.money.asset))
        booking = await self._treasury.bear_shortfall(incident, amount.units, what.attempt)
        return self._plain(request_id, booking)

    # ---------------------------------------------------------------------------- incidents

    async def incidents(self) -> Sequence[CustodyIncidentView]:
        found = await self._parts.records.incidents(closed=True)
        return tuple(self._incident(one) for one in found)

    async def take(self, incident: str, by: str) -> CustodyIncidentView | ports.ActionRefused:
        found = await self._parts.records.take(incident, by)
        return (
            self._incident(found) if found is not None else ports.ActionRefused("unknown_incident")
        )

    def _incident(self, one: CustodyIncident) -> CustodyIncidentView:
        finding = one.finding

        def text(units: int) -> str:
            return self._scales.text(finding.asset, units) if finding.asset else ""

        return CustodyIncidentView(
            incident=one.name,
            kind=finding.kind.value,
            location=finding.location,
            asset=finding.asset,
            difference=text(finding.units),
            booked=text(finding.booked_units),
            reported=text(finding.reported_units),
            borne=text(one.covered_units),
            owner=one.owner,
            opened_at_us=one.opened_us,
            closed_at_us=one.closed_us,
            evidence=one.evidence,
        )

    # --------------------------------------------------------------------- assets without a form

    async def unlisted(self, after: str, limit: int) -> Sequence[UnlistedView]:
        if self._parts.returns is None:
            return ()
        asset_id, _, sender = after.partition(":")
        return [_unlisted(row) for row in await self._parts.returns.page((asset_id, sender), limit)]

    async def next_return(self, asset_id: str, sender: str) -> int | ports.ActionRefused:
        if self._parts.returns is None:
            return ports.ActionRefused("nothing_to_return", {"asset": asset_id})
        found = await self._parts.returns.next_number(asset_id, sender)
        if isinstance(found, int):
            return found
        return ports.ActionRefused(found.reason.value, {"asset": asset_id})

    async def return_unlisted(
        self, wish: ports.UnlistedReturn
    ) -> UnlistedView | ports.ActionRefused:
        if self._parts.returns is None:
            return ports.ActionRefused("nothing_to_return", {"asset": wish.asset_id})
        order = ReturnOrder(
            asset_id=wish.asset_id,
            sender=wish.sender,
            receiver=wish.receiver,
            units=parse_units(wish.amount, DECIMALS),
            number=wish.number,
        )
        done = await self._parts.returns.begin(order)
        if isinstance(done, Unlisted):
            return _unlisted(done)
        payable = format_units(done.payable_units, DECIMALS)
        return ports.ActionRefused(
            done.reason.value,
            {"asset": wish.asset_id, "stated": wish.amount, "payable": payable},
        )

    # ----------------------------------------------------------------------------- answers

    def _amount(self, money: AmountView) -> Amount | None:
        asset = self._scales.assets.get(money.asset)
        return Amount.parse(asset, money.amount) if asset is not None else None

    def _own(
        self, own: ports.OwnMoney, booking: Booking
    ) -> ports.ActionReceipt | ports.ActionRefused:
        return self._receipt(own.request_id, own.money, own.reference, booking)

    def _plain(
        self, request_id: str, booking: Booking
    ) -> ports.ActionReceipt | ports.ActionRefused:
        if isinstance(booking, Booked):
            return ports.ActionReceipt(request_id, booking.seq, self._parts.clock.now_us())
        reason = booking.reason
        return ports.ActionRefused(reason.value)

    def _receipt(
        self, request_id: str, money: AmountView, reference: str, booking: Booking
    ) -> ports.ActionReceipt | ports.ActionRefused:
        if isinstance(booking, Booked):
            return ports.ActionReceipt(request_id, booking.seq, self._parts.clock.now_us())
        if booking.reason is LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT:
            return ports.ActionRefused("reference_used", {"reference": reference})
        return ports.ActionRefused(
            booking.reason.value,
            {
                **self._scales.facts(money.asset),
                "stated": money.amount,
                "reported": self._scales.text(money.asset, booking.known_units),
            },
        )


def _unlisted(row: Unlisted) -> UnlistedView:
    return UnlistedView(
        asset_id=row.asset_id,
        sender=row.sender,
        payments=row.payments,
        amount=format_units(row.units, DECIMALS),
        returning=format_units(row.returning_units, DECIMALS),
        return_to=row.return_to if row.returning_units else "",
        first_at_us=row.first_us,
        last_at_us=row.last_us,
        problem=row.reason,
    )


def _misplaced(incoming: ports.Incoming) -> ports.ActionRefused:
    return ports.ActionRefused(
        "unknown_place", {"location": incoming.location, "asset": incoming.money.asset}
    )
