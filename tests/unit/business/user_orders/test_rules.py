"""The decisions about user orders, each against its sentence, by table and by search."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from poolmaker.business.ledger.model import LedgerRefusal, LedgerTransaction, Leg
from poolmaker.business.pools.rules import configured
from poolmaker.business.user_orders import rules
from poolmaker.business.user_orders.model import (
    NO_CHILD,
    DepositLeg,
    FundData,
    FundState,
    Order,
    OrderRefusal,
    OrderSettings,
    PayoutDestination,
    RequestedAction,
    UserOrderState,
    WalletClaim,
)
from poolmaker.business.user_orders.rules import Next
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, LedgerId, OrderId, SagaId, UserId
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, POOL, config

ORDER = Order(
    id=OrderId("uo_1"), user=UserId("us_1"), pool=POOL, account=ACCOUNT,
    base=Money(asset="BTC", units=3), quote=Money(asset="USDT", units=5), created_us=1,
)  # fmt: skip
BTC_OUT = PayoutDestination(asset="BTC", network="mixin", address="ada")
USDT_OUT = PayoutDestination(asset="USDT", network="mixin", address="ada")


# ------------------------------------------------------------------------------------ the pool


@given(base=st.integers(-2, 3), quote=st.integers(-2, 12), minimum=st.integers(0, 10))
def test_an_order_brings_something_and_its_quote_alone_reaches_the_minimum(
    base: int, quote: int, minimum: int
) -> None:
    pool = configured(config(), None)
    pool = replace(pool, parameters=structs.replace(pool.parameters, order_min_units=minimum))
    assert rules.open_refusal(None, base, quote) is OrderRefusal.UNKNOWN_POOL
    paused = replace(pool, paused="by the operator")
    assert rules.open_refusal(paused, base, quote) is OrderRefusal.POOL_PAUSED
    found = rules.open_refusal(pool, base, quote)
    if base < 0 or quote < 0 or (base, quote) == (0, 0):
        assert found is OrderRefusal.BAD_AMOUNT
    elif base == 0 and quote < minimum:
        assert found is OrderRefusal.BELOW_MINIMUM
    else:
        assert found is None


def test_only_what_time_or_others_can_change_is_asked_again() -> None:
    joins = {refusal: rules.after_join_refused(refusal) for refusal in LedgerRefusal}
    exits = {refusal: rules.after_exit_refused(refusal) for refusal in LedgerRefusal}
    assert Next.GIVE_BACK not in exits.values(), "what is in a pool is not given back: it leaves"
    assert Next.PRICE not in exits.values(), "no leave waits for a price"
    for refusal in (
        LedgerRefusal.INSUFFICIENT,
        LedgerRefusal.UNKNOWN_ORDER,
        LedgerRefusal.SET_ASIDE,
    ):
        assert joins[refusal] is exits[refusal] is Next.BROKEN
    for refusal in (
        LedgerRefusal.NOT_FUNDED,
        LedgerRefusal.TOO_EARLY,
        LedgerRefusal.BLOCKED_BY_DEFICIT,
    ):
        assert joins[refusal] is exits[refusal] is Next.LATER
    assert joins[LedgerRefusal.PRICES_DIVERGE] is Next.PRICE
    assert joins[LedgerRefusal.BELOW_MINIMUM] is Next.GIVE_BACK


@given(
    units=st.integers(0, 30), step=st.integers(1, 6), fee=st.integers(0, 30),
    other=st.integers(0, 6),
)  # fmt: skip
def test_what_goes_to_the_venue_fits_the_way_and_outlives_its_fee(
    units: int, step: int, fee: int, other: int
) -> None:
    settings = OrderSettings(
        steps={("USDT", "mixin"): step, ("BTC", "elsewhere"): 7}, funding_fees={"USDT": fee}
    )
    moneys = [Money(asset="USDT", units=units), Money(asset="BTC", units=other)]
    fits = units == 0 or (units % step == 0 and units > fee)
    assert rules.reaches_the_venue(moneys, settings) is fits


# ------------------------------------------------------------------------------ who may ask when


@pytest.mark.parametrize(("state", "wish"), list(product(UserOrderState, RequestedAction)))
@pytest.mark.parametrize("child", [NO_CHILD, SagaId("sg_1")])
def test_pause_resume_and_withdraw_are_asked_once_and_in_time(
    state: UserOrderState, wish: RequestedAction, child: SagaId
) -> None:
    order = replace(ORDER, state=state, wish=wish, child=child)
    idle = wish is RequestedAction.NONE
    active = {
        UserOrderState.CREATED,
        UserOrderState.LOCKED,
        UserOrderState.FUNDING,
        UserOrderState.IN_MM,
    }
    assert rules.may_pause(order) is (idle and state in active)
    assert rules.may_resume(order) is (idle and state is UserOrderState.PAUSE and not child)
    may_leave = state in {*active, UserOrderState.PAUSE} and wish is not RequestedAction.WITHDRAW
    assert rules.may_withdraw(order) is may_leave


@pytest.mark.parametrize(("state", "wish"), list(product((None, *FundState), RequestedAction)))
@pytest.mark.parametrize("since_us", [0, 9, 10, 11])
def test_what_waits_for_a_price_long_enough_can_be_taken_back(
    state: FundState | None, wish: RequestedAction, since_us: int
) -> None:
    order = replace(ORDER, wish=wish)
    data = FundData(order=ORDER.id, price_since_us=since_us)
    may_wait = state in {FundState.QUEUED, FundState.JOINING, FundState.UNFUNDED}
    found = rules.take_back_refusal(order, state, data, 10)
    if wish is not RequestedAction.NONE or not may_wait or since_us == 0:
        assert found is OrderRefusal.WRONG_STATE
    else:
        assert found is (OrderRefusal.STILL_WAITING if since_us == 11 else None)
    assert rules.take_back_refusal(order, state, None, 10) is OrderRefusal.WRONG_STATE


@given(offered=st.integers(0, 10**9), left=st.integers(0, 1_005))
def test_a_millionth_or_one_unit_is_not_worth_waiting_with(offered: int, left: int) -> None:
    small = left <= 1 or left * 1_000_000 <= offered
    assert rules.is_remainder(offered, left) is small


# ------------------------------------------------------------------------------------- the way out


@pytest.mark.parametrize("own_wallet_only", [True, False])
@pytest.mark.parametrize(
    ("named", "wallet", "refusal", "needs_wallet"),
    [
        ([BTC_OUT, USDT_OUT], [USDT_OUT, BTC_OUT], None, False),
        ([USDT_OUT, BTC_OUT], [], OrderRefusal.NO_WALLET, True),
        ([USDT_OUT], [USDT_OUT, BTC_OUT], OrderRefusal.DESTINATION_MISSING, False),
        ([USDT_OUT, USDT_OUT], [USDT_OUT, BTC_OUT], OrderRefusal.DESTINATION_MISSING, False),
        ([BTC_OUT, USDT_OUT], [USDT_OUT], OrderRefusal.DESTINATION_REFUSED, True),
    ],
)
def test_money_of_an_order_goes_to_one_own_destination_per_asset(
    named: list[PayoutDestination],
    wallet: list[PayoutDestination],
    refusal: OrderRefusal | None,
    *,
    needs_wallet: bool,
    own_wallet_only: bool,
) -> None:
    settings = OrderSettings(own_wallet_only=own_wallet_only)
    found = rules.destinations_refusal(ORDER, named, wallet, settings)
    assert found is (None if needs_wallet and not own_wallet_only else refusal)


def test_it_is_paid_from_where_it_can_be_paid() -> None:
    wallet = rules.wallet_of(ORDER, "ada")
    assert wallet == (BTC_OUT, USDT_OUT)
    forms = {"USDT": "usdt-polygon"}
    assert rules.source_of(ORDER, USDT_OUT, forms) == "custody:mixin:usdt-polygon"
    abroad = PayoutDestination(asset="USDT", network="MATIC", address="0xaa")
    assert rules.source_of(ORDER, abroad, forms) == f"custody:venue:{ACCOUNT}"


@given(fee=st.integers(0, 9), held=st.integers(0, 9), step=st.integers(1, 4))
def test_fees_and_remainders_never_take_more_than_there_is(fee: int, held: int, step: int) -> None:
    money = [Money(asset="USDT", units=held), Money(asset="BTC", units=4)]
    charged = rules.charges({"USDT": fee}, money)
    least = min(fee, held)
    assert charged == ((Money(asset="USDT", units=least),) if least else ())
    left = held - least
    rest = rules.remainders(money, charged, {"USDT": step})
    expected = left - left // step * step
    assert rest == ((Money(asset="USDT", units=expected),) if expected else ())


# ------------------------------------------------------------------------------------- what came


@pytest.mark.parametrize("sender", ["ada", "bo"])
@pytest.mark.parametrize("at_us", [9, 10, 11, 19, 20])
def test_a_claim_is_proven_from_its_wallet_while_it_runs(sender: str, at_us: int) -> None:
    claim = WalletClaim(trace="t", user=UserId("us_1"), mixin_id="ada", claimed_us=10, until_us=20)
    assert rules.proves(claim, sender, at_us) is (sender == "ada" and at_us in {10, 11, 19})


def test_names_of_claims_intents_and_links_are_functions_of_what_they_name() -> None:
    claims = {rules.claim_trace(UserId(u), m) for u in ("us_1", "us_2") for m in ("ada", "bo")}
    intents = [rules.intent_of(OrderId(name)) for name in ("uo_1", "uo_2")]
    traces = {rules.trace_of(one, asset) for one in intents for asset in ("BTC", "USDT", "A:B")}
    assert len({*claims, *intents, *traces}) == 12
    assert rules.intent_of(OrderId("uo_1")) == intents[0]


def test_only_what_an_order_brings_is_waited_for() -> None:
    legs = rules.legs_of(ORDER)
    assert [(leg.asset, leg.units, leg.order) for leg in legs] == [
        ("BTC", 3, ORDER.id),
        ("USDT", 5, ORDER.id),
    ]
    one_sided = replace(ORDER, base=Money(asset="BTC", units=0))
    assert rules.legs_of(one_sided) == legs[1:]


@pytest.mark.parametrize("state", UserOrderState)
@pytest.mark.parametrize("paid_units", [0, 4, 5, 6])
def test_a_payment_is_the_orders_until_all_has_come(state: UserOrderState, paid_units: int) -> None:
    leg = DepositLeg(
        trace="t", intent="i", order=ORDER.id, asset="USDT", units=5, paid_units=paid_units
    )
    order = replace(ORDER, state=state)
    waits = state is UserOrderState.CREATED and paid_units < 5
    assert rules.takes_deposit(order, leg, "USDT") is waits
    assert not rules.takes_deposit(order, leg, "BTC")


# ---------------------------------------------------------------------------------------- shares


def _joined(*legs: Leg) -> LedgerTransaction:
    return LedgerTransaction(
        ledger=LedgerId("l"), seq=1, key=CommandKey("k"), kind="JOIN_POOL", at_us=1, body=b"",
        legs=legs,
    )  # fmt: skip


def test_shares_are_what_the_ledger_minted_for_this_order() -> None:
    mine = Leg("order:uo_1:shares", "share:btc:1", -7)
    other = Leg("order:uo_2:shares", "share:btc:1", -9)
    assert rules.minted(ORDER, _joined(other, mine)) == ("share:btc:1", 7)
    for legs in ((other,), (mine, mine), (replace(mine, units=7),), (replace(mine, units=0),)):
        with pytest.raises(InvariantBroken, match="minted no share for uo_1"):
            rules.minted(ORDER, _joined(*legs))
