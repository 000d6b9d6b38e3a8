"""Requests about pools as they were first: JOIN_POOL and LEAVE_POOL, and SETTLE_EXIT.

Ledgers hold the first two and verify by these rules for ever; ``joins`` has what is asked now.
"""

from __future__ import annotations

from poolmaker.business.ledger.accounts import (
    custody_venue,
    exit_account,
    order_locked,
    order_shares,
    pool_capital,
    pool_issued,
    share_asset,
)
from poolmaker.business.ledger.commands import JoinPool, JoinPoolV1, LeavePoolV1, SettleExit
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules.books import (
    ExitRecord,
    Joined,
    LedgerState,
    OrderRecord,
    PoolRecord,
    PostingDecision,
)
from poolmaker.business.ledger.rules.dealing import rate_is_bad
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.business.ledger.rules.requests import unknown_asset
from poolmaker.business.ledger.rules.shares import CBPS_ONE, Holding, joined_shares, left_part
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.money import UNITS_MAX, Asset, Ratio
from poolmaker.messages.market import account_stream


def holding(books: LedgerState, pool: PoolRecord) -> Holding:
    """What a pool's holders own together."""
    account = pool_capital(pool.pool)
    return Holding(books.balance(account, pool.base), books.balance(account, pool.quote))


def issued_shares(books: LedgerState, pool: PoolRecord) -> int:
    """Shares of the pool's present epoch."""
    return books.balance(pool_issued(pool.pool), share_asset(pool.pool, pool.epoch))


def open_pool(books: LedgerState, name: PoolId) -> PoolRecord | None:
    """The pool while anybody holds shares of it, else None."""
    pool = books.find(PoolRecord, name)
    return pool if pool is not None and pool.is_open else None


def _bad_join(command: JoinPoolV1) -> bool:
    base, quote = command.base.units, command.quote.units
    counts = (command.first_join_min.units, command.nav_floor.units, command.price_age_max_us)
    return (
        not (0 <= base <= UNITS_MAX and 0 <= quote <= UNITS_MAX)
        or base + quote == 0
        or any(count < 0 for count in counts)
        or rate_is_bad(command.mid)
        or rate_is_bad(command.twap_60s)
        or not 0 <= command.join_cost_cbps < CBPS_ONE
    )


def _not_of_pool(books: LedgerState, command: JoinPoolV1) -> bool:
    pool = books.find(PoolRecord, command.pool)
    asked = (command.account, command.stream, command.base.asset, command.quote.asset)
    known = (pool.account, pool.stream, pool.base, pool.quote) if pool is not None else asked
    return (
        asked != known
        or command.base.asset == command.quote.asset
        or command.stream != account_stream(command.account)
        or command.first_join_min.asset != command.quote.asset
        or command.nav_floor.asset != command.quote.asset
    )


def _first_shares(offer: Holding, prices: tuple[Ratio, Ratio]) -> int:
    """First join of an epoch: one share is one atomic quote unit."""
    return min(offer.value(price) for price in prices)


def _mint(books: LedgerState, command: JoinPoolV1) -> int | LedgerRefusal:
    """Shares that a join mints: the smaller result of both prices."""
    offer = Holding(command.base.units, command.quote.units)
    prices = (command.mid.ratio, command.twap_60s.ratio)
    pool = open_pool(books, command.pool)
    if pool is None:
        shares = _first_shares(offer, prices)
        enough = shares >= max(1, command.first_join_min.units)
        return shares if enough else LedgerRefusal.BELOW_MINIMUM
    capital, issued = holding(books, pool), issued_shares(books, pool)
    worthless = min(capital.value_numerator(price) for price in prices) <= 0
    if not worthless:
        cost = command.join_cost_cbps
        shares = min(joined_shares(issued, capital, offer, price, cost) for price in prices)
        if shares == 0:
            return LedgerRefusal.BELOW_MINIMUM
    else:
        shares = 0
    floor = command.nav_floor.units
    if worthless or min(capital.value(price) for price in prices) <= floor:
        return LedgerRefusal.NAV_AT_FLOOR
    return shares


def _is_stale(command: JoinPoolV1, at_us: int) -> bool:
    return abs(at_us - command.price_time_us) > command.price_age_max_us


def _short_of_locked(books: LedgerState, command: JoinPoolV1) -> bool:
    locked = order_locked(command.order)
    return any(
        books.balance(locked, money.asset) < money.units for money in (command.base, command.quote)
    )


