"""The only words between the two wings.

Down, on the stream ``control:<venue account>``: what the business wants of the market.
Up, on the stream ``account:<venue account>``: what happened to money there, gap-free and in the
order the engine proved it. Up, on ``engine:<venue account>``: how the engine is doing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from poolmaker.kernel.ids import IntentId, PoolId, VenueAccountId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Message, Rate

QUOTING_LEVELS_MAX: Final = 50
VENUE_SCALE: Final = 8
"""Decimals of an asset that only a venue names, as for a fee: the precision venues write with."""


def account_stream(account: VenueAccountId) -> str:
    """Name of the stream of facts and barriers of one venue account."""
    return f"account:{account}"


def control_stream(account: VenueAccountId) -> str:
    """Name of the stream of wishes to the engine of one venue account."""
    return f"control:{account}"


def engine_stream(account: VenueAccountId) -> str:
    """Name of the stream of reports of the engine of one venue account."""
    return f"engine:{account}"


class MarketSpec(Message, frozen=True, kw_only=True):
    """A market as both wings see it; the venue's own tick and lot are the engine's."""

    symbol: str
    base: str
    base_scale: int
    quote: str
    quote_scale: int

    @classmethod
    def of(cls, market: Market) -> MarketSpec:
        """The message form of a market."""
        return cls(
            symbol=market.symbol,
            base=market.base.code,
            base_scale=market.base.scale,
            quote=market.quote.code,
            quote_scale=market.quote.scale,
        )

    @property
    def base_asset(self) -> Asset:
        """The base asset."""
        return Asset(self.base, self.base_scale)

    @property
    def quote_asset(self) -> Asset:
        """The quote asset."""
        return Asset(self.quote, self.quote_scale)


class StrategySnapshot(Message, frozen=True, kw_only=True):
    """Parameters of pure market making, frozen for one version of a pool.

    Spreads are in hundredths of a basis point (``cbps``: 100 cbps = 1 basis point) of the
    reference price, from mid to the first level, and between levels. Sizes are parts per million
    of the pool's capital on that side for each level. ``inventory_skew_cbps`` moves both quotes
    by that much when the base share by value is 100 % off its target (scaled linearly), sizes
    shrink on the side that would worsen it and end at ``inventory_band_ppm`` off target.
    ``refresh_tolerance_cbps``: a live order this close to its ideal price is kept.
    ``order_age_max_ms``: older orders are replaced even when close; 0 is off. A band of 0 is off.
    ``spread_floor_cbps``: the first bid and the first ask are at least this far apart; 0 means
    twice the maker fee, so that only who writes a number quotes below what trading costs.
    """

    version: int
    levels: int = 3
    spread_cbps: int = 200
    level_spacing_cbps: int = 150
    level_size_ppm: int = 100_000
    inventory_target_ppm: int = 500_000
    inventory_skew_cbps: int = 400
    inventory_band_ppm: int = 400_000
    refresh_tolerance_cbps: int = 50
    order_age_max_ms: int = 60_000
    spread_floor_cbps: int = 0
    book_age_max_ms: int = 2_000


class StartQuoting(Message, frozen=True, kw_only=True, tag="StartQuoting.v1"):
    """Quote this pool with this snapshot. A higher ``version`` replaces a lower one."""

    pool: PoolId
    account: VenueAccountId
    market: MarketSpec
    strategy: StrategySnapshot
    version: int


class StopQuoting(Message, frozen=True, kw_only=True, tag="StopQuoting.v1"):
    """Cancel everything of the pool and quote no more until the next StartQuoting."""

    pool: PoolId
    reason: str


class CapitalSet(Message, frozen=True, kw_only=True, tag="CapitalSet.v1"):
    """What the pool may use, as booked up to ``includes_stream_seq`` of the account stream."""

    pool: PoolId
    version: int
    base_units: int
    quote_units: int
    includes_stream_seq: int


class DrainTo(Message, frozen=True, kw_only=True, tag="DrainTo.v1"):
    """Let live orders consume only the part of those who stay, then report ExposureReduced.

    At every moment orders may take at most ``staying`` of ``issued`` of the pool's capital then,
    own fills included: a bound in units would not shrink with the fills that come after it.
    Holds until DrainLifted names its version or a later DrainTo replaces it.
    """

    pool: PoolId
    version: int
    staying: int
    issued: int


class DrainLifted(Message, frozen=True, kw_only=True, tag="DrainLifted.v1"):
    """The bound of DrainTo ``version`` no longer holds."""

    pool: PoolId
    version: int


class BarrierWantedV1(Message, frozen=True, kw_only=True, tag="BarrierWanted.v1"):
    """As BarrierWanted, with no word on depth; streams written before v2 hold it."""

    account: VenueAccountId
    barrier_id: str


class DepthWanted(Message, frozen=True, kw_only=True):
    """How deep the depth prices of one pool's book shall reach at a barrier.

    ``excess_base_units`` and ``excess_quote_units`` are what all joins that wait for the barrier
    bring beyond the pool's own ratio: together per asset, so that many small ones need the depth
    of one large one. ``depth_min_quote_units`` is the pool's configured minimum.
    The engine reaches for L, per asset the largest of three:

    * base: the excess in base, the pool's own largest level in base;
    * quote: the excess in quote, the same level in quote, the configured minimum.
    """

    pool: PoolId
    excess_base_units: int
    excess_quote_units: int
    depth_min_quote_units: int


class BarrierWanted(Message, frozen=True, kw_only=True, tag="BarrierWanted.v2"):
    """Emit a barrier on the account stream once the venue shows nothing unpublished.

    The same ``barrier_id`` may come again while its barrier is not emitted; the later ``depths``
    replace the earlier ones. A pool that they do not name has no excess and no minimum: its L is
    its own level.
    """

    account: VenueAccountId
    barrier_id: str
    depths: tuple[DepthWanted, ...]


Control = (
    StartQuoting
    | StopQuoting
    | CapitalSet
    | DrainTo
    | DrainLifted
    | BarrierWantedV1
    | BarrierWanted
)


class FillFact(Message, frozen=True, kw_only=True, tag="FillFact.v1"):
    """One trade of one own order, once per (account, market, order, trade).

    ``base_units`` and ``quote_units`` are what the venue reports, both positive. ``pool`` is
    empty when the order is not known to be ours for any pool.
    """

    account: VenueAccountId
    pool: PoolId
    market: MarketSpec
    intent: IntentId
    exchange_order_id: str
    trade_id: str
    side: Side
    base_units: int
    quote_units: int
    is_maker: bool
    venue_time_us: int


class FeeFact(Message, frozen=True, kw_only=True, tag="FeeFact.v1"):
    """The commission of one trade, positive when paid, negative when it is a rebate.

    For a third asset ``recharge_rate`` is quote units for fee units, at the price of that time.
    """

    account: VenueAccountId
    pool: PoolId
    market: MarketSpec
    exchange_order_id: str
    trade_id: str
    asset: str
    units: int
    recharge_rate: Rate | None
    venue_time_us: int


class BarrierPriceV1(Message, frozen=True, kw_only=True):
    """What a pool's book said at a Barrier.v1, without depth."""

    pool: PoolId
    mid: Rate | None
    twap_60s: Rate | None
    book_version: int
    price_time_us: int


