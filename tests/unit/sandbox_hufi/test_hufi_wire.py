"""The oracle's and the launcher's wire, beside a venue in the same loop and escrows in memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.chain.model import USDT
from poolmaker.sandbox.hufi.admin import HufiAdmin
from poolmaker.sandbox.hufi.auth import Tokens
from poolmaker.sandbox.hufi.calls import HufiApi
from poolmaker.sandbox.hufi.exchange import ExchangeReader
from poolmaker.sandbox.hufi.files import Files
from poolmaker.sandbox.hufi.jobs import Job, Jobs
from poolmaker.sandbox.hufi.launcher import LauncherApi
from poolmaker.sandbox.hufi.oracle import OracleApi
from poolmaker.sandbox.hufi.texts import iso
from poolmaker.sandbox.hufi.world import HufiWorld
from poolmaker.sandbox.serving import Ports, bind
from tests.support.escrows import MemoryEscrows
from tests.support.venue import LocalVenue, local_venue

NOWHERE = "0x" + "9" * 40


@dataclass
class LocalHufi:
    """HuFi inside the test's loop, with a client."""

    oracle: str
    launcher: str
    admin: str
    world: HufiWorld
    jobs: Jobs
    escrows: MemoryEscrows
    venue: LocalVenue
    session: aiohttp.ClientSession
    token: str | None = None

    async def ask(
        self, method: str, path: str, body: object = None, base: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:  # fmt: skip
        sent = dict(headers or {})
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        url = (base or self.oracle) + path
        async with self.session.request(method, url, json=body, headers=sent) as reply:
            raw = await reply.read()
            return reply.status, json.loads(raw) if raw else None

    async def log_in(self, wallet: Any) -> dict[str, str]:
        _, said = await self.ask("POST", "/auth/nonce", {"address": wallet.address})
        text = json.dumps(said, separators=(",", ":"))
        signature = "0x" + bytes(wallet.sign_message(encode_defunct(text=text)).signature).hex()
        body = {"address": wallet.address, "signature": signature}
        status, tokens = await self.ask("POST", "/auth", body)
        assert status == 200
        self.token = tokens["access_token"]
        found: dict[str, str] = tokens
        return found

    async def enrol(self, prefix: str = "ro_") -> tuple[int, Any]:
        body = {
            "exchangeName": "mexc", "apiKey": f"{prefix}key1", "secretKey": f"{prefix}secret1",
        }  # fmt: skip
        return await self.ask("POST", "/exchange-api-keys", body)

    async def launch(self, **changes: Any) -> str:
        start_ms = self.world.now_ms()
        manifest = {
            "type": "MARKET_MAKING", "exchange": "mexc", "pair": "HMT/USDT",
            "daily_volume_target": 1_000, "start_date": iso(start_ms),
            "end_date": iso(start_ms + 2 * 86_400_000), **changes,
        }  # fmt: skip
        address, _ = await self.escrows.create(USDT, 100_000_000, json.dumps(manifest))
        await self.jobs.run(Job.DISCOVERY)
        return address


@contextlib.asynccontextmanager
async def local_hufi() -> AsyncIterator[LocalHufi]:
    clock, ports = SystemClock(), Ports()
    timeout = aiohttp.ClientTimeout(total=20)
    async with local_venue() as venue, aiohttp.ClientSession(timeout=timeout) as session:
        escrows = MemoryEscrows(clock)
        exchange = ExchangeReader(session, venue.addresses.rest, clock)
        world = HufiWorld(escrows, exchange, Tokens(Rng(1), clock, 600, 3_600), clock)
        jobs = Jobs(world, Files())
        oracle = HufiApi(OracleApi(world, jobs).routes(), clock)
        launcher = HufiApi(LauncherApi(world).routes(), clock)
        admin = HufiAdmin(world, jobs, [oracle.faults, launcher.faults])
        try:
            yield LocalHufi(
                await ports.serve(bind(0), oracle.handle),
                await ports.serve(bind(0), launcher.handle),
                await ports.serve_app(bind(0), admin.app()),
                world, jobs, escrows, venue, session,
            )  # fmt: skip
        finally:
            await ports.close()


async def test_login_refresh_and_logout_as_on_the_real_wire() -> None:
    wallet = Account.create()
    async with local_hufi() as hufi:
        assert await hufi.ask("POST", "/auth/nonce", {"address": wallet.address}) == (
            200, {"nonce": "signup"},
        )  # fmt: skip
        wrong = {"address": wallet.address, "signature": "0x" + "11" * 65}
        status, body = await hufi.ask("POST", "/auth", wrong)
        assert (status, body["message"], body["path"]) == (401, "Invalid signature", "/auth")
        assert set(body) == {"message", "timestamp", "path"}
        status, body = await hufi.ask("POST", "/auth", {"address": "0x1", "signature": "0x"})
        assert (status, len(body["validation_errors"])) == (400, 2)
        first = await hufi.log_in(wallet)
        _, said = await hufi.ask("POST", "/auth/nonce", {"address": wallet.address})
        assert len(said["nonce"]) == 32
        status, second = await hufi.ask(
            "POST", "/auth/refresh", {"refresh_token": first["refresh_token"]}
        )
        assert status == 200
        status, body = await hufi.ask(
            "POST", "/auth/refresh", {"refresh_token": first["refresh_token"]}
        )
        assert (status, body["message"]) == (401, "Refresh token is not valid")
        third = await hufi.log_in(wallet)
        for token in (first, second, third):
            hufi.token = token["access_token"]
            assert (await hufi.ask("GET", "/me"))[1]["evm_address"] == wallet.address.lower()
        old = {"refresh_token": second["refresh_token"]}
        assert (await hufi.ask("POST", "/auth/refresh", old))[0] == 401
        last = {"refresh_token": third["refresh_token"]}
        assert await hufi.ask("POST", "/auth/logout", last) == (204, None)
        assert (await hufi.ask("POST", "/auth/refresh", last))[0] == 401
        hufi.token = "x.y.z"
        status, body = await hufi.ask("GET", "/me")
        assert (status, body["message"]) == (401, "Unauthorized")


async def test_keys_are_checked_live_and_a_missing_permission_is_named() -> None:
    async with local_hufi() as hufi:
        await hufi.log_in(Account.create())
        status, body = await hufi.enrol("wrong_")
        assert (status, body["message"]) == (
            422, "Provided API key can't be authorized on exchange",
        )  # fmt: skip
        assert body["details"]["missing_permissions"] == [
            "VIEW_ACCOUNT_BALANCE", "VIEW_DEPOSIT_ADDRESS", "VIEW_SPOT_TRADING_HISTORY",
        ]  # fmt: skip
        status, made = await hufi.enrol()
        assert status == 200
        assert (await hufi.enrol("")) == (200, made)
        assert (await hufi.ask("GET", "/exchange-api-keys"))[1] == [
            {"exchange_name": "mexc", "api_key": "key1", "is_valid": True,
             "missing_permissions": []}
        ]  # fmt: skip
        assert (await hufi.ask("GET", "/exchange-api-keys/exchanges"))[1] == ["mexc"]
        assert (await hufi.ask("GET", "/exchange-api-keys/mexc"))[0] == 403
        await hufi.venue.admin("DELETE", "/keys/key1")
        status, body = await hufi.ask("POST", "/exchange-api-keys/mexc/revalidate")
        assert (status, body["is_valid"], len(body["missing_permissions"])) == (200, False, 3)
        await hufi.venue.admin("POST", "/faults", {"endpoint": "*", "effect": "error"})
        status, body = await hufi.enrol()
        assert (status, body["message"]) == (503, "Error while checking exchange access")
        assert (await hufi.ask("DELETE", "/exchange-api-keys/mexc"))[0] == 204
        assert (await hufi.ask("POST", "/exchange-api-keys/mexc/revalidate"))[0] == 404
        other = {"exchange_name": "binance", "api_key": "a", "secret_key": "b"}
        assert (await hufi.ask("POST", "/exchange-api-keys", other))[0] == 400


async def test_joining_is_refused_with_the_first_reason() -> None:
    async with local_hufi() as hufi:
        address = await hufi.launch()
        body = {"chain_id": 1338, "address": address}
        assert (await hufi.ask("POST", "/campaigns/join", body))[0] == 401
        await hufi.log_in(Account.create())
        status, said = await hufi.ask("POST", "/campaigns/join", body)
        assert (status, said["message"]) == (422, "Exchange API key not found")
        await hufi.enrol()
        ended = await hufi.launch(
            start_date="2020-01-01T00:00:00.000Z", end_date="2020-01-02T00:00:00.000Z"
        )
        strange = await hufi.launch(exchange="binance")
        for where, why in (
            (ended, "Campaign already finished"), (NOWHERE, "Campaign not found"),
            (strange, "Exchange not supported: binance"),
        ):  # fmt: skip
            status, said = await hufi.ask("POST", "/campaigns/join", {**body, "address": where})
            assert (status, said["message"]) == (422, why)
        assert (await hufi.ask("POST", "/campaigns/check-join-status", body))[1] == {
            "status": "can_join"
        }
        status, joined = await hufi.ask("POST", "/campaigns/join", body)
        assert (status, list(joined)) == (200, ["id"])
        status, said = await hufi.ask("POST", "/campaigns/join", body)
        assert (status, said["message"]) == (422, "User has already joined the campaign")
        _, said = await hufi.ask("POST", "/campaigns/check-join-status", body)
        assert said["status"] == "already_joined"
        _, said = await hufi.ask("POST", "/campaigns/check-join-status", {**body, "address": ended})
        assert said == {"status": "join_closed", "reason": "ended"}
        _, said = await hufi.ask(
            "POST", "/campaigns/check-join-status", {**body, "address": NOWHERE}
        )
        assert said == {"status": "not_available"}
        status, said = await hufi.ask("POST", "/campaigns/join", {**body, "chain_id": 56})
        assert status == 400
        assert said["validation_errors"][0].startswith("chainId must be one of")


async def test_lists_leaderboard_and_launcher_show_the_same_campaign_in_their_own_ways() -> None:
    async with local_hufi() as hufi:
        address = await hufi.launch()
        wallet = Account.create()
        await hufi.log_in(wallet)
        await hufi.enrol()
        await hufi.ask("POST", "/campaigns/join", {"chain_id": 1338, "address": address})
        _, listed = await hufi.ask("GET", "/campaigns?chain_id=1338&status=active&status=completed")
        (one,) = listed["results"]
        assert (one["fund_amount"], one["fund_amount_net"], one["fund_token"]) == (100, 96, "USDT")
        assert (one["processing_status"], one["details"]) == (
            "active", {"daily_volume_target": 1_000},
        )  # fmt: skip
        assert (await hufi.ask("GET", "/campaigns?skip=0"))[0] == 400
        assert (await hufi.ask("GET", "/campaigns?status=active,completed"))[0] == 400
        _, page = await hufi.ask("GET", "/campaigns?chain_id=1338&limit=1", base=hufi.launcher)
        (other,) = page["results"]
        assert (other["fund_amount"], other["fund_token"]) == ("100000000", USDT.address)
        assert (other["fund_token_symbol"], other["fund_token_decimals"]) == ("USDT", 6)
        assert page["has_more"] is False
        assert (await hufi.ask("GET", "/campaigns", base=hufi.launcher))[0] == 400
        path = f"/campaigns/1338-{address}"
        _, detail = await hufi.ask("GET", path, base=hufi.launcher)
        assert detail["reputation_oracle_fee_percent"] == 2
        assert (await hufi.ask("GET", f"{path}/daily-paid-amounts", base=hufi.launcher))[1] == {
            "results": []
        }
        _, board = await hufi.ask("GET", f"{path}/leaderboard")
        assert board["data"] == [
            {"address": wallet.address.lower(), "score": 0, "result": 0, "estimated_reward": 0,
             "estimated_reward_gross": 0}
        ]  # fmt: skip
        await hufi.venue.order(1, symbol="HMTUSDT", side="SELL", quantity="1000.0", price="0.02000")
        await hufi.venue.order(2, symbol="HMTUSDT", quantity="1000.0", price="0.02000")
        # The running period ends now, exclusively: the trade's millisecond must be over.
        await hufi.world.clock.sleep_us(5_000)
        await hufi.jobs.run(Job.INTERIM)
        _, board = await hufi.ask("GET", f"{path}/leaderboard")
        assert (board["data"][0]["result"], board["total"]) == (20, 20)
        # 20 of 1,000 is 2 % of a day's 48.
        assert board["data"][0]["estimated_reward"] == pytest.approx(0.96)
        status, said = await hufi.ask("GET", f"{path}/my-progress")
        assert (status, said["message"]) == (404, f"Cannot GET {path}/my-progress")
        _, pairs = await hufi.ask("GET", "/exchanges/mexc/trading-pairs", base=hufi.launcher)
        assert "HMT/USDT" in pairs


async def test_wishes_are_kept_and_wrong_ones_refused() -> None:
    async with local_hufi() as hufi:
        await hufi.log_in(Account.create())
        wish = {
            "enabled": True, "exchanges": ["mexc"], "campaign_types": ["HOLDING"],
            "tokens": ["HMT"],
        }  # fmt: skip
        status, said = await hufi.ask("PATCH", "/me/preferences", {"campaigns_autojoin": wish})
        assert (status, said["campaigns_autojoin"]) == (200, wish)
        assert (await hufi.ask("GET", "/me"))[1]["preferences"]["campaigns_autojoin"] == wish
        for wrong in ({"campaign_types": ["THRESHOLD"]}, {"tokens": ["A2"] * 11}, {"enabled": 1}):
            body = {"campaigns_autojoin": wrong}
            assert (await hufi.ask("PATCH", "/me/preferences", body))[0] == 400


async def test_the_operators_calls_need_the_key_and_run_once_a_minute() -> None:
    async with local_hufi() as hufi:
        address = await hufi.launch()
        job = {"job_id": "campaigns_discovery"}
        assert (await hufi.ask("POST", "/admin/trigger-cron-job", job))[0] == 401
        key = {"X-Admin-API-Key": "sandbox-admin"}
        path = "/admin/trigger-cron-job"
        assert (await hufi.ask("POST", path, job, headers=key))[0] == 204
        assert (await hufi.ask("POST", path, job, headers=key))[0] == 429
        assert (await hufi.ask("POST", path, {"job_id": "payout"}, headers=key))[0] == 400
        period = {
            "chain_id": 1338, "address": address, "from_date": "2026-11-20T00:00:00.000Z",
            "to_date": "2026-11-21T00:00:00.000Z",
        }  # fmt: skip
        status, said = await hufi.ask("POST", "/admin/check-campaign-progress", period, headers=key)
        assert (status, said["reserved_funds"], said["participants_outcomes"]) == (200, "0", [])
        assert (await hufi.ask("GET", "/stats/total-volume"))[1] == {"total_volume": 0}
        assert (await hufi.ask("GET", "/stats/campaigns"))[1]["n_finished"] == 0


async def test_faults_come_before_or_after_the_effect() -> None:
    async with local_hufi() as hufi:
        address = await hufi.launch()
        await hufi.log_in(Account.create())
        await hufi.enrol()
        body = {"chain_id": 1338, "address": address}
        for when, message in (
            ("before", None), ("after", "User has already joined the campaign"),
        ):  # fmt: skip
            fault = {"endpoint": "POST /campaigns/join", "effect": "reset", "when": when}
            await hufi.ask("POST", "/faults", fault, base=hufi.admin)
            with pytest.raises(aiohttp.ClientError):
                await hufi.ask("POST", "/campaigns/join", body)
            if message is not None:
                _, said = await hufi.ask("POST", "/campaigns/join", body)
                assert said["message"] == message
        await hufi.ask("POST", "/faults", {"endpoint": "GET /me", "effect": "error"}, hufi.admin)
        assert (await hufi.ask("GET", "/me"))[0] == 500
        assert (await hufi.ask("GET", "/me"))[0] == 200
        status, said = await hufi.ask("POST", "/jobs/nothing", {}, base=hufi.admin)
        assert status == 400
        assert "expected all or one of" in said["error"]
        order = {"manifest": {}, "token": "DOGE", "amount": "1"}
        assert (await hufi.ask("POST", "/campaigns", order, base=hufi.admin))[0] == 400


async def test_browsers_and_clients_that_write_headers_in_lower_case_are_served() -> None:
    """Node's own fetch sends names in lower case, and a browser asks first."""
    async with local_hufi() as hufi:
        tokens = await hufi.log_in(Account.create())
        hufi.token = None
        bearer = f"Bearer {tokens['access_token']}"
        assert (await hufi.ask("GET", "/me", headers={"authorization": bearer}))[0] == 200
        job = {"job_id": "sync_campaign_statuses"}
        key = {"x-admin-api-key": "sandbox-admin"}
        assert (await hufi.ask("POST", "/admin/trigger-cron-job", job, headers=key))[0] == 204
        async with hufi.session.options(hufi.oracle + "/auth") as reply:
            assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (204, "*")
            assert "POST" in reply.headers["Access-Control-Allow-Methods"]
        board = f"{hufi.oracle}/campaigns/1338-{NOWHERE}/leaderboard"
        async with hufi.session.get(board) as reply:
            assert reply.headers["Cache-Control"] == "max-age=30"


async def test_lists_may_be_asked_for_every_exchange_that_hufi_knows() -> None:
    async with local_hufi() as hufi:
        await hufi.launch()
        for exchange, count in (("mexc", 1), ("gate", 0), ("pancakeswap", 0)):
            path = f"/campaigns?chain_id=1338&exchange={exchange}"
            status, said = await hufi.ask("GET", path, base=hufi.launcher)
            assert (status, len(said["results"])) == (200, count)
        path = "/campaigns?chain_id=1338&exchange=binance"
        assert (await hufi.ask("GET", path, base=hufi.launcher))[0] == 400


async def test_a_join_that_is_closed_or_lacks_access_says_why_in_hufis_words() -> None:
    async with local_hufi() as hufi:
        kinds = {"pair": None, "symbol": "USDT", "daily_volume_target": None}
        full = await hufi.launch(
            type="THRESHOLD", minimum_balance_target=1, max_participants=1, **kinds
        )
        met = await hufi.launch(type="HOLDING", daily_balance_target=1, **kinds)
        volume = await hufi.launch()
        hufi.world.limits_holding_join = True
        await hufi.log_in(Account.create())
        await hufi.enrol()
        for where in (full, met):
            body = {"chain_id": 1338, "address": where}
            assert (await hufi.ask("POST", "/campaigns/join", body))[0] == 200
        await hufi.world.clock.sleep_us(5_000)
        await hufi.jobs.run(Job.INTERIM)
        await hufi.venue.admin("DELETE", "/keys/ro_key1")
        no_access = (
            "Provided API key can't be authorized on exchange. "
            "Missing: VIEW_SPOT_TRADING_HISTORY, VIEW_DEPOSIT_ADDRESS"
        )
        status, said = await hufi.ask(
            "POST", "/campaigns/join", {"chain_id": 1338, "address": volume}
        )
        assert (status, said["message"]) == (422, no_access)
        await hufi.log_in(Account.create())
        for where, reason, why in (
            (
                full, "max_participants_reached",
                "Campaign has reached the maximum number of participants. Total: 1",
            ),
            (met, "target_met", "Joining the campaign is limited. Target is met."),
        ):  # fmt: skip
            body = {"chain_id": 1338, "address": where}
            status, said = await hufi.ask("POST", "/campaigns/join", body)
            assert (status, said["message"]) == (422, why)
            _, said = await hufi.ask("POST", "/campaigns/check-join-status", body)
            assert said == {"status": "join_closed", "reason": reason}


async def test_bodies_of_refusals_hold_what_each_kind_holds_on_the_wire() -> None:
    async with local_hufi() as hufi:
        await hufi.log_in(Account.create())
        common = {"message", "timestamp", "path"}
        key = {"exchange_name": "mexc", "api_key": "a" * 201, "secret_key": "s" * 5_001}
        for method, path, body, status, more in (
            ("POST", "/exchange-api-keys", key, 400, {"validation_errors"}),
            ("POST", "/exchange-api-keys", {**key, "api_key": "a", "secret_key": "b"}, 422,
             {"details"}),
            ("POST", "/exchange-api-keys/mexc/revalidate", None, 404, set()),
            ("POST", "/exchange-api-keys/hyperliquid/revalidate", None, 400, {"validation_errors"}),
            ("POST", "/campaigns/join", {"chain_id": 1338, "address": NOWHERE}, 422, set()),
            ("GET", "/nowhere", None, 404, {"error", "status_code"}),
        ):  # fmt: skip
            found, said = await hufi.ask(method, path, body)
            assert (found, set(said)) == (status, common | more), (path, said)
            assert said["path"] == path
        _, said = await hufi.ask("POST", "/exchange-api-keys", {**key, "unknown": 1})
        assert said["validation_errors"] == [
            "apiKey must be shorter than or equal to 200 characters",
            "secretKey must be shorter than or equal to 5000 characters",
        ]
        hufi.token = None
        status, said = await hufi.ask("GET", "/me")
        assert (status, set(said)) == (401, {*common, "status_code"})
        for path in (f"/campaigns/1338-{NOWHERE}", f"/campaigns/1338-{NOWHERE}/daily-paid-amounts"):
            assert (await hufi.ask("GET", path, base=hufi.launcher))[0] == 404
        for query in ("", "?chain_id=56", "?chain_id=1338&skip=0", "?chain_id=1338&limit=1001"):
            assert (await hufi.ask("GET", f"/campaigns{query}", base=hufi.launcher))[0] == 400
