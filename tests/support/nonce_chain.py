"""A chain of one wallet whose key another program has too, and a journal in memory.

Pools of different nodes hold different transactions of the same nonce; blocks above the final one
may vanish; a lagging node answers what was so some blocks ago.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from poolmaker.evm.abi import TRANSFER, topic_of
from poolmaker.evm.model import Attempt, EvmPayment, EvmPaymentState, WalletIncident
from poolmaker.evm.rpc import Rpc, RpcSilent
from poolmaker.evm.rules import transfer_of
from poolmaker.infra.transactions import Tx
from poolmaker.lab.stores.base import ModelDatabase, model_tx

KEY: Final = "0x" + "11" * 32
WALLET: Final = str(Account.from_key(KEY).address).lower()
TOKEN, MIXIN = "0x" + "0c" * 20, "0x" + "0e" * 20
STRANGER: Final = "0x" + "0d" * 20
_GWEI: Final = 10**9


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Fuse:
    """Ends the process at the n-th step from now; 0 never does."""

    left: int = 0

    def burn(self) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                raise Crash


@dataclass(frozen=True)
class Made:
    """A signed transaction of the wallet."""

    hash: str
    nonce: int
    to: str
    data: str

    @property
    def units(self) -> int:
        """What it moves of the token, 0 for anything else."""
        sent = transfer_of(self.data) if self.to == TOKEN else None
        return sent[1] if sent is not None else 0


@dataclass(frozen=True)
class Block:
    name: int
    made: tuple[Made, ...]


@dataclass(frozen=True)
class View:
    """A chain as one node knows it."""

    blocks: tuple[Block, ...]
    final: int

    def count(self, block: int) -> int:
        return sum(len(one.made) for one in self.blocks[: block + 1])


@dataclass
class NonceNode(Rpc):
    """The nodes behind one address. ``views`` is the history of what they knew, newest last."""

    views: list[View] = field(default_factory=lambda: [View((Block(0, ()),), 0)])
    pool: dict[int, list[Made]] = field(default_factory=dict)
    lags: list[int] = field(default_factory=list)
    """For each of the next calls, by how many views its node lags."""
    loses: list[bool] = field(default_factory=list)
    """For each of the next broadcasts, whether no node gets it."""
    fuse: Fuse = field(default_factory=Fuse)
    states_kept: int = 1_000
    names: int = 0

    def __post_init__(self) -> None:
        super().__init__(cast("Any", None), "")

    # ------------------------------------------------------------------------------- the world

    @property
    def now(self) -> View:
        return self.views[-1]

    def moved(self, blocks: Sequence[Block], final: int) -> None:
        self.views.append(View(tuple(blocks), final))

    def foreign(self, ahead: int, data: str = "0x", to: str = STRANGER) -> None:
        """The other program sends one, as it counts nonces."""
        nonce = self.now.count(len(self.now.blocks)) + ahead
        self.names += 1
        made = Made("0x" + f"{self.names:064x}", nonce, to, data)
        self.pool.setdefault(nonce, []).append(made)

    def drop_foreign(self) -> None:
        for nonce, some in self.pool.items():
            self.pool[nonce] = [one for one in some if one.units]

    def mine(self, choice: int) -> None:
        """A block of what follows the last nonce; ``choice`` says which of several."""
        made: list[Made] = []
        next_nonce = self.now.count(len(self.now.blocks))
        while self.pool.get(next_nonce):
            some = self.pool.pop(next_nonce)
            made.append(some[choice % len(some)])
            next_nonce += 1
        self.names += 1
        self.moved([*self.now.blocks, Block(self.names, tuple(made))], self.now.final)

    def reorganise(self, depth: int, *, forgets: bool) -> None:
        """Blocks above the final one vanish; their transactions may come back into a pool."""
        kept = max(self.now.final + 1, len(self.now.blocks) - depth)
        lost = self.now.blocks[kept:]
        self.moved(self.now.blocks[:kept], self.now.final)
        for made in (one for block in lost for one in block.made if not forgets):
            self.pool.setdefault(made.nonce, []).append(made)

    def finalise(self, behind: int) -> None:
        newest = len(self.now.blocks) - 1
        self.moved(self.now.blocks, max(self.now.final, newest - behind))

    # --------------------------------------------------------------------------------- the wire

    async def _post(self, body: Any) -> Any:
        self.fuse.burn()
        lag = self.lags.pop(0) if self.lags else 0
        view = self.views[max(0, len(self.views) - 1 - lag)]
        if isinstance(body, list):
            return [self._answer(view, one) for one in body]
        return self._answer(view, body)

    def _answer(self, view: View, body: Any) -> Any:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": body["id"]}
        result = self._result(view, body["method"], body["params"])
        if isinstance(result, Exception):
            return {**answer, "error": {"code": -32_000, "message": str(result)}}
        return {**answer, "result": result}

    def _result(self, view: View, method: str, params: Any) -> Any:
        match method:
            case "eth_getBlockByNumber":
                return self._block(view, params[0], whole=params[1])
            case "eth_getTransactionCount":
                block = int(params[1], 16)
                if block >= len(view.blocks):
                    return ValueError("header not found")
                if block < len(view.blocks) - self.states_kept:
                    return ValueError("missing trie node")
                return hex(view.count(block))
            case "eth_getTransactionReceipt":
                return self._receipt(view, params[0])
            case "eth_sendRawTransaction":
                return self._take(params[0])
            case "eth_estimateGas":
                return hex(50_000)
            case "eth_getBalance":
                return hex(10**20)
            case _:
                return hex(_GWEI)

    def _block(self, view: View, tag: str, *, whole: bool) -> Any:
        tags = {"latest": len(view.blocks) - 1, "finalized": view.final}
        number = tags[tag] if tag in tags else int(tag, 16)
        if number >= len(view.blocks):
            return None
        block = view.blocks[number]
        rows = [
            {
                "hash": one.hash, "from": WALLET, "nonce": hex(one.nonce), "to": one.to,
                "input": one.data,
            }
            for one in block.made
        ]  # fmt: skip
        return {
            "number": hex(number), "hash": "0x" + f"b{block.name:063x}", "baseFeePerGas": hex(1),
            "transactions": rows if whole else [],
        }  # fmt: skip

    def _receipt(self, view: View, tx_hash: str) -> Any:
        for number, block in enumerate(view.blocks):
            for made in block.made:
                if made.hash == tx_hash:
                    return self._receipt_in(number, block, made)
        return None

    def _receipt_in(self, number: int, block: Block, made: Made) -> Any:
        place = {
            "blockNumber": hex(number), "blockHash": "0x" + f"b{block.name:063x}",
            "transactionHash": made.hash,
        }  # fmt: skip
        log = {
            **place, "address": TOKEN, "logIndex": "0x0", "data": "0x" + f"{made.units:064x}",
            "topics": [TRANSFER, topic_of(WALLET), topic_of(MIXIN)],
        }  # fmt: skip
        logs = [log] if made.units else []
        return {
            **place,
            "status": "0x1",
            "gasUsed": "0x1",
            "effectiveGasPrice": "0x1",
            "logs": logs,
        }

    def _take(self, raw: str) -> Any:
        if self.loses and self.loses.pop(0):
            raise RpcSilent("the node does not answer")
        signed = TypedTransaction.from_bytes(HexBytes(raw))
        fields = signed.as_dict()
        made = Made(
            hash=_hex(keccak(HexBytes(raw))),
            nonce=int(cast("Any", fields["nonce"])),
            to=_hex(fields["to"]),
            data=_hex(fields["data"]),
        )
        if made.nonce < self.now.count(len(self.now.blocks)):
            return ValueError("nonce too low")
        some = self.pool.setdefault(made.nonce, [])
        if made in some:
            return ValueError("already known")
        some.append(made)
        return made.hash


def _hex(content: Any) -> str:
    return "0x" + bytes(content).hex()


class FusedDatabase(ModelDatabase):
    """A database whose process may end before and after each commit."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        async with super().begin(label) as tx:
            yield tx
            self._burn(label)
        self._burn(label)

    def _burn(self, label: str) -> None:
        if label != "test":
            self._fuse.burn()


