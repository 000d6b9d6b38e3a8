"""A token issues none that outlives it or may do what it may not (api invariant 6)."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from poolmaker.api.access import ROLE_SCOPES, Role, Scope
from poolmaker.api.budgets import BudgetSizes
from poolmaker.api.server import create_api
from poolmaker.api.tokens import NewToken, hand_of
from poolmaker.infra.approvals.model import Approver
from poolmaker.kernel.clock import DAY_US, ManualClock
from poolmaker.kernel.ids import ApprovalId
from poolmaker.views.model import UserView
from tests.api.client import Client
from tests.api.test_access import token
from tests.e2e.world import OPERATOR_TOKEN, TREASURER_TOKEN, FakeWorld

WAYS = ("/users", "/users/us_ada/tokens", "/tokens", "/tokens/{old}/rotate")
SCOPES = st.none() | st.frozensets(st.sampled_from(Scope), min_size=1)
ROLES = st.sampled_from([Role.USER, Role.OPERATOR])
STEPS = st.lists(
    st.tuples(st.sampled_from(WAYS), SCOPES, st.none() | st.integers(1, 366), st.integers(0, 9)),
    min_size=1,
    max_size=5,
)


@cache
def made() -> tuple[FakeWorld, ASGIApp]:
    """One application for all examples: making it takes longer than asking it."""
    world = FakeWorld()
    return world, create_api(world.platform(), sizes=BudgetSizes(burst=1_000_000))


def furnished() -> tuple[FakeWorld, ASGIApp]:
    """The world with one user and nothing that was asked before."""
    world, api = made()
    for kept in (world.people.granted, world.people.revoked, world.people.made):
        kept.clear()
    world.approvals.rows.clear()
    world.requests.rows.clear()
    world.requests.working.clear()
    world.people.people = {"us_ada": UserView("us_ada", "ada", 1, "ada-at-mixin")}
    return world, api


def held(world: FakeWorld, role: Role, scopes: frozenset[Scope], days: int) -> str:
    """A token of ``role`` that ends after so many days."""
    text = token(world, role, scopes)
    until_us = world.clock.now_us() + days * DAY_US
    granted = world.people.granted
    granted["tk_ada"] = replace(
        granted["tk_ada"], expires_us=until_us, binds_wallet=role is Role.USER
    )
    return text


def body_of(way: str, number: int, scopes: frozenset[Scope] | None, days: int | None) -> Any:
    wanted = {"scopes": sorted(scopes) if scopes is not None else None, "days": days}
    match way:
        case "/users":
            return {"name": f"n{number}", "mixin_id": f"7766b24c-1a03-4c3a-83a3-{number:012}"}
        case "/tokens":
            return {"name": f"s{number}", "role": "operator"} | wanted
        case "/users/us_ada/tokens":
            return wanted
        case _:
            return {}


@settings(max_examples=150, deadline=None)
@given(ROLES, st.frozensets(st.sampled_from(Scope)), st.integers(1, 366), STEPS)
def test_no_token_issues_one_that_outlives_it_or_has_a_scope_that_it_lacks(
    role: Role, scopes: frozenset[Scope], days: int, steps: list[Any]
) -> None:
    world, api = furnished()
    text = held(world, role, (scopes | {Scope.TOKENS, Scope.USERS}) & ROLE_SCOPES[role], days)
    asyncio.run(_issue(world, api, (text, world.people.granted["tk_ada"]), steps))


async def _issue(
    world: FakeWorld, api: ASGIApp, first: tuple[str, NewToken], steps: list[Any]
) -> None:
    """Let each step be made by a token of those that there are, and look at what it issued."""
    callers = [first]
    for number, (way, scopes, days, pick) in enumerate(steps):
        text, caller = callers[pick % len(callers)]
        before = set(world.people.granted)
        path = f"/api/v1{way}".replace("{old}", callers[pick % 2 % len(callers)][1].token_id)
        client, body = Client(api, text), body_of(way, number, scopes, days)
        answer = await client.post(path, body, key=f"key-of-step-{number}")
        if answer.status == 409 and answer.json["code"] == "approval_pending":
            (waiting,) = await world.approvals.page("", 9)  # type: ignore[arg-type]
            await world.approvals.approve(waiting.id, Approver("treasurer", may_approve=True))
            answer = await client.post(path, body, key=f"key-of-step-{number}-again")
        issued = [world.people.granted[one] for one in set(world.people.granted) - before]
        assert bool(issued) == (answer.status == 201), answer.text
        for one in issued:
            assert one.expires_us <= caller.expires_us
            assert one.scopes <= caller.scopes
            assert one.binds_wallet == caller.binds_wallet
            callers.append((answer.json["token"], one))


async def test_a_token_of_a_day_cannot_ask_for_a_year_and_gets_its_own_day_without_asking() -> None:
    world, api = furnished()
    text = held(world, Role.USER, ROLE_SCOPES[Role.USER], 1)
    client, path = Client(api, text), "/api/v1/users/us_ada/tokens"
    refused = await client.post(path, {"days": 366})
    assert (refused.status, refused.json["code"]) == (409, "token_outlives")
    assert refused.json["facts"]["days"] == "1"
    made = await client.post(path)
    assert made.json["expires_at_us"] == world.people.granted["tk_ada"].expires_us
    rotated = await client.post("/api/v1/tokens/tk_ada/rotate")
    assert rotated.json["expires_at_us"] == world.people.granted["tk_ada"].expires_us


async def test_a_user_is_not_made_by_a_token_that_could_not_issue_theirs() -> None:
    world, api = furnished()
    text = held(world, Role.OPERATOR, frozenset({Scope.USERS}), 9)
    body = {"name": "bo", "mixin_id": "7766b24c-1a03-4c3a-83a3-b4358266875d"}
    refused = await Client(api, text).post("/api/v1/users", body)
    assert (refused.status, refused.json["code"]) == (403, "scope_missing")
    assert set(world.people.people) == {"us_ada"}
    made = await Client(api, OPERATOR_TOKEN).post("/api/v1/users", body)
    assert made.status == 201


PAIRS = st.frozensets(st.tuples(*[st.sampled_from("abcde")] * 2), max_size=6)


@given(PAIRS, st.sampled_from("abcde"))
def test_names_linked_by_grants_are_one_hand_however_long_the_chain(
    pairs: frozenset[tuple[str, str]], name: str
) -> None:
    hand = hand_of(name, pairs)
    assert name in hand
    assert all(hand_of(other, pairs) == hand for other in hand)
    assert all((one in hand) == (two in hand) for one, two in pairs)
    assert len(hand) == 1 or any({name} & set(pair) for pair in pairs)


async def _grant(client: Client, name: str, role: str = "operator") -> Client | None:
    """A client of a token for ``name``, when that is granted."""
    body = {"name": name, "role": role}
    answer = await client.post("/api/v1/tokens", body)
    return Client(client.app, answer.json["token"]) if answer.status == 201 else None


async def _approved_by(world: FakeWorld, ask: Client, second: Client) -> int:
    """What ``second`` is answered who approves what ``ask`` asks for."""
    world.approvals.rows.clear()
    asked = await ask.post("/api/v1/treasury/reversals", {"seq": 1, "reason": "wrong"})
    assert asked.json["code"] == "approval_pending", asked.text
    (waiting,) = await world.approvals.page(ApprovalId(""), 9)
    path = f"/api/v1/approvals/{waiting.id}/approve"
    return (await second.post(path)).status


async def test_who_issues_a_token_alone_is_not_their_own_second_person_with_it() -> None:
    """Neither with it, nor with one that it issued, nor by its name after it was revoked."""
    clock = ManualClock()
    world = FakeWorld(clock=clock)
    world.people.staff = {
        key: one for key, one in world.people.staff.items() if one.role is Role.OPERATOR
    }
    api = create_api(world.platform())
    mine = Client(api, OPERATOR_TOKEN)
    assert await _grant(mine, "bo") is None
    clock.advance(DAY_US)
    bo = await _grant(mine, "bo")
    assert bo is not None
    assert await _approved_by(world, mine, bo) == 409
    assert await _approved_by(world, bo, mine) == 409
    assert await _grant(bo, "cy") is None
    clock.advance(DAY_US)
    cy = await _grant(bo, "cy")
    assert cy is not None
    for one, other in itertools.permutations([mine, bo, cy], 2):
        assert await _approved_by(world, one, other) == 409
    for token_id in list(world.people.granted):
        await world.people.revoke(token_id)
    clock.advance(2 * DAY_US)
    again = await _grant(mine, "cy")
    assert again is None or await _approved_by(world, again, mine) == 409


async def test_a_name_that_a_second_person_vouched_for_is_a_person_of_its_own() -> None:
    world = FakeWorld()
    api = create_api(world.platform())
    mine, second = Client(api, OPERATOR_TOKEN), Client(api, TREASURER_TOKEN)
    assert await _grant(mine, "bo") is None
    (waiting,) = await world.approvals.page(ApprovalId(""), 9)
    assert (await second.post(f"/api/v1/approvals/{waiting.id}/approve")).status == 201
    bo = await _grant(mine, "bo")
    assert bo is not None
    assert await _approved_by(world, mine, bo) == 201