def _not_funded(books: LedgerState, command: JoinPoolV1) -> bool:
    """Ledger invariant 9 after the join."""
    custody = custody_venue(command.account)
    return any(
        money.units > 0
        and books.claims_at(command.account, money.asset) + money.units
        > books.balance(custody, money.asset)
        for money in (command.base, command.quote)
    )


def _mint_covered(books: LedgerState, command: JoinPoolV1) -> int | LedgerRefusal:
    shares = _mint(books, command)
    if isinstance(shares, LedgerRefusal):
        return shares
    if _short_of_locked(books, command):
        return LedgerRefusal.INSUFFICIENT
    return LedgerRefusal.NOT_FUNDED if _not_funded(books, command) else shares


def join_pool_v1(
    books: LedgerState, command: JoinPoolV1, at_us: int
) -> PostingDecision | LedgerRefusal:
    """An order's locked funds become capital, and shares are minted for them."""
    order = books.find(OrderRecord, command.order)
    moneys = (command.base, command.quote, command.first_join_min, command.nav_floor)
    if unknown_asset(books, moneys):
        return LedgerRefusal.UNKNOWN_ASSET
    if _bad_join(command):
        return LedgerRefusal.BAD_AMOUNT
    if order is None:
        return LedgerRefusal.UNKNOWN_ORDER
    if _not_of_pool(books, command):
        return LedgerRefusal.POOL_MISMATCH
    if books.has_deficit(pool_capital(command.pool)):
        return LedgerRefusal.BLOCKED_BY_DEFICIT
    if books.applied(command.stream) < command.facts_seq:
        return LedgerRefusal.BEHIND_BARRIER
    if _is_stale(command, at_us):
        return LedgerRefusal.STALE_PRICE
    shares = _mint_covered(books, command)
    if isinstance(shares, LedgerRefusal):
        return shares
    return _joined(books, command, order, shares, at_us)


def joined_pool(books: LedgerState, command: JoinPoolV1 | JoinPool, at_us: int) -> PoolRecord:
    """The pool with its holders after a join; the first join begins the next epoch."""
    before = books.find(PoolRecord, command.pool)
    if before is not None and before.is_open:
        return before
    return PoolRecord(
        pool=command.pool,
        account=command.account,
        stream=command.stream,
        base=command.base.asset,
        quote=command.quote.asset,
        epoch=before.epoch + 1 if before else 1,
        is_open=True,
        since_us=at_us,
        ended_venue_us=before.ended_venue_us if before else -1,
    )


def joined_order(order: OrderRecord, pool: PoolId, at_us: int) -> OrderRecord:
    """The order, which joined the pool last at ``at_us``."""
    others = tuple(joined for joined in order.joined if joined.pool != pool)
    joined = (*others, Joined(pool=pool, at_us=at_us))
    return OrderRecord(order=order.order, user=order.user, joined=joined)


def _joined(
    books: LedgerState, command: JoinPoolV1, order: OrderRecord, shares: int, at_us: int
) -> PostingDecision | LedgerRefusal:
    pool = joined_pool(books, command, at_us)
    share = Asset(share_asset(pool.pool, pool.epoch), books.assets[pool.quote].scale)
    draft = PostingBuilder(books)
    for money in (command.base, command.quote):
        draft.lose(order_locked(command.order), money.asset, money.units)
        draft.gain(pool_capital(pool.pool), money.asset, money.units)
    draft.gain(pool_issued(pool.pool), share.code, shares)
    draft.gain(order_shares(command.order), share.code, shares)
    if draft.too_large():
        return LedgerRefusal.BAD_AMOUNT
    records = (pool, joined_order(order, pool.pool, at_us))
    return draft.decision(*records, assets=() if share.code in books.assets else (share,))


def _stays(order: OrderRecord, command: LeavePoolV1, at_us: int) -> bool:
    since = (joined.at_us for joined in order.joined if joined.pool == command.pool)
    return any(at_us - joined_us < command.stay_min_us for joined_us in since)


