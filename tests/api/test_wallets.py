"""Who may claim a wallet for a user of before: the user's own hand, or two of the staff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from starlette.types import ASGIApp

from poolmaker.api.access import ROLE_SCOPES, Role
from poolmaker.api.server import create_api
from poolmaker.views.model import UserView
from tests.api.client import Answer, Client
from tests.api.test_access import token
from tests.e2e.world import OPERATOR_TOKEN, TREASURER_TOKEN, FakeWorld

PATH = "/api/v1/users/us_ada/wallet"
MINE = {"mixin_id": "7766b24c-1a03-4c3a-83a3-b4358266875d"}
OTHERS = {"mixin_id": "8866b24c-1a03-4c3a-83a3-b4358266875d"}


@pytest.fixture
def world() -> FakeWorld:
    """A user of before wallets were bound, with a token of before."""
    made = FakeWorld()
    made.people.people["us_ada"] = UserView("us_ada", "ada", 1, "")
    return made


@pytest.fixture
def api(world: FakeWorld) -> ASGIApp:
    return create_api(world.platform())


def old_token(world: FakeWorld) -> str:
    """A user's token that was there before wallets were bound."""
    text = token(world, Role.USER, ROLE_SCOPES[Role.USER])
    granted = world.people.granted
    granted["tk_ada"] = replace(granted["tk_ada"], binds_wallet=True)
    return text


def code(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json.get("code")


async def test_an_operator_alone_claims_no_wallet_for_a_user(
    world: FakeWorld, api: ASGIApp
) -> None:
    operator = Client(api, OPERATOR_TOKEN)
    for _ in range(2):
        assert code(await operator.post(PATH, OTHERS)) == (409, "approval_pending")
    assert world.people.claimed == []


async def test_a_second_person_approves_one_wallet_and_no_other(
    world: FakeWorld, api: ASGIApp
) -> None:
    operator, treasurer = Client(api, OPERATOR_TOKEN), Client(api, TREASURER_TOKEN)
    waits = await operator.post(PATH, MINE)
    approval = waits.json["facts"]["approval_id"]
    assert (await treasurer.post(f"/api/v1/approvals/{approval}/approve")).status == 201
    assert code(await operator.post(PATH, OTHERS)) == (409, "approval_pending")
    assert (await operator.post(PATH, MINE)).status == 201
    assert world.people.claimed == [("us_ada", MINE["mixin_id"])]
    assert code(await operator.post(PATH, MINE)) == (409, "approval_pending")


async def test_a_users_token_that_staff_issued_claims_nothing_not_even_with_an_approval(
    world: FakeWorld, api: ASGIApp
) -> None:
    operator = Client(api, OPERATOR_TOKEN)
    old_token(world)
    issued = (await operator.post("/api/v1/users/us_ada/tokens")).json["token"]
    rotated = (await operator.post("/api/v1/tokens/tk_ada/rotate")).json["token"]
    for text in (issued, rotated):
        assert code(await Client(api, text).post(PATH, OTHERS)) == (409, "wallet_needs_staff")
    assert not world.approvals.rows
    assert world.people.claimed == []


async def test_the_users_own_token_of_before_claims_and_so_do_those_that_it_issued(
    world: FakeWorld, api: ASGIApp
) -> None:
    own = Client(api, old_token(world))
    assert (await own.post(PATH, MINE)).status == 201
    issued = (await own.post("/api/v1/users/us_ada/tokens")).json["token"]
    rotated = (await own.post("/api/v1/tokens/tk_ada/rotate")).json["token"]
    for text in (issued, rotated):
        assert (await Client(api, text).post(PATH, MINE)).status == 201
    assert len(world.people.claimed) == 3
