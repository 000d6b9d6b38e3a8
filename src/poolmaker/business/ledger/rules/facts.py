"""Facts: they happened, so they are booked; what is missing becomes a deficit, never a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.business.ledger.accounts import (
    EQUITY,
    FEE_FLOAT,
    Normal,
    custody_venue,
    exit_account,
    is_custody,
    normal_of,
    pool_capital,
    suspense,
    suspense_of_pool,
    suspense_of_venue,
    user_available,
    withdrawal_held,
    without_deficit,
)
from poolmaker.business.ledger.commands import (
    CreditDeposit,
    CreditSuspense,
    DebitWithdraw,
    Fill,
    NetworkFee,
    OperatorIn,
    RechargeFee,
    Reversal,
    StreamFact,
    TradeFee,
)
from poolmaker.business.ledger.model import BlockReason, LedgerRefusal, LedgerTransaction
from poolmaker.business.ledger.rules.books import (
    BlockedCommand,
    ExitRecord,
    LedgerState,
    PoolRecord,
    PostingDecision,
    ReversalRecord,
    StreamRecord,
)
from poolmaker.business.ledger.rules.dealing import rate_is_bad
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import UNITS_MAX, Rounding
from poolmaker.messages.base import Money

NEVER_REVERSED = frozenset(
    {"JOIN_POOL", "JOIN_POOL.v2", "LEAVE_POOL", "LEAVE_POOL.v2", "SETTLE_EXIT", "REVERSAL"}
)
"""They change more than balances; their own counterparts undo them."""


def _unknown(books: LedgerState, *codes: str) -> BlockedCommand | None:
    missing = next((code for code in codes if code not in books.assets), None)
    return BlockedCommand(BlockReason.UNKNOWN_ASSET, missing) if missing is not None else None


def finished(
    draft: PostingBuilder, what: str, *records: StreamRecord
) -> PostingDecision | BlockedCommand:
    """The decision of a fact, unless it would go beyond 38 digits."""
    return (
        BlockedCommand(BlockReason.MALFORMED, what)
        if draft.too_large()
        else draft.decision(*records)
    )


def arrival_obstacle(books: LedgerState, location: str, money: Money) -> BlockedCommand | None:
    """Why money at a place cannot be booked, or None."""
    if not is_custody(location):
        return BlockedCommand(BlockReason.MALFORMED, f"location {location}")
    if not 0 < money.units <= UNITS_MAX:
        return BlockedCommand(BlockReason.MALFORMED, f"amount {money.units}")
    return _unknown(books, money.asset)


def arrival(
    books: LedgerState, location: str, money: Money, owed_to: str
) -> PostingDecision | BlockedCommand:
    """Money arrived at a place and is owed to an account."""
    obstacle = arrival_obstacle(books, location, money)
    if obstacle is not None:
        return obstacle
    draft = PostingBuilder(books)
    draft.gain(location, money.asset, money.units)
    draft.gain(owed_to, money.asset, money.units)
    return finished(draft, f"amount {money.units}")


def operator_in(
    books: LedgerState, fact: OperatorIn, _at_us: int
) -> PostingDecision | BlockedCommand:
    """The operator's own money arrived."""
    return arrival(books, fact.location, fact.money, EQUITY)


def credit_deposit(
    books: LedgerState, fact: CreditDeposit, _at_us: int
) -> PostingDecision | BlockedCommand:
    """A user's money arrived; an open deficit of his is repaid first."""
    return arrival(books, fact.location, fact.money, user_available(fact.user))


def credit_suspense(
    books: LedgerState, fact: CreditSuspense, _at_us: int
) -> PostingDecision | BlockedCommand:
    """Money arrived that nobody can be credited for yet."""
    return arrival(books, fact.location, fact.money, suspense(fact.source))


