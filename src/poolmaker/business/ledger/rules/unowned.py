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
from poolmaker.business.ledger.model import Refusal
from poolmaker.business.ledger.rules.books import (
    Books,
    Decision,
    OrderState,
    Stuck,
    WithdrawalState,
)
from poolmaker.business.ledger.rules.draft import Draft
from poolmaker.business.ledger.rules.facts import arrival
from poolmaker.business.ledger.rules.requests import bad_units, moved, short, unknown_asset
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Money

NOBODY = UserId("")
"""The user of a withdrawal that gives back what was nobody's."""


def _refusal(books: Books, source: str, money: Money) -> Refusal | None:
    if unknown_asset(books, (money,)):
        return Refusal.UNKNOWN_ASSET
    if bad_units(money.units):
        return Refusal.BAD_AMOUNT
    return Refusal.INSUFFICIENT if short(books, source, (money,)) else None


def _move(books: Books, source: str, target: str, money: Money) -> Decision | Refusal:
    refusal = _refusal(books, source, money)
    if refusal is not None:
        return refusal
    draft = moved(books, source, target, (money,))
    return draft if isinstance(draft, Refusal) else draft.decision()


def resolve_suspense(books: Books, command: ResolveSuspense, _at_us: int) -> Decision | Refusal:
    """Suspense to a user's available; an open deficit of his is repaid first."""
    return _move(books, suspense(command.source), user_available(command.user), command.money)


def refund(books: Books, command: Refund, _at_us: int) -> Decision | Refusal:
    """Suspense to a withdrawal's held."""
    known = books.find(WithdrawalState, command.withdrawal)
    source, target = suspense(command.source), withdrawal_held(command.withdrawal)
    refusal = _refusal(books, source, command.money)
    if refusal is not None:
        return refusal
    if known is not None and known.user != NOBODY:
        return Refusal.UNKNOWN_ORDER
    draft = moved(books, source, target, (command.money,))
    if isinstance(draft, Refusal):
        return draft
    return draft.decision(WithdrawalState(withdrawal=command.withdrawal, user=NOBODY))


def receive_reward(books: Books, fact: ReceiveReward, _at_us: int) -> Decision | Stuck:
    """A reward arrived; it waits for its allocation."""
    return arrival(books, fact.location, fact.money, rewards_unallocated(fact.campaign))


def dust(books: Books, command: Dust, _at_us: int) -> Decision | Refusal:
    """A remainder of a campaign's reward to the platform's dust."""
    return _move(books, rewards_unallocated(command.campaign), DUST, command.money)


def allocate_reward(books: Books, command: AllocateReward, _at_us: int) -> Decision | Refusal:
    """Unallocated to the platform's fees and to what users get; the fee may be nothing."""
    fee, users = command.fee, command.users
    source = rewards_unallocated(command.campaign)
    if unknown_asset(books, (fee, users)):
        return Refusal.UNKNOWN_ASSET
    if fee.asset != users.asset or not 0 <= fee.units <= UNITS_MAX or bad_units(users.units):
        return Refusal.BAD_AMOUNT
    whole = Money(asset=fee.asset, units=fee.units + users.units)
    if short(books, source, (whole,)):
        return Refusal.INSUFFICIENT
    draft = Draft(books)
    draft.lose(source, whole.asset, whole.units)
    draft.gain(FEES, fee.asset, fee.units)
    draft.gain(rewards_allocated(command.campaign), users.asset, users.units)
    return Refusal.BAD_AMOUNT if draft.too_large() else draft.decision()


def credit_reward(books: Books, command: CreditReward, _at_us: int) -> Decision | Refusal:
    """Allocated to the available of the order's user; the order may be closed."""
    order = books.find(OrderState, command.order)
    if order is None or order.user != command.user:
        return Refusal.UNKNOWN_ORDER
    source = rewards_allocated(command.campaign)
    return _move(books, source, user_available(command.user), command.money)
