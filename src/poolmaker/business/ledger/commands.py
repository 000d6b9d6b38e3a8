"""What the ledger can be asked and told; the tag of each is the drawing's word.

A request may be refused and moves nothing then. A fact is never refused: it happened.
``key`` is the identity: of a request a pure function of (saga, step, attempt), of a fact its own
identity in the outside world. Only the services named in the import contracts make these.
"""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

from poolmaker.kernel.ids import CommandKey, OrderId, PoolId, UserId, VenueAccountId, WithdrawalId
from poolmaker.kernel.market import Side
from poolmaker.messages.base import Message, Money, Rate


class _Command(Message, frozen=True, kw_only=True, tag_field="kind"):
    key: CommandKey


class OperatorIn(_Command, frozen=True, kw_only=True, tag="OPERATOR_IN"):
    """Fact: operator's own money arrived at ``location``."""

    location: str
    money: Money
    reference: str


class OperatorOut(_Command, frozen=True, kw_only=True, tag="OPERATOR_OUT"):
    """Request: operator's own money leaves ``location``; refused below zero equity."""

    location: str
    money: Money
    reference: str


class FundFeeFloat(_Command, frozen=True, kw_only=True, tag="FLOAT_TRADE"):
    """Request: operator's equity becomes float for fees in a third asset.

    Only old books hold it; ``FloatTrade`` is what is asked today.
    """

    money: Money


class FloatTrade(_Command, frozen=True, kw_only=True, tag="FLOAT_TRADE.v2"):
    """Request: equity becomes float for fees in a third asset, or float becomes equity again."""

    money: Money
    into_float: bool


class SettleFees(_Command, frozen=True, kw_only=True, tag="SETTLE_FEES"):
    """Request: what ``account``, the platform's fees or its dust, has earned becomes equity."""

    account: str
    money: Money


class BearShortfall(_Command, frozen=True, kw_only=True, tag="BEAR_SHORTFALL"):
    """Request: equity bears what ``location`` reports less than is booked there."""

    location: str
    money: Money
    reference: str


class CreditDeposit(_Command, frozen=True, kw_only=True, tag="CREDIT_DEPOSIT"):
    """Fact: a user's money arrived at ``location``."""

    user: UserId
    location: str
    money: Money
    reference: str


class CreditSuspense(_Command, frozen=True, kw_only=True, tag="CREDIT_SUSPENSE"):
    """Fact: money arrived at ``location`` that nobody can be credited for yet."""

    source: str
    location: str
    money: Money
    reference: str


class Lock(_Command, frozen=True, kw_only=True, tag="LOCK"):
    """Request: available to the order's locked, all amounts or none."""

    user: UserId
    order: OrderId
    money: tuple[Money, ...]


class Unlock(_Command, frozen=True, kw_only=True, tag="UNLOCK"):
    """Request: the order's locked back to available, all amounts or none."""

    user: UserId
    order: OrderId
    money: tuple[Money, ...]


class JoinPoolV1(_Command, frozen=True, kw_only=True, tag="JOIN_POOL"):
    """Request: the order's locked funds join whole, the excess priced at mid and average.

    Nobody asks it any more; ledgers hold it. See JoinPool.
    """

    order: OrderId
    pool: PoolId
    account: VenueAccountId
    base: Money
    quote: Money
    mid: Rate
    twap_60s: Rate
    book_version: int
    price_time_us: int
    price_age_max_us: int
    join_cost_cbps: int
    first_join_min: Money
    nav_floor: Money
    stream: str
    barrier_seq: int
    facts_seq: int


class LeavePoolV1(_Command, frozen=True, kw_only=True, tag="LEAVE_POOL"):
    """Request: burn shares and move the same fraction of base and quote into ``exit:<exit_id>``.

    Nobody asks it any more; ledgers hold it. See LeavePool.
    """

    order: OrderId
    pool: PoolId
    exit_id: str
    shares: int
    stay_min_us: int
    stream: str
    barrier_seq: int
    facts_seq: int
    barrier_venue_time_us: int


class DealingPrices(Message, frozen=True, kw_only=True):
    """What a pool's book said at a barrier, quote units for base units, own orders left out.

    ``bid_depth`` and ``ask_depth`` are the prices at which the cumulative size of a side reaches
    ``depth_base_units`` and ``depth_quote_units``. None where nobody can say.
    """

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


class JoinTerms(Message, frozen=True, kw_only=True):
    """What a pool asks of a join, as of the barrier. ``version`` is the terms', 0 without any.

    The amounts are atomic quote units. ``first_join_min`` is a value; the other minimums and
    maximums count shares, a quote unit at the first join of the epoch, so that they need no
    price. ``order_max`` and ``capacity`` are 0 where there is no bound. ``cool_off_us`` is how
    long a user who left the pool may not join it.
    """

    version: int
    price_age_max_us: int
    divergence_max_ppm: int
    join_cost_min_ppm: int
    taker_fee_ppm: int
    first_join_min: int
    order_min: int
    order_max: int
    holding_min: int
    capacity: int
    nav_floor: int
    cool_off_us: int