def debit_withdraw(
    books: LedgerState, fact: DebitWithdraw, _at_us: int
) -> PostingDecision | BlockedCommand:
    """A withdrawal left a place."""
    obstacle = arrival_obstacle(books, fact.location, fact.money)
    if obstacle is not None:
        return obstacle
    draft = PostingBuilder(books)
    held = withdrawal_held(fact.withdrawal)
    draft.lose_at_once(held, fact.money.asset, fact.money.units)
    draft.lose(fact.location, fact.money.asset, fact.money.units)
    return finished(draft, f"amount {fact.money.units}")


def network_fee(
    books: LedgerState, fact: NetworkFee, _at_us: int
) -> PostingDecision | BlockedCommand:
    """A provider's fee: the withdrawal bears what is left of its hold, the operator the rest."""
    obstacle = arrival_obstacle(books, fact.location, fact.money)
    if obstacle is not None:
        return obstacle
    draft = PostingBuilder(books)
    held = withdrawal_held(fact.withdrawal)
    quoted = min(fact.money.units, draft.balance(held, fact.money.asset))
    draft.lose(held, fact.money.asset, quoted)
    draft.lose(EQUITY, fact.money.asset, fact.money.units - quoted)
    draft.lose(fact.location, fact.money.asset, fact.money.units)
    return finished(draft, f"amount {fact.money.units}")


@dataclass(frozen=True, slots=True)
class CostAllocation:
    """Who bears a pool's fact: open exits in the order of their barriers, then the rest."""

    exits: tuple[ExitRecord, ...]
    rest: str

    def spread(self, draft: PostingBuilder, asset: str, units: int) -> None:
        """Give (positive) or take (negative) exactly ``units``; remainders go to the rest.

        Each exit takes its part of what was the pool's at its barrier, so the result is the same
        as if the fact had been booked in time.
        """
        sign = -1 if units < 0 else 1
        left = abs(units)
        for leaver in self.exits:
            part = left * leaver.shares // leaver.of_shares
            draft.change_at_once(exit_account(leaver.exit_id), asset, sign * part)
            left -= part
        draft.change_at_once(self.rest, asset, sign * left)


def _bearers(books: LedgerState, fact: StreamFact, assets: tuple[str, ...]) -> CostAllocation:
    """The holders at the time of a fact, as far as they are still there, else suspense."""
    if not fact.pool:
        return CostAllocation((), suspense_of_venue(fact.account))
    pool = books.find(PoolRecord, fact.pool)
    known = () if pool is None else (pool.base, pool.quote)
    if pool is None or pool.account != fact.account or not set(assets) <= set(known):
        return CostAllocation((), suspense_of_pool(fact.pool))
    open_exits = books.open_exits(fact.pool)
    exits = tuple(found for found in open_exits if fact.venue_time_us <= found.barrier_venue_us)
    of_this_epoch = pool.is_open and fact.venue_time_us > pool.ended_venue_us
    rest = pool_capital(fact.pool) if of_this_epoch else suspense_of_pool(fact.pool)
    return CostAllocation(exits, rest)


def _applied(books: LedgerState, fact: StreamFact) -> StreamRecord:
    seq = max(fact.stream_seq, books.applied(fact.stream))
    return StreamRecord(stream=fact.stream, applied_seq=seq)


def fill(books: LedgerState, fact: Fill, _at_us: int) -> PostingDecision | BlockedCommand:
    """One trade: base against quote, in custody and for whoever bears it."""
    base, quote = fact.base, fact.quote
    if not (0 < base.units <= UNITS_MAX and 0 <= quote.units <= UNITS_MAX):
        return BlockedCommand(BlockReason.MALFORMED, f"fill of {base.units} for {quote.units}")
    if base.asset == quote.asset:
        return BlockedCommand(BlockReason.MALFORMED, f"fill of {base.asset} for itself")
    obstacle = _unknown(books, base.asset, quote.asset)
    if obstacle is not None:
        return obstacle
    sign = 1 if fact.side is Side.BUY else -1
    bearers = _bearers(books, fact, (base.asset, quote.asset))
    draft = PostingBuilder(books)
    for asset, units in ((base.asset, sign * base.units), (quote.asset, -sign * quote.units)):
        draft.change_at_once(custody_venue(fact.account), asset, units)
        bearers.spread(draft, asset, units)
    return finished(draft, f"fill of {base.units}", _applied(books, fact))


