"""Money of ours from one place to another, and what it costs."""

from __future__ import annotations

from poolmaker.business.ledger.accounts import (
    EQUITY,
    FEES,
    is_custody,
    order_locked,
    transit,
)
from poolmaker.business.ledger.commands import MoveFee, MoveIn, MoveOut, PlatformFee
from poolmaker.business.ledger.model import BlockReason, LedgerRefusal
from poolmaker.business.ledger.rules.books import (
    BlockedCommand,
    LedgerState,
    OrderRecord,
    PostingDecision,
)
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.business.ledger.rules.facts import arrival_obstacle, finished
from poolmaker.business.ledger.rules.requests import (
    bad_units,
    moved,
    short,
    uncovers_pools,
    unknown_asset,
)


def move_out(books: LedgerState, command: MoveOut, _at_us: int) -> PostingDecision | LedgerRefusal:
    """A place of ours to transit; what pools and leavers own at a venue stays there."""
    money, location = command.money, command.location
    if unknown_asset(books, (money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(money.units):
        return LedgerRefusal.BAD_AMOUNT
    if not is_custody(location) or short(books, location, (money,)):
        return LedgerRefusal.INSUFFICIENT
    if uncovers_pools(books, location, money):
        return LedgerRefusal.NOT_FUNDED
    draft = moved(books, location, transit(command.transfer), (money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def move_in(books: LedgerState, fact: MoveIn, _at_us: int) -> PostingDecision | BlockedCommand:
    """Transit to a place of ours. More than was sent leaves transit below zero: an incident."""
    obstacle = arrival_obstacle(books, fact.location, fact.money)
    if obstacle is not None:
        return obstacle
    draft = PostingBuilder(books)
    draft.gain(fact.location, fact.money.asset, fact.money.units)
    draft.lose(transit(fact.transfer), fact.money.asset, fact.money.units)
    return finished(draft, f"amount {fact.money.units}")


def move_fee(books: LedgerState, fact: MoveFee, _at_us: int) -> PostingDecision | BlockedCommand:
    """The operator bears what a provider takes; what users were quoted is PLATFORM_FEE."""
    inside = fact.location == transit(fact.transfer)
    if not inside and not is_custody(fact.location):
        return BlockedCommand(BlockReason.MALFORMED, f"location {fact.location}")
    obstacle = arrival_obstacle(books, "custody:any", fact.money)
    if obstacle is not None:
        return obstacle
    draft = PostingBuilder(books)
    draft.lose(fact.location, fact.money.asset, fact.money.units)
    draft.lose(EQUITY, fact.money.asset, fact.money.units)
    return finished(draft, f"amount {fact.money.units}")


def platform_fee(
    books: LedgerState, command: PlatformFee, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """The order's locked to the platform's fees."""
    order = books.find(OrderRecord, command.order)
    source = order_locked(command.order)
    if unknown_asset(books, (command.money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(command.money.units):
        return LedgerRefusal.BAD_AMOUNT
    if order is None or order.user != command.user:
        return LedgerRefusal.UNKNOWN_ORDER
    if short(books, source, (command.money,)):
        return LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, FEES, (command.money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()
