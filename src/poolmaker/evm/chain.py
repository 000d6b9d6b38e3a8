"""What the chain says, read so that a lagging or wrong node is noticed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from poolmaker.evm.abi import TRANSFER, Undecodable, call_data, decoded, topic_of
from poolmaker.evm.model import BlockHead, ChainTransfer, Log, NonceUse, TransactionReceipt
from poolmaker.evm.rpc import Rpc, RpcFailed, RpcRefused, RpcSilent, hexadecimal, quantity
from poolmaker.evm.rules import moved_by, transfers_in
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem, Unavailable

_GWEI: Final = 10**9
_ADDRESS: Final = 40
_HASH: Final = 64
SILENCES_MAX: Final = 3
"""How often in a row a node may be silent to one question before it counts as unanswered."""
_TX_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


class NonceUnproven(Unavailable):
    """The node says that a nonce is used and cannot show by what."""

    code = "nonce_unproven"


class Chain:
    """Reads of one chain. Everything raises Unavailable when the node cannot be trusted now.

    ``finality_blocks`` None trusts the node's own ``finalized``.
    """

    def __init__(self, rpc: Rpc, chain_id: int, finality_blocks: int | None = None) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self._finality_blocks = finality_blocks
        self._silences = 0

    async def verify(self) -> None:
        """Raise EnvironmentProblem when the node serves another chain."""
        found = await self.rpc.number("eth_chainId")
        if found != self.chain_id:
            raise EnvironmentProblem(
                f"The node of evm.rpc_url serves chain {found}, not {self.chain_id}; "
                "correct evm.rpc_url or evm.chain_id."
            )

    async def finalized(self) -> BlockHead:
        """The newest block that counts as final."""
        if self._finality_blocks is None:
            return _head(await self.rpc.call("eth_getBlockByNumber", "finalized", False))
        newest = await self.latest()
        return await self.head(max(0, newest.number - self._finality_blocks))

    async def latest(self) -> BlockHead:
        """The newest block."""
        return _head(await self.rpc.call("eth_getBlockByNumber", "latest", False))

    async def head(self, number: int) -> BlockHead:
        """The block with a number."""
        return _head(await self.rpc.call("eth_getBlockByNumber", hex(number), False))

    async def block_time_us(self, number: int) -> int:
        """When a block says it was made, microseconds."""
        block = await self.rpc.call("eth_getBlockByNumber", hex(number), False)
        if not isinstance(block, dict):
            raise Unavailable(f"the node does not know block {number}")
        return quantity(block.get("timestamp")) * SECOND_US

    async def base_fee_wei(self) -> int:
        """The base fee of the newest block; 0 where there is none."""
        block = await self.rpc.call("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict):
            raise Unavailable("the node does not know its newest block")
        return quantity(block.get("baseFeePerGas") or "0x0")

    async def tip_wei(self) -> int:
        """The tip that the node advises, a gwei where it gives no advice."""
        try:
            return await self.rpc.number("eth_maxPriorityFeePerGas")
        except RpcRefused:
            return _GWEI

    async def ask(
        self, contract: str, signature: str, kind: str, *arguments: object, block: str = "latest"
    ) -> Any:
        """A contract's answer to a question with one value. ``Undecodable`` when it is none."""
        call = {"to": contract, "data": call_data(signature, *arguments)}
        said = await self.rpc.call("eth_call", call, block)
        if not isinstance(said, str):
            raise Undecodable(f"{contract} answered nothing to {signature}")
        return decoded([kind], said)[0]

    async def has_code(self, address: str) -> bool:
        """Whether a contract stands at the address."""
        return await self.rpc.call("eth_getCode", address, "latest") not in {None, "", "0x"}

    async def receipt(self, tx_hash: str) -> TransactionReceipt | None:
        """What became of a transaction, None while no block holds it. See ``is_canonical``."""
        said = await self.rpc.call("eth_getTransactionReceipt", tx_hash)
        return _receipt(said, tx_hash) if said is not None else None

    async def coin_received(self, tx_hash: str, wallet: str) -> int:
        """Wei of the chain's own coin that a final transaction paid to a wallet, 0 for none.

        What a contract sends on inside of a transaction is not seen here.
        """
        if _TX_HASH.fullmatch(tx_hash) is None:
            return 0
        receipt = await self.receipt(tx_hash.lower())
        if receipt is None or not receipt.succeeded or not await self.is_canonical(receipt):
            return 0
        if receipt.block > (await self.finalized()).number:
            return 0
        said = await self.rpc.call("eth_getTransactionByHash", tx_hash.lower())
        if not isinstance(said, dict):
            raise Unavailable(f"the node does not know transaction {tx_hash}")
        to_us = str(said.get("to", "")).lower() == wallet.lower()
        return quantity(said.get("value")) if to_us else 0

    async def coin_held(self, wallet: str) -> int:
        """Wei of the chain's own coin that a wallet has as of the newest final block."""
        block = hex((await self.finalized()).number)
        return await self.rpc.number("eth_getBalance", wallet, block)

    async def is_canonical(self, receipt: TransactionReceipt) -> bool:
        """Whether the receipt's block is still the block of its number."""
        return (await self.head(receipt.block)).hash == receipt.block_hash

    async def nonces_used(self, wallet: str, block: int) -> int:
        """How many nonces of a wallet the blocks up to one have used."""
        return await self.rpc.number("eth_getTransactionCount", wallet, hex(block))

    async def nonce_use(self, wallet: str, nonce: int) -> NonceUse | None:
        """What has used a nonce as of the newest final block, None while it is free there.

        The block is read together with that final block, from a node that knows both. Raises
        NonceUnproven where the node keeps no state that old or shows no such transaction.
        """
        final = await self.finalized()
        if await self.nonces_used(wallet, final.number) <= nonce:
            return None
        number = await self._block_of_nonce(wallet, nonce, final.number)
        look = ("eth_getBlockByNumber", (hex(final.number), False))
        whole = ("eth_getBlockByNumber", (hex(number), True))
        before, block, after = await self.rpc.batch([look, whole, look])
        if _head(before) != final or _head(after) != final or _head(block).number != number:
            raise Unavailable(f"block {number} changed while it was read")
        return _nonce_use(block, number, wallet, nonce)

    async def _block_of_nonce(self, wallet: str, nonce: int, final: int) -> int:
        """The first block after which a nonce is used; it is used after ``final``.

        The search goes back in growing steps: nodes keep the states of few blocks.
        """
        used, free, step = final, -1, 1
        try:
            while free < 0 < used:
                number = max(0, final - step)
                if await self.nonces_used(wallet, number) > nonce:
                    used, step = number, step * 2
                else:
                    free = number
            while used - free > 1:
                number = (used + free) // 2
                is_used = await self.nonces_used(wallet, number) > nonce
                used, free = (number, free) if is_used else (used, number)
        except RpcRefused as refused:
            raise NonceUnproven(f"the node keeps no state that old: {refused.message}") from None
        return used

    async def logs(self, query: dict[str, Any], first: int, last: BlockHead) -> list[Log]:
        """Logs of the blocks first…last, which one and the same node must know.

        Raises RpcRefused when the node refuses the range.
        """
        wanted = {**query, "fromBlock": hex(first), "toBlock": hex(last.number)}
        look = ("eth_getBlockByNumber", (hex(last.number), False))
        before, said, after = await self.rpc.batch([look, ("eth_getLogs", (wanted,)), look])
        if _head(before) != last or _head(after) != last:
            raise Unavailable(f"block {last.number} changed while its logs were read")
        return _logs(said, query, first, last)

    async def logs_of_block(self, number: int, block_hash: str) -> list[Log]:
        """Every log of one block, whoever made it."""
        wanted = {"fromBlock": hex(number), "toBlock": hex(number)}
        logs = _logs(await self.rpc.call("eth_getLogs", wanted), {}, number, BlockHead(number, ""))
        if any(log.block_hash != block_hash for log in logs):
            raise Unavailable(f"block {number} changed while its logs were read")
        return logs

    async def transfers_to(
        self, wallet: str, contracts: Sequence[str], first: int, last: BlockHead
    ) -> list[ChainTransfer]:
        """Transfers of these contracts to the wallet in the blocks first…last, in their order."""
        query = {"address": list(contracts), "topics": [TRANSFER, None, topic_of(wallet)]}
        logs = await self.logs(query, first, last)
        found: list[ChainTransfer] = []
        for tx_hash, block_hash in dict.fromkeys((log.tx_hash, log.block_hash) for log in logs):
            receipt = await self.receipt(tx_hash)
            if receipt is None or receipt.block_hash != block_hash or not receipt.logs:
                raise Unavailable(f"transaction {tx_hash} moved while its receipt was read")
            if not receipt.succeeded:
                raise Unavailable(f"transaction {tx_hash} has logs and has not succeeded")
            await self._require_whole(receipt)
            at_us = await self.block_time_us(receipt.block)
            every = transfers_in(receipt, self.chain_id, wallet, at_us)
            found.extend(one for one in every if one.contract in contracts)
        seen = {(one.tx_hash, one.contract) for one in found}
        if any((log.tx_hash, log.address) not in seen for log in logs if _moves(log)):
            raise Unavailable("a receipt lacks a transfer that the logs show")
        return found

    async def _require_whole(self, receipt: TransactionReceipt) -> None:
        """A receipt that lacks a log would name its transfers by other places than before."""
        first = receipt.logs[0].index
        if [log.index - first for log in receipt.logs] != list(range(len(receipt.logs))):
            raise Unavailable(f"the receipt of {receipt.tx_hash} lacks a log")
        block = await self._logs_of_block(receipt)
        if block is None:
            return
        own = sorted((log for log in block if log.tx_hash == receipt.tx_hash), key=_index)
        if tuple(own) != receipt.logs:
            raise Unavailable(f"the receipt of {receipt.tx_hash} has not the logs of its block")

    async def _logs_of_block(self, receipt: TransactionReceipt) -> list[Log] | None:
        """Every log of a receipt's block, None where the node answers no such question.

        That is what it says, or what its silence to this question means while it answers others.
        What was asked for is held against its receipts all the same.
        """
        try:
            block = await self.logs_of_block(receipt.block, receipt.block_hash)
        except RpcRefused:
            return None
        except (RpcSilent, RpcFailed):
            self._silences += 1
            if self._silences > SILENCES_MAX:
                return None
            raise
        self._silences = 0
        return block


