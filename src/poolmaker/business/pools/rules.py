"""Pure decisions of pools: positions, net asset value, and when to drain, ask and lift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from poolmaker.business.ledger.model import Leg
from poolmaker.business.ledger.rules.shares import Holding, in_ratio
from poolmaker.business.pools.model import (
    TICKET_TABLE,
    BarrierSettings,
    CoordinatorPlan,
    DealingRequest,
    DealingRequestEvent,
    DealingRequestKind,
    DealingRequestState,
    Drain,
    Pool,
    PoolConfig,
    PooledAccountRow,
)
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.ids import PoolId, SagaId
from poolmaker.kernel.money import Ratio, Rounding
from poolmaker.messages.market import DepthWanted

EXIT_MARK: Final = "."
"""Stands between the pool and the saga in the id of an exit; neither may contain it."""


def exit_id_of(pool: PoolId, saga: SagaId) -> str:
    """The id of a leaver's exit: names its pool, so that the venue's claims can be added up."""
    require(EXIT_MARK not in pool and EXIT_MARK not in saga, "exit: expected no dot in its parts")
    return f"{pool}{EXIT_MARK}{saga}"


def pool_of_leg(leg: Leg) -> PoolId | None:
    """The pool whose position a leg moves, or None."""
    head, _, rest = leg.account.partition(":")
    if head == "pool":
        return PoolId(rest.partition(":")[0])
    if head == "exit" and EXIT_MARK in rest:
        return PoolId(rest.partition(EXIT_MARK)[0])
    return None


def with_leg(pool: Pool, leg: Leg) -> Pool:
    """The pool after one leg of the ledger's log on its capital, its shares or its exits."""
    if leg.account.endswith(":issued"):
        return replace(pool, issued=pool.issued + leg.units)
    market = pool.market
    ensure(leg.asset in (market.base, market.quote), f"{pool.id}: a leg in {leg.asset}")
    # Capital and exits are owed: a credit, negative in raw sign, makes them grow.
    if leg.account.startswith("exit:"):
        if leg.asset == market.base:
            return replace(pool, exit_base_units=pool.exit_base_units - leg.units)
        return replace(pool, exit_quote_units=pool.exit_quote_units - leg.units)
    if leg.asset == market.base:
        return replace(pool, base_units=pool.base_units - leg.units)
    return replace(pool, quote_units=pool.quote_units - leg.units)


def nav_units(base_units: int, quote_units: int, mid: Ratio) -> int:
    """Net asset value in atomic quote units at ``mid``, rounded down."""
    return quote_units + mid.of(base_units, Rounding.DOWN)


def share_of(pool: Pool, shares: int) -> tuple[int, int]:
    """Base and quote units that ``shares`` are a claim on now, rounded down."""
    if pool.issued == 0:
        return 0, 0
    require(0 <= shares <= pool.issued, f"shares: expected 0 to {pool.issued}, was {shares}")
    return pool.base_units * shares // pool.issued, pool.quote_units * shares // pool.issued


def staying_after(pool: Pool, leaving: int) -> int:
    """Shares that stay when ``leaving`` have left.

    A share that left may be counted twice for a moment, while its ticket is still open; that asks
    for a lower bound than needed, never for a higher one.
    """
    return max(0, pool.issued - leaving)


def has_capital(pool: Pool) -> bool:
    """Whether anybody's money is in the pool."""
    return pool.issued > 0 or pool.base_units > 0 or pool.quote_units > 0


def wants_quoting(pool: Pool, tickets: Iterable[DealingRequest]) -> bool:
    """Whether the engine shall know the pool: it has capital, or somebody waits to bring some."""
    joining = any(
        ticket.pool == pool.id and ticket.kind is DealingRequestKind.JOIN and _is_open(ticket)
        for ticket in tickets
    )
    return not pool.paused and (has_capital(pool) or joining)