class AtRiskV1(Message, frozen=True, kw_only=True):
    """The most that a pool's UNKNOWN orders may still take, at a Barrier.v1."""

    pool: PoolId
    base_units: int
    quote_units: int


class BarrierV1(Message, frozen=True, kw_only=True, tag="Barrier.v1"):
    """As Barrier, from before depth prices; streams written before v2 hold it."""

    account: VenueAccountId
    barrier_id: str
    facts_seq: int
    venue_time_us: int
    prices: tuple[BarrierPriceV1, ...]
    at_risk: tuple[AtRiskV1, ...]


class BarrierPrice(Message, frozen=True, kw_only=True):
    """What a pool's book said at a barrier, own orders left out of it.

    All prices are quote units for base units. ``bid_depth`` and ``ask_depth`` are the prices of
    the level, from the best one on, at which the cumulative size of that side has reached L in
    base units and in quote units (size times the level's price). L is ``depth_base_units`` and
    ``depth_quote_units``; see DepthWanted. ``mid`` is the middle of these two, ``twap_60s`` the
    time-weighted average over the last 60 s of such a middle, at L or deeper.

    A price is None where the book was not usable, not known to be complete, read under other
    market rules, or (depth) thinner than L: it is never guessed. ``rules_version`` names the
    market rules under which ticks and lots were read, 0 where the engine does not count them.
    ``taker_fee_ppm`` is what the venue charges this account for taking, None where unknown.
    """

    pool: PoolId
    mid: Rate | None
    twap_60s: Rate | None
    bid_depth: Rate | None
    ask_depth: Rate | None
    depth_base_units: int
    depth_quote_units: int
    taker_fee_ppm: int | None
    rules_version: int
    book_version: int
    price_time_us: int


class AtRisk(Message, frozen=True, kw_only=True):
    """What may still change a pool's capital by facts from before the barrier.

    ``unknown_orders`` counts its UNKNOWN orders, ``base_units`` and ``quote_units`` are the most
    that they may still take. ``unpriced_fees`` counts commissions in a third asset that have no
    price yet, ``fee_quote_units`` is the most that they may cost. A pool without an entry has
    nothing open. While anything is open, leavers are paid what is safe and nobody joins.
    """

    pool: PoolId
    unknown_orders: int
    base_units: int
    quote_units: int
    unpriced_fees: int
    fee_quote_units: int


