"""JOIN_POOL.v2 and LEAVE_POOL.v2: what joins, what it mints, and what leaves."""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.business.ledger.accounts import (
    custody_venue,
    exit_account,
    order_locked,
    order_shares,
    pool_capital,
    pool_issued,
    share_asset,
)
from poolmaker.business.ledger.commands import JoinPool, LeavePool
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules.books import (
    DealingRecord,
    EpochRecord,
    ExitRecord,
    LeaveRecord,
    LedgerState,
    OrderRecord,
    PoolRecord,
    PostingDecision,
    Record,
    epoch_name,
    left_name,
)
from poolmaker.business.ledger.rules.dealing import (
    PPM,
    SHARE_SCALE,
    ExcessPrice,
    even_part,
    even_shares,
    excess_price,
    is_exact,
    prices_are_bad,
    with_excess,
)
from poolmaker.business.ledger.rules.draft import PostingBuilder
from poolmaker.business.ledger.rules.pools import (
    ended,
    holding,
    issued_shares,
    joined_order,
    joined_pool,
    open_pool,
)
from poolmaker.business.ledger.rules.requests import unknown_asset
from poolmaker.business.ledger.rules.shares import Holding, left_part
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.money import UNITS_MAX, Asset, power_of_ten
from poolmaker.messages.market import account_stream


@dataclass(frozen=True, slots=True)
class _Taken:
    """What of an offer joins for how many shares; ``excess`` of it was valued at a price."""

    part: Holding
    shares: int
    excess: Holding
    issued_before: int
    capital_after: Holding


def fineness_of(books: LedgerState, pool: PoolRecord) -> int:
    """Share units for an atomic quote unit at the first join of the pool's present epoch."""
    found = books.find(EpochRecord, epoch_name(pool.pool, pool.epoch))
    return found.fineness if found is not None else 1


# --------------------------------------------------------------------------------------- joining


def _bad_join(command: JoinPool) -> bool:
    base, quote, terms = command.base.units, command.quote.units, command.terms
    counts = [getattr(terms, name) for name in terms.__struct_fields__]
    counts += [command.unknown_orders, command.unpriced_fees, command.shares_min]
    return (
        not (0 <= base <= UNITS_MAX and 0 <= quote <= UNITS_MAX)
        or base + quote == 0
        or any(not 0 <= count <= UNITS_MAX for count in counts)
        or max(terms.join_cost_min_ppm, terms.taker_fee_ppm) >= PPM
        or (command.prices is not None and prices_are_bad(command.prices))
    )


def _not_of_pool(books: LedgerState, command: JoinPool) -> bool:
    pool = books.find(PoolRecord, command.pool)
    asked = (command.account, command.stream, command.base.asset, command.quote.asset)
    known = (pool.account, pool.stream, pool.base, pool.quote) if pool is not None else asked
    return (
        asked != known
        or command.base.asset == command.quote.asset
        or command.stream != account_stream(command.account)
        or command.terms.version != 0
    )


def _cools_off(books: LedgerState, command: JoinPool, order: OrderRecord, at_us: int) -> bool:
    left = books.find(LeaveRecord, left_name(command.pool, order.user))
    return left is not None and at_us - left.at_us < command.terms.cool_off_us


def join_pool(books: LedgerState, command: JoinPool, at_us: int) -> PostingDecision | LedgerRefusal:
    """What of an order's locked funds may join becomes capital, and shares are minted for it."""
    order = books.find(OrderRecord, command.order)
    if unknown_asset(books, (command.base, command.quote)):
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
    if _cools_off(books, command, order, at_us):
        return LedgerRefusal.TOO_EARLY
    if command.unknown_orders or command.unpriced_fees:
        return LedgerRefusal.UNSETTLED_FACTS
    taken = _taken(books, command, at_us)
    if isinstance(taken, LedgerRefusal):
        return taken
    refusal = _uncovered(books, command, taken)
    return refusal or _joined(books, command, order, taken, at_us)


def _taken(books: LedgerState, command: JoinPool, at_us: int) -> _Taken | LedgerRefusal:
    """What joins, or why nothing does."""
    price = excess_price(command.prices, command.terms, at_us)
    pool = open_pool(books, command.pool)
    if pool is None:
        return _first(books, command, price)
    taken, waits = _added(books, command, pool, price)
    if isinstance(taken, LedgerRefusal):
        return taken
    held = books.balance(order_shares(command.order), share_asset(pool.pool, pool.epoch))
    refusal = _bounds(command, taken, held, fineness_of(books, pool))
    if refusal is LedgerRefusal.BELOW_MINIMUM and waits is not None:
        # What is too small without its excess waits with it.
        return waits
    if refusal is None and _at_floor(command, holding(books, pool), price):
        return LedgerRefusal.NAV_AT_FLOOR
    return refusal or taken


