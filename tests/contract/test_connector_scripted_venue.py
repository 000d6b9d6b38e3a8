"""The engine against a venue that does exactly what each row of the failures says.

The database is real; the venue behind the ports is scripted.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from poolmaker.infra.database import Database
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Ratio
from poolmaker.market.engine.service import AccountEngine
from poolmaker.market.execution.model import (
    CancelIntent,
    CancelReply,
    CreateIntent,
    CreateReply,
    RequestRefused,
    VenueRefusal,
)
from poolmaker.market.tracking.account_stream import postgres_tracking
from poolmaker.market.tracking.model import (
    NoMarket,
    OpenOrders,
    OrderReport,
    StoredFill,
    VenueMarket,
)
from poolmaker.messages.base import Money, Rate
from poolmaker.messages.market import (
    Barrier,
    BarrierWanted,
    BarrierWantedV1,
    DepthWanted,
    FeeFact,
    FillFact,
    Halted,
    MarketSpec,
    QuoteGate,
    StartQuoting,
    StopQuoting,
    StrategySnapshot,
    control_stream,
)
from tests.unit.market.makers import BTC, MARKET, POOL, trade
from tests.unit.market.scripted import (
    ACCOUNT,
    LIMIT_S,
    SPEC,
    STRATEGY,
    Resting,
    Stage,
    away,
    eventually,
    lost,
    open_sides,
    pool_of,
    until,
)


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def both(engine: AccountEngine) -> bool:
    return open_sides(engine) == set(Side)


def gates(engine: AccountEngine) -> set[QuoteGate]:
    pool = pool_of(engine)
    return {since.gate for since in pool.gates.values()} if pool is not None else set()


def filled(stage: Stage) -> int:
    """Fill whatever rests; how many orders that were."""
    resting = stage.venue.live()
    for order in resting:
        stage.venue.fill(order, order.lots)
    return len(resting)


def alive(engine: AccountEngine) -> int:
    """Own orders that may still rest, pending and unknown ones included."""
    pool = pool_of(engine)
    return len(pool.orders) if pool is not None else 0


def booked(engine: AccountEngine) -> int:
    view = engine.live()
    return view.fills_booked if view is not None else 0


def unknown(engine: AccountEngine) -> int:
    view = engine.live()
    return view.unknown_orders if view is not None else -1


def replace_strategy(**changed: int) -> StrategySnapshot:
    return msgspec.structs.replace(STRATEGY, **changed)


def start(strategy: StrategySnapshot, version: int) -> StartQuoting:
    return StartQuoting(pool=POOL, account=ACCOUNT, market=SPEC, strategy=strategy, version=version)


async def fact_of(stage: Stage, kind: type[Any]) -> Any:
    """The first fact of a kind, once it is there."""

    async def found() -> list[Any]:
        return [fact for fact in await stage.facts() if isinstance(fact, kind)]

    await eventually(found)
    return (await found())[0]


async def fills(stage: Stage) -> list[FillFact]:
    return [fact for fact in await stage.facts() if isinstance(fact, FillFact)]


# ------------------------------------------------------------------ orders of unknown outcome


async def test_e4_a_lost_answer_leads_to_one_order_even_without_a_stream(stage: Stage) -> None:
    """E4, exchange fault 1: found by its client id, never sent again."""
    stage.venue.events = False
    stage.venue.after_create = lost
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        await asyncio.sleep(0.2)
    assert len(stage.venue.created) == len(set(stage.venue.created)) == 2


async def test_e5_not_found_for_a_while_is_not_gone(stage: Stage) -> None:
    """E5, exchange fault 4: two misses, then found; the count began anew."""
    asked: list[Resting] = []

    def slow(order: Resting) -> bool:
        asked.append(order)
        return len(asked) <= 2

    stage.venue.events = False
    stage.venue.after_create = lost
    stage.venue.hidden = slow
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
    assert len(stage.venue.created) == 2


async def test_an_order_that_never_arrived_is_rejected_and_decided_anew(stage: Stage) -> None:
    """E13: absent from queries, open orders and trades, long enough; another intent follows."""
    stage.venue.before_create = lost
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: unknown(engine) == 2)
        stage.venue.before_create = lambda _intent: None
        await until(lambda: both(engine) and unknown(engine) == 0)
        await engine.stop()
    assert (await stage.states())["REJECTED"] >= 2


async def test_exchange_fault_5_network_errors_never_count_as_not_found(stage: Stage) -> None:
    stage.venue.before_create = lost
    stage.venue.lookup_problem = away
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: unknown(engine) == 2)
        await until(lambda: stage.venue.calls["lookup"] >= 20)
        assert unknown(engine) == 2
        assert stage.venue.calls["create"] == 2


async def test_e3_one_order_that_cannot_be_read_does_not_keep_the_others_waiting(
    stage: Stage,
) -> None:
    """E3: the poison order is first again every time."""
    poison: list[str] = []

    def first_is_poison(asked: str) -> Exception | None:
        if not poison:
            poison.append(asked)
        return away() if asked == poison[0] else None

    stage.venue.events = False
    stage.venue.after_create = lost
    stage.venue.lookup_problem = first_is_poison
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: len(open_sides(engine)) >= 1)


async def test_e3_many_orders_that_are_never_answered_keep_no_other_from_being_asked(
    stage: Stage,
) -> None:
    """E3: twenty questions at a time run into their time-out, again and again."""
    poison: set[str] = set()
    real = stage.venue.order_by_client_id

    async def slow(market: Market, client_id: str) -> OrderReport | None:
        if len(poison) < 20:
            poison.add(client_id)
        if client_id in poison:
            await asyncio.sleep(0.5)
            raise away()
        return await real(market, client_id)

    async def nothing(market: object) -> OpenOrders:
        return OpenOrders(())

    stage.venue.events = False
    stage.venue.after_create = lost
    stage.venue.open_orders = nothing  # type: ignore[method-assign]
    stage.venue.order_by_client_id = slow  # type: ignore[method-assign]
    await stage.quote(replace_strategy(levels=15, level_size_ppm=50_000))
    async with stage.running() as engine:
        await until(lambda: len(stage.venue.created) == 30)
        await until(lambda: unknown(engine) == 20)
        assert len(poison) == 20


async def test_what_is_remembered_of_a_cancel_goes_with_its_order(stage: Stage) -> None:
    """The time of each cancel was kept for as long as the engine ran."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        assert engine._session is not None
        sent = engine._session.state.cancel_sent_us
        hold, real = asyncio.Event(), stage.venue.cancel

        async def held(cancel: CancelIntent) -> CancelReply:
            await hold.wait()
            await real(cancel)
            raise OutcomeUnknown("the answer is lost, and the stream tells the end")

        stage.venue.cancel = held  # type: ignore[method-assign]
        await stage.tell(StopQuoting(pool=POOL, reason="test"))
        await until(lambda: len(sent) == 2)
        hold.set()
        await until(lambda: not alive(engine))
        await until(lambda: not sent)