def _index(log: Log) -> int:
    return log.index


def _moves(log: Log) -> bool:
    moved = moved_by(log)
    return moved is not None and moved[0] != moved[1] and moved[2] > 0


def _head(block: Any) -> BlockHead:
    if not isinstance(block, dict):
        raise Unavailable("the node does not know the block")
    return BlockHead(quantity(block.get("number")), hexadecimal(block.get("hash"), _HASH))


def _nonce_use(block: dict[str, Any], number: int, wallet: str, nonce: int) -> NonceUse:
    rows = block.get("transactions")
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            raise Unavailable(f"the node said {ascii(row)[:80]} instead of a transaction")
        if hexadecimal(row.get("from"), _ADDRESS) == wallet and quantity(row.get("nonce")) == nonce:
            return NonceUse(
                tx_hash=hexadecimal(row.get("hash"), _HASH),
                to=hexadecimal(row.get("to") or "0x"),
                data=hexadecimal(row.get("input")),
                block=number,
            )
    raise NonceUnproven(f"block {number} holds no transaction with nonce {nonce}")


def _logs(said: Any, query: Mapping[str, Any], first: int, last: BlockHead) -> list[Log]:
    """Logs as they were asked for; a node that answers others is not believed at all."""
    if not isinstance(said, list):
        raise Unavailable("the node answered no list of logs")
    logs = [_log(one) for one in said if not (isinstance(one, dict) and one.get("removed") is True)]
    wanted, topics = query.get("address"), query.get("topics", [])
    for log in logs:
        fits = len(log.topics) >= len(topics) and all(
            asked in {None, is_said} for asked, is_said in zip(topics, log.topics, strict=False)
        )
        inside = first <= log.block <= last.number and (not wanted or log.address in wanted)
        if not fits or not inside:
            raise Unavailable(f"the node answered a log that was not asked for: {log.tx_hash}")
    return logs