def trade_fee(books: LedgerState, fact: TradeFee, _at_us: int) -> PostingDecision | BlockedCommand:
    """A commission in base or quote; a rebate has negative units."""
    if abs(fact.money.units) > UNITS_MAX:
        return BlockedCommand(BlockReason.MALFORMED, f"fee of {fact.money.units}")
    obstacle = _unknown(books, fact.money.asset)
    if obstacle is not None:
        return obstacle
    draft = PostingBuilder(books)
    draft.change_at_once(custody_venue(fact.account), fact.money.asset, -fact.money.units)
    bearers = _bearers(books, fact, (fact.money.asset,))
    bearers.spread(draft, fact.money.asset, -fact.money.units)
    return finished(draft, f"fee of {fact.money.units}", _applied(books, fact))


def recharge_fee(
    books: LedgerState, fact: RechargeFee, _at_us: int
) -> PostingDecision | BlockedCommand:
    """A commission in a third asset: the float pays it, the pool pays the float in quote."""
    if abs(fact.fee.units) > UNITS_MAX or rate_is_bad(fact.rate):
        return BlockedCommand(BlockReason.MALFORMED, f"fee of {fact.fee.units}")
    obstacle = _unknown(books, fact.fee.asset, fact.quote_asset)
    if obstacle is not None:
        return obstacle
    recharge = fact.rate.ratio.of(fact.fee.units, Rounding.UP)
    draft = PostingBuilder(books)
    draft.change_at_once(custody_venue(fact.account), fact.fee.asset, -fact.fee.units)
    draft.change_at_once(FEE_FLOAT, fact.fee.asset, -fact.fee.units)
    draft.change_at_once(FEE_FLOAT, fact.quote_asset, recharge)
    _bearers(books, fact, (fact.quote_asset,)).spread(draft, fact.quote_asset, -recharge)
    return finished(draft, f"fee of {fact.fee.units}", _applied(books, fact))


def _pool_of(account: str) -> PoolId | None:
    if account.startswith("pool:") and account.endswith(":capital"):
        return PoolId(account.removeprefix("pool:").removesuffix(":capital"))
    return None


def _present_bearer(books: LedgerState, undone: LedgerTransaction, account: str) -> str:
    """Who bears the mirror image of a leg: its account, or who took that account's place."""
    leaver = books.find(ExitRecord, account.removeprefix("exit:"))
    if account.startswith("exit:") and leaver is not None and not leaver.is_open:
        account = pool_capital(leaver.pool)
    name = _pool_of(account)
    pool = books.find(PoolRecord, name) if name is not None else None
    if pool is not None and (not pool.is_open or undone.at_us < pool.since_us):
        return suspense_of_pool(pool.pool)
    return account


def reversal(
    books: LedgerState, fact: Reversal, _at_us: int
) -> PostingDecision | LedgerRefusal | BlockedCommand:
    """The mirror image of a named transaction; deficits arise where its value has moved on."""
    undone = books.recalled.get(fact.reverses)
    again = books.find(ReversalRecord, fact.reverses) is not None
    if undone is None or again or undone.kind in NEVER_REVERSED:
        return LedgerRefusal.UNKNOWN_TRANSACTION
    draft = PostingBuilder(books)
    for leg in undone.legs:
        account = without_deficit(leg.account)
        normal_units = leg.units if normal_of(account) is Normal.HELD else -leg.units
        bearer = _present_bearer(books, undone, account)
        draft.change_at_once(bearer, leg.asset, -normal_units)
    if draft.too_large():
        return BlockedCommand(BlockReason.MALFORMED, f"reversal of {fact.reverses}")
    return draft.decision(ReversalRecord(key=fact.reverses, by=fact.key))
