"""python-binance and Binance's official SDKs, unmodified but for their base addresses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.node import find_node, program_with_packages, run
from tests.support.programs import environment_with, run_program
from tests.support.venue import running_venue


@pytest.mark.timeout(500)
async def test_python_binance_trades_over_rest_streams_and_its_user_socket() -> None:
    python = await environment_with("python-binance==1.0.37")
    async with running_venue("--flow", "none") as venue:
        ready = json.dumps(venue.ready)
        seen = json.loads(await run_program(python, "python_binance_trades.py", venue, ready))
    assert (seen["new"], seen["part"], seen["end"]) == ("NEW", "PARTIALLY_FILLED", "CANCELED")
    assert seen["wrapped"] == [["61000.00000000", "0.00200000"]]
    assert (seen["taken"], seen["trade"]) == ("61000.00000000", "0.00050000")
    assert (seen["fills"], seen["open"]) == (["0.00050000"], 0)
    assert seen["balance"] == "19.99950000"
    assert seen["refusal"] == [-1013, "Filter failure: PRICE_FILTER"]
    assert seen["withdrawal"] is True
    assert seen["ws_order"] == "NEW"


@pytest.mark.timeout(500)
async def test_the_official_sdk_finds_every_answer_to_fit_its_models() -> None:
    python = await environment_with("binance-sdk-spot==13.2.0")
    async with running_venue("--flow", "none") as venue:
        ready = json.dumps(venue.ready)
        seen = json.loads(await run_program(python, "binance_sdk_trades.py", venue, ready))
    assert seen["misfits"] == []
    assert (seen["placed"], seen["order"], seen["cancelled"]) == (
        "NEW", "PARTIALLY_FILLED", "CANCELED",
    )  # fmt: skip
    assert seen["taken"] == ["FILLED", "61000.00000000"]
    assert (seen["uid"], seen["commission"]) == (1, "0.00100000")
    assert (seen["ws_placed"], seen["ws_cancelled"]) == ("NEW", "CANCELED")
    assert "ExecutionReport" in seen["user_event"][1]
    assert seen["trade"] == "0.00050000"


@pytest.mark.timeout(500)
async def test_the_official_node_sdk_logs_on_with_an_ed25519_key_and_trades() -> None:
    node = await find_node()
    folder = Path(__file__).resolve().parent / "programs" / "venue"
    program = await program_with_packages(node, folder, "spot_trades.mjs")
    async with running_venue("--flow", "none") as venue:
        code, said, problem = await run(
            node.binary, str(program), json.dumps(venue.ready), limit_s=100
        )
        assert code == 0, problem[-3_000:]
        assert (await venue.admin("GET", "/invariants"))["ok"] is True
    seen = json.loads(said.splitlines()[-1])
    assert (seen["maker"], seen["taker"]) == ("NEW", ["FILLED", "61000.00000000", "0.00100000"])
    assert (seen["window"], seen["day"], seen["uid"], seen["lists"]) == (1, 1, 2, [[], []])
    assert seen["changed"] == ["SUCCESS", "SUCCESS"]
    assert seen["refusal"] == ["BadRequestError", -1013, "Filter failure: PRICE_FILTER"]
    assert (seen["logon"], seen["session"], seen["logout"]) == (
        ["node-ed25519"], "node-ed25519", [None],
    )  # fmt: skip
    assert (seen["placed"], seen["event"], seen["cancelled"]) == ("NEW", ["NEW", "NEW"], "CANCELED")
    assert seen["streams"] == ["kline", "24hrMiniTicker", "1hTicker", "depthUpdate"]
