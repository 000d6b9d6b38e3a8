"""Transactions of the ledger as lines of EVENTS: names and sums that fill a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolmaker.app.figures import AssetRegistry
from poolmaker.business.ledger import commands
from poolmaker.business.ledger.accounts import Normal, normal_of
from poolmaker.business.ledger.codec import decode_command
from poolmaker.business.ledger.model import EntryRow, LedgerTransaction
from poolmaker.messages.base import Money as UnitMoney
from poolmaker.views.model import ActivityView, AmountView, Entry


@dataclass(frozen=True, slots=True)
class WordedEntry:
    """What a sentence about a command needs: whom it is about, and the sums by name."""

    subject: str
    sums: Mapping[str, tuple[UnitMoney, ...]]
    kind: str = ""


def told(transaction: LedgerTransaction) -> WordedEntry:
    """Whom a transaction is about and what it moved."""
    command = decode_command(transaction.body)
    match command:
        case commands.Fill():
            sums = {"base": (command.base,), "quote": (command.quote,)}
            return WordedEntry("", sums, f"FILL.{command.side.value}")
        case commands.JoinPoolV1() | commands.JoinPool():
            return WordedEntry(command.order, {"what": _grown(transaction, ("pool:",))})
        case commands.LeavePoolV1() | commands.LeavePool() | commands.SettleExit():
            return WordedEntry(command.order, {"what": _grown(transaction, ("exit:", "order:"))})
        case commands.Lock() | commands.Unlock():
            return WordedEntry(command.user, {"what": command.money})
        case commands.RechargeFee():
            return WordedEntry("", {"what": (command.fee,)})
        case commands.Reversal():
            return WordedEntry("", {"what": _grown(transaction, ("custody:", "platform:"))})
        case commands.AllocateReward():
            return WordedEntry("", {"what": (command.users,)})
        case (
            commands.CreditDeposit()
            | commands.CreditReward()
            | commands.ResolveSuspense()
            | commands.PlatformFee()
            | commands.HoldWithdraw()
            | commands.ReleaseWithdraw()
        ):
            return WordedEntry(command.user, {"what": (command.money,)})
        case commands.DebitWithdraw() | commands.NetworkFee():
            return WordedEntry(command.withdrawal, {"what": (command.money,)})
        case _:
            return WordedEntry(
                "", {} if isinstance(command, commands.SetAside) else {"what": (command.money,)}
            )


def _grown(transaction: LedgerTransaction, heads: tuple[str, ...]) -> tuple[UnitMoney, ...]:
    """What grew on the accounts that begin with one of ``heads``, shares left out."""
    found = []
    for leg in transaction.legs:
        units = leg.units if normal_of(leg.account) is Normal.HELD else -leg.units
        if units > 0 and leg.account.startswith(heads) and not leg.asset.startswith("share:"):
            found.append(UnitMoney(asset=leg.asset, units=units))
    return tuple(found)


def happening(
    transaction: LedgerTransaction, line: WordedEntry, name: str, scales: AssetRegistry
) -> ActivityView:
    """The line of EVENTS of a transaction."""
    sums: dict[str, tuple[AmountView, ...]] = {
        key: scales.sums(moneys) for key, moneys in line.sums.items()
    }
    return ActivityView(
        seq=transaction.seq,
        at_us=transaction.at_us,
        kind=line.kind or transaction.kind,
        key=transaction.key,
        facts={"who": name},
        sums=sums,
        entries=entries_of(transaction, scales),
    )


def entries_of(transaction: LedgerTransaction, scales: AssetRegistry) -> tuple[Entry, ...]:
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


def entries_page(rows: Sequence[EntryRow], scales: AssetRegistry) -> tuple[Entry, ...]:
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
