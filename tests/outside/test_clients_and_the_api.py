"""A running platform under greedy clients, and under programs that nobody here wrote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from poolmaker.app.doctor import examine_outside
from poolmaker.infra.postgres.doctor import Finding
from poolmaker.infra.settings import load
from tests.support.platforms import USDT, RunningPlatform, running_platform
from tests.support.programs import environment_with, run_outside

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("platform")]
STREAMS = 2_000
HALF_OPEN = 1_005
SLOW_BODIES = 300


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as found:
        yield found


def make_user(platform: RunningPlatform, name: str, wallet: int) -> dict[str, Any]:
    body = {"name": name, "mixin_id": platform.mixin["users"][wallet]["app_id"]}
    made = platform.post("/users", body)
    assert made.status == 201, made.body
    found: dict[str, Any] = made.json
    return found


@pytest.fixture(scope="module")
def ada(platform: RunningPlatform) -> dict[str, Any]:
    """A user whose order makes the market."""
    user = make_user(platform, "ada", 0)
    for asset, network, amount in (("USDT", "ETH", "20000"), ("BTC", "BTC", "0.3")):
        reference = f"tx-of-{asset.lower()}"
        arrived = {"account": 1, "asset": asset, "network": network, "amount": amount}
        platform.at_venue("/deposit", {**arrived, "tx_id": reference})
        told = {"asset": asset, "amount": amount, "reference": reference}
        path = f"/users/{user['user_id']}/deposits"
        platform.insist(path, {"location": "custody:venue:main", **told})
    order = {"pool_id": "btcusdt", "base": "0.3", "quote": "20000"}
    assert platform.post("/orders", order, user["token"]).status == 201
    platform.until(lambda: any(row["own"] for row in platform.get("/market/live")), "quotes")
    return user


@pytest.fixture(scope="module")
def bo(platform: RunningPlatform) -> dict[str, Any]:
    return make_user(platform, "bo", 1)


async def _open(port: int, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(head.encode())
        await writer.drain()
    return reader, writer


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the answer, 0 for a connection that was cut."""
    try:
        async with asyncio.timeout(60):
            line = await reader.readline()
    except (ConnectionError, TimeoutError):
        return 0
    return int(line.split()[1]) if line else 0


@contextlib.asynccontextmanager
async def _crowd(port: int, head: str, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    # This process needs a file for each; the platform has started with the limit of its user.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = []
    try:
        for begin in range(0, count, 100):
            some = min(100, count - begin)
            opened += await asyncio.gather(*(_open(port, head) for _ in range(some)))
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()


def _goes_on(platform: RunningPlatform, wallet: int, memo: str) -> None:
    """Engine, writer and sagas work: orders are placed anew, a stray payment goes back."""
    before = platform.get("/market/live")[0]["orders_placed"]
    seq = platform.get("/ledger/trial-balance")["seq"]
    bot = platform.mixin["bot"]["app_id"]
    payment = {"opponent": bot, "asset": USDT.asset_id, "amount": "5", "memo": memo}
    sender = platform.mixin["users"][wallet - 1]["app_id"]

    def refunded() -> list[bool]:
        rows = platform.get("/arrivals")
        return [row["state"] == "refunded" for row in rows if row["sender"] == sender]

    earlier = len(refunded())
    platform.at_mixin("/pay", {"user": str(wallet), **payment})

    def is_back() -> bool:
        found = refunded()
        return len(found) > earlier and all(found)

    platform.until(is_back, "the refund of a stray payment")
    placed = "orders_placed"
    platform.until(lambda: platform.get("/market/live")[0][placed] > before, "a new order")
    assert platform.get("/ledger/trial-balance")["seq"] > seq
    health = platform.get("/health")
    parts = {check["name"]: check for check in health["checks"]}
    for name in ("ledger", "sagas", "engine main", "web"):
        assert parts[name]["ok"], parts[name]


def test_found_33_two_thousand_event_streams_of_one_user_starve_nobody(
    platform: RunningPlatform, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    head = f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada['token']}\r\n\r\n"

    async def flood() -> Counter[int]:
        async with _crowd(platform.port, head, STREAMS) as readers:
            statuses = Counter(await asyncio.gather(*map(_status, readers)))
            await asyncio.to_thread(_goes_on, platform, 3, "during two thousand streams")
            others = platform.call("GET", "/api/v1/orders", token=bo["token"])
            assert others.status == 200
        return statuses

    statuses = asyncio.run(flood())
    assert 1 <= statuses[200] <= 4, statuses
    assert set(statuses) <= {0, 200, 429, 503}, statuses
    assert platform.call("GET", "/api/v1/orders", token=bo["token"]).status == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /api/v1/health HTTP/1.1\r\nHost: x\r\nAuthor",
        "POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{",
        "",
    ],
    ids=["half a header", "a slow body", "nothing at all"],
)
def test_found_34_sockets_that_say_nothing_useful_starve_nobody(
    platform: RunningPlatform, ada: dict[str, Any], head: str
) -> None:
    count = HALF_OPEN if not head.startswith("POST") else SLOW_BODIES

    async def hold() -> None:
        async with _crowd(platform.port, head, count):
            for _ in range(20):
                health = await asyncio.to_thread(platform.call, "GET", "/api/v1/health")
                assert health.status == 200
                own = await asyncio.to_thread(
                    platform.call, "GET", "/api/v1/orders", token=ada["token"]
                )
                assert own.status == 200
            await asyncio.to_thread(_goes_on, platform, 4, f"while {count} say: {head[:4]}")

    asyncio.run(hold())