async def test_a_duplicate_client_id_means_that_the_order_is_there(stage: Stage) -> None:
    """Exchange fault 1: -2010 Duplicate is proof of life, not a refusal."""
    stage.venue.events = False

    def in_use(intent: object) -> None:
        stage.venue.refuse_creates.append(
            RequestRefused(VenueRefusal.DUPLICATE, "Duplicate order sent.")
        )

    stage.venue.before_create = in_use
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: unknown(engine) == 2)


async def test_e18_a_stop_after_a_lost_answer_cancels_by_client_id(
    stage: Stage,
) -> None:
    """E18: stopping does not forget what may have been accepted, though no look-up shows it."""
    stage.venue.events = False
    stage.venue.after_create = lost
    stage.venue.lookup_problem = away
    stage.venue.hidden = lambda _order: True
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: unknown(engine) == 2)
        await stage.tell(StopQuoting(pool=POOL, reason="test"))
        await until(lambda: not stage.venue.live() and unknown(engine) == 0)
        await engine.stop()


# ------------------------------------------------------------------ the crash matrix


@pytest.mark.parametrize("point", ["before send", "after send", "after ack", "after fill"])
async def test_e11_killed_at_any_point_nothing_is_doubled_and_no_fill_is_lost(
    stage: Stage, point: str
) -> None:
    """E11, P16: the create's life is cut at four places and a new engine takes over."""
    died = asyncio.Event()

    async def gone() -> None:
        died.set()
        await asyncio.Event().wait()

    real = stage.venue.create

    async def create(intent: CreateIntent) -> CreateReply:
        if point == "before send":
            await gone()
        reply = await real(intent)
        if point == "after send":
            await gone()
        return reply

    stage.venue.create = create  # type: ignore[method-assign]
    stage.venue.events = point in ("after ack", "after fill")
    await stage.quote()
    async with stage.running() as engine:
        if point in ("after ack", "after fill"):
            await until(lambda: both(engine))
        else:
            await died.wait()
    if point == "after fill":
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 100, told=False)
    sent_before = len(stage.venue.created)
    stage.venue.create = real  # type: ignore[method-assign]
    stage.venue.events = True
    async with stage.running() as engine:
        await until(lambda: both(engine) and unknown(engine) == 0)
        await engine.stop()
    assert len(stage.venue.created) == len(set(stage.venue.created))
    assert len(await fills(stage)) == (1 if point == "after fill" else 0)
    assert not stage.venue.live()
    if point == "after send":
        assert sent_before >= 1
    assert not set(await stage.states()) & {"UNKNOWN", "PENDING_NEW", "OPEN"}


