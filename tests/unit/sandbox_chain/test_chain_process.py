"""The chain as a process: what its RPC answers, what its admin port does, how it ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from poolmaker.sandbox.chain.abi import call_data, decoded
from poolmaker.sandbox.chain.model import FACTORY, HMT, USDT
from poolmaker.sandbox.chain.rpc import Rpc, RpcRefused
from tests.support.worlds import running_world

WALLET = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"


async def test_a_chain_with_the_real_contracts_from_start_to_sigterm() -> None:
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        running_world("chain", "--block-ms", "0") as chain,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        rpc = Rpc(session, chain.ready["rpc"])
        assert await rpc.number("eth_chainId") == chain.ready["chain_id"] == 1338
        call = {"to": FACTORY, "data": call_data("minimumStake()")}
        assert decoded(["uint256"], await rpc.call("eth_call", call, "latest")) == (1,)
        for token, decimals in ((HMT, 18), (USDT, 6)):
            call = {"to": token.address, "data": call_data("decimals()")}
            assert decoded(["uint8"], await rpc.call("eth_call", call, "latest")) == (decimals,)
        for forbidden in ("evm_mine", "anvil_setBalance", "eth_sendTransaction", "debug_x"):
            with pytest.raises(RpcRefused) as refused:
                await rpc.call(forbidden)
            assert refused.value.number == -32601

        given = await chain.admin(
            "POST", "/faucet", {"address": WALLET, "asset": "USDT", "amount": "12.5"}
        )
        assert (await chain.admin("GET", f"/balances/{WALLET}"))["USDT"] == "12500000"
        before = await rpc.call("eth_getTransactionReceipt", given["tx_hash"])
        assert before["status"] == "0x1"
        await chain.admin("POST", "/reorg", {"depth": 1})
        assert await rpc.call("eth_getTransactionReceipt", given["tx_hash"]) is None
        assert (await chain.admin("GET", f"/balances/{WALLET}"))["USDT"] == "0"

        heads = await chain.admin("POST", "/mine", {"blocks": 130})
        assert heads["latest"] - heads["finalized"] == 64
        point = await chain.admin("POST", "/snapshot", {})
        moved = {"account": 1, "address": WALLET, "asset": "HMT", "amount": "1"}
        assert (await chain.admin("POST", "/transfer", moved))["status"] == 200
        assert (await chain.admin("GET", f"/balances/{WALLET}"))["HMT"] == str(10**18)
        await chain.admin("POST", "/revert", {"id": point["id"]})
        assert (await chain.admin("GET", f"/balances/{WALLET}"))["HMT"] == "0"

        await chain.admin("POST", "/faults", {"endpoint": "eth_chainId", "effect": "error"})
        assert await Rpc(session, rpc.url, "hufi").number("eth_chainId") == 1338
        async with session.post(
            rpc.url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        ) as reply:
            assert reply.status == 500
        await chain.admin(
            "POST", "/faults", {"endpoint": "eth_chainId", "effect": "reset", "when": "after"}
        )
        with pytest.raises(aiohttp.ClientError):
            await session.post(rpc.url, json={"id": 1, "method": "eth_chainId", "params": []})
        assert (await chain.admin("POST", "/mine", {"blocks": 0}))["status"] == 400
        assert (await chain.admin("POST", "/reorg", {"depth": 65}))["status"] == 400


async def test_however_long_a_chain_runs_it_leaves_nothing_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demo that was left running filled a disk with old states, some megabytes a second."""
    monkeypatch.setenv("HOME", str(tmp_path))
    async with running_world("chain", "--block-ms", "0") as chain:
        for _ in range(20):
            await chain.admin("POST", "/mine", {"blocks": 64})
        left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


async def test_a_chain_with_a_short_finality_stays_small_and_keeps_every_log() -> None:
    """Found 55, the chain node: 1.2 GB after 6 minutes of the demo, 2.8 GB after 50.

    Every state that the node keeps holds a row for each block of the chain, so both must stay few.
    What a watcher reads, logs and receipts, is never taken away.
    """
    async with running_world("chain", "--block-ms", "0", "--finality-blocks", "2") as chain:
        order = {"address": WALLET, "asset": "USDT", "amount": "12.5"}
        given = await chain.admin("POST", "/faucet", order)
        heads = {}
        for _ in range(4):
            heads = await chain.admin("POST", "/mine", {"blocks": 1_024})
        assert heads["latest"] - heads["finalized"] == 2
        (node,) = Path(f"/proc/{chain.pid}/task/{chain.pid}/children").read_text().split()
        words = Path(f"/proc/{node}/status").read_text().split()
        assert int(words[words.index("VmRSS:") + 1]) < 150 * 1_024
        async with aiohttp.ClientSession() as session:
            rpc = Rpc(session, chain.ready["rpc"])
            query = {"address": USDT.address, "fromBlock": "0x0", "toBlock": "finalized"}
            logs = await rpc.call("eth_getLogs", query)
            assert given["tx_hash"] in {log["transactionHash"] for log in logs}
            assert (await rpc.call("eth_getTransactionReceipt", given["tx_hash"])) is not None
            balance = await rpc.call("eth_getBalance", WALLET, hex(heads["finalized"]))
            assert balance is not None
        assert (await chain.admin("POST", "/reorg", {"depth": 3}))["status"] == 400


async def test_a_chain_ends_with_one_sentence_when_its_port_is_taken(tmp_path: Path) -> None:
    async def nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        """Take no notice."""

    server = await asyncio.start_server(nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.chain", "--port", str(port),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    server.close()
    assert (process.returncode, output) == (2, b"")
    assert len(errors.decode().splitlines()) == 1
    assert f"Port {port}" in errors.decode()
