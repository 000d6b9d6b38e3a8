"""One caller's budgets are its own (api invariant 8)."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.api.access import ROLE_SCOPES, Role
from poolmaker.api.budgets import Budgets, BudgetSizes, Rank
from poolmaker.api.problems import ApiProblem
from poolmaker.api.server import create_api
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.connections import _PURPOSE, Purpose
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.ids import OrderId
from tests.api.client import Client
from tests.api.test_access import token
from tests.e2e.world import OPERATOR_TOKEN, VIEWER_TOKEN, FakeWorld

SMALL = BudgetSizes(
    at_once=2,
    at_once_in_all=3,
    kept_for_staff=0,
    kept_for_safety=0,
    per_second=10,
    burst=5,
    streams=1,
)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300_000)), max_size=60))
def test_nobody_gets_more_than_burst_and_rate_and_nobody_pays_for_another(
    asked: list[tuple[str, int]],
) -> None:
    clock = ManualClock()
    budgets = Budgets(clock, SMALL)
    start_us = clock.monotonic_us()
    taken = dict.fromkeys("abc", 0)
    refused = dict.fromkeys("abc", 0)
    for caller, wait_us in asked:
        clock.advance(wait_us)
        try:
            with budgets.request(caller, Rank.USER):
                taken[caller] += 1
        except ApiProblem:
            refused[caller] += 1
        allowed = SMALL.burst + (clock.monotonic_us() - start_us) * SMALL.per_second // SECOND_US
        assert taken[caller] <= allowed
    for caller in "abc":
        if taken[caller] + refused[caller] <= SMALL.burst:
            assert refused[caller] == 0


def test_at_once_is_bounded_for_one_and_for_all_and_what_ends_makes_room() -> None:
    budgets = Budgets(ManualClock(), SMALL)
    with ExitStack() as held:
        for caller in ("a", "a", "b"):
            held.enter_context(budgets.request(caller, Rank.USER))
        for caller in ("a", "c"):
            with pytest.raises(ApiProblem) as refused, budgets.request(caller, Rank.USER):
                pass
            assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    with budgets.request("a", Rank.USER):
        pass


@given(st.lists(st.tuples(st.sampled_from(Rank), st.booleans()), max_size=80))
def test_found_34_what_is_kept_for_the_higher_ranks_is_there_whatever_the_lower_ones_take(
    asked: list[tuple[Rank, bool]],
) -> None:
    sizes = BudgetSizes(
        at_once_in_all=20,
        pages_at_once_in_all=6,
        kept_for_staff=4,
        kept_for_safety=3,
        streams_in_all=20,
        page_streams_in_all=6,
    )
    budgets = Budgets(ManualClock(), sizes)
    taken = {False: dict.fromkeys(Rank, 0), True: dict.fromkeys(Rank, 0)}
    with ExitStack() as held:
        for number, (rank, is_stream) in enumerate(asked):
            place = (budgets.stream if is_stream else budgets.request)(f"caller {number}", rank)
            with suppress(ApiProblem):
                held.enter_context(place)
                taken[is_stream][rank] += 1
            for counts in taken.values():
                pages, users, staff, _ = counts.values()
                assert pages <= 6
                assert pages + users <= 20 - 4 - 3
                assert pages + users + staff <= 20 - 3
                assert sum(counts.values()) <= 20
        free = 20 - sum(taken[False].values())
        got = 0
        for number in range(20):
            with suppress(ApiProblem):
                held.enter_context(budgets.request(f"safety {number}", Rank.SAFETY))
                got += 1
        assert got == free
        assert got + taken[False][Rank.SAFETY] >= 3


def test_an_open_stream_counts_until_it_ends() -> None:
    budgets = Budgets(ManualClock(), SMALL)
    with budgets.stream("a", Rank.USER):
        with pytest.raises(ApiProblem) as refused, budgets.stream("a", Rank.USER):
            pass
        assert refused.value.code == "too_many_streams"
        with budgets.stream("b", Rank.USER):
            pass
    with budgets.stream("a", Rank.USER):
        pass


async def test_a_flood_of_one_person_with_many_tokens_is_refused_and_others_are_answered() -> None:
    world = FakeWorld()
    world.furnish()
    api = create_api(world.platform(), sizes=SMALL)
    one = token(world, Role.USER, ROLE_SCOPES[Role.USER])
    statuses = [(await Client(api, one).get("/api/v1/pools")).status for _ in range(12)]
    assert statuses.count(200) == SMALL.burst
    assert set(statuses) == {200, 429}
    granted = world.people.granted.pop("tk_ada")
    two = token(world, Role.USER, ROLE_SCOPES[Role.USER])
    world.people.granted["tk_2"] = world.people.granted.pop("tk_ada")
    world.people.granted["tk_ada"] = granted
    answer = await Client(api, two).get("/api/v1/pools")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert (await Client(api, OPERATOR_TOKEN).get("/api/v1/health")).status == 200


async def test_who_guesses_tokens_is_slowed_down_and_those_with_one_are_not() -> None:
    world = FakeWorld()
    api = create_api(world.platform(), sizes=SMALL)
    known = Client(api, OPERATOR_TOKEN)
    assert (await known.get("/api/v1/health")).status == 200
    guesses = [
        (await Client(api, f"pm_guess_number_{n:04}").get("/api/v1/health")).status
        for n in range(40)
    ]
    assert set(guesses) == {401, 429}
    assert (await known.get("/api/v1/health")).status == 200


async def test_found_33_requests_use_the_connections_of_clients() -> None:
    world = FakeWorld()
    seen: list[Purpose] = []

    async def order(order_id: OrderId) -> None:
        seen.append(_PURPOSE.get())

    world.order = order  # type: ignore[method-assign]
    await Client(create_api(world.platform()), OPERATOR_TOKEN).get("/api/v1/orders/uo_1")
    assert seen == [Purpose.CLIENTS]
    assert _PURPOSE.get() is Purpose.WORK


async def test_found_33_one_reader_feeds_every_stream() -> None:
    world = FakeWorld(SystemClock())
    world.furnish()
    sizes = BudgetSizes(streams=50, streams_in_all=100, burst=1_000)
    api = create_api(world.platform(), sizes=sizes)
    looks = 0
    happenings = world.happenings

    async def counted(after: int, limit: int) -> object:
        nonlocal looks
        looks += 1
        if looks == 4:
            world.stopping.set()
        return await happenings(after, limit)

    world.happenings = counted  # type: ignore[method-assign, assignment]
    clients = [Client(api, one) for one in (OPERATOR_TOKEN, VIEWER_TOKEN) * 20]
    answers = await asyncio.gather(*(client.get("/api/v1/stream") for client in clients))
    assert {answer.status for answer in answers} == {200}
    assert looks == 4


async def test_found_26_a_stream_ends_when_its_token_is_revoked() -> None:
    world = FakeWorld(SystemClock())
    world.furnish()
    api = create_api(world.platform())
    client = Client(api, token(world, Role.USER, ROLE_SCOPES[Role.USER]))
    watching = asyncio.create_task(client.get("/api/v1/stream"))
    while not api.state.streams._tokens:
        await asyncio.sleep(0)
    await world.people.revoke("tk_ada")
    assert (await watching).status == 200  # it ended by itself