# ------------------------------------------------------------------ fills


async def test_e8_two_identical_partial_fills_are_two_fills(stage: Stage) -> None:
    """E8."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        order = stage.venue.live(Side.BUY)[0]
        stage.venue.fill(order, 10)
        stage.venue.fill(order, 10)
        await until(lambda: booked(engine) == 2)
    assert [fact.trade_id for fact in await fills(stage)] == ["1", "2"]


async def test_e16_the_same_trade_from_three_channels_is_booked_once(stage: Stage) -> None:
    """E16, P9: stream, stream again after a reconnect, and REST."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        trade = stage.venue.fill(stage.venue.live(Side.BUY)[0], 10)
        assert stage.venue.account is not None
        stage.venue.account.on_trade(trade)
        stage.venue.account.on_account_subscribed()
        await until(lambda: booked(engine) == 1)
        before = stage.venue.calls["trades"]
        await until(lambda: stage.venue.calls["trades"] > before + 1)
        stage.venue.account.on_trade(trade)
        await asyncio.sleep(0.2)
    assert len(await fills(stage)) == 1


async def test_e10_a_fill_found_over_rest_has_the_venues_own_numbers(stage: Stage) -> None:
    """E10: the price improvement is booked, not the order's price."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 10, quote_units=123_456, told=False)
        await until(lambda: booked(engine) == 1)
    assert (await fills(stage))[0].quote_units == 123_456


async def test_exchange_fault_9_a_fill_whose_trade_was_not_streamed_is_read_over_rest(
    stage: Stage,
) -> None:
    """The order's report names more than the trades explain: the list of trades is read."""
    stage.config = replace(stage.config, reconcile_ms=60_000)
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        order = stage.venue.live(Side.BUY)[0]
        stage.venue.fill(order, order.lots, told=False)
        assert stage.venue.account is not None
        stage.venue.account.on_order(order.report())
        await until(lambda: booked(engine) == 1)


async def test_e17_a_fee_in_a_third_asset_carries_the_price_to_recharge_it_at(
    stage: Stage,
) -> None:
    """E17, P35, exchange fault 27."""
    stage.venue.maker_fee = ("BNB", 500)
    stage.venue.fee_price = Ratio(600, 1)
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 10)
        await until(lambda: booked(engine) == 1)
    (fee,) = [fact for fact in await stage.facts() if isinstance(fact, FeeFact)]
    assert (fee.asset, fee.units, fee.pool) == ("BNB", 500, POOL)
    assert fee.recharge_rate is not None
    assert fee.recharge_rate.ratio == Ratio(600, 1)


