"""Money that was nobody's: what waits in suspense, and campaigns' rewards."""

from __future__ import annotations

from poolmaker.business.ledger.accounts import (
    DUST,
    FEES,
    rewards_allocated,
    rewards_unallocated,
    suspense,
    user_available,
    withdrawal_held,
)
from poolmaker.business.ledger.commands import (
    AllocateReward,
    CreditReward,
    Dust,
    ReceiveReward,
    Refund,
    ResolveSuspense,
)
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules.books import (
    BlockedCommand,
    LedgerState,
    OrderRecord,
    PostingDecision,
    WithdrawalRecord,
)
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.business.ledger.rules.facts import arrival
from poolmaker.business.ledger.rules.requests import bad_units, moved, short, unknown_asset
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Money

NOBODY = UserId("")
"""The user of a withdrawal that gives back what was nobody's."""


def _refusal(books: LedgerState, source: str, money: Money) -> LedgerRefusal | None:
    if unknown_asset(books, (money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    if bad_units(money.units):
        return LedgerRefusal.BAD_AMOUNT
    return LedgerRefusal.INSUFFICIENT if short(books, source, (money,)) else None


def _move(
    books: LedgerState, source: str, target: str, money: Money
) -> PostingDecision | LedgerRefusal:
    refusal = _refusal(books, source, money)
    if refusal is not None:
        return refusal
    draft = moved(books, source, target, (money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def resolve_suspense(
    books: LedgerState, command: ResolveSuspense, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Suspense to a user's available; an open deficit of his is repaid first."""
    return _move(books, suspense(command.source), user_available(command.user), command.money)


def refund(books: LedgerState, command: Refund, _at_us: int) -> PostingDecision | LedgerRefusal:
    """Suspense to a withdrawal's held."""
    known = books.find(WithdrawalRecord, command.withdrawal)
    source, target = suspense(command.source), withdrawal_held(command.withdrawal)
    refusal = _refusal(books, source, command.money)
    if refusal is not None:
        return refusal
    if known is not None and known.user != NOBODY:
        return LedgerRefusal.UNKNOWN_ORDER
    draft = moved(books, source, target, (command.money,))
    if isinstance(draft, LedgerRefusal):
        return draft
    return draft.decision(WithdrawalRecord(withdrawal=command.withdrawal, user=NOBODY))


def receive_reward(
    books: LedgerState, fact: ReceiveReward, _at_us: int
) -> PostingDecision | BlockedCommand:
    """A reward arrived; it waits for its allocation."""
    return arrival(books, fact.location, fact.money, rewards_unallocated(fact.campaign))


def dust(books: LedgerState, command: Dust, _at_us: int) -> PostingDecision | LedgerRefusal:
    """A remainder of a campaign's reward to the platform's dust."""
    return _move(books, rewards_unallocated(command.campaign), DUST, command.money)


def allocate_reward(
    books: LedgerState, command: AllocateReward, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Unallocated to the platform's fees and to what users get; the fee may be nothing."""
    fee, users = command.fee, command.users
    source = rewards_unallocated(command.campaign)
    if unknown_asset(books, (fee, users)):
        return LedgerRefusal.UNKNOWN_ASSET
    if fee.asset != users.asset or not 0 <= fee.units <= UNITS_MAX or bad_units(users.units):
        return LedgerRefusal.BAD_AMOUNT
    whole = Money(asset=fee.asset, units=fee.units + users.units)
    if short(books, source, (whole,)):
        return LedgerRefusal.INSUFFICIENT
    draft = PostingBuilder(books)
    draft.lose(source, whole.asset, whole.units)
    draft.gain(FEES, fee.asset, fee.units)
    draft.gain(rewards_allocated(command.campaign), users.asset, users.units)
    return LedgerRefusal.BAD_AMOUNT if draft.too_large() else draft.decision()


def credit_reward(
    books: LedgerState, command: CreditReward, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Allocated to the available of the order's user; the order may be closed."""
    order = books.find(OrderRecord, command.order)
    if order is None or order.user != command.user:
        return LedgerRefusal.UNKNOWN_ORDER
    source = rewards_allocated(command.campaign)
    return _move(books, source, user_available(command.user), command.money)
