"""Whose wallet is whose, and that money leaves to its user's own only (user orders invariant 8)."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.treasury.model import Disposition
from poolmaker.business.user_orders.model import (
    MIXIN,
    Accepted,
    Declined,
    Order,
    OrderRefusal,
    OrderSettings,
    PayoutDestination,
    User,
    WalletClaim,
)
from poolmaker.business.user_orders.rules import destinations_refusal, proves, wallet_of
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.lab.memos import PlainMemos
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, POOL, World, mixin_world

ORDER = Order(
    id=OrderId("uo_1"),
    user=UserId("us_1"),
    pool=POOL,
    account=ACCOUNT,
    base=Money(asset="BTC", units=1),
    quote=Money(asset="USDT", units=1),
    created_us=1,
)


async def test_whoever_has_no_wallet_cannot_pay_from_one() -> None:
    async with mixin_world() as world:
        bob = await _user_of_before(world, "bob")
        ask = world.orders.open_order
        assert await ask(bob, POOL, 0, 5, "k", by_mixin=True) == Declined(OrderRefusal.NO_WALLET)


async def _user_of_before(world: World, name: str) -> UserId:
    """A user as earlier versions made them: without a wallet."""
    user = User(UserId(f"us_{name}"), name, world.clock.now_us())
    async with world.stores.transactions.begin("before") as tx:
        await world.stores.orders.add_user(tx, user)
    return user.id


@pytest.mark.parametrize("by", ["trace", "memo"])
async def test_found_52_a_payment_from_the_claimed_wallet_binds_it_and_is_credited(by: str) -> None:
    async with mixin_world() as world:
        bob = await _user_of_before(world, "bob")
        claim = await world.orders.registry.claim_wallet(bob, "bob-at-mixin")
        assert isinstance(claim, WalletClaim)
        memo = PlainMemos().write(UUID(claim.trace).bytes)
        names = {"trace": claim.trace} if by == "trace" else {"memo": memo}
        told = await world.arrive("USDT", 7, "out-1", sender="bob-at-mixin", **names)
        assert told is Disposition.DEPOSIT
        found = await world.orders.registry.user(bob)
        assert found is not None
        assert found.mixin_id == "bob-at-mixin"

        async def is_credited() -> bool:
            return await world.balance(f"user:{bob}:available", "USDT") == 7

        await world.until(is_credited)
        again = await world.orders.registry.claim_wallet(bob, "another-wallet")
        assert again == Declined(OrderRefusal.WALLET_TAKEN)


@pytest.mark.parametrize("sender", ["mallory-at-mixin", ""])
async def test_found_52_a_payment_from_elsewhere_binds_nothing(sender: str) -> None:
    async with mixin_world() as world:
        bob = await _user_of_before(world, "bob")
        claim = await world.orders.registry.claim_wallet(bob, "bob-at-mixin")
        assert isinstance(claim, WalletClaim)
        told = await world.arrive("USDT", 7, "out-1", sender=sender, trace=claim.trace)
        assert told is not Disposition.DEPOSIT
        found = await world.orders.registry.user(bob)
        assert found is not None
        assert found.mixin_id == ""


async def test_found_52_a_claim_that_ran_out_or_a_wallet_that_is_taken_proves_nothing() -> None:
    async with mixin_world() as world:
        bob = await _user_of_before(world, "bob")
        eve = await _user_of_before(world, "eve")
        claims = [
            await world.orders.registry.claim_wallet(user, "one-wallet") for user in (bob, eve)
        ]
        traces = [claim.trace for claim in claims if isinstance(claim, WalletClaim)]
        assert len(traces) == 2
        late = world.clock.now_us() + DAY_US
        async with world.stores.transactions.begin("prove") as tx:
            prove = world.orders.registry.prove_wallet
            assert await prove(tx, traces[0], "one-wallet", late) is None
            assert await prove(tx, traces[0], "one-wallet", late - 1) == bob
            assert await prove(tx, traces[1], "one-wallet", late - 1) is None


@given(claimed=st.text(min_size=1), sender=st.text(), at_us=st.integers(0, 3 * DAY_US))
def test_only_the_claimed_wallet_proves_a_claim_and_only_while_it_runs(
    claimed: str, sender: str, at_us: int
) -> None:
    claim = WalletClaim(
        trace="t", user=UserId("us_1"), mixin_id=claimed, claimed_us=DAY_US, until_us=2 * DAY_US
    )
    assert proves(claim, sender, at_us) == (sender == claimed and DAY_US <= at_us < 2 * DAY_US)
    assert proves(claim, claimed, DAY_US)


async def test_found_25_an_order_is_paid_out_to_its_users_own_wallet_and_nowhere_else() -> None:
    async with mixin_world() as world:
        alice = await world.user("alice", usdt=1_000)
        order = await world.until_state(await world.open(alice, 0, 1_000), "in_mm")
        for network, address in ((MIXIN, "mallory-at-mixin"), ("TRON", "T-mallory")):
            there = [
                PayoutDestination(asset=asset, network=network, address=address)
                for asset in ("BTC", "USDT")
            ]
            answer = await world.orders.withdraw(alice, order.id, there, f"k {network}")
            assert answer == Declined(OrderRefusal.DESTINATION_REFUSED)
        own = [
            PayoutDestination(asset=asset, network=MIXIN, address="alice-at-mixin")
            for asset in ("BTC", "USDT")
        ]
        assert await world.orders.withdraw(alice, order.id, own, "k own") == Accepted(order.id)


@given(
    addresses=st.lists(st.sampled_from(["own", "other", ""]), min_size=2, max_size=2),
    networks=st.lists(st.sampled_from([MIXIN, "TRON", "BTC"]), min_size=2, max_size=2),
    tags=st.lists(st.sampled_from(["", "tag"]), min_size=2, max_size=2),
)
def test_found_25_whatever_is_named_only_the_own_wallet_is_let_through(
    addresses: list[str], networks: list[str], tags: list[str]
) -> None:
    wallet = wallet_of(ORDER, "own")
    named = [
        PayoutDestination(asset=asset, network=network, address=address or "x", tag=tag)
        for asset, network, address, tag in zip(
            ("BTC", "USDT"), networks, addresses, tags, strict=True
        )
    ]
    refusal = destinations_refusal(ORDER, named, wallet, OrderSettings())
    assert (refusal is None) == (tuple(named) == wallet)
