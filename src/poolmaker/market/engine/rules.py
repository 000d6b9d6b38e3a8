"""Pure rules of the engine: wishes, capital, gates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from poolmaker.kernel.market import Side
from poolmaker.market.engine.model import OwnFact, PoolInstructions
from poolmaker.market.execution.model import LiveOrder, LiveOrderStage
from poolmaker.market.quoting.model import Inventory, MarketView
from poolmaker.market.quoting.rules import strategy_problems
from poolmaker.market.tracking.book import Top
from poolmaker.market.tracking.model import ExchangeOrder, StoredFill, VenueMarket, VenueOrderState
from poolmaker.messages.market import CapitalSet, DrainLifted, DrainTo, StartQuoting, StopQuoting

PoolControl = StartQuoting | StopQuoting | CapitalSet | DrainTo | DrainLifted


def wish_after(wish: PoolInstructions, message: PoolControl) -> PoolInstructions:
    """What is wished of a pool after a message. Older versions change nothing."""
    match message:
        case StartQuoting():
            return _started(wish, message)
        case StopQuoting():
            return replace(wish, quoting=False, stop_reason=message.reason or "stopped")
        case CapitalSet():
            newer = wish.capital is None or message.version > wish.capital.version
            return replace(wish, capital=message) if newer else wish
        case DrainTo():
            newer = wish.drain is None or message.version > wish.drain.version
            return replace(wish, drain=message, drain_reported=False) if newer else wish
        case DrainLifted():
            lifted = wish.drain is not None and message.version >= wish.drain.version
            return replace(wish, drain=None, drain_reported=False) if lifted else wish
        case _:
            assert_never(message)


def _started(wish: PoolInstructions, message: StartQuoting) -> PoolInstructions:
    before = wish.start.version if wish.start is not None else 0
    if message.version < before or (wish.quoting and message.version == before):
        return wish
    if problems := strategy_problems(message.strategy):
        return replace(wish, start=message, quoting=False, stop_reason="; ".join(problems))
    return replace(wish, start=message, quoting=True, stop_reason="")


def facts_of(fill: StoredFill) -> list[OwnFact]:
    """What a stored fill and its fee did to the pool's capital."""
    trade = fill.trade
    sign = 1 if trade.side is Side.BUY else -1
    moved = sign * trade.base_units, -sign * trade.quote_units
    facts = [OwnFact(fill.fill_seq, *moved, fill.published_us)]
    if fill.fee_seq is not None:
        cost = -fill.fee_base_units, -fill.fee_quote_units
        facts.append(OwnFact(fill.fee_seq, *cost, fill.published_us))
    return facts


def unbooked(facts: Iterable[OwnFact], capital: CapitalSet) -> list[OwnFact]:
    """Facts that ``capital`` does not include yet."""
    return [fact for fact in facts if fact.seq > capital.includes_stream_seq]


def inventory_now(wish: PoolInstructions, facts: Iterable[OwnFact]) -> Inventory:
    """The pool's capital with its own fills since, and how much of it orders may use."""
    capital = wish.capital
    if capital is None:
        return Inventory.whole(0, 0)
    since = unbooked(facts, capital)
    base = max(0, capital.base_units + sum(fact.base_units for fact in since))
    quote = max(0, capital.quote_units + sum(fact.quote_units for fact in since))
    if wish.drain is None:
        return Inventory.whole(base, quote)
    return Inventory(base, quote, left_by(wish.drain, base), left_by(wish.drain, quote))


def left_by(drain: DrainTo, units: int) -> int:
    """What of ``units`` belongs to those who stay, rounded down; nothing when nobody does."""
    return units * max(0, drain.staying) // drain.issued if drain.issued > 0 else 0


def stage_of(order: ExchangeOrder) -> LiveOrderStage | None:
    """What an order is to the planner; None when nothing of it is at stake any more."""
    if order.terminal:
        return LiveOrderStage.CANCELLING if order.unexplained_units else None
    match order.state:
        case VenueOrderState.PENDING_NEW:
            return LiveOrderStage.PENDING
        case VenueOrderState.PENDING_CANCEL:
            return LiveOrderStage.CANCELLING
        case VenueOrderState.UNKNOWN:
            return LiveOrderStage.UNKNOWN
        case _:
            return LiveOrderStage.RESTING


def live_order(order: ExchangeOrder, now_us: int) -> LiveOrder | None:
    """An order as the planner sees it. Fills that are not booked yet still bind capital."""
    stage = stage_of(order)
    if stage is None:
        return None
    return LiveOrder(
        intent=order.intent,
        pool=order.pool,
        market=order.market,
        side=order.side,
        level=order.level,
        ticks=order.ticks,
        lots=order.lots,
        open_units=order.open_units + order.unexplained_units,
        stage=stage,
        age_us=max(0, now_us - order.registered_us),
    )


def market_view(rules: VenueMarket, top: Top, deep: Top) -> MarketView | None:
    """The market in today's ticks; None where it stands below the first tick.

    ``top`` is the best of others, ``deep`` what enough of them stand behind. Others' orders may
    rest off the grid since before a change of the tick: bids are read as the tick below and asks
    as the tick above, so that nothing that keeps a tick's distance crosses them.
    """
    market, tick = rules.market, rules.market.tick_units
    if deep.bid_units < tick:
        return None
    return MarketView(
        market=market,
        bid_ticks=top.bid_units // tick,
        ask_ticks=-(-top.ask_units // tick),
        bid_depth_ticks=deep.bid_units // tick,
        ask_depth_ticks=-(-deep.ask_units // tick),
        reference_ticks=deep.halves,
        reference_weight=2 * tick,
        maker_fee_cbps=rules.maker_fee_cbps,
    )