def leave_pool_v1(
    books: LedgerState, command: LeavePoolV1, at_us: int
) -> PostingDecision | LedgerRefusal:
    """Shares burn and the same fraction of base and quote moves into an exit."""
    pool = open_pool(books, command.pool)
    order = books.find(OrderRecord, command.order)
    if not 0 < command.shares <= UNITS_MAX:
        return LedgerRefusal.BAD_AMOUNT
    if pool is None:
        return LedgerRefusal.UNKNOWN_POOL
    held = books.balance(order_shares(command.order), share_asset(pool.pool, pool.epoch))
    if order is None or held == 0:
        return LedgerRefusal.UNKNOWN_ORDER
    if command.stream != pool.stream:
        return LedgerRefusal.POOL_MISMATCH
    if books.find(ExitRecord, command.exit_id) is not None:
        return LedgerRefusal.UNKNOWN_EXIT
    if books.has_deficit(pool_capital(pool.pool)) or books.user_has_deficit(order.user):
        return LedgerRefusal.BLOCKED_BY_DEFICIT
    if books.applied(command.stream) < command.facts_seq:
        return LedgerRefusal.BEHIND_BARRIER
    if _stays(order, command, at_us):
        return LedgerRefusal.TOO_EARLY
    if held < command.shares:
        return LedgerRefusal.INSUFFICIENT
    return _left(books, command, pool)


def _left(books: LedgerState, command: LeavePoolV1, pool: PoolRecord) -> PostingDecision:
    issued = issued_shares(books, pool)
    part = left_part(holding(books, pool), command.shares, issued)
    share = share_asset(pool.pool, pool.epoch)
    draft = PostingBuilder(books)
    draft.lose(order_shares(command.order), share, command.shares)
    draft.lose(pool_issued(pool.pool), share, command.shares)
    for asset, units in ((pool.base, part.base), (pool.quote, part.quote)):
        draft.lose(pool_capital(pool.pool), asset, units)
        draft.gain(exit_account(command.exit_id), asset, units)
    leaver = ExitRecord(
        exit_id=command.exit_id,
        pool=pool.pool,
        order=command.order,
        shares=command.shares,
        of_shares=issued,
        barrier_venue_us=command.barrier_venue_time_us,
        is_open=True,
    )
    if command.shares < issued:
        return draft.decision(leaver)
    return draft.decision(leaver, ended(pool, command.barrier_venue_time_us))


def ended(pool: PoolRecord, barrier_venue_us: int) -> PoolRecord:
    """The pool after its last holder left."""
    return PoolRecord(
        pool=pool.pool,
        account=pool.account,
        stream=pool.stream,
        base=pool.base,
        quote=pool.quote,
        epoch=pool.epoch,
        is_open=False,
        since_us=pool.since_us,
        ended_venue_us=max(pool.ended_venue_us, barrier_venue_us),
    )


def _free_of_risk(books: LedgerState, command: SettleExit, pool: PoolRecord) -> Holding:
    account = exit_account(command.exit_id)
    base, quote = books.balance(account, pool.base), books.balance(account, pool.quote)
    if command.final:
        return Holding(base, quote)
    return Holding(
        max(0, base - command.base_at_risk_units), max(0, quote - command.quote_at_risk_units)
    )


def settle_exit(
    books: LedgerState, command: SettleExit, _at_us: int
) -> PostingDecision | LedgerRefusal:
    """What evidence has freed goes to the order's locked."""
    leaver = books.find(ExitRecord, command.exit_id)
    pool = books.find(PoolRecord, leaver.pool) if leaver else None
    if command.base_at_risk_units < 0 or command.quote_at_risk_units < 0:
        return LedgerRefusal.BAD_AMOUNT
    if leaver is not None and leaver.order != command.order:
        return LedgerRefusal.UNKNOWN_ORDER
    if leaver is None or pool is None or not leaver.is_open:
        return LedgerRefusal.UNKNOWN_EXIT
    free = _free_of_risk(books, command, pool)
    if free == Holding(0, 0) and not command.final:
        return LedgerRefusal.INSUFFICIENT
    draft = PostingBuilder(books)
    for asset, units in ((pool.base, free.base), (pool.quote, free.quote)):
        draft.lose(exit_account(command.exit_id), asset, units)
        draft.gain(order_locked(command.order), asset, units)
    return draft.decision(_closed(leaver)) if command.final else draft.decision()


def _closed(leaver: ExitRecord) -> ExitRecord:
    return ExitRecord(
        exit_id=leaver.exit_id,
        pool=leaver.pool,
        order=leaver.order,
        shares=leaver.shares,
        of_shares=leaver.of_shares,
        barrier_venue_us=leaver.barrier_venue_us,
        is_open=False,
    )
