"""Requests by which a person lets something go on: what is owed or nobody's finds its bearer."""

from __future__ import annotations

from poolmaker.business.ledger.accounts import (
    EQUITY,
    custody_venue,
    deficit,
    pool_capital,
    rewards_unallocated,
    suspense,
    user_available,
)
from poolmaker.business.ledger.commands import (
    BearDeficit,
    KeepReward,
    ResolveSuspenseTo,
    SetAside,
)
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules.books import (
    LedgerState,
    PoolRecord,
    PostingDecision,
    StreamRecord,
)
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.business.ledger.rules.requests import bad_units, moved, short, unknown_asset
from poolmaker.kernel.ids import PoolId, UserId
from poolmaker.messages.base import Money

_USER, _AVAILABLE = user_available(UserId("|")).split("|")
_POOL, _CAPITAL = pool_capital(PoolId("|")).split("|")


def _shape(books: LedgerState, money: Money) -> LedgerRefusal | None:
    if unknown_asset(books, (money,)):
        return LedgerRefusal.UNKNOWN_ASSET
    return LedgerRefusal.BAD_AMOUNT if bad_units(money.units) else None


def missing_units(books: LedgerState, account: str, asset: str) -> int:
    """What facts took of an asset beyond what was there on an account, atomic units."""
    owed = (deficit(account), asset)
    if owed in books.deficits:
        return books.balance(*owed)
    is_suspense = account.startswith(suspense("")) and (account, asset) in books.balances
    return max(0, -books.balance(account, asset)) if is_suspense else 0


def bear_deficit(
    books: LedgerState, command: BearDeficit, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Equity to an account, at most what is missing there: its deficit is repaid first."""
    money, account = command.money, command.account
    refusal = _shape(books, money)
    if refusal is not None:
        return refusal
    if money.units > missing_units(books, account, money.asset):
        return LedgerRefusal.INSUFFICIENT
    if short(books, EQUITY, (money,)):
        return LedgerRefusal.EQUITY_BELOW_ZERO
    draft = moved(books, EQUITY, account, (money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def _no_target(books: LedgerState, target: str, money: Money) -> LedgerRefusal | None:
    """Why ``target`` cannot take ``money``; a pool's must be covered where it trades."""
    if target == EQUITY:
        return None
    if target.startswith(_USER) and target.endswith(_AVAILABLE):
        user = target.removeprefix(_USER).removesuffix(_AVAILABLE)
        return None if user and ":" not in user else LedgerRefusal.UNKNOWN_ORDER
    name = target.removeprefix(_POOL).removesuffix(_CAPITAL)
    pool = books.find(PoolRecord, name) if target == pool_capital(PoolId(name)) else None
    if pool is None or not pool.is_open:
        return LedgerRefusal.UNKNOWN_POOL
    if money.asset not in (pool.base, pool.quote):
        return LedgerRefusal.POOL_MISMATCH
    claimed = books.claims_at(pool.account, money.asset) + money.units
    held = books.balance(custody_venue(pool.account), money.asset)
    return LedgerRefusal.NOT_FUNDED if claimed > held else None


def resolve_suspense_to(
    books: LedgerState, command: ResolveSuspenseTo, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Suspense to its owner; an open deficit of the owner is repaid first."""
    money, source = command.money, suspense(command.source)
    reasons = [_shape(books, money), _no_target(books, command.target, money)]
    if not command.source or short(books, source, (money,)):
        reasons.append(LedgerRefusal.INSUFFICIENT)
    for refusal in LedgerRefusal:
        if refusal in reasons:
            return refusal
    draft = moved(books, source, command.target, (money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def keep_reward(
    books: LedgerState, command: KeepReward, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Unallocated rewards to equity."""
    money, source = command.money, rewards_unallocated(command.campaign)
    refusal = _shape(books, money)
    if refusal is not None:
        return refusal
    if short(books, source, (money,)):
        return LedgerRefusal.INSUFFICIENT
    draft = moved(books, source, EQUITY, (money,))
    return draft if isinstance(draft, LedgerRefusal) else draft.decision()


def set_aside(
    books: LedgerState, command: SetAside, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """Moves nothing; what stands behind it in its stream is no longer held up by it."""
    if not command.stream:
        return PostingBuilder(books).decision()
    seq = max(command.stream_seq, books.applied(command.stream))
    return PostingBuilder(books).decision(StreamRecord(stream=command.stream, applied_seq=seq))
