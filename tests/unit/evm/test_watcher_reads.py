"""The watcher against nodes that refuse, forget and answer nonsense: no log is lost or invented."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolmaker.evm.abi import TRANSFER, topic_of
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import ChainTransfer, Cursor, Head
from poolmaker.evm.rpc import Rpc, RpcSilent
from poolmaker.evm.watcher import OVERLAP, SPAN_MAX, Watcher
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import InvariantBroken, Unavailable
from poolmaker.lab.stores.base import ModelDatabase

WALLET, TOKEN, PAYER = "0x" + "0a" * 20, "0x" + "0c" * 20, "0x" + "0e" * 20
STRANGER = "0x" + "0d" * 20
CHAIN_ID = 137
FINALITY = 5


def _hash(word: str, number: int) -> str:
    return "0x" + f"{word.encode().hex()}{number:x}".rjust(64, "0")


def _log(block: int, tx: int, index: int, address: str, units: int) -> dict[str, Any]:
    return {
        "address": address,
        "topics": [TRANSFER, topic_of(PAYER), topic_of(WALLET)],
        "data": "0x" + f"{units:064x}",
        "logIndex": hex(index),
        "blockNumber": hex(block),
        "blockHash": _hash("b", block),
        "transactionHash": _hash("c", tx),
        "removed": False,
    }


@dataclass
class Node(Rpc):
    """A node over a chain of its own. ``strange`` gets the chance to spoil each answer."""

    payments: dict[int, int] = field(default_factory=dict)
    """Block to how many transfers it holds; each in a transaction with one more log before it."""
    newest: int = 0
    range_max: int = 10_000
    batches: bool = True
    refusal: Any = "error"
    strange: Any = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(cast("Any", None), "")

    async def _post(self, body: Any) -> Any:
        if isinstance(body, list):
            if not self.batches:
                return self._refused(None)
            return [self._spoiled(one, self._answer(one)) for one in body]
        return self._spoiled(body, self._answer(body))

    def _spoiled(self, body: Any, answer: Any) -> Any:
        if self.strange is None:
            return answer
        return self.strange(body["method"], copy.deepcopy(answer))

    def _refused(self, number: object) -> Any:
        if self.refusal == "http":
            raise Unavailable("the node answers HTTP 400")
        error = {"code": -32005, "message": "query returned more than 10000 results"}
        return {"jsonrpc": "2.0", "id": number, "error": error}

    def _answer(self, body: Any) -> Any:
        self.asked.append(body["method"])
        method, params = body["method"], body["params"]
        if method == "eth_getLogs":
            first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
            if last - first >= self.range_max:
                return self._refused(body["id"])
            result: Any = [
                log
                for block in range(first, min(last, self.newest) + 1)
                for log in self._logs(block)
                if "address" not in params[0] or log["address"] in params[0]["address"]
            ]
        elif method == "eth_getTransactionReceipt":
            result = self._receipt(params[0])
        else:
            result = self._block(params[0])
        return {"jsonrpc": "2.0", "id": body["id"], "result": result}

    def _block(self, tag: str) -> dict[str, Any] | None:
        tags = {"latest": self.newest, "finalized": max(0, self.newest - FINALITY)}
        number = tags[tag] if tag in tags else int(tag, 16)
        if number > self.newest:
            return None
        return {
            "number": hex(number), "hash": _hash("b", number), "timestamp": hex(1_700_000_000),
            "baseFeePerGas": "0x0",
        }  # fmt: skip

    def _logs(self, block: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at in range(self.payments.get(block, 0)):
            tx = block * 1_000 + at
            for address in (STRANGER, TOKEN):
                found.append(_log(block, tx, len(found), address, block * 10 + at + 1))
        return found

    def _receipt(self, tx_hash: str) -> dict[str, Any]:
        number = int(tx_hash[-6:], 16)
        block = number // 1_000
        for block in self.payments:
            own = [log for log in self._logs(block) if log["transactionHash"] == tx_hash]
            if own:
                return {
                    "transactionHash": tx_hash, "blockNumber": hex(block), "status": "0x1",
                    "blockHash": _hash("b", block), "gasUsed": "0x5208", "logs": own,
                    "effectiveGasPrice": "0x1",
                }  # fmt: skip
        raise AssertionError(tx_hash)


@dataclass
class Kept:
    """The cursor and what was stored."""

    at: Cursor | None = None
    found: dict[str, ChainTransfer] = field(default_factory=dict)

    async def cursor(self, tx: Tx, chain_id: int, wallet: str) -> Cursor | None:
        return self.at

    async def begin_at(self, tx: Tx, chain_id: int, wallet: str, head: Head) -> None:
        self.at = self.at or Cursor(head.number, head)

    async def move(self, tx: Tx, chain_id: int, wallet: str, before: Head, after: Head) -> bool:
        assert self.at is not None
        if self.at.head != before:
            return False
        self.at = Cursor(self.at.started_block, after)
        return True

    async def add(self, tx: Tx, transfer: ChainTransfer, now_us: int) -> bool:
        new = transfer.reference not in self.found
        self.found.setdefault(transfer.reference, transfer)
        return new


def _watcher(node: Node, kept: Kept) -> Watcher:
    here = cast("Any", kept)
    return Watcher(Chain(node, CHAIN_ID), WALLET, [TOKEN], here, ModelDatabase(), ManualClock())


def _true(node: Node) -> dict[str, int]:
    """What is really there in final blocks: the token's log is the second of its transaction."""
    return {
        f"{CHAIN_ID}/{_hash('c', block * 1_000 + at)}/1": block * 10 + at + 1
        for block, count in node.payments.items()
        for at in range(count)
        if 0 < block <= node.newest - FINALITY
    }


