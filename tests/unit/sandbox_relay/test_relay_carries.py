"""Withdrawals between Mixin and the venue: what arrives, under which id, and what stays."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet

import pytest

from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.mixin.codec.amounts import UNIT
from poolmaker.sandbox.mixin.catalog import listed
from poolmaker.sandbox.relay.model import (
    Arriving,
    Leaving,
    Outcome,
    Place,
    RelaySide,
    TxId,
    WithdrawalId,
)
from poolmaker.sandbox.relay.ports import RelayWorld
from poolmaker.sandbox.relay.routes import BY_ASSET, BY_COIN, POL, ROUTES
from poolmaker.sandbox.relay.rules import delay_us, transfer_id
from poolmaker.sandbox.venue.catalog import ASSETS
from tests.support.mixin import ADDRESS, ETHER_USDT
from tests.support.relay import TwoWorlds, two_worlds


class Killed(BaseException):
    """The relay's process has ended."""


class Ending(RelayWorld):
    """A side whose completion does not happen."""

    def __init__(self, world: RelayWorld, end: BaseException) -> None:
        self._world = world
        self._end = end

    @property
    def side(self) -> RelaySide:
        return self._world.side

    async def pending(self) -> Sequence[Leaving]:
        return await self._world.pending()

    async def addresses(self) -> AbstractSet[Place]:
        return await self._world.addresses()

    async def receive(self, arriving: Arriving) -> bool:
        return await self._world.receive(arriving)

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        raise self._end


@pytest.fixture
async def both() -> AsyncIterator[TwoWorlds]:
    async with two_worlds() as found:
        yield found


async def test_a_mixin_withdrawal_arrives_at_the_venues_address_under_one_id(
    both: TwoWorlds,
) -> None:
    """Relay invariants 1 and 2."""
    before = await both.everything()
    left = await both.leave_mixin(await both.venue_address())
    assert (await both.in_flight())["USDT"] == 7 * UNIT + 1
    assert await both.everything() == before
    await both.relay().step()
    (came,) = await both.venue_deposits()
    (shown,) = await both.mixin_withdrawals()
    assert came["txId"] == shown["tx_id"] == transfer_id(RelaySide.MIXIN, left["id"])
    assert (came["amount"], came["coin"], came["network"]) == ("7.00000001", "USDT", "MATIC")
    assert (came["address"], shown["state"]) == (left["destination"], "completed")
    assert await both.in_flight() == {}
    assert await both.everything() == before
    assert [one.outcome for one in both.told] == [Outcome.ARRIVED]


async def test_a_venue_withdrawal_arrives_in_outputs_under_one_id(both: TwoWorlds) -> None:
    """Relay invariants 1 and 2: the receiver gets the amount without the venue's fee."""
    before = await both.everything()
    name = await both.leave_venue(await both.mixin_address())
    assert (await both.in_flight())["USDT"] == 19_90000003
    assert await both.everything() == before
    await both.relay().step()
    (output,) = await both.mixin.unspent()
    _, (row,), _ = await both.venue.signed("GET", "/sapi/v1/capital/withdraw/history")
    assert output["deposit"]["deposit_hash"] == row["txId"]
    assert row["txId"] == transfer_id(RelaySide.VENUE, WithdrawalId(name))
    assert (output["amount"], row["amount"], row["status"]) == ("19.90000003", "19.90000003", 6)
    assert await both.in_flight() == {}
    assert await both.everything() == before


@pytest.mark.parametrize("end", [Killed(), Unavailable("gone")], ids=["killed", "unavailable"])
async def test_a_relay_that_ends_between_arrival_and_completion_repeats_the_same_transfer(
    both: TwoWorlds, end: BaseException
) -> None:
    """Relay invariants 1 to 3: what is repeated is known to the receiver."""
    before = await both.everything()
    venue, mixin = both.sides()
    ending = (Ending(venue, end), Ending(mixin, end))

    async def seen() -> tuple[list[str], list[int], list[str], int]:
        return (
            [one["state"] for one in await both.mixin_withdrawals()],
            [one["status"] for one in await both.venue_withdrawals()],
            [one["amount"] for one in await both.venue_deposits()],
            await both.mixin.balance(),
        )

    await both.leave_mixin(await both.venue_address())
    with contextlib.suppress(Killed):
        await both.relay(ending).step()
    assert await seen() == (["pending"], [], ["7.00000001"], 0)
    assert (await both.in_flight(), await both.everything()) == ({}, before)
    await both.relay().step()
    assert await seen() == (["completed"], [], ["7.00000001"], 0)
    await both.leave_venue(await both.mixin_address())
    with contextlib.suppress(Killed):
        await both.relay(ending).step()
    assert await seen() == (["completed"], [4], ["7.00000001"], 19_90000003)
    assert (await both.in_flight(), await both.everything()) == ({}, before)
    for _ in range(2):
        await both.relay().step()
        assert await seen() == (["completed"], [6], ["7.00000001"], 19_90000003)
        assert await both.everything() == before