def test_found_33_a_client_that_asks_too_often_is_told_when_to_come_again(
    platform: RunningPlatform, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    answers = [platform.call("GET", "/api/v1/assets", token=bo["token"]) for _ in range(400)]
    refused = [answer for answer in answers if answer.status != 200]
    for answer in refused:
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"] == "application/problem+json"
    assert platform.call("GET", "/api/v1/assets", token=ada["token"]).status == 200


def test_found_25_money_goes_to_the_users_own_wallet_whoever_asks(
    platform: RunningPlatform, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    body = {"pool_id": "btcusdt", "base": "0", "quote": "500"}
    order = platform.post("/orders", body, ada["token"])
    assert order.status == 201, order.body
    path = f"/orders/{order.json['order_id']}/withdraw"
    for address in (bo["mixin_id"], "0x" + "ab" * 20):
        network = "mixin" if address == bo["mixin_id"] else "MATIC"
        payout = [
            {"asset": asset, "network": network, "address": address} for asset in ("BTC", "USDT")
        ]
        for token in (ada["token"], platform.token):
            answer = platform.post(path, {"payout": payout}, token)
            assert answer.status == 409, answer.body
    assert platform.get("/withdrawals", ada["token"]) == []
    assert platform.post(path, {}, bo["token"]).status == 404


def test_found_26_a_token_is_listed_rotated_revoked_and_refused_at_once(
    platform: RunningPlatform, ada: dict[str, Any]
) -> None:
    made = platform.post(f"/users/{ada['user_id']}/tokens", {"scopes": ["read", "tokens"]}).json
    token, token_id = made["token"], made["token_id"]
    assert platform.call("GET", "/api/v1/orders", token=token).status == 200
    order = {"pool_id": "btcusdt", "base": "0", "quote": "1"}
    assert platform.post("/orders", order, token).json["code"] == "scope_missing"
    wider = platform.post(f"/users/{ada['user_id']}/tokens", {}, token)
    assert wider.json["code"] == "scope_missing"
    rotated = platform.post(f"/tokens/{token_id}/rotate", {}, token)
    assert rotated.status == 201, rotated.body
    assert platform.call("GET", "/api/v1/orders", token=token).status == 401
    fresh = rotated.json["token"]
    listed = {row["token_id"]: row for row in platform.get("/tokens", fresh)}
    assert listed[token_id]["revoked_at_us"] > 0
    assert listed[rotated.json["token_id"]]["expires_at_us"] > 0
    assert fresh not in json.dumps(listed)
    assert platform.post(f"/tokens/{rotated.json['token_id']}/revoke", {}).status == 201
    assert platform.call("GET", "/api/v1/orders", token=fresh).status == 401


def test_found_29_six_parallel_requests_under_one_key_make_one_token(
    platform: RunningPlatform, ada: dict[str, Any]
) -> None:
    path = f"/api/v1/users/{ada['user_id']}/tokens"

    async def all_at_once() -> list[Any]:
        asks = [
            asyncio.to_thread(platform.call, "POST", path, {}, None, "one-key-for-six")
            for _ in range(6)
        ]
        return await asyncio.gather(*asks)

    before = {row["token_id"] for row in platform.get("/tokens", ada["token"])}
    answers = asyncio.run(all_at_once())
    after = {row["token_id"] for row in platform.get("/tokens", ada["token"])}
    assert len(after - before) == 1
    assert {answer.status for answer in answers} <= {201, 409, 429}
    shown = {answer.json.get("token") for answer in answers if answer.status == 201} - {None}
    assert len(shown) == 1
    assert platform.call("GET", "/api/v1/orders", token=shown.pop()).status == 200


def test_a_second_person_lets_a_token_of_the_staff_be_granted(platform: RunningPlatform) -> None:
    treasurer = (platform.home / "treasurer.token").read_text("utf-8").strip()
    body = {"name": "vera", "role": "viewer"}
    first = platform.post("/tokens", body)
    assert (first.status, first.json["code"]) == (409, "approval_pending")
    approval = first.json["facts"]["approval_id"]
    own = platform.post(f"/approvals/{approval}/approve", {})
    assert own.json["code"] == "second_person_needed"
    assert platform.post(f"/approvals/{approval}/approve", {}, treasurer).status == 201
    made = platform.post("/tokens", body)
    assert made.status == 201, made.body
    assert platform.get("/custody", made.json["token"]) is not None
    assert platform.post("/tokens", body).json["code"] == "approval_pending"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/orders/%00",
        "/api/v1/users/%00",
        f"/api/v1/ledger/transactions/{'9' * 23}",
        f"/api/v1/ledger/transactions?after={'9' * 23}",
        "/api/v1/orders?before=%00",
        "/api/v1/pools/%ff%fe",
        "/account/%00",
        f"/entry/{'9' * 23}",
        f"/account/platform:equity?after={'9' * 23}",
    ],
)
def test_found_49_an_odd_address_is_not_found_or_not_valid(
    platform: RunningPlatform, path: str
) -> None:
    answer = platform.call("GET", path)
    assert answer.status in (200, 404, 422), answer.body
    assert answer.status != 200 or path.startswith("/account/platform")


