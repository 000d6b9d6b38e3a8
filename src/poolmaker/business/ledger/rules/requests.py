"""Requests about users' and the operator's own money; each refuses in ``LedgerRefusal``'s order."""

from __future__ import annotations

from collections.abc import Iterable

from poolmaker.business.ledger.accounts import (
    DUST,
    EQUITY,
    FEE_FLOAT,
    FEES,
    is_custody,
    order_locked,
    user_available,
    venue_account_of,
    withdrawal_held,
)
from poolmaker.business.ledger.commands import (
    BearShortfall,
    FloatTrade,
    FundFeeFloat,
    HoldWithdraw,
    Lock,
    OperatorOut,
    ReleaseWithdraw,
    SettleFees,
    Unlock,
)
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules.books import (
    LedgerState,
    OrderRecord,
    PostingDecision,
    WithdrawalRecord,
)
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Money


def unknown_asset(books: LedgerState, moneys: Iterable[Money]) -> bool:
    """Whether any of the amounts is of an asset that is not registered."""
    return any(money.asset not in books.assets for money in moneys)


def bad_units(*units: int) -> bool:
    """Whether any is not a positive number of at most 38 digits."""
    return any(not 0 < value <= UNITS_MAX for value in units)


def _bad_list(moneys: tuple[Money, ...]) -> bool:
    distinct = {money.asset for money in moneys}
    return len(distinct) != len(moneys) or not moneys or bad_units(*(m.units for m in moneys))


def short(books: LedgerState, account: str, moneys: Iterable[Money]) -> bool:
    """Whether an account does not cover all of the amounts."""
    return any(books.balance(account, money.asset) < money.units for money in moneys)


def moved(
    books: LedgerState, source: str, target: str, moneys: Iterable[Money]
) -> PostingBuilder | LedgerRefusal:
    """The draft of amounts that go from one account to another."""
    draft = PostingBuilder(books)
    for money in moneys:
        draft.lose(source, money.asset, money.units)
        draft.gain(target, money.asset, money.units)
    return LedgerRefusal.BAD_AMOUNT if draft.too_large() else draft


def lock(books: LedgerState, command: Lock, _at_us: int) -> PostingDecision | LedgerRefusal:
    """Available to the order's locked."""
    order = books.find(OrderRecord, command.order)
    source = user_available(command.user)
    if unknown_asset(books, command.money):
        return LedgerRefusal.UNKNOWN_ASSET
    if _bad_list(command.money):
        return LedgerRefusal.BAD_AMOUNT
    if order is not None and order.user != command.user:
        return LedgerRefusal.UNKNOWN_ORDER
    if short(books, source, command.money):
        return LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, order_locked(command.order), command.money)
    if isinstance(draft, LedgerRefusal):
        return draft
    if order is not None:
        return draft.decision()
    return draft.decision(OrderRecord(order=command.order, user=command.user))


