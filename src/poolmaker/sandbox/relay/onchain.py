"""The sandbox chain: read over its RPC, paid from over its admin port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from poolmaker.kernel.errors import Unavailable
from poolmaker.sandbox.chain.abi import address_of_topic, topic
from poolmaker.sandbox.chain.model import MIXIN_VAULT, NATIVE, VENUE_VAULT
from poolmaker.sandbox.chain.rpc import Rpc, RpcRefused
from poolmaker.sandbox.relay.model import Leaving, Place, RelayPayment, RelaySide, Seen, TxId
from poolmaker.sandbox.relay.port import AdminPort
from poolmaker.sandbox.relay.routes import ON_CHAIN, RelayRoute
from poolmaker.sandbox.venue.units import to_text

TRANSFER: Final = topic("Transfer(address,address,uint256)")
AT_ONCE: Final = 32
_VAULTS: Final = {RelaySide.MIXIN: MIXIN_VAULT, RelaySide.VENUE: VENUE_VAULT}
_TOKENS: Final = {
    route.token.address.lower(): route for route in ON_CHAIN if route.token and route.token.address
}
_COIN: Final = next(route for route in ON_CHAIN if route.token is NATIVE)

Row = dict[str, Any]
T = TypeVar("T")


class _Transfer(msgspec.Struct):
    tx_hash: str
    block: int | None


class _Transfers(msgspec.Struct):
    transfers: list[_Transfer]


class ChainWorld:
    """The chain; ``confirmations`` blocks make a transfer count, 0 waits for ``finalized``."""

    def __init__(
        self, rpc: Rpc, session: aiohttp.ClientSession, admin: str, confirmations: int
    ) -> None:
        self._rpc = rpc
        self._port = AdminPort(session, admin, RelaySide.CHAIN)
        self._confirmations = confirmations

    async def check(self) -> None:
        """Raises Unavailable or CallerFault when the admin port is not the chain's."""
        await self._port.call("GET", "/transfers", _Transfers)

    async def final_block(self) -> int:
        """The newest block that counts; below 0 while there is none."""
        if self._confirmations:
            return await self._number("eth_blockNumber") - self._confirmations + 1
        block = await self._call("eth_getBlockByNumber", "finalized", False)
        return -1 if block is None else int(block["number"], 16)

    async def block_hash(self, number: int) -> str | None:
        """What the block of this number is called now, None where there is none."""
        block = await self._call("eth_getBlockByNumber", hex(number), False)
        return None if block is None else str(block["hash"])

    async def send(self, leaving: Leaving, route: RelayRoute) -> RelayPayment:
        """Transfer a withdrawal from its side's vault, once for its side and id."""
        order = {
            "key": f"{leaving.side}/{leaving.withdrawal_id}", "account": _VAULTS[leaving.side],
            "address": leaving.address, "amount": to_text(leaving.units),
            "asset": route.token.symbol if route.token else "",
        }  # fmt: skip
        done = await self._port.call("POST", "/transfers", _Transfer, order)
        return RelayPayment(tx_id=TxId(done.tx_hash), block=done.block)

    async def transfers(self, first: int, last: int, places: AbstractSet[Place]) -> Sequence[Seen]:
        """Tokens and plain payments that went to these places in these blocks, oldest first."""
        wanted = {
            "address": list(_TOKENS), "topics": [TRANSFER], "fromBlock": hex(first),
            "toBlock": hex(last),
        }  # fmt: skip
        logs = await self._call("eth_getLogs", wanted)
        found = [self._of_log(log) for log in logs]
        found = await _gathered(self._placed(one) for one in found if one.place in places)
        blocks = await _gathered(
            self._call("eth_getBlockByNumber", hex(number), True)
            for number in range(first, last + 1)
        )
        coins = [one for block in blocks if block for one in _payments(block, places)]
        found += [one for one in coins if await self._succeeded(one.tx_id)]
        return sorted(found, key=lambda one: (one.block, one.tx_id, one.index))

    @staticmethod
    def _of_log(log: Row) -> Seen:
        """A transfer whose ``index`` is still that of its log in its block."""
        return Seen(
            route=_TOKENS[log["address"].lower()], units=int(log["data"], 16),
            address=address_of_topic(log["topics"][2]), sender=address_of_topic(log["topics"][1]),
            tx_id=TxId(log["transactionHash"]), index=int(log["logIndex"], 16),
            block=int(log["blockNumber"], 16), block_hash=log["blockHash"],
        )  # fmt: skip

    async def _placed(self, seen: Seen) -> Seen:
        """The same with the log's position in its transaction, which no reorganisation moves."""
        receipt = await self._call("eth_getTransactionReceipt", seen.tx_id)
        if receipt is None or receipt["blockHash"] != seen.block_hash:
            raise Unavailable("the chain has been reorganised while it was read")
        numbers = [int(log["logIndex"], 16) for log in receipt["logs"]]
        return replace(seen, index=numbers.index(seen.index))

    async def _succeeded(self, tx_id: TxId) -> bool:
        receipt = await self._call("eth_getTransactionReceipt", tx_id)
        return receipt is not None and int(receipt["status"], 16) == 1

    async def _call(self, method: str, *params: object) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except RpcRefused as problem:
            raise Unavailable(f"the chain refuses {method}: {problem}") from None

    async def _number(self, method: str) -> int:
        return int(await self._call(method), 16)


def _payments(block: Row, places: AbstractSet[Place]) -> list[Seen]:
    """Plain payments of the chain's own coin in a block."""
    found = [
        Seen(
            route=_COIN, units=int(tx["value"], 16), address=tx["to"], sender=tx["from"],
            tx_id=TxId(tx["hash"]), index=0, block=int(block["number"], 16),
            block_hash=block["hash"],
        )
        for tx in block["transactions"]
        if tx["to"] is not None and int(tx["value"], 16) > 0
    ]  # fmt: skip
    return [one for one in found if one.place in places]


async def _gathered(work: Iterable[Awaitable[T]]) -> list[T]:
    """All results, a few at once."""
    waiting, found = list(work), []
    for at in range(0, len(waiting), AT_ONCE):
        found += await asyncio.gather(*waiting[at : at + AT_ONCE])
    return found
