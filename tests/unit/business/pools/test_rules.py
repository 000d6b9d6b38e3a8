"""Pure decisions of pools."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.ledger.model import Leg
from poolmaker.business.pools.model import (
    BarrierSettings,
    DealingRequest,
    DealingRequestEvent,
    DealingRequestKind,
    DealingRequestState,
    Pool,
    PooledAccountRow,
    PoolParameters,
)
from poolmaker.business.pools.rules import (
    configured,
    depths_wanted,
    exit_id_of,
    moved,
    nav_units,
    plan,
    pool_of_leg,
    reask_due,
    share_of,
    staying_after,
    wants_quoting,
    with_leg,
)
from poolmaker.kernel.errors import InvariantBroken, PreconditionError
from poolmaker.kernel.ids import SagaId, VenueAccountId
from poolmaker.kernel.money import Ratio
from poolmaker.messages.market import DepthWanted, StrategySnapshot
from tests.support.business import ACCOUNT, POOL, config

SETTINGS = BarrierSettings(barrier_interval_us=60, drain_patience_us=5, barrier_reask_us=30)


def _pool(**changes: object) -> Pool:
    return replace(configured(config(), None), **changes)  # type: ignore[arg-type]


def _ticket(
    name: str,
    kind: DealingRequestKind = DealingRequestKind.JOIN,
    state: DealingRequestState = DealingRequestState.WAITING,
) -> DealingRequest:
    return DealingRequest(
        id=name, saga=SagaId(name), pool=POOL, account=ACCOUNT, kind=kind, shares=0, state=state
    )


def test_positions_follow_the_legs_of_capital_shares_and_exits() -> None:
    pool = _pool()
    for leg in (
        Leg("pool:btc:capital", "BTC", -500),
        Leg("pool:btc:capital", "USDT", -900),
        Leg("pool:btc:issued", "share:btc:1", 900),
        Leg("pool:btc:capital", "BTC", 200),
        Leg("exit:btc.uo_1-2", "BTC", -200),
        Leg("pool:btc:capital", "USDT", 50),
        Leg("exit:btc.uo_1-2", "USDT", -50),
    ):
        assert pool_of_leg(leg) == POOL
        pool = with_leg(pool, leg)
    assert (pool.base_units, pool.quote_units, pool.issued) == (300, 850, 900)
    assert (pool.exit_base_units, pool.exit_quote_units) == (200, 50)
    assert (pool.claim_units("BTC"), pool.claim_units("USDT"), pool.claim_units("X")) == (
        500,
        900,
        0,
    )
    with pytest.raises(InvariantBroken, match="a leg in ETH"):
        with_leg(pool, Leg("pool:btc:capital", "ETH", 1))


def test_legs_of_others_belong_to_no_pool() -> None:
    assert pool_of_leg(Leg("user:a:available", "BTC", 1)) is None
    assert pool_of_leg(Leg("exit:of_somebody_else", "BTC", 1)) is None
    assert exit_id_of(POOL, SagaId("uo_1-2")) == "btc.uo_1-2"


def test_net_asset_value_is_rounded_down() -> None:
    assert nav_units(3, 10, Ratio(1, 2)) == 11


@given(
    issued=st.integers(1, 50), shares=st.integers(0, 50),
    base=st.integers(0, 999), quote=st.integers(0, 999),
)  # fmt: skip
def test_shares_claim_their_part_of_each_asset_rounded_down(
    issued: int, shares: int, base: int, quote: int
) -> None:
    pool = _pool(issued=issued, base_units=base, quote_units=quote)
    assert share_of(_pool(base_units=base, quote_units=quote), 0) == (0, 0)
    if shares > issued:
        with pytest.raises(
            PreconditionError, match=f"shares: expected 0 to {issued}, was {shares}"
        ):
            share_of(pool, shares)
        return
    claims = share_of(pool, shares)
    for claim, held in zip(claims, (base, quote), strict=True):
        assert 0 <= held * shares - claim * issued < issued


def test_shares_below_zero_claim_nothing() -> None:
    with pytest.raises(PreconditionError, match="expected 0 to 5, was -1"):
        share_of(_pool(issued=5), -1)


def test_those_who_stay_are_all_but_the_leavers() -> None:
    pool = _pool(base_units=100, quote_units=100, issued=50)
    assert staying_after(pool, 20) == 30
    assert staying_after(pool, 50) == 0


def test_a_share_that_was_counted_twice_asks_for_less_and_never_for_more() -> None:
    pool = _pool(base_units=100, quote_units=100, issued=50)
    assert staying_after(pool, 60) == 0
    assert staying_after(replace(pool, issued=0), 0) == 0


def test_account_and_market_of_a_pool_never_change() -> None:
    with pytest.raises(PreconditionError, match="open another pool"):
        configured(replace(config(), account=VenueAccountId("elsewhere")), _pool())


def test_a_changed_strategy_needs_a_higher_version() -> None:
    pool = _pool(quoting=True)
    changed = StrategySnapshot(version=1, levels=5)
    with pytest.raises(PreconditionError, match="needs a version above 1"):
        configured(replace(config(), strategy=changed), pool)
    newer = configured(replace(config(), strategy=StrategySnapshot(version=2, levels=5)), pool)
    assert (newer.quoting, newer.strategy.levels) == (True, 5)


def test_parameters_that_make_no_sense_are_refused() -> None:
    for wrong in ({"join_cost_cbps": 1_000_000}, {"stay_min_us": -1}, {"price_age_max_us": 0}):
        with pytest.raises(PreconditionError):
            PoolParameters(**wrong)


def test_the_engine_knows_a_pool_while_it_has_capital_or_somebody_waits_to_bring_some() -> None:
    assert not wants_quoting(_pool(), [])
    assert wants_quoting(_pool(), [_ticket("1")])
    assert not wants_quoting(_pool(), [_ticket("1", state=DealingRequestState.USED)])
    assert not wants_quoting(_pool(), [_ticket("1", DealingRequestKind.LEAVE)])
    for capital in ("issued", "base_units", "quote_units"):
        assert wants_quoting(_pool(**{capital: 1}), [])
    assert not wants_quoting(_pool(issued=1, paused="a reason"), [])


def test_everybody_who_waits_shares_one_barrier() -> None:
    waiting = [_ticket("1"), _ticket("2", DealingRequestKind.EVIDENCE)]
    todo = plan(PooledAccountRow(account=ACCOUNT), [_pool()], waiting, 0, 1_000, SETTINGS)
    assert {ticket.id for ticket in todo.taken} == {"1", "2"}
    assert {(ticket.id, ticket.state) for ticket in todo.asked} == {
        ("1", DealingRequestState.ASKED),
        ("2", DealingRequestState.ASKED),
    }


def test_nobody_gets_a_barrier_before_the_interval_is_over() -> None:
    row = PooledAccountRow(
        account=ACCOUNT, rounds=1, round_at_us=1_000, barriers=1, barrier_at_us=1_000
    )
    for now_us, asked in ((1_059, 0), (1_060, 1)):
        todo = plan(row, [_pool()], [_ticket("1")], 0, now_us, SETTINGS)
        assert len(todo.asked) == asked
        assert len(todo.taken) == asked


def test_the_first_round_waits_for_nothing() -> None:
    todo = plan(PooledAccountRow(account=ACCOUNT), [_pool()], [_ticket("1")], 0, 1, SETTINGS)
    assert [ticket.id for ticket in todo.asked] == ["1"]


def test_barriers_keep_their_distance_even_when_rounds_are_further_apart() -> None:
    row = PooledAccountRow(
        account=ACCOUNT, rounds=1, round_at_us=900, barriers=1, barrier_at_us=1_000
    )
    ready = [_ticket("1", state=DealingRequestState.READY)]
    assert plan(row, [_pool()], ready, 0, 1_059, SETTINGS).asked == ()
    assert len(plan(row, [_pool()], ready, 0, 1_060, SETTINGS).asked) == 1


def test_who_comes_while_a_drain_runs_begins_a_round_and_waits_for_it_as_well() -> None:
    pool = _pool(issued=10, drain_version=1)
    stuck = replace(
        _ticket("l", DealingRequestKind.LEAVE, DealingRequestState.DRAINING), drain_version=1
    )
    row = PooledAccountRow(account=ACCOUNT, rounds=1, round_at_us=1_000)
    todo = plan(row, [pool], [stuck, _ticket("j")], 0, 2_000, SETTINGS)
    assert [ticket.id for ticket in todo.taken] == ["j"]
    assert todo.asked == ()


def test_a_leaver_who_only_waits_keeps_no_drain_of_others() -> None:
    pool = _pool(issued=10, drain_version=1)
    row = PooledAccountRow(account=ACCOUNT, rounds=1, round_at_us=1_000)
    waiting = replace(_ticket("l", DealingRequestKind.LEAVE), due_us=9_000)
    todo = plan(row, [pool], [waiting], 0, 1_001, SETTINGS)
    assert [one.lifted_version for one in todo.lifts] == [1]


def test_leavers_are_drained_together_and_the_barrier_waits_for_them() -> None:
    pool = _pool(base_units=100, quote_units=1_000, issued=10)
    leavers = [replace(_ticket(str(i), DealingRequestKind.LEAVE), shares=2) for i in range(2)]
    todo = plan(
        PooledAccountRow(account=ACCOUNT), [pool], [*leavers, _ticket("j")], 0, 1_000, SETTINGS
    )
    assert [(one.staying, one.issued, one.version) for one in todo.drains] == [(6, 10, 1)]
    assert [ticket.drain_version for ticket in todo.drained] == [1, 1]
    assert todo.asked == ()
    draining = [*todo.drained, *todo.taken]
    row = PooledAccountRow(account=ACCOUNT, rounds=1, round_at_us=1_000)
    drained = replace(pool, drain_version=1)
    assert plan(row, [drained], draining, 0, 1_004, SETTINGS).asked == ()
    done = plan(row, [replace(drained, reduced_version=1)], draining, 0, 1_004, SETTINGS)
    assert len(done.reduced) == 2
    assert len(done.asked) == 3


def test_a_drain_that_takes_long_does_not_hold_up_the_others() -> None:
    pool = _pool(issued=10, drain_version=1)
    stuck = replace(
        _ticket("l", DealingRequestKind.LEAVE, DealingRequestState.DRAINING), drain_version=1
    )
    ready = _ticket("j", state=DealingRequestState.READY)
    row = PooledAccountRow(account=ACCOUNT, rounds=1, round_at_us=1_000)
    todo = plan(row, [pool], [stuck, ready], 0, 1_005, SETTINGS)
    assert [ticket.id for ticket in todo.asked] == ["j"]


def test_a_drain_is_lifted_only_when_the_position_includes_every_leave() -> None:
    pool = _pool(issued=10, drain_version=1, reduced_version=1)
    used = replace(
        _ticket("l", DealingRequestKind.LEAVE, DealingRequestState.USED),
        drain_version=1,
        ledger_seq=7,
    )
    row = PooledAccountRow(account=ACCOUNT, rounds=1, round_at_us=1_000)
    assert plan(row, [pool], [used], 6, 1_001, SETTINGS).lifts == ()
    todo = plan(row, [pool], [used], 7, 1_001, SETTINGS)
    assert [one.lifted_version for one in todo.lifts] == [1]
    assert [ticket.state for ticket in todo.applied] == [DealingRequestState.GONE]


def test_a_paused_pool_takes_leavers_and_no_joins() -> None:
    pool = _pool(issued=10, paused="a reason")
    waiting = [_ticket("j"), replace(_ticket("l", DealingRequestKind.LEAVE), shares=1)]
    todo = plan(PooledAccountRow(account=ACCOUNT), [pool], waiting, 0, 1_000, SETTINGS)
    assert [ticket.id for ticket in (*todo.taken, *todo.drained)] == ["l"]


def test_an_open_barrier_lets_nobody_ask_for_another_and_is_asked_again_after_a_while() -> None:
    row = PooledAccountRow(
        account=ACCOUNT, barriers=1, barrier_at_us=1_000, open_barrier="b", asked_at_us=1_000
    )
    todo = plan(row, [_pool()], [_ticket("1")], 0, 10_000, SETTINGS)
    assert todo.asked == ()
    assert todo.taken == ()
    assert not reask_due(row, 1_029, SETTINGS)
    assert reask_due(row, 1_030, SETTINGS)


def test_a_ticket_moves_only_by_its_table() -> None:
    with pytest.raises(InvariantBroken, match="is not possible in waiting"):
        moved(_ticket("1"), DealingRequestEvent.BARRIER_SEEN)


def _joining(name: str, base: int, quote: int) -> DealingRequest:
    return replace(_ticket(name), base_units=base, quote_units=quote)


@pytest.mark.parametrize(
    ("offers", "excess"),
    [
        ([(10, 20)], (0, 0)),
        ([(10, 25)], (0, 5)),
        ([(11, 20)], (1, 0)),
        # Many small ones need the depth of one large one, each side for itself.
        ([(11, 20), (12, 20), (10, 27)], (3, 7)),
        ([(5, 0), (0, 8)], (5, 8)),
    ],
)
def test_a_barrier_is_asked_for_the_depth_of_all_excess(
    offers: list[tuple[int, int]], excess: tuple[int, int]
) -> None:
    pool = _pool(
        base_units=1_000, quote_units=2_000, issued=3, parameters=PoolParameters(depth_min_units=9)
    )
    tickets = [_joining(str(number), *offer) for number, offer in enumerate(offers)]
    (wanted,) = depths_wanted([pool], [*tickets, _ticket("leaver", DealingRequestKind.LEAVE)])
    assert wanted == DepthWanted(
        pool=POOL,
        excess_base_units=excess[0],
        excess_quote_units=excess[1],
        depth_min_quote_units=9,
    )


def test_what_joins_first_has_no_excess() -> None:
    dust = _pool(base_units=5, quote_units=5)
    for pool in (_pool(), dust):
        (wanted,) = depths_wanted([pool], [_joining("a", 10, 20)])
        assert (wanted.excess_base_units, wanted.excess_quote_units) == (0, 0)


@pytest.mark.parametrize(
    ("held", "excess"),
    [((0, 1_000), (50, 0)), ((-5, 1_000), (50, 0)), ((1_000, 0), (0, 50)), ((0, 0), (0, 0))],
)
def test_of_a_pool_that_has_one_asset_the_other_is_all_excess(
    held: tuple[int, int], excess: tuple[int, int]
) -> None:
    pool = _pool(issued=10, base_units=held[0], quote_units=held[1])
    (wanted,) = depths_wanted([pool], [_joining("a", 50, 50)])
    assert (wanted.excess_base_units, wanted.excess_quote_units) == excess


def test_a_ticket_is_not_taken_before_it_is_due() -> None:
    pool, row = _pool(), PooledAccountRow(account=ACCOUNT)
    late = replace(_joining("a", 1, 1), due_us=500)
    assert plan(row, [pool], [late], 0, 499, SETTINGS).asked == ()
    assert [one.id for one in plan(row, [pool], [late], 0, 500, SETTINGS).asked] == ["a"]
    assert wants_quoting(pool, [late]), "its book is kept meanwhile"


def test_what_may_be_kept_is_at_most_what_may_be_brought() -> None:
    with pytest.raises(PreconditionError, match="holding_min_units"):
        PoolParameters(order_min_units=5, holding_min_units=6)