def unlock(books: LedgerState, command: Unlock, _at_us: int) -> PostingDecision | LedgerRefusal:
    """The order's locked back to available."""
    order = books.find(OrderRecord, command.order)
    source = order_locked(command.order)
    if unknown_asset(books, command.money):
        return LedgerRefusal.UNKNOWN_ASSET
    if _bad_list(command.money):
        return LedgerRefusal.BAD_AMOUNT
    if order is None or order.user != command.user:
        return LedgerRefusal.UNKNOWN_ORDER
    if books.user_has_deficit(command.user):
        return LedgerRefusal.BLOCKED_BY_DEFICIT
    if short(books, source, command.money):
        return LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, user_available(command.user), command.money)
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def hold_withdraw(
    books: LedgerState, command: HoldWithdraw, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Available to the withdrawal's held."""
    withdrawal = books.find(WithdrawalRecord, command.withdrawal)
    source = user_available(command.user)
    if unknown_asset(books, (command.money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(command.money.units):
        return LedgerRefusal.BAD_AMOUNT
    if withdrawal is not None and withdrawal.user != command.user:
        return LedgerRefusal.UNKNOWN_ORDER
    if books.user_has_deficit(command.user):
        return LedgerRefusal.BLOCKED_BY_DEFICIT
    if short(books, source, (command.money,)):
        return LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, withdrawal_held(command.withdrawal), (command.money,))
    if isinstance(draft, LedgerRefusal):
        return draft
    if withdrawal is not None:
        return draft.decision()
    return draft.decision(WithdrawalRecord(withdrawal=command.withdrawal, user=command.user))


def release_withdraw(
    books: LedgerState, command: ReleaseWithdraw, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Held back to available."""
    withdrawal = books.find(WithdrawalRecord, command.withdrawal)
    source = withdrawal_held(command.withdrawal)
    if unknown_asset(books, (command.money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(command.money.units):
        return LedgerRefusal.BAD_AMOUNT
    if withdrawal is None or withdrawal.user != command.user:
        return LedgerRefusal.UNKNOWN_ORDER
    if short(books, source, (command.money,)):
        return LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, user_available(command.user), (command.money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def uncovers_pools(books: LedgerState, location: str, money: Money) -> bool:
    """Whether taking money from a venue account would leave pools there without cover."""
    venue = venue_account_of(location)
    left = books.balance(location, money.asset) - money.units
    return venue is not None and left < books.claims_at(venue, money.asset)


def operator_out(
    books: LedgerState, command: OperatorOut, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Equity leaves a place."""
    money = command.money
    if unknown_asset(books, (money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(money.units):
        return LedgerRefusal.BAD_AMOUNT
    if not is_custody(command.location) or short(books, command.location, (money,)):
        return LedgerRefusal.INSUFFICIENT
    if uncovers_pools(books, command.location, money):
        return LedgerRefusal.NOT_FUNDED
    if short(books, EQUITY, (money,)):
        return LedgerRefusal.EQUITY_BELOW_ZERO
    draft = PostingBuilder(books)
    draft.lose(EQUITY, money.asset, money.units)
    draft.lose(command.location, money.asset, money.units)
    return draft.decision()


def _transfer(
    books: LedgerState, source: str, target: str, money: Money
) -> PostingDecision | LedgerRefusal:
    """The operator's own money from one platform account to another; none falls below zero."""
    if unknown_asset(books, (money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(money.units):
        return LedgerRefusal.BAD_AMOUNT
    if short(books, source, (money,)):
        return LedgerRefusal.EQUITY_BELOW_ZERO if source == EQUITY else LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, target, (money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def fund_fee_float(
    books: LedgerState, command: FundFeeFloat, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Equity becomes float for fees."""
    return _transfer(books, EQUITY, FEE_FLOAT, command.money)


def float_trade(
    books: LedgerState, command: FloatTrade, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Equity becomes float for fees, or float equity."""
    source, target = (EQUITY, FEE_FLOAT) if command.into_float else (FEE_FLOAT, EQUITY)
    return _transfer(books, source, target, command.money)


def settle_fees(
    books: LedgerState, command: SettleFees, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Fees earned and remainders become equity; any other account is refused."""
    if command.account not in (FEES, DUST):
        return LedgerRefusal.INSUFFICIENT
    return _transfer(books, command.account, EQUITY, command.money)


def bear_shortfall(
    books: LedgerState, command: BearShortfall, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """What a place has lost is the operator's loss, as far as equity covers it."""
    money = command.money
    if unknown_asset(books, (money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(money.units):
        return LedgerRefusal.BAD_AMOUNT
    if not is_custody(command.location) or short(books, command.location, (money,)):
        return LedgerRefusal.INSUFFICIENT
    if short(books, EQUITY, (money,)):
        return LedgerRefusal.EQUITY_BELOW_ZERO
    draft = PostingBuilder(books)
    draft.lose(EQUITY, money.asset, money.units)
    draft.lose(command.location, money.asset, money.units)
    return draft.decision()