def depths_wanted(
    pools: Iterable[Pool], tickets: Iterable[DealingRequest]
) -> tuple[DepthWanted, ...]:
    """How deep the depth prices of each pool shall reach for the joins among ``tickets``.

    The excess of all of them counts together: many small ones are like one large one. What joins
    first has no excess, because nobody is there whom its price could cost anything.
    """
    joining = [ticket for ticket in tickets if ticket.kind is DealingRequestKind.JOIN]
    found = []
    for pool in pools:
        excess = [_excess(pool, ticket) for ticket in joining if ticket.pool == pool.id]
        found.append(
            DepthWanted(
                pool=pool.id,
                excess_base_units=sum(base for base, _ in excess),
                excess_quote_units=sum(quote for _, quote in excess),
                depth_min_quote_units=pool.parameters.depth_min_units,
            )
        )
    return tuple(found)


def _excess(pool: Pool, ticket: DealingRequest) -> tuple[int, int]:
    """Base and quote units that a join brings beyond the pool's ratio as it is now."""
    capital = Holding(max(0, pool.base_units), max(0, pool.quote_units))
    if not pool.issued:
        return 0, 0
    offer = Holding(ticket.base_units, ticket.quote_units)
    even = in_ratio(capital, offer)
    return offer.base - even.base, offer.quote - even.quote


def is_restless(pools: Sequence[Pool], tickets: Sequence[DealingRequest]) -> bool:
    """Whether the coordinator of an account may have something to do, now or when time passes."""
    return bool(tickets) or any(
        pool.drain_version > pool.lifted_version or pool.quoting != wants_quoting(pool, tickets)
        for pool in pools
    )


def configured(config: PoolConfig, found: Pool | None) -> Pool:
    """The pool as configuration now says. Account and market of a pool never change."""
    if found is None:
        return Pool(
            id=config.id,
            account=config.account,
            market=config.market,
            strategy=config.strategy,
            parameters=config.parameters,
        )
    require(
        (found.account, found.market) == (config.account, config.market),
        f"pool {config.id}: its account and market can never change; open another pool",
    )
    changed = found.strategy != config.strategy
    require(
        not changed or config.strategy.version > found.strategy.version,
        f"pool {config.id}: a changed strategy needs a version above {found.strategy.version}",
    )
    return replace(found, strategy=config.strategy, parameters=config.parameters)


def moved(ticket: DealingRequest, event: DealingRequestEvent) -> DealingRequest:
    """The ticket after ``event``. Raises InvariantBroken where the table does not allow it."""
    state = TICKET_TABLE.next(ticket.state, event)
    ensure(state is not None, f"ticket {ticket.id}: {event} is not possible in {ticket.state}")
    return replace(ticket, state=state or ticket.state)


def _is_open(ticket: DealingRequest) -> bool:
    return ticket.state not in (DealingRequestState.USED, DealingRequestState.GONE)


def _applied(tickets: Iterable[DealingRequest], ledger_seq: int) -> tuple[DealingRequest, ...]:
    return tuple(
        moved(ticket, DealingRequestEvent.APPLIED)
        for ticket in tickets
        if ticket.state is DealingRequestState.USED and ticket.ledger_seq <= ledger_seq
    )


def _reduced(
    tickets: Iterable[DealingRequest], pools: dict[PoolId, Pool]
) -> tuple[DealingRequest, ...]:
    return tuple(
        moved(ticket, DealingRequestEvent.REDUCED)
        for ticket in tickets
        if ticket.state is DealingRequestState.DRAINING
        and pools[ticket.pool].reduced_version >= ticket.drain_version
    )


def _lifts(alive: Iterable[DealingRequest], pools: dict[PoolId, Pool]) -> tuple[Pool, ...]:
    """Pools whose drain has no leaver left. A waiting leaver has no drain yet and needs none."""
    holding = {ticket.pool for ticket in alive if ticket.drain_version > 0}
    return tuple(
        replace(pool, lifted_version=pool.drain_version)
        for pool in pools.values()
        if pool.drain_version > pool.lifted_version and pool.id not in holding
    )