async def test_p35_a_fee_without_a_price_never_delays_its_fill_and_follows_later(
    stage: Stage,
) -> None:
    stage.venue.maker_fee = ("BNB", 500)
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 10)
        await until(lambda: booked(engine) == 1)
        assert not [fact for fact in await stage.facts() if isinstance(fact, FeeFact)]
        stage.venue.fee_price = Ratio(601, 1)
        await fact_of(stage, FeeFact)
    facts = await stage.facts()
    assert [type(fact) for fact in facts] == [FillFact, FeeFact]


async def test_a_trade_of_nobody_is_published_without_a_pool(stage: Stage) -> None:
    """The account is ours even where the order is not."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stranger = Resting("s1", None, "web", Side.SELL, 6_000_000, 100)
        stage.venue.orders["s1"] = stranger
        stage.venue.fill(stranger, 100, told=False)
        await until(lambda: booked(engine) == 1)
    assert (await fills(stage))[0].pool == PoolId("")


# ------------------------------------------------------------------ snapshots and events


async def test_e1_a_list_of_open_orders_older_than_the_order_ends_nothing(stage: Stage) -> None:
    """E1, P6: absent from a list, present at the venue; only look-ups decide."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))

        async def nothing(market: object) -> OpenOrders:
            return OpenOrders(())

        stage.venue.open_orders = nothing  # type: ignore[method-assign]
        await until(lambda: stage.venue.calls["lookup"] >= 5)
        assert stage.venue.calls["cancel"] == 0
        assert len(stage.venue.created) == 2
        await until(lambda: both(engine))
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 10)
        await until(lambda: booked(engine) == 1)


async def test_p6_an_order_seen_before_its_ack_is_ours_and_not_a_stranger(stage: Stage) -> None:
    """P6: the snapshot races the ack."""
    hold = asyncio.Event()
    real = stage.venue.create

    async def slow(intent: CreateIntent) -> CreateReply:
        reply = await real(intent)
        await hold.wait()
        return reply

    stage.venue.create = slow  # type: ignore[method-assign]
    stage.venue.events = False
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: len(stage.venue.live()) == 2)
        await until(lambda: both(engine))
        hold.set()
        await asyncio.sleep(0.2)
        assert stage.venue.calls["cancel"] == 0


# ------------------------------------------------------------------ barriers


