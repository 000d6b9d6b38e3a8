"""What the chain says, read so that a lagging or wrong node is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from poolmaker.evm.abi import TRANSFER, Undecodable, call_data, decoded, topic_of
from poolmaker.evm.model import ChainTransfer, Head, Log, Receipt
from poolmaker.evm.rpc import Rpc, RpcRefused, quantity
from poolmaker.evm.rules import transfers_in
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem, Unavailable

_GWEI: Final = 10**9


class Chain:
    """Reads of one chain. Everything raises Unavailable when the node cannot be trusted now.

    ``finality_blocks`` None trusts the node's own ``finalized``.
    """

    def __init__(self, rpc: Rpc, chain_id: int, finality_blocks: int | None = None) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self._finality_blocks = finality_blocks

    async def verify(self) -> None:
        """Raise EnvironmentProblem when the node serves another chain."""
        found = await self.rpc.number("eth_chainId")
        if found != self.chain_id:
            raise EnvironmentProblem(
                f"The node of evm.rpc_url serves chain {found}, not {self.chain_id}; "
                "correct evm.rpc_url or evm.chain_id."
            )

    async def finalized(self) -> Head:
        """The newest block that counts as final."""
        if self._finality_blocks is None:
            return _head(await self.rpc.call("eth_getBlockByNumber", "finalized", False))
        newest = await self.latest()
        return await self.head(max(0, newest.number - self._finality_blocks))

    async def latest(self) -> Head:
        """The newest block."""
        return _head(await self.rpc.call("eth_getBlockByNumber", "latest", False))

    async def head(self, number: int) -> Head:
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

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """What became of a transaction, None while no block holds it. See ``is_canonical``."""
        said = await self.rpc.call("eth_getTransactionReceipt", tx_hash)
        return _receipt(said) if said is not None else None

    async def is_canonical(self, receipt: Receipt) -> bool:
        """Whether the receipt's block is still the block of its number."""
        return (await self.head(receipt.block)).hash == receipt.block_hash

    async def logs(self, query: dict[str, Any], first: int, last: Head) -> list[Log]:
        """Logs of the blocks first…last, which one and the same node must know.

        Raises RpcRefused when the node refuses the range.
        """
        wanted = {**query, "fromBlock": hex(first), "toBlock": hex(last.number)}
        look = ("eth_getBlockByNumber", (hex(last.number), False))
        before, said, after = await self.rpc.batch([look, ("eth_getLogs", (wanted,)), look])
        if _head(before) != last or _head(after) != last:
            raise Unavailable(f"block {last.number} changed while its logs were read")
        if not isinstance(said, list):
            raise Unavailable("the node answered no list of logs")
        return [_log(one) for one in said if not one.get("removed")]

    async def transfers_to(
        self, wallet: str, contracts: Sequence[str], first: int, last: Head
    ) -> list[ChainTransfer]:
        """Transfers of these contracts to the wallet in the blocks first…last, in their order."""
        query = {"address": list(contracts), "topics": [TRANSFER, None, topic_of(wallet)]}
        logs = await self.logs(query, first, last)
        found: list[ChainTransfer] = []
        for tx_hash, block_hash in dict.fromkeys((log.tx_hash, log.block_hash) for log in logs):
            receipt = await self.receipt(tx_hash)
            if receipt is None or receipt.block_hash != block_hash or not receipt.succeeded:
                raise Unavailable(f"transaction {tx_hash} moved while its receipt was read")
            at_us = await self.block_time_us(receipt.block)
            every = transfers_in(receipt, self.chain_id, wallet, at_us)
            found.extend(one for one in every if one.contract in contracts)
        return found


def _head(block: Any) -> Head:
    if not isinstance(block, dict):
        raise Unavailable("the node does not know the block")
    return Head(quantity(block.get("number")), str(block.get("hash")).lower())


def _log(said: dict[str, Any]) -> Log:
    try:
        return Log(
            address=str(said["address"]).lower(),
            topics=tuple(str(one).lower() for one in said["topics"]),
            data=str(said["data"]),
            index=quantity(said["logIndex"]),
            block=quantity(said["blockNumber"]),
            block_hash=str(said["blockHash"]).lower(),
            tx_hash=str(said["transactionHash"]).lower(),
        )
    except (KeyError, TypeError) as problem:
        raise Unavailable(f"the node said a log without {problem}") from None


def _receipt(said: Any) -> Receipt:
    try:
        logs = sorted((_log(one) for one in said["logs"]), key=lambda log: log.index)
        price = said.get("effectiveGasPrice", "0x0")
        return Receipt(
            tx_hash=str(said["transactionHash"]).lower(),
            block=quantity(said["blockNumber"]),
            block_hash=str(said["blockHash"]).lower(),
            succeeded=quantity(said["status"]) == 1,
            gas_wei=quantity(said["gasUsed"]) * quantity(price),
            logs=tuple(logs),
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise Unavailable(f"the node said a receipt without {problem}") from None