async def test_addresses_that_nobody_knows_stay_pending_and_are_named_once(
    both: TwoWorlds,
) -> None:
    """Relay invariant 4."""
    before = await both.everything()
    left = await both.leave_mixin(ADDRESS)
    name = await both.leave_venue()
    clock = ManualClock()
    relay = both.relay(clock=clock)
    for _ in range(3):
        await relay.step()
        clock.advance(2 * SECOND_US)
    assert {(one.outcome, one.withdrawal_id, one.address) for one in both.told} == {
        (Outcome.LEFT_PENDING, left["id"], ADDRESS), (Outcome.LEFT_PENDING, name, ADDRESS),
    }  # fmt: skip
    assert len(both.told) == 2
    assert all("address" in one.why for one in both.told)
    assert [one["state"] for one in await both.mixin_withdrawals()] == ["pending"]
    assert [one["status"] for one in await both.venue_withdrawals()] == [4]
    assert await both.everything() == before


async def test_an_address_on_another_network_is_not_the_same_address(both: TwoWorlds) -> None:
    """Relay invariant 4: Polygon's dollars do not arrive on Ethereum."""
    await both.leave_mixin(await both.venue_address(network="ETH"))
    await both.relay().step()
    assert await both.venue_deposits() == []
    assert "gave it out on ETH" in both.told[0].why


async def test_what_the_other_side_does_not_list_stays_pending(both: TwoWorlds) -> None:
    """Relay invariant 4."""
    order = {"user": "1", "asset": "b7938396-3f94-4e0a-9179-d3440718156f", "amount": "1"}
    address = await both.venue_address()
    await both.mixin.admin("POST", "/withdraw", {**order, "destination": address})
    await both.relay().step()
    assert [one["state"] for one in await both.mixin_withdrawals()] == ["pending"]
    assert "POL is not listed" in both.told[0].why


async def test_a_transfer_takes_its_time(both: TwoWorlds) -> None:
    left = await both.leave_mixin(await both.venue_address())
    clock = ManualClock()
    relay = both.relay(clock=clock, mean_us=500_000)
    wait_us = delay_us(Rng(1), RelaySide.MIXIN, left["id"], 500_000)
    await relay.step()
    clock.advance(wait_us - 1)
    await relay.step()
    assert await both.venue_deposits() == []
    clock.advance(1)
    await relay.step()
    assert len(await both.venue_deposits()) == 1


async def test_another_transaction_id_at_the_source_is_told(both: TwoWorlds) -> None:
    left = await both.leave_venue(await both.mixin_address())
    venue, mixin = both.sides()
    (leaving,) = await venue.pending()
    await both.venue.admin("POST", f"/withdrawals/{left}/complete", {"tx_id": "0xother"})

    class Late(Ending):
        async def pending(self) -> Sequence[Leaving]:
            return [leaving]

        async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
            await venue.complete(leaving, tx_id)

    await both.relay((Late(venue, Killed()), mixin)).step()
    assert "has completed it as 0xother" in both.told[0].why


async def test_a_side_that_is_silent_is_told_once_and_the_other_still_carried(
    both: TwoWorlds,
) -> None:
    await both.leave_mixin(await both.venue_address())
    venue, mixin = both.sides()

    class Silent(Ending):
        async def pending(self) -> Sequence[Leaving]:
            raise Unavailable("silence")

    relay = both.relay((Silent(venue, Killed()), mixin))
    await relay.step()
    await relay.step()
    assert [one.outcome for one in both.told] == [Outcome.UNAVAILABLE, Outcome.ARRIVED]


def test_the_table_names_what_both_sides_list() -> None:
    assets = listed()
    assert len(BY_ASSET) == len(BY_COIN) == len(ROUTES)
    for route in ROUTES:
        assert assets[route.asset_id].symbol == route.coin
        assert assets[route.asset_id].chain.chain_id == route.chain_id
        assert route is POL or ASSETS[route.coin].network(route.network) is not None
    assert BY_ASSET[ETHER_USDT] == BY_COIN["USDT", "ETH"]


def test_ids_and_delays_depend_on_side_and_withdrawal_alone() -> None:
    """Relay invariant 2."""
    one, other = WithdrawalId("a"), WithdrawalId("b")
    assert transfer_id(RelaySide.MIXIN, one) == transfer_id(RelaySide.MIXIN, one)
    assert len({transfer_id(side, name) for side in RelaySide for name in (one, other)}) == 6
    drawn = [delay_us(Rng(seed), RelaySide.VENUE, one, 500_000) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(250_000 <= found <= 750_000 for found in drawn)