class JoinPool(_Command, frozen=True, kw_only=True, tag="JOIN_POOL.v2"):
    """Request: of the order's locked funds the part that may joins the pool and mints shares.

    The writer computes what joins. The part in the pool's own ratio needs no price. The excess of
    one asset is valued at the smallest result of mid, average and the middle of the depth prices,
    less a join cost that stays in the pool, and only as far as the depth of the prices reaches;
    where a price is missing, old or too far from the others it stays locked. ``shares_min`` is the
    least that the user accepts for all of it: then everything joins or nothing.

    ``unknown_orders`` and ``unpriced_fees`` count what of the pool was open at barrier
    ``barrier_seq``; ``facts_seq`` is the last fact of ``stream`` before it.
    """

    order: OrderId
    pool: PoolId
    account: VenueAccountId
    base: Money
    quote: Money
    prices: DealingPrices | None
    unknown_orders: int
    unpriced_fees: int
    terms: JoinTerms
    shares_min: int
    stream: str
    barrier_seq: int
    facts_seq: int


class LeaveTerms(Message, frozen=True, kw_only=True):
    """What a pool asks of a leave. ``version`` is the terms', 0 without any.

    ``holding_min`` counts shares as in JoinTerms: who would keep less leaves with all.
    """

    version: int
    stay_min_us: int
    holding_min: int


class LeavePool(_Command, frozen=True, kw_only=True, tag="LEAVE_POOL.v2"):
    """Request: burn shares and move the same fraction of base and quote into ``exit:<exit_id>``.

    What leaves is never reckoned at a price. ``prices`` are kept for fees that terms may reckon;
    None where nobody can say, and nothing waits for them.
    """

    order: OrderId
    pool: PoolId
    exit_id: str
    shares: int
    prices: DealingPrices | None
    terms: LeaveTerms
    stream: str
    barrier_seq: int
    facts_seq: int
    barrier_venue_time_us: int


class SettleExit(_Command, frozen=True, kw_only=True, tag="SETTLE_EXIT"):
    """Request: what evidence has freed of an exit goes to the order's locked.

    ``final`` pays all that is left and closes the exit: later facts are the pool's alone.
    """

    order: OrderId
    exit_id: str
    base_at_risk_units: int
    quote_at_risk_units: int
    final: bool


class Fill(_Command, frozen=True, kw_only=True, tag="FILL"):
    """Fact: one trade; ``pool`` is empty when the order belongs to none, then suspense bears it."""

    pool: PoolId
    account: VenueAccountId
    side: Side
    base: Money
    quote: Money
    venue_time_us: int
    stream: str
    stream_seq: int


class TradeFee(_Command, frozen=True, kw_only=True, tag="TRADE_FEE"):
    """Fact: a commission in base or quote; negative units are a rebate."""

    pool: PoolId
    account: VenueAccountId
    money: Money
    venue_time_us: int
    stream: str
    stream_seq: int


class RechargeFee(_Command, frozen=True, kw_only=True, tag="RECHARGE_FEE"):
    """Fact: a commission in a third asset, paid from the float, recharged to the pool in quote."""

    pool: PoolId
    account: VenueAccountId
    fee: Money
    quote_asset: str
    rate: Rate
    venue_time_us: int
    stream: str
    stream_seq: int


class MoveOut(_Command, frozen=True, kw_only=True, tag="MOVE_OUT"):
    """Request: our money leaves ``location`` for another place of ours, its fee included."""

    transfer: str
    location: str
    money: Money


class MoveIn(_Command, frozen=True, kw_only=True, tag="MOVE_IN"):
    """Fact: ``money`` of a transfer arrived at ``location``; its origin when it came back."""

    transfer: str
    location: str
    money: Money
    reference: str


class MoveFee(_Command, frozen=True, kw_only=True, tag="MOVE_FEE"):
    """Fact: the provider of a transfer took a fee, out of what it carried or at ``location``."""

    transfer: str
    location: str
    money: Money
    reference: str


class PlatformFee(_Command, frozen=True, kw_only=True, tag="PLATFORM_FEE"):
    """Request: what an order was quoted for a network or a service is the platform's."""

    user: UserId
    order: OrderId
    money: Money
    reason: str


class ResolveSuspense(_Command, frozen=True, kw_only=True, tag="RESOLVE_SUSPENSE"):
    """Request: money that was nobody's turned out to be a user's."""

    source: str
    user: UserId
    money: Money


class Refund(_Command, frozen=True, kw_only=True, tag="REFUND"):
    """Request: money that was nobody's goes back where it came from, through ``withdrawal``."""

    source: str
    withdrawal: WithdrawalId
    money: Money


