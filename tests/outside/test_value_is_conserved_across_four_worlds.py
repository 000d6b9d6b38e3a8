"""Mixin, venue, chain and HuFi as processes, a relay that is killed: nothing appears or is lost.

What happened is read by programs that nobody here wrote: Mixin's Node SDK, ccxt and web3.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from poolmaker.sandbox.chain.model import HMT, USDT
from poolmaker.sandbox.chain.options import MNEMONIC
from poolmaker.sandbox.chain.packages import node_packages
from tests.outside.mixin_support import running_mixin, sdk_program
from tests.support import programs
from tests.support.conservation import FourWorlds, fine
from tests.support.hufi import running_worlds
from tests.support.mixin import HUMAN, POLYGON
from tests.support.mixin import USDT as DOLLARS
from tests.support.node import find_node, run

WEB3 = ("web3==8.0.0",)
DAY_S = 12
WALLET_PATH = "m/44'/60'/0'/0/5"
pytestmark = pytest.mark.timeout(500)  # the first run makes environments for the programs


async def _relay(four: FourWorlds, delay_ms: int) -> asyncio.subprocess.Process:
    worlds = four.worlds
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.relay",
        "--venue-admin", worlds.venue.ready["admin"], "--mixin-admin", four.mixin.ready["admin"],
        "--chain", worlds.chain.ready["rpc"], "--chain-admin", worlds.chain.ready["admin"],
        "--confirmations", "2", "--delay-ms", str(delay_ms),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["confirmations"] == 2
    return process


@contextlib.asynccontextmanager
async def relay(four: FourWorlds, end: signal.Signals, delay_ms: int = 200) -> AsyncIterator[None]:
    """A relay that ends by ``end``."""
    process = await _relay(four, delay_ms)
    try:
        yield
    finally:
        process.send_signal(end)
        code = await asyncio.wait_for(process.wait(), 20)
    assert code == (0 if end is signal.SIGTERM else -end)


async def carried(four: FourWorlds) -> None:
    """Mine until nothing is on its way."""
    for _ in range(400):
        await four.worlds.chain.admin("POST", "/mine", {"blocks": 1})
        if await four.is_quiet():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("something is still on its way")


async def sdk(four: FourWorlds, what: str) -> Any:
    """What Mixin's own SDK says."""
    node = await find_node()
    program = await sdk_program(node, "crossings.mjs")
    code, output, errors = await run(node.binary, str(program), four.mixin.line, what, limit_s=120)
    assert code == 0, errors[-3_000:]
    return json.loads(output)


async def web3(four: FourWorlds, **asked: Any) -> Any:
    """What web3.py does or says."""
    python = await programs.environment_with(*WEB3)
    ready = {
        "rpc": four.worlds.chain.ready["rpc"], "tokens": [USDT.address, HMT.address],
        "abis": str(await node_packages() / "@human-protocol" / "core" / "abis"), **asked,
    }  # fmt: skip
    output = await programs.run_program(
        python, "chain/wallet.py", four.worlds.venue, json.dumps(ready)
    )
    return json.loads(output)


async def leave_both_sides(four: FourWorlds, entry: str, wallet: str) -> None:
    """A user of Mixin pays the venue and a wallet, the venue's client pays the bot."""
    trader = four.trader()
    try:
        await trader.load_markets()
        given = await trader.fetch_deposit_address("USDT", {"network": "MATIC"})
        await trader.fetch_deposit_address("HMT", {"network": "MATIC"})
        for asset, amount, where in (
            (DOLLARS, "100.5", given["address"]), (HUMAN, "40.00000001", given["address"]),
            (POLYGON, "2.5", wallet), (DOLLARS, "0.000001", wallet),
        ):  # fmt: skip
            order = {"user": "1", "asset": asset, "amount": amount, "destination": where}
            assert "error" not in await four.mixin.admin("POST", "/withdraw", order)
        await trader.withdraw("USDT", 50.25, entry, {"network": "MATIC"})
        await trader.withdraw("HMT", 30, entry, {"network": "MATIC"})
    finally:
        await trader.close()


