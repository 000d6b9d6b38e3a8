"""Which outputs a payment makes under which locks, what it cost and what is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolmaker.business.treasury.model import SendCompleted, SendFailed, SendUnderWay
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.messages.base import Money
from poolmaker.mixin import rules
from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.model import Fee, Journalled, MixinPaymentState, TransactionRole
from tests.unit.mixin.test_client_rules import (
    ASSET,
    FORM,
    GAS_FORM,
    PLAIN,
    USER,
    _lock,
    _output,
    _plan,
)

ABROAD, AT_MIXIN = PLAIN, replace(PLAIN, network="mixin", address=USER)


def test_every_output_has_the_next_lock_and_needs_one_signature() -> None:
    plan = _plan(AT_MIXIN)
    (draft,) = rules.drafts(plan, rules.Cost(plan.units), [_lock(1), _lock(2)])
    assert draft.outputs == (codec.pay_to(plan.units, _lock(1), 1),)
    assert draft.change_lock == _lock(2)
    plan = _plan(ABROAD)
    leaves = codec.withdraw_to(90, ABROAD.address, "")
    (draft,) = rules.drafts(plan, rules.Cost(90, same=10), [_lock(1), _lock(2)])
    assert draft.outputs == (leaves, codec.pay_to(10, _lock(1), 1))
    assert draft.change_lock == _lock(2)
    cost = rules.Cost(90, other=7, other_form=GAS_FORM)
    main, fee = rules.drafts(plan, cost, [_lock(1), _lock(2), _lock(3)])
    assert (main.outputs, main.change_lock) == ((leaves,), _lock(1))
    assert (fee.outputs, fee.change_lock) == ((codec.pay_to(7, _lock(2), 1),), _lock(3))
    assert (fee.role, fee.fee) == (TransactionRole.FEE, 7)


def _journalled(units: int, change_units: int) -> Journalled:
    plan = _plan(replace(AT_MIXIN, units=units))
    (draft,) = rules.drafts(plan, rules.Cost(units), [_lock(1), _lock(2)])
    total = units + change_units
    picked = rules.choose([_output(1, total)], [], total, draft)
    return rules.journalled(draft, rules.finish(draft, picked), plan.payment, change_units)


def test_change_stands_behind_what_is_paid_and_nowhere_where_there_is_none() -> None:
    assert (_journalled(500, 0).change_index, _journalled(500, 0).change_units) == (None, 0)
    assert (_journalled(500, 3).change_index, _journalled(500, 3).change_units) == (1, 3)


def test_a_payment_that_has_left_cost_exactly_its_fees() -> None:
    payment = rules.payment_of(ABROAD, FORM, 1)
    main = replace(_journalled(500, 0), fee_units=25)
    alone = rules.completed(payment, FORM, [main], "t", None)
    assert (alone.state, alone.transaction_id) == (MixinPaymentState.COMPLETED, "t")
    assert (alone.fee_units, alone.other_fee_asset, alone.other_fee_units) == (25, "", 0)
    fee = replace(main, role=TransactionRole.FEE, fee_units=7)
    both = rules.completed(payment, FORM, [fee, main], "t", GAS_FORM)
    assert (both.fee_units, both.other_fee_asset, both.other_fee_units) == (25, "ETH", 7 * 10**10)
    assert rules.completed(payment, FORM, [main], "t", GAS_FORM).other_fee_units == 0
    coarse = replace(FORM, scale=6)
    with pytest.raises(InvariantBroken, match="a fee that the register cannot hold"):
        rules.completed(payment, coarse, [main], "t", None)


def test_a_fee_in_the_asset_is_rounded_up_to_what_the_chain_holds() -> None:
    cost = rules.cost(_plan(), [Fee(ASSET, 101)], [FORM])
    assert (cost.same, cost.received) == (200, 499_999_800)


def test_a_fee_in_another_asset_is_owed_even_where_a_third_is_offered_for_nothing() -> None:
    fees = [Fee("third", 0), Fee(GAS_FORM.mixin_id, 5)]
    assert rules.cost(_plan(), fees, [FORM, GAS_FORM]).other == 5
    assert rules.cost(_plan(), [Fee("third", 0)], [FORM]) == rules.Cost(_plan().units)


def test_the_caller_is_told_where_a_payment_stands_and_what_it_cost() -> None:
    payment = rules.payment_of(ABROAD, FORM, 1)
    assert rules.status_of(payment, [FORM]) == SendUnderWay(payment.request_id)
    refused = replace(payment, state=MixinPaymentState.REFUSED, reason="no")
    assert rules.status_of(refused, [FORM]) == SendFailed(payment.request_id, "no")
    left = replace(payment, state=MixinPaymentState.COMPLETED, transaction_id="t", fee_units=3)
    told = rules.status_of(left, [FORM, GAS_FORM])
    assert isinstance(told, SendCompleted)
    assert (told.transaction_id, told.units, told.fee_units) == ("t", payment.units, 3)
    assert (told.other_fee, told.other_location) == (None, "")
    other = rules.status_of(
        replace(left, other_fee_asset="ETH", other_fee_units=7), [FORM, GAS_FORM]
    )
    assert isinstance(other, SendCompleted)
    assert other.other_fee == Money(asset="ETH", units=7)
    assert other.other_location == "custody:mixin:eth"


def test_only_two_words_say_that_an_input_may_be_anothers() -> None:
    assert [error for error in range(40_000) if rules.is_locked(error)] == [10105, 10106]
    assert [error for error in range(40_000) if rules.is_about_us(error)] == [401, 403, 404, 10006]


@pytest.mark.parametrize(
    ("name", "good"), [(ASSET, True), (ASSET.upper(), False), ("usdt", False), ("", False)]
)
def test_an_asset_is_named_by_its_canonical_id(name: str, *, good: bool) -> None:
    assert rules.is_asset_id(name) is good
