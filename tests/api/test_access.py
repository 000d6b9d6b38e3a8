"""Every route with every role, scope and owner, as docs/access.md says (api invariants 1 and 6)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from poolmaker.api.access import ROLE_SCOPES, Access, Owner, Role, Scope
from poolmaker.api.server import ROUTERS, access_of, create_api, routes
from poolmaker.api.tokens import NEVER_US, NewToken, token_hash
from poolmaker.kernel.ids import UserId
from poolmaker.views.model import UserView
from tests.api.client import Answer, Client
from tests.e2e.world import FakeWorld

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
ROW = re.compile(r"^\| `(GET|POST) (\S+)` \| (\w+) \|(.*)\|$", re.MULTILINE)
OWN = {"user_id": "us_ada", "order_id": "uo_ada", "withdrawal_id": "wd_ada", "token_id": "tk_ada"}
OTHERS = {"user_id": "us_bo", "order_id": "uo_bo", "withdrawal_id": "wd_1", "token_id": "tk_bo"}
COMMON = {
    "pool_id": "btcusdt",
    "account": "platform:equity",
    "reward_id": "rw_1",
    "seq": "1",
    "approval_id": "ap_none",
    "payment_id": "wd_1",
    "reference": "aa" * 16,
    "saga_id": "wd_1",
    "campaign_id": "hufi-1",
}
BODIES: dict[str, object] = {
    "/api/v1/outgoing/{payment_id}/decision": {"decision": "again"},
    "/api/v1/tokens": {"name": "cleo", "role": "viewer"},
    "/api/v1/treasury/reversals": {"seq": 1, "reason": "wrong"},
    "/api/v1/custody/incidents/bear": {"incident": "shortfall~place~USDT~1", "reason": "small"},
    "/api/v1/unlisted/returns": {
        "asset_id": "b7938396-3f94-4e0a-9179-d3440718156f",
        "receiver": "7766b24c-1a03-4c3a-83a3-b4358266875d",
        "amount": "0.5",
        "reason": "asked by mail",
    },
    "/api/v1/freeze/lift": {"reason": "over"},
    "/api/v1/ledger/set-aside": {"key": "fill:1", "reason": "junk"},
    "/api/v1/rewards/{reward_id}/assign": {"pool_id": "btcusdt", "reason": "theirs"},
    "/api/v1/rewards/{reward_id}/keep": {"reason": "nobody was there"},
    "/api/v1/streams/skip": {"consumer": "pools", "stream": "account:a", "seq": 7, "reason": "x"},
    "/api/v1/suspense/resolve": {
        "source": "mixin:x",
        "to": "platform",
        "asset": "USDT",
        "amount": "1",
        "reason": "ours",
    },
    "/api/v1/users/{user_id}/wallet": {"mixin_id": "7766b24c-1a03-4c3a-83a3-b4358266875d"},
    "/api/v1/users": {"name": "dan", "mixin_id": "7766b24c-1a03-4c3a-83a3-b4358266875d"},
}


APIS: dict[int, tuple[FakeWorld, ASGIApp]] = {}
"""By the world's id; the world is kept, so that no other gets its id."""


def rows() -> dict[tuple[str, str], tuple[str, list[str]]]:
    """(method, path) -> (scope, cells of the roles and of two persons) as the page says."""
    found = {}
    for method, path, scope, cells in ROW.findall(PAGE.read_text("utf-8")):
        found[method, path] = (scope, [cell.strip() for cell in cells.split("|")])
    return found


ROWS = rows()


def token(world: FakeWorld, role: Role, scopes: frozenset[Scope], name: str = "ada") -> str:
    """A token of a role with these scopes, of the user of that name where it is a user's."""
    user_id = UserId(f"us_{name}") if role is Role.USER else None
    text = f"pm_{role}_{name}_{'_'.join(sorted(scopes))}_of_the_tests"
    world.people.granted[f"tk_{name}"] = NewToken(
        token_id=f"tk_{name}",
        token_hash=token_hash(text),
        role=role,
        name=name,
        user_id=user_id,
        scopes=scopes,
        expires_us=NEVER_US,
        granted_by="operator",
        vouched=role is not Role.USER,
    )
    return text


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.furnish()
    made.stopping.set()  # an open stream ends at once
    for name in ("ada", "bo"):
        user_id = f"us_{name}"
        made.people.people[user_id] = UserView(user_id, name, 1, f"{name}-at-mixin")
    return made


def api_of(world: FakeWorld) -> ASGIApp:
    """One application for each world: making it takes longer than asking it."""
    return APIS.setdefault(id(world), (world, create_api(world.platform())))[1]


async def call(world: FakeWorld, text: str, row: tuple[str, str], names: dict[str, str]) -> Answer:
    method, path = row
    for name, value in {**COMMON, **names}.items():
        path = path.replace(f"{{{name}}}", value)
    client = Client(api_of(world), text)
    if method == "GET":
        return await client.get(path)
    return await client.post(path, BODIES.get(row[1], {}))


