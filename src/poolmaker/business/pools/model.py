"""Values of pools: a pool with its position, tickets that wait for a barrier, the barrier met."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.kernel.ids import PoolId, SagaId, VenueAccountId, require_slug
from poolmaker.kernel.states import StateTable
from poolmaker.messages.base import Message
from poolmaker.messages.market import Barrier, BarrierPrice, MarketSpec, StrategySnapshot

PPM: Final = 1_000_000


class PoolParameters(Message, frozen=True, kw_only=True):
    """What a join or leave costs and needs.

    ``join_cost_cbps`` (millionths) is the least that the part of a join that is not in the pool's
    ratio bears; ``taker_fee_ppm`` is added to half the spread where the venue's own fee is not
    known. ``divergence_max_ppm`` is how far mid, average and depth price may be apart.
    ``*_units`` are atomic quote units: ``first_join_min_units`` a value; ``order_min_units``,
    ``order_max_units``, ``capacity_units`` and ``holding_min_units`` shares, a quote unit at the
    first join of an epoch each. The maximum of an order and the pool's capacity are 0 for no bound.
    ``depth_min_units`` is the least size that a depth price reaches.
    """

    join_cost_cbps: int = 2_000
    first_join_min_units: int = 0
    nav_floor_units: int = 0
    stay_min_us: int = 0
    price_age_max_us: int = 2 * SECOND_US
    taker_fee_ppm: int = 1_000
    divergence_max_ppm: int = 10_000
    order_min_units: int = 0
    holding_min_units: int = 0
    depth_min_units: int = 0
    order_max_units: int = 0
    capacity_units: int = 0
    cool_off_us: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name in self.__struct_fields__:
            require(getattr(self, name) >= 0, f"{name}: expected 0 or more")
        require(self.join_cost_cbps < PPM, "join_cost_cbps: expected less than 100 %")
        require(self.price_age_max_us > 0, "price_age_max_us: expected a positive int")
        require(self.taker_fee_ppm < PPM, "taker_fee_ppm: expected less than 100 %")
        require(self.divergence_max_ppm < PPM, "divergence_max_ppm: expected less than 100 %")
        least = self.holding_min_units <= self.order_min_units
        require(least, "holding_min_units: expected at most order_min_units")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """A pool as the operator configures it. ``strategy.version`` grows with every change of it."""

    id: PoolId
    account: VenueAccountId
    market: MarketSpec
    strategy: StrategySnapshot
    parameters: PoolParameters

    def __post_init__(self) -> None:
        require_slug(self.id, "pool")
        require_slug(self.account, "account")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool with its position as of the ledger transactions that this room has applied.

    ``paused`` is the operator's reason, empty while the pool is open. ``exit_*_units`` is what
    leavers still have at the venue. ``quoting_version`` counts StartQuoting. A drain holds while
    ``drain_version`` is above ``lifted_version``.
    """

    id: PoolId
    account: VenueAccountId
    market: MarketSpec
    strategy: StrategySnapshot
    parameters: PoolParameters
    paused: str = ""
    base_units: int = 0
    quote_units: int = 0
    issued: int = 0
    exit_base_units: int = 0
    exit_quote_units: int = 0
    capital_version: int = 0
    quoting: bool = False
    quoting_version: int = 0
    drain_version: int = 0
    reduced_version: int = 0
    lifted_version: int = 0

    def claim_units(self, asset: str) -> int:
        """What the pool and its leavers claim of one asset at the venue account."""
        if asset == self.market.base:
            return self.base_units + self.exit_base_units
        if asset == self.market.quote:
            return self.quote_units + self.exit_quote_units
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledAccountRow:
    """One venue account. ``booked_seq`` is the last fact of its stream seen in the ledger's log.

    ``open_barrier`` is asked of the engine and not yet seen, empty when there is none.
    """

    account: VenueAccountId
    booked_seq: int = 0
    rounds: int = 0
    round_at_us: int = 0
    barriers: int = 0
    barrier_at_us: int = 0
    open_barrier: str = ""
    asks: int = 0
    asked_at_us: int = 0


class DealingRequestKind(StrEnum):
    """Why a saga waits for a barrier."""

    JOIN = "join"
    """It brings capital."""
    LEAVE = "leave"
    """It takes its fraction: the engine is drained first."""
    EVIDENCE = "evidence"
    """It waits for what UNKNOWN orders may still take to become known."""


class DealingRequestState(StrEnum):
    """Where a ticket stands."""

    WAITING = "waiting"
    """For the next round."""
    DRAINING = "draining"
    """For the engine's word that orders are reduced."""
    READY = "ready"
    """For the next barrier to be asked."""
    ASKED = "asked"
    """For the barrier to come."""
    MET = "met"
    """The barrier stands in the stream; the saga may ask the ledger."""
    USED = "used"
    """The saga is through with it, or gave it up."""
    GONE = "gone"
    """The engine knows the capital that came of it."""