class ReceiveReward(_Command, frozen=True, kw_only=True, tag="RECEIVE_REWARD"):
    """Fact: a campaign's reward arrived at ``location``, final and attributed."""

    campaign: str
    location: str
    money: Money
    reference: str


class Dust(_Command, frozen=True, kw_only=True, tag="DUST"):
    """Request: what the next place cannot hold of a campaign's reward is the platform's dust."""

    campaign: str
    money: Money


class AllocateReward(_Command, frozen=True, kw_only=True, tag="ALLOCATE_REWARD"):
    """Request: a reward is split into the platform's ``fee`` and ``users``, what all users get.

    ``digest`` is the SHA-256 of the stored allocation, in hexadecimal digits: it can be proved and
    not changed afterwards.
    """

    campaign: str
    reward: str
    fee: Money
    users: Money
    digest: str


class CreditReward(_Command, frozen=True, kw_only=True, tag="CREDIT_REWARD"):
    """Request: one order's part of an allocated reward becomes its user's available."""

    campaign: str
    reward: str
    user: UserId
    order: OrderId
    money: Money


class HoldWithdraw(_Command, frozen=True, kw_only=True, tag="HOLD_WITHDRAW"):
    """Request: available to the withdrawal's held."""

    user: UserId
    withdrawal: WithdrawalId
    money: Money


class ReleaseWithdraw(_Command, frozen=True, kw_only=True, tag="RELEASE_WITHDRAW"):
    """Request: held back to available, after the provider's own refusal."""

    user: UserId
    withdrawal: WithdrawalId
    money: Money


class DebitWithdraw(_Command, frozen=True, kw_only=True, tag="DEBIT_WITHDRAW"):
    """Fact: the withdrawal left ``location``; the receiver got ``money``."""

    withdrawal: WithdrawalId
    location: str
    money: Money
    reference: str


class NetworkFee(_Command, frozen=True, kw_only=True, tag="NETWORK_FEE"):
    """Fact: the provider took a fee of the withdrawal at ``location``."""

    withdrawal: WithdrawalId
    location: str
    money: Money
    reference: str


class BearDeficit(_Command, frozen=True, kw_only=True, tag="BEAR_DEFICIT"):
    """Request: equity bears what facts took beyond what was there on ``account``."""

    account: str
    money: Money
    reason: str


class ResolveSuspenseTo(_Command, frozen=True, kw_only=True, tag="RESOLVE_SUSPENSE.v2"):
    """Request: money that was nobody's is given to ``target``: a user, a pool or the operator.

    ``target`` is the account ``user:<id>:available``, ``pool:<id>:capital`` or ``platform:equity``.
    """

    source: str
    target: str
    money: Money
    reason: str


class KeepReward(_Command, frozen=True, kw_only=True, tag="KEEP_REWARD"):
    """Request: a reward that nobody has a weight in becomes the operator's, by decision."""

    campaign: str
    reward: str
    money: Money
    reason: str


class SetAside(_Command, frozen=True, kw_only=True, tag="SET_ASIDE"):
    """Request: a command that cannot be booked is answered as refused, by decision.

    ``aside`` is its key and ``digest`` the SHA-256 of its body in hexadecimal digits. ``stream``
    and ``stream_seq`` are its place where it carries one, else empty and 0.
    """

    aside: CommandKey
    digest: str
    stream: str
    stream_seq: int
    reason: str


class Reversal(_Command, frozen=True, kw_only=True, tag="REVERSAL"):
    """Fact: a named transaction is undone by its mirror image."""

    reverses: CommandKey
    reason: str


Request: TypeAlias = (
    OperatorOut
    | FundFeeFloat
    | FloatTrade
    | SettleFees
    | BearShortfall
    | BearDeficit
    | ResolveSuspenseTo
    | KeepReward
    | SetAside
    | Lock
    | Unlock
    | JoinPoolV1
    | JoinPool
    | LeavePoolV1
    | LeavePool
    | SettleExit
    | MoveOut
    | PlatformFee
    | ResolveSuspense
    | Refund
    | Dust
    | AllocateReward
    | CreditReward
    | HoldWithdraw
    | ReleaseWithdraw
)
Fact: TypeAlias = (
    OperatorIn
    | CreditDeposit
    | CreditSuspense
    | Fill
    | TradeFee
    | RechargeFee
    | MoveIn
    | MoveFee
    | ReceiveReward
    | DebitWithdraw
    | NetworkFee
    | Reversal
)
Command: TypeAlias = Request | Fact


REQUESTS: Final = frozenset(get_args(Request))
FACTS: Final = frozenset(get_args(Fact))

StreamFact: TypeAlias = Fill | TradeFee | RechargeFee
"""Facts that carry their place in a stream."""


def is_request(command: Command) -> bool:
    """Whether the ledger may refuse it."""
    return type(command) in REQUESTS