def test_the_page_names_every_route_and_no_other() -> None:
    found = {(method, route.path) for route in routes() for method in route.methods or ()}
    assert found == set(ROWS)
    assert len(ROWS) > 40


def test_the_page_says_what_the_routes_declare() -> None:
    for route in routes():
        access = access_of(route)
        assert access is not None
        for method in route.methods or ():
            scope, cells = ROWS[method, route.path]
            assert scope == access.scope
            assert cells == [*(_cell(access, role) for role in Role), _two(access)]


def _cell(access: Access, role: Role) -> str:
    if role not in access.roles:
        return "–"
    return "own" if access.owner is Owner.USER and role is Role.USER else "yes"


def _two(access: Access) -> str:
    return "yes" if access.two_persons else ""


def test_the_application_has_no_route_besides_the_page(world: FakeWorld) -> None:
    api = create_api(world.platform())
    assert len(api.routes) == len(ROUTERS) + 1  # what is below /api and no route is answered 404


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
async def test_a_row_lets_in_whom_it_names_and_nobody_else(
    world: FakeWorld, row: tuple[str, str]
) -> None:
    scope, cells = ROWS[row]
    owned = any(f"{{{name}}}" in row[1] for name in OWN)
    for role, cell in zip(Role, cells, strict=False):
        world.people.granted.clear()
        world.people.revoked.clear()
        token(world, Role.USER, ROLE_SCOPES[Role.USER], "bo")
        text = token(world, role, ROLE_SCOPES[role])
        answer = await call(world, text, row, OWN)
        if cell == "–":
            assert (answer.status, answer.json["code"]) == (403, "forbidden"), role
            assert answer.json["facts"]["role"] == role
            continue
        assert answer.status not in (401, 403, 405, 500), (role, answer.text)
        world.people.revoked.clear()
        if cell == "own" and owned:
            answer = await call(world, text, row, OTHERS)
            assert (answer.status, answer.json["code"]) == (404, "not_found"), role
        text = token(world, role, ROLE_SCOPES[role] - {Scope(scope)})
        answer = await call(world, text, row, OWN)
        assert (answer.status, answer.json["code"]) == (403, "scope_missing"), role


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
async def test_found_26_a_token_that_is_unknown_expired_or_revoked_lets_nobody_in(
    world: FakeWorld, row: tuple[str, str]
) -> None:
    text = token(world, Role.OPERATOR, frozenset(Scope))
    granted = world.people.granted["tk_ada"]
    for lost in ("", "pm_nobody_ever_issued_this_one"):
        assert (await call(world, lost, row, OWN)).status == 401
    await world.people.revoke("tk_ada")
    answer = await call(world, text, row, OWN)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    world.people.revoked.clear()
    old = {name: getattr(granted, name) for name in granted.__dataclass_fields__}
    now_us = world.clock.now_us()
    world.people.granted["tk_ada"] = NewToken(**{**old, "expires_us": now_us})
    assert (await call(world, text, row, OWN)).status == 401


@pytest.mark.parametrize(
    "row", [row for row, (_, cells) in ROWS.items() if cells[-1] == "yes"], ids=" ".join
)
async def test_where_two_persons_are_needed_one_alone_does_nothing(
    world: FakeWorld, row: tuple[str, str]
) -> None:
    text = token(world, Role.OPERATOR, frozenset(Scope), "opal")
    people = world.people.people
    people.update({key: replace(one, mixin_id="") for key, one in people.items()})
    before = (list(world.calls), dict(world.people.granted))
    answer = await call(world, text, row, OWN)
    assert (answer.status, answer.json["code"]) == (409, "approval_pending"), answer.text
    assert (list(world.calls), dict(world.people.granted)) == before
    assert world.approvals.rows


async def test_a_list_of_own_things_shows_no_others(world: FakeWorld) -> None:
    token(world, Role.USER, ROLE_SCOPES[Role.USER], "bo")
    text = token(world, Role.USER, ROLE_SCOPES[Role.USER])
    for path in ("/api/v1/orders", "/api/v1/withdrawals", "/api/v1/tokens", "/api/v1/balances"):
        shown = (await call(world, text, ("GET", path), OWN)).json
        assert {row["user_id"] for row in shown} <= {"us_ada"}, path


async def test_a_body_cannot_name_another_user(world: FakeWorld) -> None:
    text = token(world, Role.USER, ROLE_SCOPES[Role.USER])
    client = Client(create_api(world.platform()), text)
    order = {"pool_id": "btcusdt", "base": "1", "quote": "1", "user_id": "us_bo"}
    payout = {"asset": "USDT", "amount": "1", "user_id": "us_bo"}
    for path, body in (("/api/v1/orders", order), ("/api/v1/withdrawals", payout)):
        answer = await client.post(path, body)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert world.calls == []
