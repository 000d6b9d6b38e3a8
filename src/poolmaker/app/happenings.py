"""Transactions of the ledger as lines of EVENTS: names and sums that fill a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolmaker.app.figures import Scales
from poolmaker.business.ledger import commands
from poolmaker.business.ledger.accounts import Normal, normal_of
from poolmaker.business.ledger.codec import decode_command
from poolmaker.business.ledger.model import EntryRow, Transaction
from poolmaker.messages.base import Money as UnitMoney
from poolmaker.views.model import Entry, Happening, Money


@dataclass(frozen=True, slots=True)
class Told:
    """What a sentence about a command needs: whom it is about, and the sums by name."""

    subject: str
    sums: Mapping[str, tuple[UnitMoney, ...]]
    kind: str = ""


def told(transaction: Transaction) -> Told:
    """Whom a transaction is about and what it moved."""
    command = decode_command(transaction.body)
    match command:
        case commands.Fill():
            sums = {"base": (command.base,), "quote": (command.quote,)}
            return Told("", sums, f"FILL.{command.side.value}")
        case commands.JoinPoolV1() | commands.JoinPool():
            return Told(command.order, {"what": _grown(transaction, ("pool:",))})
        case commands.LeavePoolV1() | commands.LeavePool() | commands.SettleExit():
            return Told(command.order, {"what": _grown(transaction, ("exit:", "order:"))})
        case commands.Lock() | commands.Unlock():
            return Told(command.user, {"what": command.money})
        case commands.RechargeFee():
            return Told("", {"what": (command.fee,)})
        case commands.Reversal():
            return Told("", {"what": _grown(transaction, ("custody:", "platform:"))})
        case commands.AllocateReward():
            return Told("", {"what": (command.users,)})
        case (
            commands.CreditDeposit()
            | commands.CreditReward()
            | commands.ResolveSuspense()
            | commands.PlatformFee()
            | commands.HoldWithdraw()
            | commands.ReleaseWithdraw()
        ):
            return Told(command.user, {"what": (command.money,)})
        case commands.DebitWithdraw() | commands.NetworkFee():
            return Told(command.withdrawal, {"what": (command.money,)})
        case _:
            return Told(
                "", {} if isinstance(command, commands.SetAside) else {"what": (command.money,)}
            )


def _grown(transaction: Transaction, heads: tuple[str, ...]) -> tuple[UnitMoney, ...]:
    """What grew on the accounts that begin with one of ``heads``, shares left out."""
    found = []
    for leg in transaction.legs:
        units = leg.units if normal_of(leg.account) is Normal.HELD else -leg.units
        if units > 0 and leg.account.startswith(heads) and not leg.asset.startswith("share:"):
            found.append(UnitMoney(asset=leg.asset, units=units))
    return tuple(found)


def happening(transaction: Transaction, line: Told, name: str, scales: Scales) -> Happening:
    """The line of EVENTS of a transaction."""
    sums: dict[str, tuple[Money, ...]] = {
        key: scales.sums(moneys) for key, moneys in line.sums.items()
    }
    return Happening(
        seq=transaction.seq,
        at_us=transaction.at_us,
        kind=line.kind or transaction.kind,
        key=transaction.key,
        facts={"who": name},
        sums=sums,
        entries=entries_of(transaction, scales),
    )


def entries_of(transaction: Transaction, scales: Scales) -> tuple[Entry, ...]:
    """The legs of a transaction as an owner reads them."""
    return tuple(
        Entry(
            seq=transaction.seq,
            at_us=transaction.at_us,
            kind=transaction.kind,
            key=transaction.key,
            account=leg.account,
            asset=leg.asset,
            amount=scales.text(
                leg.asset, leg.units if normal_of(leg.account) is Normal.HELD else -leg.units
            ),
            balance=None,
        )
        for leg in transaction.legs
    )


def entries_page(rows: Sequence[EntryRow], scales: Scales) -> tuple[Entry, ...]:
    """Rows of accounts with the balance behind each."""
    return tuple(
        Entry(
            seq=row.seq,
            at_us=row.at_us,
            kind=row.kind,
            key=row.key,
            account=row.account,
            asset=row.asset,
            amount=scales.text(row.asset, row.units),
            balance=scales.text(row.asset, row.balance_units),
        )
        for row in rows
    )
