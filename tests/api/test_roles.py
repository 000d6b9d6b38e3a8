"""Every route with every role: deny by default (api invariant 1)."""

from __future__ import annotations

import pytest

from poolmaker.api.ports import Role
from poolmaker.api.server import ROUTERS, create_api, routes
from tests.api.client import Answer, Client
from tests.e2e.world import OPERATOR_TOKEN, TREASURER_TOKEN, VIEWER_TOKEN, FakeWorld

U, V, O, T = Role.USER, Role.VIEWER, Role.OPERATOR, Role.TREASURER  # noqa: E741
ALL, STAFF = {U, V, O, T}, {V, O, T}

TABLE: dict[tuple[str, str], set[Role]] = {
    ("POST", "/api/v1/users"): {O},
    ("POST", "/api/v1/users/{user_id}/tokens"): {O},
    ("POST", "/api/v1/users/{user_id}/deposits"): {O},
    ("POST", "/api/v1/treasury/operator-in"): {O},
    ("POST", "/api/v1/orders"): {U, O},
    ("POST", "/api/v1/orders/{order_id}/pause"): {U, O},
    ("POST", "/api/v1/orders/{order_id}/resume"): {U, O},
    ("POST", "/api/v1/orders/{order_id}/withdraw"): {U, O},
    ("POST", "/api/v1/sandbox/story"): {O},
    ("GET", "/api/v1/users"): STAFF,
    ("GET", "/api/v1/users/{user_id}/statement"): ALL,
    ("GET", "/api/v1/orders"): ALL,
    ("GET", "/api/v1/orders/{order_id}"): ALL,
    ("GET", "/api/v1/balances"): ALL,
    ("GET", "/api/v1/assets"): ALL,
    ("GET", "/api/v1/pools"): ALL,
    ("GET", "/api/v1/pools/{pool_id}"): ALL,
    ("GET", "/api/v1/pools/{pool_id}/fills"): ALL,
    ("GET", "/api/v1/market/live"): ALL,
    ("GET", "/api/v1/ledger/trial-balance"): STAFF,
    ("GET", "/api/v1/ledger/accounts/{account}/entries"): STAFF,
    ("GET", "/api/v1/ledger/transactions"): STAFF,
    ("GET", "/api/v1/ledger/transactions/{seq}"): STAFF,
    ("GET", "/api/v1/campaigns"): ALL,
    ("GET", "/api/v1/rewards"): ALL,
    ("GET", "/api/v1/rewards/{reward_id}/allocations"): ALL,
    ("GET", "/api/v1/pools/{pool_id}/shares"): STAFF,
    ("GET", "/api/v1/transfers"): STAFF,
    ("GET", "/api/v1/arrivals"): STAFF,
    ("POST", "/api/v1/withdrawals"): {U, O},
    ("GET", "/api/v1/withdrawals"): ALL,
    ("GET", "/api/v1/custody"): STAFF,
    ("GET", "/api/v1/health"): ALL,
    ("GET", "/api/v1/openapi.json"): ALL,
    ("GET", "/api/v1/stream"): ALL,
}
FILLED = {
    "{user_id}": "us_ada",
    "{order_id}": "uo_ada",
    "{pool_id}": "btcusdt",
    "{account}": "platform:equity",
    "{reward_id}": "rw_1",
    "{seq}": "1",
}


def test_the_table_names_every_route_and_no_other() -> None:
    found = {(method, route.path) for route in routes() for method in route.methods or ()}
    assert found == set(TABLE)


def test_the_application_has_no_route_besides_the_table() -> None:
    assert len(create_api(FakeWorld().platform()).routes) == len(ROUTERS)


@pytest.mark.parametrize(("method", "template"), TABLE)
async def test_a_route_lets_in_whom_the_table_names_and_nobody_else(
    method: str, template: str
) -> None:
    world = FakeWorld()
    world.furnish()
    world.stopping.set()  # an open stream ends at once
    client = Client(create_api(world.platform()), OPERATOR_TOKEN)
    made = (await client.post("/api/v1/users", {"name": "cleo"})).json
    path = template
    for hole, value in FILLED.items():
        path = path.replace(hole, value)
    tokens = {U: made["token"], O: OPERATOR_TOKEN, V: VIEWER_TOKEN, T: TREASURER_TOKEN}
    for role, token in tokens.items():
        answer = await _call(client.as_(token), method, path)
        if role in TABLE[method, template]:
            assert answer.status not in (401, 403, 405, 500), role
        else:
            assert (answer.status, answer.json["code"]) == (403, "forbidden"), role
            assert answer.json["facts"]["role"] == role
    for token in ("", "pm_nobody_ever_issued_this_one"):
        answer = await _call(client.as_(token), method, path)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


async def _call(client: Client, method: str, path: str) -> Answer:
    return await (client.get(path) if method == "GET" else client.post(path))


async def test_a_user_sees_and_moves_only_what_is_his(client: Client, world: FakeWorld) -> None:
    made = (await client.post("/api/v1/users", {"name": "cleo"})).json
    cleo = client.as_(made["token"])
    assert (await cleo.get("/api/v1/orders")).json == []
    for path in ("/api/v1/orders/uo_ada", "/api/v1/users/us_ada/statement"):
        answer = await cleo.get(path)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    payout = [{"asset": a, "network": "n", "address": "x"} for a in ("BTC", "USDT")]
    answer = await cleo.post("/api/v1/orders/uo_ada/withdraw", {"payout": payout})
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    body = {"pool_id": "btcusdt", "base": "1", "quote": "1", "user_id": "us_ada"}
    answer = await cleo.post("/api/v1/orders", body)
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert world.calls == []
