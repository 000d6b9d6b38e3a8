"""``api.ports.Treasury`` over the treasury, custody and the bot: texts to units and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolmaker.api import ports
from poolmaker.app.figures import Scales
from poolmaker.business.ledger.accounts import is_custody, venue_account_of
from poolmaker.business.ledger.model import Refusal
from poolmaker.business.treasury.booking import Booked, Booking, NotBooked
from poolmaker.business.treasury.custody import CustodyIncident
from poolmaker.business.treasury.service import CustodyRecords, Treasury
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.money import Amount, format_units, parse_units
from poolmaker.mixin.codec.amounts import DECIMALS
from poolmaker.mixin.model import ReturnOrder, Unlisted
from poolmaker.mixin.unlisted import UnlistedReturns
from poolmaker.views.custody import CustodyIncidentView, UnlistedView
from poolmaker.views.model import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasuryDeskPorts:
    """What the desk is given."""

    treasury: Treasury
    records: CustodyRecords
    returns: UnlistedReturns | None
    clock: Clock


class TreasuryDesk:
    """``api.ports.Treasury``."""

    def __init__(self, parts: TreasuryDeskPorts, scales: Scales) -> None:
        self._parts = parts
        self._treasury = parts.treasury
        self._scales = scales

    # --------------------------------------------------------------------------- what has come

    async def operator_in(
        self, incoming: ports.Incoming, *, second_person: bool = False
    ) -> ports.Receipt | ports.Refused:
        """See ``Treasury.operator_in``."""
        amount, location = self._amount(incoming.money), incoming.location
        if amount is None or not is_custody(location):
            return _misplaced(incoming)
        booking = await self._treasury.operator_in_at(
            location, amount, incoming.reference, second_person=second_person
        )
        return self._receipt(incoming.request_id, incoming.money, incoming.reference, booking)

    async def credit_deposit(
        self, user_id: UserId, incoming: ports.Incoming, *, second_person: bool = False
    ) -> ports.Receipt | ports.Refused:
        """See ``Treasury.credit_deposit``."""
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
    ) -> ports.Receipt | ports.Refused:
        """See ``Treasury.operator_out``."""
        amount = self._amount(own.money)
        if amount is None:
            return ports.Refused("unknown_asset", self._scales.facts(own.money.asset))
        return self._own(own, await self._treasury.operator_out(location, amount, own.reference))

    async def settle(self, account: str, own: ports.OwnMoney) -> ports.Receipt | ports.Refused:
        """See ``Treasury.settle``."""
        amount = self._amount(own.money)
        if amount is None:
            return ports.Refused("unknown_asset", self._scales.facts(own.money.asset))
        return self._own(own, await self._treasury.settle_fees(account, amount, own.reference))

    async def trade_float(
        self, own: ports.OwnMoney, *, into_float: bool
    ) -> ports.Receipt | ports.Refused:
        """See ``Treasury.trade_float``."""
        amount = self._amount(own.money)
        if amount is None:
            return ports.Refused("unknown_asset", self._scales.facts(own.money.asset))
        booking = await self._treasury.trade_float(amount, own.reference, into_float=into_float)
        return self._own(own, booking)

    async def reverse(
        self, request_id: str, seq: int, reason: str
    ) -> ports.Receipt | ports.Refused:
        """See ``Treasury.reverse``."""
        return self._plain(request_id, await self._treasury.reverse(seq, reason))

    async def bearable(self, incident: str) -> ports.Bearable | ports.Refused:
        """See ``Treasury.bearable``."""
        found = await self._treasury.bearable(incident)
        if isinstance(found, NotBooked):
            return ports.Refused(found.reason.value)
        money = Money(found.asset, self._scales.text(found.asset, found.units))
        return ports.Bearable(money, found.attempt)

    async def bear(
        self, request_id: str, incident: str, what: ports.Bearable
    ) -> ports.Receipt | ports.Refused:
        """See ``Treasury.bear``."""
        amount = self._amount(what.money)
        if amount is None:
            return ports.Refused("unknown_asset", self._scales.facts(what.money.asset))
        booking = await self._treasury.bear_shortfall(incident, amount.units, what.attempt)
        return self._plain(request_id, booking)

    # ---------------------------------------------------------------------------- incidents

    async def incidents(self) -> Sequence[CustodyIncidentView]:
        """See ``Treasury.incidents``."""
        found = await self._parts.records.incidents(closed=True)
        return tuple(self._incident(one) for one in found)

    async def take(self, incident: str, by: str) -> CustodyIncidentView | ports.Refused:
        """See ``Treasury.take``."""
        found = await self._parts.records.take(incident, by)
        return self._incident(found) if found is not None else ports.Refused("unknown_incident")

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
        """See ``Treasury.unlisted``."""
        if self._parts.returns is None:
            return ()
        asset_id, _, sender = after.partition(":")
        return [_unlisted(row) for row in await self._parts.returns.page((asset_id, sender), limit)]

    async def next_return(self, asset_id: str, sender: str) -> int | ports.Refused:
        """See ``Treasury.next_return``."""
        if self._parts.returns is None:
            return ports.Refused("nothing_to_return", {"asset": asset_id})
        found = await self._parts.returns.next_number(asset_id, sender)
        if isinstance(found, int):
            return found
        return ports.Refused(found.reason.value, {"asset": asset_id})

    async def return_unlisted(self, wish: ports.UnlistedReturn) -> UnlistedView | ports.Refused:
        """See ``Treasury.return_unlisted``."""
        if self._parts.returns is None:
            return ports.Refused("nothing_to_return", {"asset": wish.asset_id})
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
        return ports.Refused(
            done.reason.value,
            {"asset": wish.asset_id, "stated": wish.amount, "payable": payable},
        )

    # ----------------------------------------------------------------------------- answers

    def _amount(self, money: Money) -> Amount | None:
        asset = self._scales.assets.get(money.asset)
        return Amount.parse(asset, money.amount) if asset is not None else None

    def _own(self, own: ports.OwnMoney, booking: Booking) -> ports.Receipt | ports.Refused:
        return self._receipt(own.request_id, own.money, own.reference, booking)

    def _plain(self, request_id: str, booking: Booking) -> ports.Receipt | ports.Refused:
        if isinstance(booking, Booked):
            return ports.Receipt(request_id, booking.seq, self._parts.clock.now_us())
        reason = booking.reason
        return ports.Refused(reason.value)

    def _receipt(
        self, request_id: str, money: Money, reference: str, booking: Booking
    ) -> ports.Receipt | ports.Refused:
        if isinstance(booking, Booked):
            return ports.Receipt(request_id, booking.seq, self._parts.clock.now_us())
        if booking.reason is Refusal.SAME_KEY_DIFFERENT_CONTENT:
            return ports.Refused("reference_used", {"reference": reference})
        return ports.Refused(
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


def _misplaced(incoming: ports.Incoming) -> ports.Refused:
    return ports.Refused(
        "unknown_place", {"location": incoming.location, "asset": incoming.money.asset}
    )
