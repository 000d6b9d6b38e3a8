"""What changes something: keys, amounts, refusals, tokens."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from poolmaker.api.ports import ActionRefused, Incoming, NewOrder, NewPayout
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from tests.api.client import Client
from tests.e2e.world import FakeWorld

DEPOSIT = {"location": "custody:venue:main", "asset": "USDT", "amount": "12.5", "reference": "tx1"}
PAYOUT = [{"asset": a, "network": a, "address": f"address-{a}"} for a in ("BTC", "USDT")]


def wallet(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


async def _user(client: Client, name: str = "cleo") -> dict[str, Any]:
    made = await client.post("/api/v1/users", {"name": name, "mixin_id": wallet(name)})
    assert made.status == 201
    answer: dict[str, Any] = made.json
    return answer


async def test_a_post_without_an_idempotency_key_is_refused(client: Client) -> None:
    answer = await client.post(
        "/api/v1/users", {"name": "cleo", "mixin_id": wallet("cleo")}, key=""
    )
    assert (answer.status, answer.json["code"]) == (400, "key_missing")


async def test_a_repeated_wish_is_answered_as_the_first_and_moves_nothing_twice(
    client: Client, world: FakeWorld
) -> None:
    user = await _user(client)
    path = f"/api/v1/users/{user['user_id']}/deposits"
    first = await client.post(path, DEPOSIT, key="deposit-1")
    again = await client.post(path, DEPOSIT, key="deposit-1")
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    assert again.headers["idempotent-replayed"] == "true"
    assert [name for name, _ in world.calls] == ["CREDIT_DEPOSIT"]


async def test_the_same_key_with_another_body_is_a_conflict(
    client: Client, world: FakeWorld
) -> None:
    user = await _user(client)
    path = f"/api/v1/users/{user['user_id']}/deposits"
    await client.post(path, DEPOSIT, key="deposit-1")
    answer = await client.post(path, DEPOSIT | {"amount": "13"}, key="deposit-1")
    assert (answer.status, answer.json["code"]) == (409, "key_conflict")
    assert len(world.calls) == 1


async def test_keys_of_two_callers_are_two_keys(client: Client) -> None:
    cleo, dan = await _user(client), await _user(client, "dan")
    body = {"pool_id": "btcusdt", "base": "0.1", "quote": "100"}
    one = await client.as_(cleo["token"]).post("/api/v1/orders", body, key="same-key-1")
    two = await client.as_(dan["token"]).post("/api/v1/orders", body, key="same-key-1")
    assert one.json["order_id"] != two.json["order_id"]


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Unavailable("away")])
async def test_what_is_not_known_is_not_stored_and_the_retry_names_the_same_order(
    client: Client, world: FakeWorld, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    user = await _user(client)
    seen: list[str] = []
    opened = world.open

    async def flaky(order: NewOrder) -> object:
        seen.append(order.request_id)
        if len(seen) == 1:
            raise error
        return await opened(order)

    monkeypatch.setattr(world, "open", flaky)
    body = {"pool_id": "btcusdt", "base": "0.1", "quote": "100"}
    mine = client.as_(user["token"])
    first = await mine.post("/api/v1/orders", body, key="order-key-1")
    again = await mine.post("/api/v1/orders", body, key="order-key-1")
    assert (first.status, again.status) == (503, 201)
    assert first.json["correlation_id"] == first.headers["correlation-id"]
    assert seen[0] == seen[1]
    assert again.json["order_id"] == f"uo_{seen[0]}"


async def test_a_refusal_is_stored_and_says_what_it_means_for_the_money(
    client: Client, world: FakeWorld
) -> None:
    user = await _user(client)
    world.refuse = ActionRefused("insufficient")
    body = {"pool_id": "btcusdt", "base": "0.1", "quote": "100"}
    mine = client.as_(user["token"])
    first = await mine.post("/api/v1/orders", body, key="order-key-1")
    world.refuse = None
    again = await mine.post("/api/v1/orders", body, key="order-key-1")
    assert (first.status, again.status) == (409, 409)
    assert first.headers["content-type"] == "application/problem+json"
    assert first.json == again.json
    assert first.json["money"] == "No money moved."
    assert first.json["what_to_do"] in first.json["detail"]


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (12.5, "invalid"),
        (12, "invalid"),
        ("-1", "invalid"),
        ("1e3", "invalid"),
        ("+1", "invalid"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "invalid"),
        (" 1", "invalid"),
        ("0", "bad_amount"),
        ("0.000000000", "bad_amount"),
        ("0.123456789", "bad_amount"),
        (None, "invalid"),
    ],
)
async def test_an_amount_is_an_exact_positive_decimal_text(
    client: Client, world: FakeWorld, amount: object, code: str
) -> None:
    user = await _user(client)
    path = f"/api/v1/users/{user['user_id']}/deposits"
    answer = await client.post(path, DEPOSIT | {"amount": amount})
    status = 422 if code == "invalid" else 409
    assert (answer.status, answer.json["code"]) == (status, code)
    assert world.calls == []


async def test_an_amount_reaches_the_port_unchanged(client: Client, world: FakeWorld) -> None:
    user = await _user(client)
    path = f"/api/v1/users/{user['user_id']}/deposits"
    await client.post(path, DEPOSIT | {"asset": "BTC", "amount": "0.10000001"})
    name, incoming = world.calls[0]
    assert name == "CREDIT_DEPOSIT"
    assert isinstance(incoming, Incoming)
    assert incoming.money.amount == "0.10000001"


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "DOGE"},
        {"location": "user:us_ada:available"},
        {"reference": ""},
        {"more": "x"},
    ],
)
async def test_a_deposit_that_makes_no_sense_is_refused(
    client: Client, world: FakeWorld, change: dict[str, str]
) -> None:
    user = await _user(client)
    answer = await client.post(f"/api/v1/users/{user['user_id']}/deposits", DEPOSIT | change)
    assert answer.status == (404 if "asset" in change else 422)
    assert world.calls == []


async def test_a_token_is_shown_once_and_its_hash_is_what_is_stored(
    client: Client, world: FakeWorld
) -> None:
    first = await client.post(
        "/api/v1/users", {"name": "cleo", "mixin_id": wallet("cleo")}, key="user-key-1"
    )
    again = await client.post(
        "/api/v1/users", {"name": "cleo", "mixin_id": wallet("cleo")}, key="user-key-1"
    )
    token = first.json["token"]
    assert again.json == first.json | {"token": None}
    assert token not in repr(world.requests.rows) + repr(world.people.granted)
    assert (await client.as_(token).get("/api/v1/orders")).status == 200


async def test_a_taken_name_is_refused(client: Client) -> None:
    await _user(client)
    answer = await client.post("/api/v1/users", {"name": "cleo", "mixin_id": wallet("cleo")})
    assert (answer.status, answer.json["code"]) == (409, "name_taken")


async def test_found_25_the_operator_never_names_where_a_users_money_goes(
    client: Client, world: FakeWorld
) -> None:
    own = [{"asset": a, "network": "mixin", "address": "us_ada-wallet"} for a in ("BTC", "USDT")]
    for payout in (PAYOUT, own):
        answer = await client.post("/api/v1/orders/uo_ada/withdraw", {"payout": payout})
        assert (answer.status, answer.json["code"]) == (409, "destination_refused")
    assert world.calls == []


@pytest.mark.parametrize("wish", ["pause", "resume", "withdraw"])
async def test_an_order_is_paused_resumed_and_withdrawn(
    client: Client, world: FakeWorld, wish: str
) -> None:
    answer = await client.post(f"/api/v1/orders/uo_ada/{wish}", {})
    assert answer.status == 201
    assert world.calls == [(wish, "uo_ada")]


async def test_what_waits_for_a_price_is_taken_back(client: Client, world: FakeWorld) -> None:
    answer = await client.post("/api/v1/orders/uo_ada/take-back", {})
    assert answer.status == 201
    assert world.calls == [("take_back", "uo_ada")]
    world.refuse = ActionRefused("still_waiting")
    answer = await client.post("/api/v1/orders/uo_ada/take-back", {})
    assert (answer.status, answer.json["code"]) == (409, "still_waiting")


async def test_a_body_beyond_the_limit_is_refused_unread(client: Client) -> None:
    answer = await client.post("/api/v1/users", raw=b"x" * 70_000)
    assert (answer.status, answer.json["code"]) == (413, "too_large")


async def test_a_story_is_told_only_in_the_sandbox(
    client: Client, live_client: Client, world: FakeWorld
) -> None:
    act = {"number": 2, "of": 9, "name": "money", "started_at_us": 5, "facts": {"users": "ada"}}
    assert (await client.post("/api/v1/sandbox/story", act)).status == 201
    told = world.told
    assert told is not None
    assert (told.number, told.name, told.facts) == (2, "money", {"users": "ada"})
    answer = await live_client.post("/api/v1/sandbox/story", act)
    assert (answer.status, answer.json["code"]) == (404, "sandbox_only")


async def test_an_error_speaks_the_language_of_the_caller(client: Client) -> None:
    answer = await client.get("/api/v1/orders/none", {"accept-language": "zh-CN,en;q=0.5"})
    assert answer.headers["content-language"] == "zh"
    assert answer.json["money"] == "资金没有变动。"


async def test_a_user_may_bring_his_mixin_id_and_a_wrong_one_is_refused(client: Client) -> None:
    mixin_id = "7766b24c-1a03-4c3a-83a3-b4358266875d"
    made = await client.post("/api/v1/users", {"name": "dora", "mixin_id": mixin_id})
    assert (made.status, made.json["mixin_id"]) == (201, mixin_id)
    wrong = await client.post("/api/v1/users", {"name": "ed", "mixin_id": "7766B24C"})
    assert (wrong.status, wrong.json["code"]) == (422, "invalid")


async def test_an_order_says_how_it_is_paid(client: Client, world: FakeWorld) -> None:
    mine = client.as_((await _user(client))["token"])
    body = {"pool_id": "btcusdt", "base": "1", "quote": "1"}
    assert (await mine.post("/api/v1/orders", body | {"pay": "mixin"})).status == 201
    assert (await mine.post("/api/v1/orders", body | {"pay": "balance"})).status == 201
    assert (await mine.post("/api/v1/orders", body)).status == 201
    orders = [order for _, order in world.calls if isinstance(order, NewOrder)]
    assert [order.pays_by_mixin for order in orders] == [True, False, False]
    assert (await mine.post("/api/v1/orders", body | {"pay": "cheque"})).status == 422


async def test_a_withdrawal_without_destination_goes_to_the_wallet_and_half_a_one_is_refused(
    client: Client, world: FakeWorld
) -> None:
    mine = client.as_((await _user(client))["token"])
    body = {"pool_id": "btcusdt", "base": "1", "quote": "1"}
    order = (await mine.post("/api/v1/orders", body)).json
    path = f"/api/v1/orders/{order['order_id']}/withdraw"
    half = [{"asset": "BTC", "network": "n", "address": "x"}]
    assert (await mine.post(path, {"payout": half})).status == 422
    assert (await mine.post(path, {"payout": [*half, *half]})).status == 422
    assert (await mine.post(path, {"payout": []})).status == 201
    assert [name for name, _ in world.calls] == ["open", "withdraw"]


async def test_available_money_goes_to_its_owners_wallet_once(
    client: Client, world: FakeWorld
) -> None:
    made = await _user(client)
    mine = client.as_(made["token"])
    body = {"asset": "USDT", "amount": "12.5"}
    first = await mine.post("/api/v1/withdrawals", body, key="payout-key-1")
    again = await mine.post("/api/v1/withdrawals", body, key="payout-key-1")
    assert (first.status, first.json["state"]) == (201, "REQUESTED")
    assert again.json == first.json
    (payout,) = [call for _, call in world.calls if isinstance(call, NewPayout)]
    assert (payout.user_id, payout.money.amount) == (made["user_id"], "12.5")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"asset": "USDT", "amount": "0"}, 409),
        ({"asset": "USDT", "amount": 5}, 422),
        ({"asset": "NONE", "amount": "5"}, 404),
        ({"asset": "USDT", "amount": "5", "user_id": "us_ada"}, 404),
        ({"asset": "USDT", "amount": "5", "address": "elsewhere"}, 422),
    ],
)
async def test_a_payout_that_makes_no_sense_or_is_somebody_elses_is_refused(
    client: Client, world: FakeWorld, body: dict[str, object], status: int
) -> None:
    mine = client.as_((await _user(client))["token"])
    assert (await mine.post("/api/v1/withdrawals", body)).status == status
    assert world.calls == []