class MemoryJournal:
    """``PaymentStore`` in memory."""

    async def take_nonce(self, tx: Tx, chain_id: int, wallet: str, first: int) -> tuple[int, int]:
        held = model_tx(tx)
        own = [payment for _, payment in held.rows("payment")]
        ended = [one.nonce + 1 for one in own if one.state is not EvmPaymentState.SIGNED]
        nonce, taken = max([first, *ended]), {one.nonce for one in own}
        while nonce in taken:
            nonce += 1
        before = held.get("next", wallet)
        before = first if before is None else before
        held.put("next", wallet, max(before, nonce + 1))
        return nonce, max(0, first - before)

    async def change_nonce(self, tx: Tx, payment: EvmPayment, nonce: int) -> bool:
        found = model_tx(tx).get("payment", payment.reference)
        if found.nonce != payment.nonce or found.state is not EvmPaymentState.SIGNED:
            return False
        await self.add(tx, replace(found, nonce=nonce))
        return True

    async def add(self, tx: Tx, payment: EvmPayment) -> None:
        for _, other in model_tx(tx).rows("payment"):
            assert other.reference == payment.reference or other.nonce != payment.nonce
        model_tx(tx).put("payment", payment.reference, payment)

    async def find(self, tx: Tx, reference: str) -> EvmPayment | None:
        found: EvmPayment | None = model_tx(tx).get("payment", reference)
        return found

    async def attempts(self, tx: Tx, reference: str) -> Sequence[Attempt]:
        rows = model_tx(tx).rows("attempt")
        return sorted((one for key, one in rows if key[0] == reference), key=lambda one: one.number)

    async def add_attempt(self, tx: Tx, reference: str, attempt: Attempt) -> None:
        assert model_tx(tx).get("attempt", (reference, attempt.number)) is None
        model_tx(tx).put("attempt", (reference, attempt.number), attempt)

    async def note_refusal(self, tx: Tx, attempt: Attempt, refusal: str) -> None:
        for key, one in model_tx(tx).rows("attempt"):
            if one.tx_hash == attempt.tx_hash:
                model_tx(tx).put("attempt", key, replace(one, refusal=refusal))

    async def open_payments(self, tx: Tx, chain_id: int, wallet: str) -> Sequence[EvmPayment]:
        rows = (one for _, one in model_tx(tx).rows("payment"))
        return sorted((one for one in rows if one.state == "signed"), key=lambda one: one.nonce)

    async def report(self, tx: Tx, chain_id: int, wallet: str, incident: WalletIncident) -> None:
        number = len(list(model_tx(tx).rows("incident"))) + 1
        model_tx(tx).put("incident", number, replace(incident, id=number))

    async def incidents(self, tx: Tx, chain_id: int, wallet: str) -> Sequence[WalletIncident]:
        return [one for _, one in model_tx(tx).rows("incident")]

    async def finish(self, tx: Tx, payment: EvmPayment) -> None:
        found = model_tx(tx).get("payment", payment.reference)
        if found.state is EvmPaymentState.SIGNED:
            model_tx(tx).put("payment", payment.reference, payment)
