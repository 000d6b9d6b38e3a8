"""What the API remembers, in PostgreSQL and in the made-up world of the other tests."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from poolmaker.api.ports import Principal, Requests, Role, Tokens
from poolmaker.api.service import open_store
from poolmaker.infra.database import Database
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.ids import Ids, UserId
from poolmaker.kernel.rng import Rng
from tests.e2e.world import FakePeople, FakeRequests

ONE, TWO = hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()


@pytest.fixture(params=["postgresql", "made up"])
def requests(request: pytest.FixtureRequest) -> Requests:
    if request.param == "made up":
        return FakeRequests()
    return open_store(request.getfixturevalue("database"), ManualClock())


@pytest.fixture(params=["postgresql", "made up"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    clock = ManualClock()
    if request.param == "made up":
        return FakePeople(clock, Ids(clock, Rng(1)))
    return open_store(request.getfixturevalue("database"), clock)


async def test_a_key_stands_for_what_its_first_call_chose(requests: Requests) -> None:
    first = await requests.claim("operator:o", "key-1", ONE, "co_first")
    again = await requests.claim("operator:o", "key-1", ONE, "co_second")
    assert (first.made_id, first.same, first.answer) == ("co_first", True, None)
    assert again == first


async def test_another_body_under_a_key_is_seen(requests: Requests) -> None:
    await requests.claim("operator:o", "key-1", ONE, "co_first")
    assert not (await requests.claim("operator:o", "key-1", TWO, "co_second")).same
    assert (await requests.claim("user:u", "key-1", TWO, "co_third")).made_id == "co_third"


async def test_the_first_answer_stays(requests: Requests) -> None:
    await requests.claim("operator:o", "key-1", ONE, "co_first")
    await requests.answered("operator:o", "key-1", 201, b"{}")
    await requests.answered("operator:o", "key-1", 409, b"no")
    assert (await requests.claim("operator:o", "key-1", ONE, "co_x")).answer == (201, b"{}")


async def test_a_token_lets_in_whom_it_was_granted_to(tokens: Tokens) -> None:
    await tokens.grant(ONE, Role.USER, "ada", UserId("us_ada"))
    await tokens.grant(TWO, Role.VIEWER, "looker", None)
    assert await tokens.principal(ONE) == Principal(Role.USER, "ada", UserId("us_ada"))
    assert await tokens.principal(TWO) == Principal(Role.VIEWER, "looker", None)
    assert await tokens.principal(hashlib.sha256(b"three").digest()) is None


async def test_ten_calls_with_one_key_at_once_stand_for_one_wish(database: Database) -> None:
    store = open_store(database, ManualClock())
    calls = [store.claim("operator:o", "key-1", ONE, f"co_{n}") for n in range(10)]
    assert len({claim.made_id for claim in await asyncio.gather(*calls)}) == 1