def _log(said: Any) -> Log:
    if not isinstance(said, dict) or not isinstance(said.get("topics"), list):
        raise Unavailable(f"the node said {ascii(said)[:80]} instead of a log")
    return Log(
        address=hexadecimal(said.get("address"), _ADDRESS),
        topics=tuple(hexadecimal(one, _HASH) for one in said["topics"]),
        data=hexadecimal(said.get("data")),
        index=quantity(said.get("logIndex")),
        block=quantity(said.get("blockNumber")),
        block_hash=hexadecimal(said.get("blockHash"), _HASH),
        tx_hash=hexadecimal(said.get("transactionHash"), _HASH),
    )


def _receipt(said: Any, tx_hash: str) -> TransactionReceipt:
    if not isinstance(said, dict) or not isinstance(said.get("logs"), list):
        raise Unavailable(f"the node said {ascii(said)[:80]} instead of a receipt")
    receipt = TransactionReceipt(
        tx_hash=hexadecimal(said.get("transactionHash"), _HASH),
        block=quantity(said.get("blockNumber")),
        block_hash=hexadecimal(said.get("blockHash"), _HASH),
        succeeded=quantity(said.get("status")) == 1,
        gas_wei=quantity(said.get("gasUsed")) * quantity(said.get("effectiveGasPrice", "0x0")),
        logs=tuple(sorted((_log(one) for one in said["logs"]), key=_index)),
    )
    place = (tx_hash, receipt.block_hash, receipt.block)
    if any((log.tx_hash, log.block_hash, log.block) != place for log in receipt.logs):
        raise Unavailable(f"the node said a receipt of another transaction than {tx_hash}")
    if receipt.tx_hash != tx_hash:
        raise Unavailable(f"the node said a receipt of another transaction than {tx_hash}")
    return receipt
