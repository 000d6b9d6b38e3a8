"""hufi-cli, a command line for HuFi that nobody here wrote, over the sandbox's two servers.

Only its own configuration file names other addresses. It is not in every registry, so it is
taken from the PATH.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tests.support.hufi import running_worlds

CLI = shutil.which("hufi-cli")
LIMIT_S = 60


async def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        str(CLI), *arguments, env={**os.environ, "HOME": str(home)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
    return process.returncode or 0, output.decode(), errors.decode()


async def said(home: Path, *arguments: str) -> Any:
    code, output, errors = await run(home, *arguments, "--json")
    assert code == 0, errors
    return json.loads(output)


@pytest.mark.skipif(CLI is None, reason="to see it run, install: npm install -g hufi-cli@1.0.9")
async def test_a_stranger_logs_in_enrols_a_key_joins_and_reads_the_leaderboard(
    tmp_path: Path,
) -> None:
    async with running_worlds() as worlds:
        (tmp_path / ".hufi-cli").mkdir()
        addresses = {
            "recordingApiUrl": worlds.hufi.ready["oracle"],
            "launcherApiUrl": worlds.hufi.ready["launcher"],
            "defaultChainId": 1338,
        }
        (tmp_path / ".hufi-cli" / "config.json").write_text(json.dumps(addresses))
        manifest = {"type": "MARKET_MAKING", "pair": "HMT/USDT", "daily_volume_target": 100}
        made = await worlds.launch(manifest, "100")
        where = ("--chain-id", "1338", "--address", made["address"])
        wallet, keys = Account.create(), worlds.venue.ready["accounts"][2]
        logged = await said(
            tmp_path, "auth", "login", "--private-key", "0x" + bytes(wallet.key).hex()
        )
        assert logged["address"] == wallet.address
        await said(
            tmp_path, "exchange", "register", "--name", "mexc",
            "--api-key", keys["ro_key"], "--secret-key", keys["ro_secret"],
        )  # fmt: skip
        assert (await said(tmp_path, "exchange", "list"))[0]["is_valid"] is True
        listed = await said(tmp_path, "campaign", "list", "--chain-id", "1338")
        assert [one["address"] for one in listed["results"]] == [made["address"]]
        detail = await said(tmp_path, "campaign", "get", *where)
        assert detail["fund_amount"] == "100000000"
        await said(tmp_path, "campaign", "join", *where)
        status = await said(tmp_path, "campaign", "status", *where)
        assert status["status"] == "already_joined"
        for one in worlds.people:
            await one.join(made["address"])
        await worlds.trade(1_000, 0.0203)
        await worlds.run("refresh_icp_cache")
        board = await said(tmp_path, "campaign", "leaderboard", *where)
        assert [one["result"] for one in board["data"]] == [20.3, 20.3, 0]
        code, output, errors = await run(tmp_path, "campaign", "progress", *where)
        assert (code, "Cannot GET" in output + errors) == (1, True)
