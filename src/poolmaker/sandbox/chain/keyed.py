"""Transfers that are sent once for each key, and again only when a reorganisation lost them.

What is known of a key lives as long as the chain itself, which keeps nothing over a restart.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, NamedTuple

from eth_utils.crypto import keccak

from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PreconditionError
from poolmaker.sandbox.chain.rpc import Rpc, RpcRefused
from poolmaker.sandbox.chain.wallet import TIP_WEI, ChainWallet

KEYS_MAX: Final = 100_000


class ContractCall(NamedTuple):
    """What a transaction does; ``value`` is in wei."""

    to: str
    data: str
    value: int


@dataclass(slots=True, eq=False)
class KeyedTransfer:
    """A transfer under its key; ``block`` is None while none holds it."""

    key: str
    sender: str
    call: ContractCall
    raw: str
    block: int | None = None

    @property
    def tx_hash(self) -> str:
        """What the chain calls it."""
        return "0x" + keccak(hexstr=self.raw).hex()

    def shown(self) -> dict[str, object]:
        """As the admin port tells it."""
        return {"key": self.key, "tx_hash": self.tx_hash, "block": self.block}


class KeyedTransfers:
    """All transfers with a key.

    One key is one transfer: its transaction keeps its hash for as long as its nonce is free to be
    used by it, which only a reorganisation can change.
    """

    def __init__(self, node: Rpc) -> None:
        self._node = node
        self._known: dict[str, KeyedTransfer] = {}
        self._turn = asyncio.Lock()

    async def send(self, key: str, wallet: ChainWallet, call: ContractCall) -> KeyedTransfer:
        """Send it, or learn how far it is.

        Raises CallerFault when the key was another transfer, RpcRefused when it would fail.
        """
        async with self._turn:
            known = self._known.get(key)
            if known is None:
                require(0 < len(key) <= 200, "key: 1 to 200 characters")
                require(len(self._known) < KEYS_MAX, f"key: at most {KEYS_MAX} of them")
                return await self._first(key, wallet, call)
            if (known.sender, known.call) != (wallet.address, call):
                raise PreconditionError(f"key: {key} was another transfer")
            if not await self._is_there(known):
                await self._again(known, wallet)
            return known

    async def all(self) -> list[KeyedTransfer]:
        """Every transfer, oldest first, with the block that holds it now."""
        for one in self._known.values():
            await self._is_there(one)
        return list(self._known.values())

    async def _first(self, key: str, wallet: ChainWallet, call: ContractCall) -> KeyedTransfer:
        async with wallet.turn:
            # Remembered before it is handed in: without an answer it may be there all the same.
            raw = await wallet.signed(*call, tip_wei=_tip_of(key))
            made = KeyedTransfer(key, wallet.address, call, raw)
            self._known[key] = made
            await wallet.hand_in(made.raw)
        await self._is_there(made)
        return made

    async def _is_there(self, one: KeyedTransfer) -> bool:
        """Whether the node has it, in a block or waiting for one."""
        found = await self._node.call("eth_getTransactionByHash", one.tx_hash)
        number = None if found is None else found.get("blockNumber")
        one.block = None if number is None else int(number, 16)
        if number is not None:
            receipt = await self._node.call("eth_getTransactionReceipt", one.tx_hash)
            if receipt is not None and int(receipt["status"], 16) != 1:
                raise RpcRefused(3, f"transaction {one.tx_hash} of {one.key} failed")
        return found is not None

    async def _again(self, lost: KeyedTransfer, wallet: ChainWallet) -> None:
        """Hand in what a reorganisation removed; signed anew where its nonce is taken."""
        async with wallet.turn:
            try:
                await wallet.hand_in(lost.raw)
            except RpcRefused:
                if await self._is_there(lost):
                    return
                lost.raw = await wallet.signed(*lost.call, tip_wei=_tip_of(lost.key))
                await wallet.hand_in(lost.raw)
        await self._is_there(lost)


def _tip_of(key: str) -> int:
    """A tip of its own, so that equal transfers with one nonce are not the same transaction."""
    return TIP_WEI + int.from_bytes(keccak(text=key)[:4], "big") % TIP_WEI
