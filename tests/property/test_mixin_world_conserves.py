"""Sandbox Mixin invariant 1: whatever people do, nothing is made and nothing is lost."""

from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin.codec.amounts import UNIT
from poolmaker.mixin.codec.links import PaymentLink
from poolmaker.sandbox.mixin.crossing import Arrival
from poolmaker.sandbox.mixin.invariants import audit
from poolmaker.sandbox.mixin.options import MixinOptions
from poolmaker.sandbox.mixin.refusals import MixinError
from poolmaker.sandbox.mixin.server import build_house
from poolmaker.sandbox.mixin.wallets import Wallets
from tests.support.mixin import ADDRESS, ETHER_USDT, POLYGON, USDT

PEOPLE = st.integers(0, 2)
UNITS = st.integers(1, 12 * UNIT)
ASSETS = st.sampled_from([USDT, ETHER_USDT, POLYGON])
TRACES = st.integers(1, 30).map(lambda number: str(uuid.UUID(int=number)))
STEPS = st.one_of(
    st.tuples(st.just("pay"), PEOPLE, PEOPLE, ASSETS, UNITS, TRACES),
    st.tuples(st.just("withdraw"), PEOPLE, PEOPLE, ASSETS, UNITS, TRACES),
    st.tuples(st.just("deposit"), PEOPLE, PEOPLE, ASSETS, UNITS, TRACES),
    st.tuples(st.just("settle"), PEOPLE, PEOPLE, ASSETS, UNITS, TRACES),
)
START = {USDT: 10 * UNIT, ETHER_USDT: 10 * UNIT, POLYGON: UNIT}


@given(st.lists(STEPS, max_size=25), st.sampled_from([0, 1_000]))
@settings(max_examples=25, deadline=None)
def test_nothing_is_made_and_nothing_is_lost(
    steps: list[tuple[str, int, int, str, int, str]], finality_ms: int
) -> None:
    clock = ManualClock()
    options = MixinOptions(users=2, initial=START, finality_ms=finality_ms)
    house = build_house(options, clock)
    world, wallets = house.world, Wallets(house.world, house.safe)
    for kind, first, second, asset_id, units, trace in steps:
        one, other = list(world.people.values())[first], list(world.people.values())[second]
        held = world.balances(one)
        try:
            if kind == "pay":
                payment = PaymentLink(
                    recipient=other.user_id, asset_id=asset_id, units=units, trace=trace
                )
                wallets.pay(one, payment, b"")
            elif kind == "withdraw":
                wallets.withdraw(one, asset_id, units, ADDRESS, trace)
            elif kind == "deposit":
                chain_id = world.asset(asset_id).chain.chain_id
                entry = house.crossing.entry(chain_id, [one.user_id], 1)
                arrival = Arrival(
                    tx_id=trace, asset_id=asset_id, units=units, destination=entry.destination
                )
                house.crossing.arrive(arrival)
            else:
                clock.advance(700_000)
                house.safe.settle()
        except (PreconditionError, MixinError):
            assert world.balances(one) == held
        assert audit(world)["violations"] == []
