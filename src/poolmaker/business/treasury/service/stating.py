"""What people state about money: booked only with the evidence of the place where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger.commands import Command, CreditDeposit, OperatorIn
from poolmaker.business.ledger.model import LedgerRefusal, Posted
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.booking import (
    Booking,
    NotBooked,
    ReportedDeposit,
    StatementRefusal,
)
from poolmaker.business.treasury.ports import ArrivalEvidence, TreasuryStore
from poolmaker.business.treasury.rules import (
    arrival_again_key,
    booking,
    is_on_its_way,
    not_booked,
    require_reference,
    reversal_key,
)
from poolmaker.business.treasury.service.custody import CustodyRecords
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import CommandKey
from poolmaker.messages.base import Money, encode


class LedgerBooker:
    """Gives the ledger a command and waits for what became of it."""

    def __init__(self, transactions: Transactions, ledger: LedgerClient) -> None:
        self._transactions = transactions
        self._ledger = ledger

    async def book(self, command: Command) -> Booking:
        """The same command again answers as the first did.

        Raises OutcomeUnknown while the ledger has not answered: give the same command again.
        """
        try:
            return booking(await self._ledger.submit(command))
        except OutcomeUnknown:
            return await self._look_up(command)

    async def _look_up(self, command: Command) -> Booking:
        """The answer was lost: only what the ledger stored says what happened."""
        async with self._transactions.begin("treasury.look_up") as tx:
            outcome = await self._ledger.outcome(tx, command.key)
            posted = await self._ledger.transaction(tx, command.key)
        if posted is not None and posted.body != encode(command):
            return NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        if outcome is None:
            raise OutcomeUnknown(
                f"{command.key}: the ledger has not answered; give the same command again"
            )
        return booking(outcome)


@dataclass(frozen=True, slots=True)
class StatedArrival:
    """Money that a person says has come to a place, under the place's own reference."""

    location: str
    money: Money
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPorts:
    """What the statements of people are held against."""

    transactions: Transactions
    ledger: LedgerClient
    store: TreasuryStore
    evidence: ArrivalEvidence
    custody: CustodyRecords


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the place says: of the reference, and of all that it holds now."""

    reported: ReportedDeposit | None
    held_units: int
    second_person: bool


class StatedArrivals:
    """The only way from a person's word into the books.

    The place must report, now, that much more than is booked there. And its own history names the
    reference with exactly that amount; or it does not, and then a second person is needed and the
    surplus must have lasted.
    """

    def __init__(self, ports: StatedPorts, booker: LedgerBooker) -> None:
        self._ports = ports
        self._booker = booker

    async def book(
        self,
        fact: Callable[[CommandKey, str], OperatorIn | CreditDeposit],
        stated: StatedArrival,
        *,
        second_person: bool,
    ) -> Booking:
        """Book the ``fact`` of a key and the place's own reference, or say why not.

        Raises Unavailable while the place cannot be asked.
        """
        require_reference(stated.reference)
        location, money = stated.location, stated.money
        if money.units <= 0:
            return NotBooked(StatementRefusal.BAD_AMOUNT)
        if not self._ports.evidence.knows(location, money.asset):
            return NotBooked(StatementRefusal.UNKNOWN_PLACE)
        reported = await self._ports.evidence.deposit(location, money.asset, stated.reference)
        if reported is not None and reported.units != money.units:
            return NotBooked(StatementRefusal.AMOUNT_DIFFERS, reported.units)
        held_units = await self._ports.evidence.held_units(location, money.asset)
        shown = _Shown(reported, held_units, second_person)
        async with self._ports.transactions.begin("treasury.stated") as tx:
            answer = await self._ask(tx, fact, stated, shown)
        return answer if isinstance(answer, NotBooked) else await self._booker.book(answer)

    async def _ask(
        self,
        tx: Tx,
        fact: Callable[[CommandKey, str], OperatorIn | CreditDeposit],
        stated: StatedArrival,
        shown: _Shown,
    ) -> OperatorIn | CreditDeposit | NotBooked:
        reference = shown.reported.reference if shown.reported is not None else stated.reference
        location, asset = stated.location, stated.money.asset
        await self._ports.store.lock_place(tx, location, f"stated {asset}")
        command = fact(await self._key(tx, stated.location, reference), reference)
        posted = await self._ports.ledger.transaction(tx, command.key)
        if posted is not None:
            conflict = NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
            return command if posted.body == encode(command) else conflict
        objection = await self._objection(tx, stated, shown.reported)
        objection = objection or await self._uncovered(tx, command.key, stated, shown)
        if objection is not None:
            return objection
        try:
            await self._ports.ledger.ask(tx, command)
            await self._ports.store.note_stated(tx, location, asset, command.key)
        except KeyConflict:
            return NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        return command

    async def _key(self, tx: Tx, location: str, reference: str) -> CommandKey:
        """The key under which an arrival is booked: a fresh one after each reversal."""
        reversals = 0
        while True:
            key = arrival_again_key(location, reference, reversals)
            undone = await self._ports.ledger.outcome(tx, reversal_key(key))
            if not isinstance(undone, Posted):
                return key
            reversals += 1

    async def _objection(
        self, tx: Tx, stated: StatedArrival, reported: ReportedDeposit | None
    ) -> NotBooked | None:
        """Why it is in the books already, or will come there by itself."""
        location, asset = stated.location, stated.money.asset
        reference = reported.reference if reported is not None else stated.reference
        for name in reported.other_names if reported is not None else ():
            outcome = await self._ports.ledger.outcome(tx, await self._key(tx, location, name))
            if isinstance(outcome, Posted):
                return NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        transfers = await self._ports.store.open_transfers(tx)
        if is_on_its_way(location, asset, reference, transfers):
            return NotBooked(StatementRefusal.IS_TRANSFER)
        return None

    async def _uncovered(
        self, tx: Tx, key: CommandKey, stated: StatedArrival, shown: _Shown
    ) -> NotBooked | None:
        """Why the place does not show it: everything under way counts against it."""
        location, money, ports = stated.location, stated.money, self._ports
        if shown.reported is None and not shown.second_person:
            return NotBooked(StatementRefusal.NOT_CONFIRMED)
        last = await ports.store.last_stated(tx, location, money.asset)
        other = last not in ("", key)
        if other and await ports.ledger.outcome(tx, CommandKey(last)) is None:
            raise Unavailable(f"another arrival at {location} is being booked; ask again")
        transfers = not_booked(await ports.store.open_transfers(tx))
        rows = [row for row in transfers if (row.location, row.asset) == (location, money.asset)]
        booked = await ports.ledger.balance(tx, location, money.asset)
        there = shown.held_units - booked - sum(row.units for row in rows)
        if shown.reported is None:
            there = min(there, await ports.custody.surplus_units(tx, location, money.asset))
        if there < money.units:
            return NotBooked(StatementRefusal.NOTHING_BEHIND, max(0, there))
        return None
