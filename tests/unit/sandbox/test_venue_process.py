"""The start-up contract: one line when ready, until SIGTERM, one sentence when it cannot."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import pytest

from tests.support.venue import running_venue


async def test_the_ready_line_says_where_and_who_and_sigterm_ends_it_with_zero() -> None:
    async with running_venue("--flow", "seeded", "--initial-1", "USDT=5") as venue:
        ready = venue.ready
        assert set(ready) == {"rest", "ws", "ws_api", "admin", "accounts", "symbols"}
        assert ready["accounts"][7] == {
            "key": "key8", "secret": "secret8", "ro_key": "ro_key8", "ro_secret": "ro_secret8",
        }  # fmt: skip
        assert {"BTCUSDT", "ETHUSDT", "HMTUSDT"} <= set(ready["symbols"])
        assert all("127.0.0.1" in ready[name] for name in ("rest", "ws", "ws_api", "admin"))
        shown = await venue.admin("GET", "/accounts")
        assert list(shown["accounts"][0]["balances"]) == ["USDT"]
        assert shown["accounts"][1]["balances"]["BTC"]["total"] == "20.00000000"
        invariants = await venue.admin("GET", "/invariants")
        assert invariants["ok"]
        assert invariants["orders"] > 100


async def start(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.venue", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, errors.decode()


async def test_a_taken_port_is_one_sentence_and_exit_code_2() -> None:
    async with running_venue("--flow", "none") as venue:
        port = venue.ready["rest"].rsplit(":", 1)[1]
        code, errors = await start("--port", port)
    assert code == 2
    assert errors.count("\n") == 1
    assert f"Port {port}" in errors
    assert "--port" in errors


async def test_a_missing_recording_is_one_sentence_and_exit_code_2() -> None:
    code, errors = await start("--port", "0", "--recording", "/nowhere/at.all")
    assert code == 2
    assert errors.count("\n") == 1
    assert "/nowhere/at.all" in errors


async def test_a_bad_balance_is_one_sentence_and_exit_code_2() -> None:
    code, errors = await start("--port", "0", "--initial", "DOGE=1")
    assert code == 2
    assert "DOGE" in errors
    assert "Traceback" not in errors


async def test_sigterm_ends_it_although_a_caller_still_hangs() -> None:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with running_venue("--flow", "thin") as venue:
            await venue.admin("POST", "/faults", {"endpoint": "*", "effect": "hang"})
            socket = await session.ws_connect(venue.ready["ws"])
            hanging = asyncio.ensure_future(session.get(venue.ready["rest"] + "/api/v3/time"))
            await asyncio.sleep(0.3)
        with pytest.raises(aiohttp.ClientError):
            await hanging
        assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