async def test_a_barrier_waits_until_the_venues_trades_can_be_read(stage: Stage) -> None:
    """Tracking invariant 4."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.trades_problem = away()
        await stage.tell(BarrierWantedV1(account=ACCOUNT, barrier_id="b1"))
        stage.venue.fill(stage.venue.live(Side.BUY)[0], 10, told=False)
        await asyncio.sleep(0.3)
        assert await stage.facts() == []
        stage.venue.trades_problem = None
        await fact_of(stage, Barrier)
    fill, barrier = await stage.facts()
    assert isinstance(fill, FillFact)
    assert isinstance(barrier, Barrier)
    assert (barrier.barrier_id, barrier.facts_seq) == ("b1", 1)


async def test_a_barrier_names_what_unknown_orders_may_still_take(stage: Stage) -> None:
    stage.venue.before_create = lost
    stage.venue.lookup_problem = away
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: unknown(engine) == 2)
        await stage.tell(BarrierWantedV1(account=ACCOUNT, barrier_id="b1"))
        barrier = await fact_of(stage, Barrier)
    (risk,) = barrier.at_risk
    assert risk.base_units == MARKET.lot_units * 10_000
    assert 0 < risk.quote_units <= 6_000 * 10**8


def barrier_wanted(name: str, excess_base_units: int) -> BarrierWanted:
    depth = DepthWanted(
        pool=POOL, excess_base_units=excess_base_units, excess_quote_units=0,
        depth_min_quote_units=7_000 * 10**8,
    )  # fmt: skip
    return BarrierWanted(account=ACCOUNT, barrier_id=name, depths=(depth,))


async def test_a_barrier_looks_as_deep_as_its_newest_wish_says_also_after_a_restart(
    stage: Stage,
) -> None:
    """Decision 0106: L is the excess that waits, else the pool's own level or the minimum."""
    await stage.quote()
    stage.venue.trades_problem = away()
    async with stage.running():
        await stage.tell(barrier_wanted("b1", 5), barrier_wanted("b1", BTC.one))
        await stage.tell(
            barrier_wanted("b2", BTC.one + 1), BarrierWantedV1(account=ACCOUNT, barrier_id="b3")
        )
        await asyncio.sleep(0.2)
    stage.venue.trades_problem = None
    async with stage.running():
        await eventually_facts(stage, 3)
        await stage.tell(barrier_wanted("b1", 5))
        await asyncio.sleep(0.3)
    found = {f.barrier_id: f.prices[0] for f in await stage.facts() if isinstance(f, Barrier)}
    assert len(await stage.facts()) == 3
    quote = 7_000 * 10**8
    deep = {name: (p.depth_base_units, p.depth_quote_units) for name, p in found.items()}
    assert deep == {
        "b1": (BTC.one, quote), "b2": (BTC.one + 1, quote), "b3": (BTC.one // 10, quote),
    }  # fmt: skip
    assert found["b1"].bid_depth == Rate(numerator=5_999_000 * MARKET.tick_units, denominator=10**8)
    assert found["b2"].bid_depth is found["b2"].mid is found["b2"].twap_60s is None
    assert found["b1"].rules_version == 1


async def eventually_facts(stage: Stage, count: int) -> None:
    async def enough() -> bool:
        return len(await stage.facts()) >= count

    await eventually(enough)


# ------------------------------------------------------------------ gates and brakes


async def test_facts_that_the_ledger_does_not_book_stop_new_orders(stage: Stage) -> None:
    """Architecture 5.4: older than ten seconds there, than 200 milliseconds here."""
    stage.config = replace(stage.config, unbooked_max_ms=200)
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        for order in stage.venue.live():
            stage.venue.fill(order, order.lots)
        await until(lambda: booked(engine) == 2)
        await until(lambda: gates(engine) <= {QuoteGate.UNBOOKED_FACTS, QuoteGate.NONE})
        # What was decided before is filled as it comes, until nothing new comes.
        await until(lambda: not filled(stage) and gates(engine) == {QuoteGate.UNBOOKED_FACTS})
        await until(lambda: not filled(stage) and not alive(engine))
        created = stage.venue.calls["create"]
        await asyncio.sleep(0.3)
        assert stage.venue.calls["create"] == created
        await stage.tell(stage.capital(2, 100))
        await until(lambda: both(engine))


async def test_exchange_fault_23_when_cancels_fail_nothing_new_is_created(stage: Stage) -> None:
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.cancel_problem = OutcomeUnknown("503")
        await stage.tell(StopQuoting(pool=POOL, reason="test"))
        await until(lambda: stage.venue.calls["cancel"] >= 4)
        created = stage.venue.calls["create"]
        more = replace_strategy(version=2, levels=2)
        await stage.tell(start(more, version=2))
        await asyncio.sleep(0.3)
        assert stage.venue.calls["create"] == created
        stage.venue.cancel_problem = None
        await until(lambda: stage.venue.calls["create"] > created)
        await engine.stop()


async def test_exchange_fault_30_a_closed_market_is_polled_and_quoted_again_when_it_opens(
    stage: Stage,
) -> None:
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.is_open = False
        stage.venue.refuse_creates = [
            RequestRefused(VenueRefusal.MARKET_CLOSED, "Market is closed.")
        ] * 1_000
        await until(lambda: not filled(stage) and gates(engine) == {QuoteGate.MARKET_CLOSED})
        stage.venue.refuse_creates = []
        stage.venue.is_open = True
        await until(lambda: both(engine))


async def test_exchange_fault_32_post_only_refusals_are_priced_anew_with_growing_pauses(
    stage: Stage,
) -> None:
    would_take = RequestRefused(VenueRefusal.WOULD_TAKE, "Order would immediately match and take.")
    stage.venue.refuse_creates = [would_take] * 6
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        await engine.stop()
    assert (await stage.states())["REJECTED"] == 6


async def test_hummingbot_fact_3_a_frozen_book_withdraws_the_quotes(stage: Stage) -> None:
    """S5, exchange fault 15: stale quotes do not stay live."""
    await stage.quote(replace_strategy(book_age_max_ms=300))
    async with stage.running() as engine:
        await until(lambda: both(engine))
        stage.venue.book_frozen = True
        await until(lambda: gates(engine) == {QuoteGate.BOOK_STALE} and not stage.venue.live())


async def test_a_replaced_engine_stores_nothing_and_creates_nothing(stage: Stage) -> None:
    """E15: the second engine's epoch fences the first one's writes."""
    await stage.quote()
    first = stage.engine()
    task = asyncio.create_task(first.run())
    await until(lambda: both(first))
    async with stage.running() as second:
        await until(lambda: both(second))
        for order in stage.venue.live():
            stage.venue.fill(order, order.lots)
        done, _ = await asyncio.wait({task}, timeout=LIMIT_S)
        assert task in done
        failure = task.exception()
        assert failure is not None
        assert "replaced" in repr(failure)
        await until(lambda: both(second))
        await second.stop()
    assert len(stage.venue.created) == len(set(stage.venue.created))


async def test_p5_a_venue_that_is_away_at_the_start_is_asked_again(stage: Stage) -> None:
    """P5: a failed first load is not final."""
    real = stage.venue.market
    asked = 0

    async def flaky(spec: MarketSpec) -> VenueMarket | NoMarket:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise away()
        return await real(spec)

    stage.venue.market = flaky  # type: ignore[method-assign]
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))