def test_found_53_another_method_is_405(platform: RunningPlatform) -> None:
    answer = platform.call("DELETE", "/api/v1/pools")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


def doctor(config: Path, changes: dict[str, str]) -> dict[str, Finding]:
    """What the doctor hears for the running platform's configuration with some texts changed."""
    text = config.read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    changed = config.with_name("doctor.toml")
    changed.write_text(text, "utf-8")
    return {one.name: one for one in asyncio.run(examine_outside(load(changed, {})))}


def test_found_51_the_doctor_asks_the_services_their_keys_and_their_clocks(
    platform: RunningPlatform,
) -> None:
    config = platform.home.parent / "platform.toml"
    command = [sys.executable, "-m", "poolmaker.cli", "doctor", "--json", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = {one["name"] for one in json.loads(done.stdout)["findings"]}
    venue = {f"venue main {name}" for name in ("clock", "key", "market")}
    assert venue | {"Mixin clock", "Mixin bot", "port"} <= asked
    key, bot = platform.venue["accounts"][0], platform.mixin["bot"]
    other = bot["app_id"][:-1] + ("1" if bot["app_id"].endswith("0") else "0")
    wrong: list[tuple[str, dict[str, str], str]] = [
        ("venue main key", {key["secret"]: "another-secret"}, "ignature"),
        (
            "venue main key",
            {key["key"]: key["ro_key"], key["secret"]: key["ro_secret"]},
            "lacks enableSpotAndMarginTrading",
        ),
        ("venue main clock", {platform.venue["rest"]: "http://127.0.0.1:1"}, ""),
        ("Mixin bot", {bot["spend_private_key"]: "33" * 32}, "spend key"),
        ("Mixin bot", {bot["session_private_key"]: "44" * 32}, ""),
        ("Mixin bot", {bot["app_id"]: other}, ""),
    ]
    for name, changes, said in wrong:
        found = doctor(config, changes)[name]
        assert not found.ok, found
        assert said in found.sentence + found.remedy
        assert "\n" not in found.sentence


async def test_found_53_a_generated_client_works(
    platform: RunningPlatform, ada: dict[str, Any], tmp_path: Path
) -> None:
    python = await environment_with("openapi-python-client==0.29.1")
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(platform.get("/openapi.json")), "utf-8")
    code, said, problem = await run_outside(
        "env",
        f"PATH={python.parent}",
        str(python.with_name("openapi-python-client")),
        "generate",
        "--path",
        str(schema),
        "--output-path",
        str(tmp_path / "client"),
        "--meta",
        "none",
        "--fail-on-warning",
    )
    assert code == 0, said + problem
    ready = {"url": f"http://127.0.0.1:{platform.port}", "token": ada["token"]}
    program = Path(__file__).parent / "programs" / "generated_client.py"
    code, said, problem = await run_outside(
        str(python), str(program), str(tmp_path), json.dumps(ready)
    )
    assert code == 0, problem[-3_000:]
    seen = json.loads(said)
    assert seen["pools"] == ["btcusdt"]
    assert seen["order_states"]
    assert seen["made"] in ("CREATED", "LOCKED", "CLOSED", "FUNDING")
    assert seen["missing"] == [404, "not_found"]
    assert seen["unauthenticated"] == [401, "unauthenticated"]


# The last one: it revokes tokens and disables users as it goes.
async def test_found_53_schemathesis_finds_nothing(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    python = await environment_with("schemathesis==4.32.5")
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(platform.get("/openapi.json")), "utf-8")
    program = str(python.with_name("schemathesis"))
    code, said, problem = await run_outside(
        program,
        "run",
        str(schema),
        "--url",
        f"http://127.0.0.1:{platform.port}",
        "--header",
        f"Authorization: Bearer {platform.token}",
        "--exclude-path",
        "/api/v1/stream",
        "--phases=examples,coverage,fuzzing",
        "--max-examples=3",
        "--rate-limit=40/s",
        "--request-timeout=30",
        "--seed=7",
        "--no-color",
        "--max-time=30",
    )
    assert code == 0, said.partition("= FAILURES =")[2][:6_000] + problem[-2_000:]
