"""What is looked at."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from poolmaker.api.access import ROLE_SCOPES, Role
from poolmaker.api.problems import CATALOGUES
from poolmaker.api.server import create_api
from poolmaker.infra.clock import SystemClock
from tests.api.client import Client
from tests.api.test_access import token
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/users",
        "/api/v1/users/us_ada/statement",
        "/api/v1/orders",
        "/api/v1/orders/uo_ada",
        "/api/v1/balances",
        "/api/v1/assets",
        "/api/v1/pools",
        "/api/v1/pools/btcusdt",
        "/api/v1/pools/btcusdt/fills?limit=5",
        "/api/v1/market/live",
        "/api/v1/ledger/trial-balance",
        "/api/v1/ledger/accounts/pool:btcusdt:capital/entries?limit=3",
        "/api/v1/ledger/transactions?limit=3",
        "/api/v1/ledger/transactions/1",
        "/api/v1/custody",
        "/api/v1/health",
    ],
)
async def test_everything_that_can_be_seen_is_json_without_a_float(
    client: Client, path: str
) -> None:
    answer = await client.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"

    def refuse(text: str) -> None:
        raise AssertionError(f"a float: {text}")

    json.loads(answer.body, parse_float=refuse)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/nothing", 404, "not_found"),
        ("/api/v1/orders/none", 404, "not_found"),
        ("/api/v1/pools/none", 404, "unknown_pool"),
        ("/api/v1/ledger/transactions/999999", 404, "not_found"),
        ("/api/v1/ledger/transactions?limit=501", 422, "invalid"),
        ("/api/v1/users/us_ada/statement?after=-1", 422, "invalid"),
        ("/api/v1/orders/uo_ada/pause", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_with_a_correlation_id(
    client: Client, path: str, status: int, code: str
) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["correlation_id"] == answer.headers["correlation-id"]


async def test_a_page_of_entries_continues_where_the_last_one_ended(client: Client) -> None:
    path = "/api/v1/ledger/accounts/pool:btcusdt:capital/entries"
    whole = (await client.get(f"{path}?limit=500")).json["entries"]
    first = (await client.get(f"{path}?limit=4")).json
    rest = (await client.get(f"{path}?limit=500&after={first['next_after']}")).json
    assert first["entries"] + rest["entries"] == whole


@pytest.mark.parametrize(
    ("path", "cursor", "key"),
    [
        ("/api/v1/users", "after", "user_id"),
        ("/api/v1/orders", "before", "order_id"),
        ("/api/v1/withdrawals", "before", "withdrawal_id"),
        ("/api/v1/tokens", "after", "token_id"),
        ("/api/v1/transfers", "after", "transfer_id"),
        ("/api/v1/rewards", "after", "reward_id"),
        ("/api/v1/ledger/transactions", "before", "seq"),
    ],
)
async def test_found_35_a_list_read_page_by_page_is_the_whole_list(
    world: FakeWorld, client: Client, path: str, cursor: str, key: str
) -> None:
    world.order_rows = dict(sorted(world.order_rows.items(), reverse=True))
    whole = (await client.get(f"{path}?limit=500")).json
    found: list[object] = []
    after = ""
    for _ in range(500):
        page = await client.get(f"{path}?limit=1&{cursor}={after}" if after else f"{path}?limit=1")
        found += [row[key] for row in page.json]
        after = page.headers.get("next-cursor", "")
        if not after:
            break
    assert found == [row[key] for row in whole]


async def test_found_35_a_users_payouts_are_not_hidden_by_those_of_others(
    world: FakeWorld, client: Client
) -> None:
    one = world.withdrawal_rows[0]
    world.withdrawal_rows = [
        replace(one, withdrawal_id=f"wd_{n:04}", user_id="us_ada" if n == 1 else "us_bo")
        for n in range(999, 0, -1)
    ]
    mine = client.as_(token(world, Role.USER, ROLE_SCOPES[Role.USER]))
    assert [row["withdrawal_id"] for row in (await mine.get("/api/v1/withdrawals")).json] == [
        "wd_0001"
    ]
    assert (await mine.get("/api/v1/withdrawals/wd_0001")).status == 200
    assert (await mine.get("/api/v1/withdrawals/wd_0002")).status == 404


async def test_the_stream_tells_transactions_from_the_last_event_on() -> None:
    world = FakeWorld(SystemClock())
    world.furnish()
    client = Client(create_api(world.platform()), OPERATOR_TOKEN)
    reading = world.happenings

    async def once(after: int, limit: int) -> object:
        world.stopping.set()
        return await reading(after, limit)

    world.happenings = once  # type: ignore[assignment, method-assign]
    last = len(world.rows) - 2
    answer = await client.get("/api/v1/stream", {"last-event-id": str(last)})
    assert answer.headers["content-type"].startswith("text/event-stream")
    ids = [line for line in answer.text.splitlines() if line.startswith("id: ")]
    assert ids == [f"id: {last + 1}", f"id: {last + 2}"]


def test_both_languages_have_the_same_sentences() -> None:
    assert CATALOGUES.languages == ("en", "zh")
    assert CATALOGUES.keys("en") == CATALOGUES.keys("zh")