async def test_p17_five_thousand_trades_are_known_again_in_one_question(stage: Stage) -> None:
    """P17: no bound on how many are asked for at once."""
    store = postgres_tracking()
    trades = [trade(number) for number in range(1, 5_001)]
    stored = [
        StoredFill(trade=one, pool=POOL, published_us=1, fill_seq=number)
        for number, one in enumerate(trades, 1)
    ]
    async with stage.database.begin("test many") as tx:
        await store.add_fills(tx, ACCOUNT, stored)
        known = await store.known_fills(tx, ACCOUNT, [*trades, trade(9_999)])
    assert known == {one.key for one in trades}


async def test_a_wish_that_cannot_be_read_halts_the_account(stage: Stage) -> None:
    """It may have been a stop: nothing is created until a person has looked."""
    await stage.quote()
    async with stage.running() as engine:
        await until(lambda: both(engine))
        barrier = Barrier(
            account=ACCOUNT,
            barrier_id="not a wish",
            facts_seq=0,
            venue_time_us=0,
            prices=(),
            at_risk=(),
        )
        await stage.tell(barrier)
        await until(lambda: gates(engine) == {QuoteGate.HALTED} and not stage.venue.live())

        async def is_told() -> bool:
            return any(isinstance(told, Halted) for told in await stage.reports())

        await eventually(is_told)


@pytest.mark.parametrize("restarted", [False, True])
async def test_found_12_a_control_message_that_cannot_be_read_waits_for_a_person(
    stage: Stage, restarted: bool
) -> None:
    """It is never passed over by itself, not even by a restart; a person leaves it out."""
    await stage.quote()
    junk = Money(asset="X", units=1)
    async with stage.running() as engine:
        await until(lambda: both(engine))
        await stage.tell(junk)
        await until(lambda: gates(engine) == {QuoteGate.HALTED} and not stage.venue.live())
        if not restarted:
            await _skip(stage)
            await until(lambda: both(engine))
    if restarted:
        async with stage.running() as engine:
            await until(lambda: gates(engine) == {QuoteGate.HALTED})
            assert not stage.venue.live()
            await _skip(stage)
            await until(lambda: both(engine))


async def _skip(stage: Stage) -> None:
    async with stage.database.begin("test skip") as tx:
        (letter,) = await stage.bus.letters(tx, 10)
        place = letter.consumer, letter.stream, letter.seq
        assert place == (f"engine:{ACCOUNT}", control_stream(ACCOUNT), 3)
        assert await stage.bus.ask_skip(tx, *place, "olga", "not a message of ours")