def _stored(kept: Kept) -> dict[str, int]:
    return {name: one.units for name, one in kept.found.items()}


@settings(deadline=None, max_examples=60)
@given(
    payments=st.dictionaries(st.integers(1, 1_200), st.integers(1, 3), max_size=8),
    range_max=st.sampled_from([1, 2, 7, 100, 301, 600, 10_000]),
    batches=st.booleans(),
    refusal=st.sampled_from(["error", "http"]),
    steps=st.lists(st.integers(1, 700), min_size=1, max_size=3),
)
def test_found_17_every_log_is_read_whatever_range_a_node_refuses_and_takes_it_batches_or_not(
    payments: dict[int, int], range_max: int, batches: bool, refusal: str, steps: list[int]
) -> None:
    node = Node(payments=payments, range_max=range_max, batches=batches, refusal=refusal)
    kept, newest = Kept(), FINALITY
    node.newest = newest
    watcher = _watcher(node, kept)
    asyncio.run(watcher.look())
    for step in steps:
        node.newest += step
        asyncio.run(watcher.look())
        assert _stored(kept) == _true(node)
    assert batches or "no batches" in watcher.sentence
    if batches and range_max > SPAN_MAX:
        assert watcher.sentence == "answers"
    if range_max < 100 and sum(steps) > 1_000:
        assert "refused" in watcher.sentence


def test_found_17_a_silent_node_is_asked_for_less_the_next_time() -> None:
    node, kept = Node(payments={300: 1}, newest=FINALITY), Kept()
    watcher = _watcher(node, kept)
    asyncio.run(watcher.look())
    node.newest = 400

    def silent(method: str, answer: Any) -> Any:
        if method == "eth_getLogs":
            raise RpcSilent("the node does not answer")
        return answer

    node.strange, before = silent, node.asked.count("eth_getLogs")
    for _ in range(3):
        with pytest.raises(RpcSilent):
            asyncio.run(watcher.look())
    assert node.asked.count("eth_getLogs") - before == 3, "not asked again within a look"
    node.strange = None
    asyncio.run(watcher.look())
    assert _stored(kept) == _true(node)


STRANGE: Sequence[Any] = (
    None, "", "0x", "0x-1", "-1", -1, 0, 1.5, math.nan, math.inf, True, [], {}, [None], {"a": 1},
    "币安人生", "١٢", "0x" + "f" * 65, "0x" + "F" * 4_000, 10**40, "\x00", "latest",
    "0x" + "ab" * 32, "0x" + "0b" * 20,
)  # fmt: skip


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    if isinstance(value, dict):
        for key, one in value.items():
            found += _paths(one, (*at, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += _paths(one, (*at, index))
    return found


def _changed(answer: Any, data: st.DataObject) -> Any:
    """One place of an answer: another value, gone, twice, more of it, in another order."""
    path = data.draw(st.sampled_from(_paths(answer)[1:]))
    holder = answer
    for key in path[:-1]:
        holder = holder[key]
    key, how = path[-1], data.draw(st.sampled_from(["other", "gone", "more", "order", "cut"]))
    value = holder[key]
    if how == "gone":
        del holder[key]
    elif how == "more" and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    elif how == "more":
        holder["币"] = data.draw(st.sampled_from(STRANGE))
    elif how == "order" and isinstance(value, list):
        holder[key] = list(reversed(value))
    elif how == "cut" and isinstance(value, list | str):
        holder[key] = value[: len(value) // 2]
    else:
        holder[key] = data.draw(st.sampled_from(STRANGE))
    return answer


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), spoiled=st.integers(0, 25), batches=st.booleans())
def test_found_17_watcher_fuzz_no_answer_loses_or_invents_a_transfer(
    data: st.DataObject, spoiled: int, batches: bool
) -> None:
    """K3: missing, extra, null, huge, negative, non-ASCII, NaN, reordered and truncated answers.

    What is read with one answer spoiled is typed trouble or right; once the node is well again
    every transfer is there, once, under its own name.
    """
    payments = {7: 2, 20: 1, 21: 1}
    node = Node(payments=payments, newest=FINALITY, batches=batches)
    kept = Kept()
    watcher = _watcher(node, kept)
    asyncio.run(watcher.look())
    node.newest, calls = 40, 0

    def strange(method: str, answer: Any) -> Any:
        nonlocal calls
        calls += 1
        return _changed(answer, data) if calls == spoiled + 1 else answer

    node.strange = strange
    with contextlib.suppress(Unavailable, InvariantBroken):
        asyncio.run(watcher.look())
    assert _stored(kept).items() <= _true(node).items()
    assert kept.at is not None
    assert kept.at.head.hash == _hash("b", kept.at.head.number)
    node.strange = None
    for newest in (41, 41 + OVERLAP // 2):
        node.newest = newest
        asyncio.run(watcher.look())
    assert _stored(kept) == _true(node)
