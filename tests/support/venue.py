"""A sandbox venue as a process of its own, and unmodified ccxt.pro pointed at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


@dataclass(frozen=True)
class RunningVenue:
    """The ready line of a venue process, and its admin port."""

    ready: dict[str, Any]
    pid: int

    async def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Do what the outside world does."""
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            address = self.ready["admin"] + path
            async with session.request(method, address, json=body) as answer:
                found: dict[str, Any] = await answer.json()
                return found


@contextlib.asynccontextmanager
async def running_venue(*arguments: str) -> AsyncIterator[RunningVenue]:
    """Start ``python -m poolmaker.sandbox.venue``, stop it with SIGTERM, expect exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.venue", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        yield RunningVenue(json.loads(line), process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    assert code == 0, f"the venue ended with {code}"


def ccxt_settings(ready: dict[str, Any], account: int, **options: object) -> dict[str, Any]:
    """What unmodified ccxt needs to reach a loopback Binance: addresses and spot only."""
    rest, keys = ready["rest"], ready["accounts"][account - 1]
    spot = {"spot": ready["ws"], "ws-api": {"spot": ready["ws_api"]}}
    return {
        "apiKey": keys["key"],
        "secret": keys["secret"],
        "enableRateLimit": False,
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            **options,
        },
        "urls": {
            "api": {
                "public": f"{rest}/api/v3",
                "private": f"{rest}/api/v3",
                "sapi": f"{rest}/sapi/v1",
                "sapiV2": f"{rest}/sapi/v2",
                "sapiV3": f"{rest}/sapi/v3",
                "sapiV4": f"{rest}/sapi/v4",
                "ws": spot,
            }
        },
    }