class DealingRequestEvent(StrEnum):
    """What happens to a ticket."""

    DRAIN_ASKED = "drain_asked"
    TAKEN = "taken"
    REDUCED = "reduced"
    BARRIER_ASKED = "barrier_asked"
    BARRIER_SEEN = "barrier_seen"
    CLOSED = "closed"
    APPLIED = "applied"


TICKET_TABLE: Final[StateTable[DealingRequestState, DealingRequestEvent]] = StateTable(
    name="Barrier ticket",
    initial=DealingRequestState.WAITING,
    terminal=frozenset({DealingRequestState.GONE}),
    transitions={
        (
            DealingRequestState.WAITING,
            DealingRequestEvent.DRAIN_ASKED,
        ): DealingRequestState.DRAINING,
        (DealingRequestState.WAITING, DealingRequestEvent.TAKEN): DealingRequestState.READY,
        (DealingRequestState.DRAINING, DealingRequestEvent.REDUCED): DealingRequestState.READY,
        (DealingRequestState.READY, DealingRequestEvent.BARRIER_ASKED): DealingRequestState.ASKED,
        (DealingRequestState.ASKED, DealingRequestEvent.BARRIER_SEEN): DealingRequestState.MET,
        # A user may change his mind before the ledger was asked, at any of these points.
        (DealingRequestState.WAITING, DealingRequestEvent.CLOSED): DealingRequestState.USED,
        (DealingRequestState.DRAINING, DealingRequestEvent.CLOSED): DealingRequestState.USED,
        (DealingRequestState.READY, DealingRequestEvent.CLOSED): DealingRequestState.USED,
        (DealingRequestState.ASKED, DealingRequestEvent.CLOSED): DealingRequestState.USED,
        (DealingRequestState.MET, DealingRequestEvent.CLOSED): DealingRequestState.USED,
        (DealingRequestState.USED, DealingRequestEvent.APPLIED): DealingRequestState.GONE,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingRequest:
    """One saga's place in the queue for a barrier of its pool's account.

    ``id`` is a pure function of the saga and its round. ``shares`` is what a LEAVE burns,
    ``base_units`` and ``quote_units`` what a JOIN offers. It is not taken before ``due_us``.
    ``ledger_seq`` is the transaction that used the barrier, 0 when none did.
    """

    id: str
    saga: SagaId
    pool: PoolId
    account: VenueAccountId
    kind: DealingRequestKind
    shares: int = 0
    base_units: int = 0
    quote_units: int = 0
    due_us: int = 0
    state: DealingRequestState = DealingRequestState.WAITING
    drain_version: int = 0
    barrier_id: str = ""
    ledger_seq: int = 0


@dataclass(frozen=True, slots=True)
class Risk:
    """What was open of a pool at a barrier, and the most that it may still take."""

    unknown_orders: int
    unpriced_fees: int
    base_units: int
    quote_units: int

    @property
    def is_settled(self) -> bool:
        """Whether nothing from before the barrier can still change the pool's capital."""
        return not self.unknown_orders and not self.unpriced_fees


@dataclass(frozen=True, slots=True)
class BarrierMet:
    """A barrier at its place ``seq`` in the account's stream."""

    seq: int
    barrier: Barrier

    def price_of(self, pool: PoolId) -> BarrierPrice | None:
        """What the pool's book said at the barrier, None when the engine did not quote it."""
        return next((price for price in self.barrier.prices if price.pool == pool), None)

    def at_risk_of(self, pool: PoolId) -> Risk:
        """What may still change the pool's capital by facts from before the barrier."""
        found = [risk for risk in self.barrier.at_risk if risk.pool == pool]
        return Risk(
            unknown_orders=sum(risk.unknown_orders for risk in found),
            unpriced_fees=sum(risk.unpriced_fees for risk in found),
            base_units=sum(risk.base_units for risk in found),
            quote_units=sum(risk.quote_units + risk.fee_quote_units for risk in found),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BarrierSettings:
    """How often and how long. A barrier that does not come is asked again under its old id.

    From ``overdue_us`` on a person is told that it does not come.
    """

    barrier_interval_us: int = MINUTE_US
    drain_patience_us: int = 5 * SECOND_US
    barrier_reask_us: int = 30 * SECOND_US
    overdue_us: int = 5 * MINUTE_US
    batch: int = 256


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask the engine to let a pool's orders consume only the part of the shares that stay."""

    pool: PoolId
    version: int
    staying: int
    issued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorPlan:
    """What the coordinator of one account does now.

    ``taken`` go READY without a drain, ``drained`` wait for their pool's drain, ``reduced`` are let
    through by the engine, ``applied`` are finished, ``asked`` share the new barrier.
    """

    applied: tuple[DealingRequest, ...] = ()
    taken: tuple[DealingRequest, ...] = ()
    drained: tuple[DealingRequest, ...] = ()
    reduced: tuple[DealingRequest, ...] = ()
    drains: tuple[Drain, ...] = ()
    lifts: tuple[Pool, ...] = ()
    asked: tuple[DealingRequest, ...] = ()