def _first(
    books: LedgerState, command: JoinPool, price: ExcessPrice | LedgerRefusal
) -> _Taken | LedgerRefusal:
    """First join of an epoch: nobody else is there, so all of it joins; the price counts shares."""
    if isinstance(price, LedgerRefusal):
        return price
    offer = Holding(command.base.units, command.quote.units)
    fineness = _fineness(books, command)
    shares = price.value_min(offer, fineness)
    if shares < max(1, command.terms.first_join_min * fineness):
        return LedgerRefusal.BELOW_MINIMUM
    taken = _Taken(offer, shares, Holding(0, 0), 0, offer)
    return _bounds(command, taken, 0, fineness) or taken


def _fineness(books: LedgerState, command: JoinPool) -> int:
    scale = books.assets[command.quote.asset].scale
    return power_of_ten(max(0, SHARE_SCALE - scale))


def _added(
    books: LedgerState, command: JoinPool, pool: PoolRecord, price: ExcessPrice | LedgerRefusal
) -> tuple[_Taken | LedgerRefusal, LedgerRefusal | None]:
    """The part in ratio, the excess as far as it is priced, and why any of it waits."""
    capital, issued = holding(books, pool), issued_shares(books, pool)
    if capital == Holding(0, 0):
        return LedgerRefusal.NAV_AT_FLOOR, None
    offer = Holding(command.base.units, command.quote.units)
    if isinstance(price, LedgerRefusal):
        shares, excess = even_shares(issued, capital, offer), Holding(0, 0)
        part = even_part(issued, capital, shares)
        waits = price if part != offer else None
    else:
        part, excess = with_excess(capital, offer, _depth_left(books, command, price))
        shares = price.shares(issued, capital, part)
        waits = LedgerRefusal.PRICES_DIVERGE if part != offer else None
    if shares == 0 or (command.shares_min and waits is not None):
        return waits or LedgerRefusal.BELOW_MINIMUM, None
    grown = Holding(capital.base + part.base, capital.quote + part.quote)
    return _Taken(part, shares, excess, issued, grown), waits


def _at_floor(command: JoinPool, capital: Holding, price: ExcessPrice | LedgerRefusal) -> bool:
    """Only a price can say; who joins without one does so at the pool's own ratio."""
    floor = command.terms.nav_floor
    return isinstance(price, ExcessPrice) and price.value_min(capital) <= floor


def _depth_left(books: LedgerState, command: JoinPool, price: ExcessPrice) -> Holding:
    """What the depth prices have seen less what was priced at this barrier: many are like one.

    Nothing once a later barrier has priced some: only its use is remembered (decision 0146).
    """
    used = books.find(DealingRecord, command.pool)
    if used is None or used.barrier_seq < command.barrier_seq:
        return price.depth
    if used.barrier_seq > command.barrier_seq:
        return Holding(0, 0)
    return Holding(
        max(0, price.depth.base - used.base_units), max(0, price.depth.quote - used.quote_units)
    )


def _bounds(command: JoinPool, taken: _Taken, held: int, fineness: int) -> LedgerRefusal | None:
    """Minimums and maximums of a holding and of the pool, in shares, and the user's own bound."""
    terms, after = command.terms, held + taken.shares
    if after < max(terms.order_min, terms.holding_min) * fineness:
        return LedgerRefusal.BELOW_MINIMUM
    whole = taken.issued_before + taken.shares
    if not is_exact(whole, taken.capital_after, taken.shares):
        return LedgerRefusal.BELOW_MINIMUM
    if terms.order_max and after > terms.order_max * fineness:
        return LedgerRefusal.ABOVE_MAXIMUM
    if terms.capacity and whole > terms.capacity * fineness:
        return LedgerRefusal.ABOVE_MAXIMUM
    return LedgerRefusal.BELOW_LEAST_SHARES if taken.shares < command.shares_min else None


def _uncovered(books: LedgerState, command: JoinPool, taken: _Taken) -> LedgerRefusal | None:
    """Whether the offer is not locked, or what joins is not at the venue (ledger invariant 9)."""
    locked, custody = order_locked(command.order), custody_venue(command.account)
    offered = (command.base, command.quote)
    if any(books.balance(locked, money.asset) < money.units for money in offered):
        return LedgerRefusal.INSUFFICIENT
    pairs = ((command.base.asset, taken.part.base), (command.quote.asset, taken.part.quote))
    short = any(
        units > 0
        and books.claims_at(command.account, asset) + units > books.balance(custody, asset)
        for asset, units in pairs
    )
    return LedgerRefusal.NOT_FUNDED if short else None


