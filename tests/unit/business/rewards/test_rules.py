"""Weights from shares and the split of a reward: exact, whole and payable."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from poolmaker.business.ledger.accounts import order_shares, pool_issued, share_asset
from poolmaker.business.ledger.model import LedgerTransaction, Leg
from poolmaker.business.rewards.model import (
    AllocationPart,
    DistributionSettings,
    Reward,
    RewardState,
    ShareChange,
    ShareCursor,
    ShareWindow,
    reward_id,
)
from poolmaker.business.rewards.rules import (
    allocate,
    digest_of,
    fee_units,
    form_of,
    in_one_unit,
    payable_units,
    share_changes,
    step_of,
    target_of,
    users_after,
    weights,
)
from poolmaker.kernel.errors import InvariantBroken, PreconditionError
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, OrderId, PoolId, UserId
from poolmaker.messages.base import encode
from tests.support.rewards import AT_MIXIN, HMT_MIXIN, LOCATION, STEP, payment

POOL = PoolId("btc")
A, B, C = OrderId("uo_a"), OrderId("uo_b"), OrderId("uo_c")
USERS = {A: UserId("us_a"), B: UserId("us_b"), C: UserId("us_a")}


def _change(order: OrderId, at_us: int, units: int, epoch: int = 1) -> ShareChange:
    return ShareChange(seq=at_us, at_us=at_us, pool=POOL, epoch=epoch, order=order, units=units)


def _window(*changes: ShareChange, opening: dict[OrderId, int] | None = None) -> ShareWindow:
    return ShareWindow(1_000, 2_000, opening or {}, changes, ShareCursor(9, 2_000))


def test_a_weight_is_shares_times_microseconds_within_the_period() -> None:
    window = _window(_change(B, 1_250, 40), _change(A, 1_500, -4), opening={A: 10})
    assert weights(window) == {A: 10 * 1_000 - 4 * 500, B: 40 * 750}


def test_who_left_keeps_the_weight_of_the_time_before() -> None:
    """Invariant 4 of rewards: a closed order keeps its claim."""
    assert weights(_window(_change(A, 1_001, -10), opening={A: 10})) == {A: 10}


def test_all_epochs_of_a_pool_count_alike() -> None:
    window = _window(_change(A, 1_500, -10), _change(B, 1_500, 10, epoch=2), opening={A: 10})
    assert weights(window) == {A: 5_000, B: 5_000}


def test_shares_of_a_coarse_epoch_count_for_as_much_as_those_of_a_fine_one() -> None:
    """An epoch begun before fine shares has the decimals of its quote asset, here 6."""
    raw = _window(_change(A, 1_500, -10), _change(B, 1_500, 10 * 10**12, epoch=2))
    window = in_one_unit(raw, {(1, A): 10}, {1: 6, 2: 18})
    assert weights(window) == {A: 5_000 * 10**12, B: 5_000 * 10**12}
    assert window.opening == {A: 10 * 10**12}


def test_who_came_and_went_at_one_moment_has_no_weight() -> None:
    assert weights(_window(_change(A, 1_500, 5), _change(A, 1_500, -5))) == {}
    assert weights(_window()) == {}


def test_shares_below_zero_are_a_broken_promise() -> None:
    with pytest.raises(InvariantBroken):
        weights(_window(_change(A, 1_500, -5)))
    with pytest.raises(InvariantBroken):
        weights(_window(_change(A, 2_000, 5)))


def test_a_window_is_complete_only_once_the_ledger_has_passed_its_end() -> None:
    assert _window().is_complete
    assert not ShareWindow(1_000, 2_000, {}, (), ShareCursor(9, 1_999)).is_complete


def test_share_changes_are_read_from_the_orders_legs_alone() -> None:
    asset = share_asset(POOL, 3)
    legs = (
        Leg("order:uo_a:locked", "BTC", 5),
        Leg(pool_issued(POOL), asset, 7),
        Leg(order_shares(A), asset, -7),
    )
    transaction = LedgerTransaction(MAIN_LEDGER, 4, CommandKey("k"), "JOIN_POOL", 99, b"", legs)
    assert share_changes(transaction) == [
        ShareChange(seq=4, at_us=99, pool=POOL, epoch=3, order=A, units=7)
    ]


def test_a_reward_goes_from_its_wallet_to_mixin_in_its_own_form() -> None:
    assert target_of(LOCATION) == AT_MIXIN
    assert target_of(AT_MIXIN) == AT_MIXIN
    assert target_of("custody:venue:main") == "custody:venue:main"
    assert form_of(LOCATION) == form_of(AT_MIXIN) == "hmt-polygon"
    assert form_of("custody:venue:main") is None
    assert step_of(HMT_MIXIN) == STEP
    assert step_of(None) == 1


def test_users_follow_each_other_by_name_and_who_got_nothing_is_left_out() -> None:
    parts = [
        AllocationPart(order=OrderId(f"uo_{name}"), user=UserId(name), weight=1, units=units)
        for name, units in (("d", 1), ("b", 1), ("c", 0), ("a", 1), ("b", 2))
    ]
    assert users_after(parts, "", 9) == ["a", "b", "d"]
    assert users_after(parts, "", 2) == ["a", "b"]
    assert users_after(parts, "a", 9) == ["b", "d"]
    assert users_after(parts, "d", 9) == []


def test_the_fee_is_rounded_down_to_what_can_be_paid() -> None:
    assert fee_units(999, 50_000, 1) == 49
    assert fee_units(999, 50_000, 10) == 40
    assert fee_units(999, 0, 1) == 0


def test_a_fee_of_everything_is_refused() -> None:
    with pytest.raises(PreconditionError):
        DistributionSettings(fee_ppm=1_000_000)


def test_what_waits_for_its_hold_is_not_paid_twice() -> None:
    assert payable_units(105, 0, 10) == 100
    assert payable_units(105, 50, 10) == 50
    assert payable_units(40, 50, 10) == 0


def _reward(units: int, dust: int) -> Reward:
    return Reward(
        seen=payment(units, 1_000, 2_000),
        seen_us=1,
        state=RewardState.TRANSFERRED,
        pool=POOL,
        dust_units=dust,
    )


def test_the_fee_comes_first_and_the_rest_goes_by_largest_remainder_in_payable_steps() -> None:
    """Invariant 3 of rewards, on figures that can be checked by hand."""
    found = allocate(_reward(1_007, 7), USERS, {C: 1, A: 1, B: 1}, 30_000, 10)
    assert found.fee_units == 30
    assert [(part.order, part.units) for part in found.parts] == [(A, 330), (B, 320), (C, 320)]
    assert 7 + 30 + 330 + 320 + 320 == 1_007
    assert [part.user for part in found.parts] == [USERS[A], USERS[B], USERS[C]]


def test_a_reward_of_one_step_goes_to_the_largest_weight() -> None:
    found = allocate(_reward(10, 0), USERS, {A: 1, B: 10**40}, 999_999, 10)
    assert [part.units for part in found.parts] == [0, 10]


def test_the_digest_is_of_the_canonical_bytes_and_survives_reading() -> None:
    """Invariant 5 of rewards: anybody can compute the digest from the document."""
    found = allocate(_reward(1_000, 0), USERS, {A: 10**30, B: 3}, 0, 10)
    body = encode(found)
    assert digest_of(found) == hashlib.sha256(body).hexdigest()
    assert msgspec.json.decode(body, type=type(found)) == found


def test_the_name_of_a_reward_is_a_pure_function_of_its_key() -> None:
    assert reward_id("a") == reward_id("a") != reward_id("b")
    assert reward_id("k" * 500).startswith("rw_")
    assert len(reward_id("k" * 500)) == 35
