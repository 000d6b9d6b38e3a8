"""Whatever arrives, for whatever weights: the parts are the whole, and every part can be paid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.rewards.model import (
    Reward,
    RewardState,
    ShareChange,
    ShareCursor,
    ShareWindow,
)
from poolmaker.business.rewards.rules import allocate, dust_units, is_whole, weights
from poolmaker.kernel.ids import OrderId, PoolId, UserId
from tests.support.rewards import payment

POOL = PoolId("btc")
ORDERS = [OrderId(f"uo_{at}") for at in range(6)]
OWNERS = {order: UserId(f"us_{at % 3}") for at, order in enumerate(ORDERS)}


@given(
    units=st.integers(1, 10**30),
    digits=st.integers(0, 12),
    fee_ppm=st.integers(0, 999_999),
    given_weights=st.dictionaries(st.sampled_from(ORDERS), st.integers(1, 10**45), min_size=1),
)
def test_fee_dust_and_parts_are_what_was_received(
    units: int, digits: int, fee_ppm: int, given_weights: dict[OrderId, int]
) -> None:
    """Invariant 3 of rewards."""
    step = 10**digits
    dust = dust_units(units, step)
    if dust == units:
        return
    reward = Reward(
        seen=payment(units, 0, 1),
        seen_us=0,
        state=RewardState.TRANSFERRED,
        pool=POOL,
        dust_units=dust,
    )
    found = allocate(reward, OWNERS, given_weights, fee_ppm, step)
    assert is_whole(found)
    assert dust + found.fee_units + sum(part.units for part in found.parts) == units
    assert found.fee_units <= (units - dust) * fee_ppm // 1_000_000
    assert found.users_units > 0
    total, rest = sum(given_weights.values()), found.users_units
    for part in found.parts:
        assert part.units % step == 0
        # Nobody is a whole step away from his exact part.
        assert abs(part.units * total - rest * part.weight) < step * total


_MOVES = st.lists(
    st.tuples(st.sampled_from(ORDERS), st.integers(0, 300), st.integers(0, 50)), max_size=30
)


@given(moves=_MOVES, from_us=st.integers(0, 200), length_us=st.integers(1, 100))
def test_the_integral_is_the_sum_over_every_microsecond(
    moves: list[tuple[OrderId, int, int]], from_us: int, length_us: int
) -> None:
    """Invariant 4 of rewards: exact, judged by counting each microsecond."""
    held: dict[OrderId, int] = dict.fromkeys(ORDERS, 0)
    changes = []
    for seq, (order, at_us, target) in enumerate(sorted(moves, key=lambda move: move[1]), 1):
        if target != held[order]:
            units, held[order] = target - held[order], target
            changes.append(
                ShareChange(seq=seq, at_us=at_us, pool=POOL, epoch=1, order=order, units=units)
            )
    to_us = from_us + length_us

    def holding(order: OrderId, at_us: int) -> int:
        return sum(one.units for one in changes if one.order == order and one.at_us <= at_us)

    window = ShareWindow(
        from_us,
        to_us,
        {order: holding(order, from_us) for order in ORDERS},
        tuple(one for one in changes if from_us < one.at_us < to_us),
        ShareCursor(99, to_us),
    )
    expected = {
        order: sum(holding(order, at_us) for at_us in range(from_us, to_us)) for order in ORDERS
    }
    assert weights(window) == {order: weight for order, weight in expected.items() if weight}
