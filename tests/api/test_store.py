"""What the API remembers, in PostgreSQL and in the made-up world of the other tests."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

import pytest

from poolmaker.api.access import ROLE_SCOPES, Role, Scope
from poolmaker.api.ports import Requests
from poolmaker.api.service import open_store
from poolmaker.api.tokens import NewToken, Principal, Tokens
from poolmaker.infra.database import Database
from poolmaker.kernel.clock import DAY_US, SECOND_US, ManualClock
from poolmaker.kernel.ids import Ids, UserId
from poolmaker.kernel.rng import Rng
from tests.e2e.world import FakePeople, FakeRequests

ONE, TWO = hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()


@pytest.fixture(params=["postgresql", "made up"])
def requests(request: pytest.FixtureRequest) -> Requests:
    if request.param == "made up":
        return FakeRequests()
    return open_store(request.getfixturevalue("database"), ManualClock(), DAY_US)


@pytest.fixture(params=["postgresql", "made up"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    clock = ManualClock()
    if request.param == "made up":
        return FakePeople(clock, Ids(clock, Rng(1)))
    return open_store(request.getfixturevalue("database"), clock, DAY_US)


async def test_a_key_stands_for_what_its_first_call_chose(requests: Requests) -> None:
    first = await requests.claim("operator:o", "key-1", ONE, "co_first")
    again = await requests.claim("operator:o", "key-1", ONE, "co_second")
    assert (first.made_id, first.same, first.answer) == ("co_first", True, None)
    assert (first.is_mine, again.is_mine) == (True, False)
    assert (again.made_id, again.answer) == (first.made_id, None)


async def test_another_body_under_a_key_is_seen(requests: Requests) -> None:
    await requests.claim("operator:o", "key-1", ONE, "co_first")
    assert not (await requests.claim("operator:o", "key-1", TWO, "co_second")).same
    assert (await requests.claim("user:u", "key-1", TWO, "co_third")).made_id == "co_third"


async def test_the_first_answer_stays(requests: Requests) -> None:
    await requests.claim("operator:o", "key-1", ONE, "co_first")
    await requests.answered("operator:o", "key-1", 201, b"{}")
    await requests.answered("operator:o", "key-1", 409, b"no")
    assert (await requests.claim("operator:o", "key-1", ONE, "co_x")).answer == (201, b"{}")


def a_token(
    number: int, role: Role = Role.USER, scopes: frozenset[Scope] | None = None
) -> NewToken:
    return NewToken(
        token_id=f"tk_{number}",
        token_hash=hashlib.sha256(str(number).encode()).digest(),
        role=role,
        name=f"name-{number}",
        user_id=UserId("us_ada") if role is Role.USER else None,
        scopes=ROLE_SCOPES[role] if scopes is None else scopes,
        expires_us=ManualClock().now_us() + DAY_US,
        granted_by="operator",
    )


async def test_a_token_lets_in_whom_it_was_granted_to_with_its_scopes(tokens: Tokens) -> None:
    mine, looker = a_token(1, scopes=frozenset({Scope.READ})), a_token(2, Role.VIEWER)
    await tokens.grant(mine)
    await tokens.grant(looker)
    assert await tokens.principal(mine.token_hash) == Principal(
        Role.USER, "name-1", UserId("us_ada"), frozenset({Scope.READ}), "tk_1", mine.expires_us
    )
    assert await tokens.principal(looker.token_hash) == Principal(
        Role.VIEWER, "name-2", None, ROLE_SCOPES[Role.VIEWER], "tk_2", looker.expires_us
    )
    assert await tokens.principal(ONE) is None
    listed = await tokens.tokens(UserId("us_ada"), "", 10)
    assert [one.token_id for one in listed] == ["tk_1"]
    assert [one.token_id for one in await tokens.tokens(None, "tk_1", 10)] == ["tk_2"]


async def test_found_26_a_revoked_token_is_let_in_no_more(tokens: Tokens) -> None:
    one, two = a_token(1), a_token(2)
    for token in (one, two):
        await tokens.grant(token)
    await tokens.revoke("tk_1")
    assert await tokens.principal(one.token_hash) is None
    assert await tokens.alive(frozenset({"tk_1", "tk_2"})) == frozenset({"tk_2"})
    await tokens.grant(one)
    assert await tokens.principal(one.token_hash) is None
    await tokens.revoke_all(UserId("us_ada"))
    assert await tokens.principal(two.token_hash) is None
    seen = await tokens.token("tk_2")
    assert seen is not None
    assert seen.revoked_at_us > 0


async def test_a_token_that_binds_a_wallet_is_never_had_by_a_grant_that_does_not(
    database: Database,
) -> None:
    store = open_store(database, ManualClock(), DAY_US)
    own = replace(a_token(1), binds_wallet=True)
    await store.grant(own)
    found = await store.principal(own.token_hash)
    assert found is not None
    assert found.binds_wallet
    await store.grant(replace(own, token_hash=TWO, binds_wallet=False))
    assert await store.principal(TWO) is None
    assert await store.principal(own.token_hash) == found


async def test_found_26_a_token_ends_at_its_expiry_to_the_microsecond(database: Database) -> None:
    clock = ManualClock()
    store, token = open_store(database, clock, DAY_US), a_token(1)
    await store.grant(token)
    clock.advance(DAY_US - 1)
    assert await store.principal(token.token_hash) is not None
    clock.advance(1)
    assert await store.principal(token.token_hash) is None


async def test_found_29_one_grant_is_one_token_whatever_was_lost_between(tokens: Tokens) -> None:
    first = a_token(1)
    await tokens.grant(first)
    again = replace(first, token_hash=TWO)
    await tokens.grant(again)
    assert await tokens.principal(first.token_hash) is None
    assert await tokens.principal(TWO) is not None


async def test_who_vouched_for_a_name_is_remembered_for_ever(database: Database) -> None:
    clock = ManualClock()
    store = open_store(database, clock, DAY_US)
    for number, role in enumerate([Role.TREASURER, Role.OPERATOR, Role.VIEWER, Role.USER]):
        await store.grant(replace(a_token(number, role), vouched=role is Role.OPERATOR))
    await store.revoke("tk_0")
    clock.advance(400 * DAY_US)
    assert await store.unvouched() == {("name-0", "operator"), ("name-2", "operator")}


async def test_who_may_approve_is_remembered_for_the_delay(database: Database) -> None:
    clock = ManualClock()
    store = open_store(database, clock, DAY_US)
    await store.grant(replace(a_token(1, Role.TREASURER), expires_us=2**62))
    await store.grant(a_token(2, Role.VIEWER))
    assert await store.approvers() == frozenset({"name-1"})
    await store.revoke("tk_1")
    clock.advance(DAY_US - 1)
    assert await store.approvers() == frozenset({"name-1"})
    clock.advance(1)
    assert await store.approvers() == frozenset()


async def test_found_29_who_works_under_a_key_is_one_until_it_answers_gives_up_or_dies(
    database: Database,
) -> None:
    clock = ManualClock()
    store = open_store(database, clock, DAY_US)
    assert (await store.claim("o", "key-1", ONE, "co_1")).is_mine
    assert not (await store.claim("o", "key-1", ONE, "co_2")).is_mine
    await store.given_up("o", "key-1", "co_1")
    third = await store.claim("o", "key-1", ONE, "co_3")
    assert (third.is_mine, third.made_id) == (True, "co_1")
    clock.advance(30 * SECOND_US)
    fourth = await store.claim("o", "key-1", ONE, "co_4")
    assert (fourth.is_mine, fourth.made_id) == (True, "co_1")
    await store.answered("o", "key-1", 201, b"{}")
    clock.advance(30 * SECOND_US)
    assert not (await store.claim("o", "key-1", ONE, "co_5")).is_mine


async def test_old_answers_are_forgotten_and_what_has_none_never(database: Database) -> None:
    clock = ManualClock()
    store = open_store(database, clock, DAY_US)
    for key, status in (("done-1", 201), ("done-2", 409), ("lost-1", None), ("lost-2", 503)):
        await store.claim("o", key, ONE, f"co_{key}")
        if status is not None:
            await store.answered("o", key, status, b"{}")
    clock.advance(DAY_US)
    await store.claim("o", "young-1", ONE, "co_young")
    await store.answered("o", "young-1", 201, b"{}")
    old_us = clock.now_us() - DAY_US
    assert await store.forget(old_us, 9) == 0  # not one of them is older than that
    assert [await store.forget(old_us + 1, 1) for _ in range(3)] == [1, 1, 0]
    kept = {key: await store.claim("o", key, ONE, "co_again") for key in ("lost-1", "lost-2")}
    assert {key: claim.made_id for key, claim in kept.items()} == {
        "lost-1": "co_lost-1",
        "lost-2": "co_lost-2",
    }
    assert (await store.claim("o", "young-1", ONE, "co_again")).answer == (201, b"{}")
    assert (await store.claim("o", "done-1", ONE, "co_again")).made_id == "co_again"


async def test_ten_calls_with_one_key_at_once_stand_for_one_wish(database: Database) -> None:
    store = open_store(database, ManualClock(), DAY_US)
    calls = [store.claim("operator:o", "key-1", ONE, f"co_{n}") for n in range(10)]
    claims = await asyncio.gather(*calls)
    assert len({claim.made_id for claim in claims}) == 1
    assert sum(claim.is_mine for claim in claims) == 1