def _joined(
    books: LedgerState, command: JoinPool, order: OrderRecord, taken: _Taken, at_us: int
) -> PostingDecision | LedgerRefusal:
    pool = joined_pool(books, command, at_us)
    share = share_asset(pool.pool, pool.epoch)
    records: list[Record] = [pool, joined_order(order, pool.pool, at_us)]
    assets: tuple[Asset, ...] = ()
    if share not in books.assets:
        scale, fineness = books.assets[pool.quote].scale, _fineness(books, command)
        assets = (Asset(share, max(SHARE_SCALE, scale)),)
        records.append(EpochRecord(pool=pool.pool, epoch=pool.epoch, fineness=fineness))
    if taken.excess != Holding(0, 0):
        records.append(_dealt(books, command, taken.excess))
    draft = PostingBuilder(books)
    pairs = ((command.base.asset, taken.part.base), (command.quote.asset, taken.part.quote))
    for asset, units in pairs:
        draft.lose(order_locked(command.order), asset, units)
        draft.gain(pool_capital(pool.pool), asset, units)
    draft.gain(pool_issued(pool.pool), share, taken.shares)
    draft.gain(order_shares(command.order), share, taken.shares)
    return (
        LedgerRefusal.BAD_AMOUNT if draft.too_large() else draft.decision(*records, assets=assets)
    )


def _dealt(books: LedgerState, command: JoinPool, excess: Holding) -> DealingRecord:
    used = books.find(DealingRecord, command.pool)
    same = used is not None and used.barrier_seq == command.barrier_seq
    base, quote = (used.base_units, used.quote_units) if used is not None and same else (0, 0)
    return DealingRecord(
        pool=command.pool,
        barrier_seq=command.barrier_seq,
        base_units=base + excess.base,
        quote_units=quote + excess.quote,
    )


# --------------------------------------------------------------------------------------- leaving


def _bad_leave(command: LeavePool) -> bool:
    terms, prices = command.terms, command.prices
    return (
        not 0 < command.shares <= UNITS_MAX
        or min(terms.stay_min_us, terms.holding_min, terms.version) < 0
        or (prices is not None and prices_are_bad(prices))
    )


def _stays(order: OrderRecord, pool: PoolId, stay_min_us: int, at_us: int) -> bool:
    since = (joined.at_us for joined in order.joined if joined.pool == pool)
    return any(at_us - joined_us < stay_min_us for joined_us in since)


def leave_pool(
    books: LedgerState, command: LeavePool, at_us: int
) -> PostingDecision | LedgerRefusal:
    """Shares burn and the same fraction of base and quote moves into an exit."""
    pool = open_pool(books, command.pool)
    order = books.find(OrderRecord, command.order)
    if _bad_leave(command):
        return LedgerRefusal.BAD_AMOUNT
    if pool is None:
        return LedgerRefusal.UNKNOWN_POOL
    held = books.balance(order_shares(command.order), share_asset(pool.pool, pool.epoch))
    if order is None or held == 0:
        return LedgerRefusal.UNKNOWN_ORDER
    if command.stream != pool.stream or command.terms.version != 0:
        return LedgerRefusal.POOL_MISMATCH
    if books.find(ExitRecord, command.exit_id) is not None:
        return LedgerRefusal.UNKNOWN_EXIT
    if books.has_deficit(pool_capital(pool.pool)) or books.user_has_deficit(order.user):
        return LedgerRefusal.BLOCKED_BY_DEFICIT
    if books.applied(command.stream) < command.facts_seq:
        return LedgerRefusal.BEHIND_BARRIER
    if _stays(order, pool.pool, command.terms.stay_min_us, at_us):
        return LedgerRefusal.TOO_EARLY
    if held < command.shares:
        return LedgerRefusal.INSUFFICIENT
    least = command.terms.holding_min * fineness_of(books, pool)
    shares = held if held - command.shares < least else command.shares
    left = LeaveRecord(pool=pool.pool, user=order.user, at_us=at_us)
    return _left(books, command, pool, shares, left)


def _left(
    books: LedgerState, command: LeavePool, pool: PoolRecord, shares: int, left: LeaveRecord
) -> PostingDecision:
    issued = issued_shares(books, pool)
    part = left_part(holding(books, pool), shares, issued)
    share = share_asset(pool.pool, pool.epoch)
    draft = PostingBuilder(books)
    draft.lose(order_shares(command.order), share, shares)
    draft.lose(pool_issued(pool.pool), share, shares)
    for asset, units in ((pool.base, part.base), (pool.quote, part.quote)):
        draft.lose(pool_capital(pool.pool), asset, units)
        draft.gain(exit_account(command.exit_id), asset, units)
    leaver = ExitRecord(
        exit_id=command.exit_id,
        pool=pool.pool,
        order=command.order,
        shares=shares,
        of_shares=issued,
        barrier_venue_us=command.barrier_venue_time_us,
        is_open=True,
    )
    records: list[Record] = [leaver, left]
    if shares == issued:
        records.append(ended(pool, command.barrier_venue_time_us))
    return draft.decision(*records)
