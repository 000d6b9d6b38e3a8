"""A node over a chain of its own, and a watcher that reads it into memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, cast

from poolmaker.evm.abi import TRANSFER, topic_of
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import BlockHead, ChainTransfer, Cursor
from poolmaker.evm.rpc import Rpc
from poolmaker.evm.watcher import Watcher
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import Unavailable
from poolmaker.lab.stores.base import ModelDatabase

WALLET, TOKEN, PAYER = "0x" + "0a" * 20, "0x" + "0c" * 20, "0x" + "0e" * 20
STRANGER = "0x" + "0d" * 20
CHAIN_ID = 137
FINALITY = 5


def hash_of(word: str, number: int) -> str:
    return "0x" + f"{word.encode().hex()}{number:x}".rjust(64, "0")


def _log(block: int, tx: int, index: int, address: str, units: int) -> dict[str, Any]:
    return {
        "address": address,
        "topics": [TRANSFER, topic_of(PAYER), topic_of(WALLET)],
        "data": "0x" + f"{units:064x}",
        "logIndex": hex(index),
        "blockNumber": hex(block),
        "blockHash": hash_of("b", block),
        "transactionHash": hash_of("c", tx),
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
            return [self._spoiled(one, self.answer(one)) for one in body]
        return self._spoiled(body, self.answer(body))

    def _spoiled(self, body: Any, answer: Any) -> Any:
        if self.strange is None:
            return answer
        return self.strange(body["method"], copy.deepcopy(answer))

    def _refused(self, number: object) -> Any:
        if self.refusal == "http":
            raise Unavailable("the node answers HTTP 400")
        error = {"code": -32005, "message": "query returned more than 10000 results"}
        return {"jsonrpc": "2.0", "id": number, "error": error}

    def answer(self, body: Any) -> Any:
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
            result = self.receipt(params[0])
        else:
            result = self._block(params[0])
        return {"jsonrpc": "2.0", "id": body["id"], "result": result}

    def _block(self, tag: str) -> dict[str, Any] | None:
        tags = {"latest": self.newest, "finalized": max(0, self.newest - FINALITY)}
        number = tags[tag] if tag in tags else int(tag, 16)
        if number > self.newest:
            return None
        return {
            "number": hex(number), "hash": hash_of("b", number), "timestamp": hex(1_700_000_000),
            "baseFeePerGas": "0x0",
        }  # fmt: skip

    def _logs(self, block: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at in range(self.payments.get(block, 0)):
            tx = block * 1_000 + at
            for address in (STRANGER, TOKEN):
                found.append(_log(block, tx, len(found), address, block * 10 + at + 1))
        return found

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        number = int(tx_hash[-6:], 16)
        block = number // 1_000
        for block in self.payments:
            own = [log for log in self._logs(block) if log["transactionHash"] == tx_hash]
            if own:
                return {
                    "transactionHash": tx_hash, "blockNumber": hex(block), "status": "0x1",
                    "blockHash": hash_of("b", block), "gasUsed": "0x5208", "logs": own,
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

    async def begin_at(self, tx: Tx, chain_id: int, wallet: str, head: BlockHead) -> None:
        self.at = self.at or Cursor(head.number, head)

    async def move(
        self, tx: Tx, chain_id: int, wallet: str, before: BlockHead, after: BlockHead
    ) -> bool:
        assert self.at is not None
        if self.at.head != before:
            return False
        self.at = Cursor(self.at.started_block, after)
        return True

    async def add(self, tx: Tx, transfer: ChainTransfer, now_us: int) -> bool:
        new = transfer.reference not in self.found
        self.found.setdefault(transfer.reference, transfer)
        return new


def watcher_of(node: Rpc, kept: Kept) -> Watcher:
    here = cast("Any", kept)
    return Watcher(Chain(node, CHAIN_ID), WALLET, [TOKEN], here, ModelDatabase(), ManualClock())


def true_of(node: Node) -> dict[str, int]:
    """What is really there in final blocks: the token's log is the second of its transaction."""
    return {
        f"{CHAIN_ID}/{hash_of('c', block * 1_000 + at)}/1": block * 10 + at + 1
        for block, count in node.payments.items()
        for at in range(count)
        if 0 < block <= node.newest - FINALITY
    }


def stored_in(kept: Kept) -> dict[str, int]:
    return {name: one.units for name, one in kept.found.items()}