def _round(
    tickets: Sequence[DealingRequest], pools: dict[PoolId, Pool], now_us: int
) -> CoordinatorPlan:
    """Take everybody who is due: leavers drain their pool, the others are ready at once."""
    waiting = [
        ticket
        for ticket in tickets
        if ticket.state is DealingRequestState.WAITING and ticket.due_us <= now_us
    ]
    leavers = [ticket for ticket in waiting if ticket.kind is DealingRequestKind.LEAVE]
    others = [
        ticket
        for ticket in waiting
        if ticket.kind is DealingRequestKind.EVIDENCE
        # A paused pool takes no new capital; whoever joins it waits or changes his mind.
        or (ticket.kind is DealingRequestKind.JOIN and not pools[ticket.pool].paused)
    ]
    drains = []
    for pool_id in sorted({ticket.pool for ticket in leavers}):
        pool = pools[pool_id]
        leaving = sum(
            ticket.shares
            for ticket in tickets
            if ticket.pool == pool_id and ticket.kind is DealingRequestKind.LEAVE
        )
        staying = staying_after(pool, leaving)
        drains.append(Drain(pool_id, pool.drain_version + 1, staying, pool.issued))
    versions = {drain.pool: drain.version for drain in drains}
    return CoordinatorPlan(
        taken=tuple(moved(ticket, DealingRequestEvent.TAKEN) for ticket in others),
        drained=tuple(
            replace(
                moved(ticket, DealingRequestEvent.DRAIN_ASKED), drain_version=versions[ticket.pool]
            )
            for ticket in leavers
        ),
        drains=tuple(drains),
    )


def _barrier_due(
    row: PooledAccountRow,
    ready: Sequence[DealingRequest],
    draining: Sequence[DealingRequest],
    now_us: int,
    settings: BarrierSettings,
) -> bool:
    if not ready or row.open_barrier:
        return False
    if row.barriers and now_us < row.barrier_at_us + settings.barrier_interval_us:
        return False
    # One barrier for all of a round; a drain that takes long must not hold up everybody else.
    return not draining or now_us >= row.round_at_us + settings.drain_patience_us


def plan(
    row: PooledAccountRow,
    pools: Sequence[Pool],
    tickets: Sequence[DealingRequest],
    ledger_seq: int,
    now_us: int,
    settings: BarrierSettings,
) -> CoordinatorPlan:
    """What to do now for one account; ``ledger_seq`` is how far the ledger's log is applied."""
    by_id = {pool.id: pool for pool in pools}
    applied = _applied(tickets, ledger_seq)
    gone = {ticket.id for ticket in applied}
    alive = [ticket for ticket in tickets if ticket.id not in gone]
    reduced = _reduced(alive, by_id)
    first = not row.rounds or now_us >= row.round_at_us + settings.barrier_interval_us
    rounded = _round(alive, by_id, now_us) if first and not row.open_barrier else CoordinatorPlan()
    passed = {ticket.id for ticket in reduced}
    ready = [ticket for ticket in alive if ticket.state is DealingRequestState.READY]
    ready += [*reduced, *rounded.taken]
    draining = [
        ticket
        for ticket in (*alive, *rounded.drained)
        if ticket.state is DealingRequestState.DRAINING and ticket.id not in passed
    ]
    starts = bool(rounded.taken or rounded.drained)
    current = replace(row, round_at_us=now_us) if starts else row
    due = _barrier_due(current, ready, draining, now_us, settings)
    return replace(
        rounded,
        applied=applied,
        reduced=reduced,
        lifts=_lifts(alive, by_id) if not rounded.drains else (),
        asked=tuple(moved(ticket, DealingRequestEvent.BARRIER_ASKED) for ticket in ready)
        if due
        else (),
    )


def reask_due(row: PooledAccountRow, now_us: int, settings: BarrierSettings) -> bool:
    """Whether the open barrier has been waited for so long that it is asked once more."""
    return bool(row.open_barrier) and now_us >= row.asked_at_us + settings.barrier_reask_us