async def campaign_day(four: FourWorlds) -> str:
    """A campaign on which two people trade, recorded, paid and completed; its escrow."""
    worlds = four.worlds
    manifest = {
        "type": "MARKET_MAKING", "pair": "HMT/USDT", "daily_volume_target": 10, "day_s": DAY_S,
    }  # fmt: skip
    made = await worlds.launch(manifest, "97.3")
    for one in worlds.people:
        assert (await one.join(made["address"])).status == 200
    await worlds.trade(1_000, 0.0203)
    await worlds.trade(700.1, 0.02009, maker=1, taker=0)
    last = datetime.fromisoformat(made["manifest"]["end_date"])
    while datetime.now(UTC) < last:
        await asyncio.sleep(0.2)
    await worlds.run()
    return str(made["address"])


async def seen_outside(four: FourWorlds) -> tuple[Any, list[Any], list[Any]]:
    """Crossings by the SDK, deposits and withdrawals by ccxt."""
    trader = four.trader()
    try:
        return (
            await sdk(four, "seen"),
            await trader.fetch_deposits(),
            (await trader.fetch_withdrawals()),
        )
    finally:
        await trader.close()


async def test_amounts_are_conserved_across_all_four_worlds_under_one_transaction_id_each() -> None:
    """Relay invariants 1, 2, 3 and 5; the relay is killed while it carries."""
    async with (
        running_mixin("--users", "3") as mixin,
        running_worlds(venue_arguments=("--withdrawals-by-hand",)) as worlds,
    ):
        four = FourWorlds(worlds, mixin)
        entry, wallet = await sdk(four, "address"), worlds.people[0].address
        before = await four.everything()
        assert {"USDT", "HMT", "POL", "BTC", "ETH", "BNB"} <= set(before)

        await leave_both_sides(four, entry, wallet)
        assert await four.everything() == before
        # Killed at whatever it was doing, again and again, the last one ends when all is carried.
        for pause_s in (0.15, 0.3, 0.45):
            async with relay(four, signal.SIGKILL):
                await asyncio.sleep(pause_s)
            await worlds.chain.admin("POST", "/mine", {"blocks": 1})
            assert await four.everything() == before
        async with relay(four, signal.SIGTERM):
            await carried(four)
        assert await four.everything() == before

        escrow = await campaign_day(four)
        assert await four.everything([escrow]) == before
        onward = await web3(four, mnemonic=MNEMONIC, path=WALLET_PATH, to=entry, wei=str(10**17))
        assert await four.everything([escrow]) == before
        assert any((await four.arriving()).values())
        async with relay(four, signal.SIGTERM):
            await carried(four)
        assert await four.everything([escrow]) == before

        crossings, deposits, withdrawals = await seen_outside(four)
        came = {(asset, amount, tx) for asset, amount, tx, _ in crossings["came"]}
        left = {(asset, amount.lstrip("-"), tx) for asset, amount, tx, _ in crossings["left"]}
        assert (len(came), len(left)) == (4, 4)
        assert {tx for _, _, tx in came} == {one["txid"] for one in withdrawals} | set(onward)
        assert {one["txid"] for one in deposits} < {tx for _, _, tx in left}
        assert [len(deposits), len(withdrawals)] == [2, 2]
        await _agree_with_the_chain(four, [*came, *left])


async def _agree_with_the_chain(four: FourWorlds, shown: list[tuple[str, str, str]]) -> None:
    """Every transaction that the sides show moved exactly that on the chain, by web3.py."""
    read = await web3(four, hashes=sorted({tx for _, _, tx in shown}))
    names, scales = {DOLLARS: "USDT", HUMAN: "HMT", POLYGON: "POL"}, {"USDT": 6}
    told = Counter((tx, names[asset], fine(amount)) for asset, amount, tx in shown)
    moved = Counter(
        (tx, one["asset"], one["units"] * 10 ** (18 - scales.get(one["asset"], 18)))
        for tx, some in read.items()
        for one in some
    )
    assert told == moved
    assert set((await four.mined()).values()) < {tx for tx, _, _ in moved}
