"""A token issues none that outlives it or may do what it may not (api invariant 6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from poolmaker.api.access import ROLE_SCOPES, Role, Scope
from poolmaker.api.budgets import BudgetSizes
from poolmaker.api.server import create_api
from poolmaker.api.tokens import NewToken
from poolmaker.infra.approvals.model import Approver
from poolmaker.kernel.clock import DAY_US
from poolmaker.views.model import UserSeen
from tests.api.client import Client
from tests.api.test_access import token
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld

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
    world.people.people = {"us_ada": UserSeen("us_ada", "ada", 1, "ada-at-mixin")}
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
