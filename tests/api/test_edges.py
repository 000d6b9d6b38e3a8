"""Whatever comes in, the answer is one of the API's own, and nothing happens (api invariant 7)."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from poolmaker.api.budgets import BudgetSizes
from poolmaker.api.params import unbounded
from poolmaker.api.server import create_api, routes
from tests.api.client import Client
from tests.api.test_access import BODIES, COMMON, OWN, ROWS
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld

TEXT = st.text(min_size=1, max_size=200)
ODD = ["\0", "%00", "9" * 23, "-1", "2" * 5_000, "..", "\ud7ff", "' OR 1=1 --", "\r\n", "a\0b"]
NAMED = [row for row in ROWS if "{" in row[1] and "{account}" not in row[1]]
"""Every route about one thing; an account that never had an entry is an empty list."""
WORLD = FakeWorld()
WORLD.furnish()
WORLD.stopping.set()
API = create_api(WORLD.platform(), sizes=BudgetSizes(burst=100_000))


def client() -> Client:
    return Client(API, OPERATOR_TOKEN)


def test_every_parameter_of_every_route_has_a_bounded_form() -> None:
    for route in routes():
        assert list(unbounded(route.dependant)) == [], route.path


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("row", NAMED, ids=" ".join)
async def test_found_49_an_odd_path_is_not_found_or_not_valid(
    row: tuple[str, str], odd: str
) -> None:
    method, path = row
    for name in (*OWN, *COMMON):
        path = path.replace(f"{{{name}}}", odd)
    before = list(WORLD.calls)
    answer = await client().call(method, path, b"{}", {"idempotency-key": "key-12345678"})
    assert answer.status in (404, 405, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert before == WORLD.calls


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    row=st.sampled_from(sorted(ROWS)),
    odd=TEXT,
    query=st.dictionaries(
        st.sampled_from(["after", "before", "limit", "from_us", "to_us", "ended", "x"]), TEXT
    ),
    header=st.dictionaries(
        st.sampled_from(
            ["last-event-id", "accept-language", "content-length", "authorization", "content-type"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
    ),
    body=st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
            lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
@example(
    row=("GET", "/api/v1/ledger/transactions/{seq}"), odd="9" * 23, query={}, header={}, body=b""
)
@example(row=("GET", "/api/v1/orders/{order_id}"), odd="\0", query={}, header={}, body=b"")
@example(
    row=("GET", "/api/v1/stream"), odd="x", query={}, header={"last-event-id": "9" * 23}, body=b""
)
def test_found_49_whatever_is_sent_the_answer_is_one_of_ours(
    row: tuple[str, str],
    odd: str,
    query: dict[str, str],
    header: dict[str, str],
    body: bytes,
) -> None:
    method, path = row
    for name in (*OWN, *COMMON):
        path = path.replace(f"{{{name}}}", odd)
    said = "&".join(f"{name}={quote(value, errors='ignore')}" for name, value in query.items())
    WORLD.requests.rows.clear()
    WORLD.requests.working.clear()
    headers = {"idempotency-key": "key-12345678", "content-type": "application/json"}
    sent = headers | {
        name: value.encode("latin-1").decode("latin-1") for name, value in header.items()
    }
    found = asyncio.run(client().call(method, f"{path}?{said}", body, sent))
    assert found.status < 500, (found.status, found.text)
    assert found.status != 200 or method == "GET"


async def test_found_53_another_method_is_answered_as_405_with_what_is_allowed() -> None:
    for path, allowed in (("/api/v1/pools", "GET"), ("/api/v1/withdrawals", "GET, POST")):
        for method in ("DELETE", "PUT", "PATCH", "HEAD"):
            answer = await client().call(method, path, b"", {})
            assert answer.status == 405, method
            assert answer.headers["allow"] == allowed
            assert answer.headers["content-type"] == "application/problem+json"
    answer = await client().call("DELETE", "/api/v1/orders/uo_ada", b"", {})
    assert answer.status == 405
    answer = await client().get("/api/v1/none")
    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] == "POST"], ids=" ".join)
async def test_found_53_a_post_needs_its_key_as_the_description_says(row: tuple[str, str]) -> None:
    operation = API.openapi()["paths"][row[1]]["post"]
    parameters = operation.get("parameters", [])
    keys = [one["required"] for one in parameters if one["name"] == "Idempotency-Key"]
    path = row[1]
    for name, value in {**OWN, **COMMON}.items():
        path = path.replace(f"{{{name}}}", value)
    answer = await client().post(path, BODIES.get(row[1], {}), key="")
    # What a body lacks is said before what the headers lack.
    expected = (400, 422) if keys == [True] else (201, 422)
    assert answer.status in expected, answer.text


async def test_found_53_a_body_that_is_not_json_says_so() -> None:
    body = json.dumps(BODIES["/api/v1/users"]).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"idempotency-key": f"key-12345678-{kind.replace('/', '-')}"}
        answer = await client().call(
            "POST", "/api/v1/users", body, headers | {"content-type": kind}
        )
        assert answer.status in (415, 422), kind


async def test_found_29_of_parallel_requests_one_has_an_effect_and_all_get_its_answer() -> None:
    world = FakeWorld()
    world.furnish()
    shared = Client(create_api(world.platform()), OPERATOR_TOKEN)
    made = await shared.post("/api/v1/users", BODIES["/api/v1/users"])
    path = f"/api/v1/users/{made.json['user_id']}/tokens"
    before = len(world.people.granted)
    answers = await asyncio.gather(*(shared.post(path, {}, key="one-key-1") for _ in range(6)))
    assert len(world.people.granted) == before + 1
    tokens = {answer.json.get("token") for answer in answers if answer.status == 201}
    assert len(tokens - {None}) == 1
    assert {answer.status for answer in answers} <= {201, 409}


async def test_found_29_who_finds_a_key_at_work_for_long_gets_409_and_may_ask_again() -> None:
    world = FakeWorld()
    world.furnish()
    shared = Client(create_api(world.platform()), OPERATOR_TOKEN)
    await world.requests.claim("operator:operator", "one-key-1", b"x" * 32, "co_1")
    (row,) = world.requests.rows
    path = "/api/v1/users"
    answer = await shared.post(path, BODIES[path], key="one-key-2")
    assert answer.status == 201
    fingerprint, claim = world.requests.rows[row[0], "one-key-2"]
    world.requests.rows[row[0], "one-key-2"] = (
        fingerprint,
        type(claim)(claim.made_id, same=True, answer=None, is_mine=False),
    )
    answer = await shared.post(path, BODIES[path], key="one-key-2")
    assert (answer.status, answer.json["code"]) == (409, "key_in_progress")
    assert answer.headers["retry-after"] == "1"


async def test_found_53_a_whole_number_is_an_integer_however_json_writes_it() -> None:
    act: dict[str, object] = {"number": 2.0, "of": 9, "name": "money", "started_at_us": 5.0}
    assert (await client().post("/api/v1/sandbox/story", act)).status == 201
    for odd in (2.5, "2", True, None):
        answer = await client().post("/api/v1/sandbox/story", act | {"number": odd})
        assert answer.status == 422, odd
