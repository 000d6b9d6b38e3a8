"""Who is let in: tokens over the raw bytes, grants within their scopes, errors in-band."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from poolmaker.mixin.codec.encoding import from_base64url, to_base64url
from poolmaker.mixin.codec.keys import seed_public_key
from poolmaker.mixin.codec.login import challenge, verifier
from poolmaker.mixin.codec.tokens import (
    Grant,
    Issue,
    WireRequest,
    grant_token,
    read_token,
    response_digest,
)
from tests.support.mixin import ADDRESS, USDT, LocalMixin, fresh_id, local_mixin

SEED = bytes(range(32))
VERIFIER = verifier(SEED)


@pytest.fixture
async def mixin() -> AsyncIterator[LocalMixin]:
    async with local_mixin() as found:
        yield found


async def _code(mixin: LocalMixin, signed: WireRequest, sent: WireRequest, shift_s: int = 0) -> int:
    token = mixin.token(mixin.bot, signed, fresh_id(), shift_s)
    headers = {"Authorization": f"Bearer {token}"}
    status, said, _ = await mixin.raw(sent.method, sent.uri, sent.body, headers)
    assert status == (202 if "error" in said else 200)
    return int(said.get("error", {}).get("code", 0))


async def test_a_token_is_good_for_the_very_bytes_it_was_made_for(mixin: LocalMixin) -> None:
    plain = WireRequest("GET", "/safe/snapshots?offset=2026-01-01T00:00:00Z")
    escaped = WireRequest("GET", "/safe/snapshots?offset=2026-01-01T00%3A00%3A00Z")
    post = WireRequest("POST", "/users/fetch", b'["a"]')
    spaced = WireRequest("POST", "/users/fetch", b'["a" ]')
    for one, other in ((plain, escaped), (post, spaced)):
        assert await _code(mixin, one, one) == 0
        assert await _code(mixin, other, other) == 0
        assert await _code(mixin, one, other) == 401
        assert await _code(mixin, other, one) == 401
    assert await _code(mixin, plain, WireRequest("POST", plain.uri)) == 404


@pytest.mark.parametrize(("shift_s", "code"), [(-400, 401), (400, 401), (-100, 0), (100, 0)])
async def test_a_token_is_good_around_now(mixin: LocalMixin, shift_s: int, code: int) -> None:
    me = WireRequest("GET", "/me")
    assert await _code(mixin, me, me, shift_s) == code


async def test_nobody_calls_without_a_token_or_with_another_ones_key(mixin: LocalMixin) -> None:
    status, said, _ = await mixin.raw("GET", "/me")
    assert (status, said["error"]["code"]) == (202, 401)
    mixed = {**mixin.bot, "session_private_key": mixin.users[0]["session_private_key"]}
    assert (await mixin.call("GET", "/me", store=mixed))["error"]["code"] == 401
    moved = {**mixin.bot, "session_id": mixin.users[0]["session_id"]}
    assert (await mixin.call("GET", "/me", store=moved))["error"]["code"] == 401


async def test_a_user_sees_his_own_outputs_only(mixin: LocalMixin) -> None:
    user = mixin.users[1]
    found = await mixin.call("GET", f"/safe/outputs?asset={USDT}", store=user)
    assert [one["receivers"] for one in found] == [[user["app_id"]]]
    members = found[0]["receivers_hash"]
    assert await mixin.call("GET", f"/safe/outputs?members={members}&threshold=1") == []


@pytest.mark.parametrize(
    ("method", "uri", "body", "code"),
    [
        ("GET", "/nowhere", None, 404),
        ("GET", "/safe/outputs?offset=-1", None, 10002),
        ("GET", "/safe/outputs?state=burnt", None, 10002),
        ("GET", "/safe/snapshots?offset=yesterday", None, 10002),
        ("GET", f"/safe/assets/{fresh_id()}", None, 404),
        ("GET", f"/safe/assets/{USDT}/fees?destination=nowhere", None, 30102),
        ("GET", f"/external/addresses/check?asset={USDT}&destination=0x1", None, 30102),
        ("POST", "/safe/keys", {"keys": "all"}, 10002),
        (
            "POST",
            "/safe/keys",
            [{"receivers": [fresh_id()], "index": 0, "hint": fresh_id()}],
            10404,
        ),
        ("POST", "/safe/keys", [{"receivers": [], "index": 0, "hint": fresh_id()}], 10002),
        ("POST", "/safe/transaction/requests", [{"request_id": "x", "raw": "7777"}], 10002),
        ("POST", "/safe/transaction/requests", [{"request_id": fresh_id(), "raw": "zz"}], 10002),
        ("POST", "/safe/transactions", [{"request_id": fresh_id(), "raw": "7777"}], 404),
        ("POST", "/safe/deposit/entries", {"chain_id": fresh_id()}, 10002),
        ("POST", "/messages", [{"message_id": fresh_id()}], 10404),
        ("POST", "/messages", [{}] * 101, 10002),
        ("POST", "/conversations", {"category": "GROUP"}, 10002),
    ],
)
async def test_what_makes_no_sense_is_refused_in_band(
    mixin: LocalMixin, method: str, uri: str, body: object, code: int
) -> None:
    assert (await mixin.call(method, uri, body))["error"]["code"] == code


async def test_a_body_that_is_not_json_is_refused(mixin: LocalMixin) -> None:
    broken = WireRequest("POST", "/users/fetch", b"{")
    assert await _code(mixin, broken, broken) == 400


async def test_an_address_is_checked_and_fees_are_told(mixin: LocalMixin) -> None:
    uri = f"/external/addresses/check?asset={USDT}&destination={ADDRESS}"
    assert (await mixin.call("GET", uri))["destination"] == ADDRESS
    fees = await mixin.call("GET", f"/safe/assets/{USDT}/fees?destination={ADDRESS}")
    assert fees[0]["asset_id"] == USDT
    assert len(fees) == 2


async def _grant(mixin: LocalMixin, scopes: list[str], **proof: str) -> dict[str, str]:
    order = {"user": "1", "scopes": scopes, "code_challenge": challenge(VERIFIER)}
    code = (await mixin.admin("POST", "/oauth/codes", order))["code"]
    body = {"client_id": mixin.bot["app_id"], "code": code, **proof}
    _, said, _ = await mixin.raw("POST", "/oauth/token", json.dumps(body).encode())
    found: dict[str, str] = said.get("data", said)
    return found


async def test_a_bearer_token_reads_what_was_granted_and_nothing_else(mixin: LocalMixin) -> None:
    token = (await _grant(mixin, ["PROFILE:READ"], code_verifier=VERIFIER))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    _, said, _ = await mixin.raw("GET", "/me", headers=headers)
    assert said["data"]["user_id"] == mixin.users[0]["app_id"]
    for uri in ("/safe/outputs", "/safe/snapshots", "/safe/deposit/entries"):
        _, said, _ = await mixin.raw("GET", uri, headers=headers)
        assert said["error"]["code"] in {403, 404}
    body = json.dumps([]).encode()
    _, said, _ = await mixin.raw("POST", "/safe/transactions", body, headers)
    assert said["error"]["code"] == 403
    await mixin.admin("POST", "/oauth/revoke", {"user": "1"})
    _, said, _ = await mixin.raw("GET", "/me", headers=headers)
    assert said["error"]["code"] == 401


async def test_the_challenge_of_rfc_7636_is_not_mixins(mixin: LocalMixin) -> None:
    assert (await _grant(mixin, ["PROFILE:READ"]))["error"]
    wrong = await _grant(mixin, ["PROFILE:READ"], code_verifier=verifier(bytes(32)))
    assert wrong["error"]
    assert (await _grant(mixin, ["PROFILE:READ"], client_secret="no"))["error"]
    assert (await _grant(mixin, ["PROFILE:READ"], code_verifier=VERIFIER))["access_token"]


async def test_signed_grants_bind_the_request_id_and_answers_are_signed_back(
    mixin: LocalMixin,
) -> None:
    public = to_base64url(seed_public_key(SEED))
    made = await _grant(mixin, ["PROFILE:READ"], code_verifier=VERIFIER, ed25519=public)
    grant = Grant(mixin.bot["app_id"], made["authorization_id"], made["scope"], SEED)
    request, request_id = WireRequest("GET", "/me"), fresh_id()
    now_s = mixin.server.house.world.clock.now_us() // 1_000_000
    token = grant_token(grant, request, Issue(request_id, now_s))
    headers = {"Authorization": f"Bearer {token}", "X-Request-Id": request_id}
    url = mixin.addresses.api + "/me"
    async with mixin.session.get(url, headers=headers) as answer:
        body = await answer.read()
        proof = read_token(answer.headers["X-Integrity-Token"])
    assert json.loads(body)["data"]["user_id"] == mixin.users[0]["app_id"]
    assert proof.is_by(from_base64url(made["ed25519"]))
    assert proof.claims["sig"] == response_digest(request, body)
    assert proof.claims["jti"] == request_id
    _, said, _ = await mixin.raw("GET", "/me", headers={**headers, "X-Request-Id": fresh_id()})
    assert said["error"]["code"] == 401