class Barrier(Message, frozen=True, kw_only=True, tag="Barrier.v2"):
    """Every fact the venue showed up to ``venue_time_us`` stands before this in the stream.

    ``facts_seq`` is the sequence of the last fact before it (0 when there is none).
    """

    account: VenueAccountId
    barrier_id: str
    facts_seq: int
    venue_time_us: int
    prices: tuple[BarrierPrice, ...]
    at_risk: tuple[AtRisk, ...]


def barrier_of(old: BarrierV1) -> Barrier:
    """An old barrier in the present form: it has no depth prices, and fees were never open."""
    prices = (
        BarrierPrice(
            pool=price.pool,
            mid=price.mid,
            twap_60s=price.twap_60s,
            bid_depth=None,
            ask_depth=None,
            depth_base_units=0,
            depth_quote_units=0,
            taker_fee_ppm=None,
            rules_version=0,
            book_version=price.book_version,
            price_time_us=price.price_time_us,
        )
        for price in old.prices
    )
    risks = (
        AtRisk(
            pool=risk.pool,
            unknown_orders=int(risk.base_units + risk.quote_units > 0),
            base_units=risk.base_units,
            quote_units=risk.quote_units,
            unpriced_fees=0,
            fee_quote_units=0,
        )
        for risk in old.at_risk
    )
    return Barrier(
        account=old.account,
        barrier_id=old.barrier_id,
        facts_seq=old.facts_seq,
        venue_time_us=old.venue_time_us,
        prices=tuple(prices),
        at_risk=tuple(risks),
    )


AccountEvent = FillFact | FeeFact | BarrierV1 | Barrier


class QuoteGate(StrEnum):
    """The one gate that prevents a quote on a side, first match wins."""

    NONE = "none"
    """Quoting."""
    HALTED = "halted"
    """The account is halted: a promise of ours broke, or a person must look."""
    STOPPED = "stopped"
    """The pool is not asked to quote."""
    NOT_READY = "not_ready"
    """The account has not been reconciled with the venue yet."""
    MARKET_CLOSED = "market_closed"
    """The venue does not take orders in this market now."""
    CANCELS_FAILING = "cancels_failing"
    """The venue does not answer to cancels, so nothing is created that could not be taken back."""
    RULES_CHANGED = "rules_changed"
    """The venue changed the market's rules: own orders of the old ones go first."""
    BOOK_STALE = "book_stale"
    """The order book is missing, has a gap or is too old."""
    BOOK_THIN = "book_thin"
    """Others' orders on a side are together worth less than what makes a price."""
    UNBOOKED_FACTS = "unbooked_facts"
    """Facts older than ten seconds are not in the ledger yet."""
    NO_CAPITAL = "no_capital"
    """The pool has nothing to quote with on this side."""
    INVENTORY_BAND = "inventory_band"
    """A fill on this side would leave the inventory band."""
    BELOW_MINIMUM = "below_minimum"
    """What is left is below the venue's smallest order."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """An order on this side has an unknown outcome."""
    DRAINING = "draining"
    """Orders are being reduced for a leaver."""
    UNREADABLE_TRADES = "unreadable_trades"
    """The venue shows a trade of ours that cannot be read: what the pool owns is not known."""
    KILLED = "killed"
    """A kill latch holds for the pool, its account or the platform, until it is released."""
    KEY_REFUSED = "key_refused"
    """The venue refuses the account's key, its rights or its signature."""
    CREATES_REFUSED = "creates_refused"
    """The venue refused the last orders of this side; the next one waits."""
    OWN_ORDER = "own_order"
    """An own order of the other side, whichever pool's, stands where this one would."""
    BUDGET = "budget"
    """Orders that live, leave or are in doubt bind what this side may use."""


class ExposureReduced(Message, frozen=True, kw_only=True, tag="ExposureReduced.v1"):
    """Orders of the pool that may still fill consume at most what DrainTo ``version`` allows."""

    pool: PoolId
    version: int


class QuotingChanged(Message, frozen=True, kw_only=True, tag="QuotingChanged.v1"):
    """A side of a pool began or ceased to quote; ``gate`` says why."""

    pool: PoolId
    side: Side
    gate: QuoteGate


class VenueBalanceSeen(Message, frozen=True, kw_only=True, tag="VenueBalanceSeen.v1"):
    """What the venue reports for one asset of an account, atomic units."""

    account: VenueAccountId
    asset: str
    free_units: int
    locked_units: int


class Halted(Message, frozen=True, kw_only=True, tag="Halted.v1"):
    """The engine of an account stopped creating orders until a person looks."""

    account: VenueAccountId
    reason: str


EngineEvent = ExposureReduced | QuotingChanged | VenueBalanceSeen | Halted
