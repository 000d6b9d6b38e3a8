"""Wallets of the sandbox's own actors: keys from the mnemonic, transactions one after another."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from eth_account import Account
from eth_account.signers.local import LocalAccount

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.sandbox.chain.rpc import Rpc, RpcRefused

RECEIPT_TIMEOUT_US: Final = 60 * SECOND_US
POLL_US: Final = 50_000
GAS_FACTOR_PERCENT: Final = 130
TIP_WEI: Final = 1_000_000_000

Account.enable_unaudited_hdwallet_features()


def account_of(mnemonic: str, index: int) -> LocalAccount:
    """The wallet number ``index`` of a mnemonic."""
    found: LocalAccount = Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}")
    return found


class ChainWallet:
    """Sends transactions of one key, one at a time, each until it is in a block."""

    def __init__(self, rpc: Rpc, account: LocalAccount, chain_id: int, clock: Clock) -> None:
        self.rpc = rpc
        self.account = account
        self._chain_id = chain_id
        self._clock = clock
        self.turn = asyncio.Lock()
        """Held by whoever signs, until his transaction is handed in: nonces have no gaps."""

    @property
    def address(self) -> str:
        """Checksummed address."""
        return str(self.account.address)

    async def send(
        self, to: str | None, data: str = "0x", value: int = 0, *, mine: bool = False
    ) -> dict[str, Any]:
        """The receipt of a transaction that succeeded.

        ``mine`` asks the node for a block at once. Raises RpcRefused when it would fail or
        failed, OutcomeUnknown when no block took it in time.
        """
        async with self.turn:
            sent = await self.hand_in(await self.signed(to, data, value))
            if mine:
                await self.rpc.call("evm_mine")
            receipt = await self._receipt(sent)
        if int(receipt["status"], 16) != 1:
            raise RpcRefused(3, f"transaction {sent} failed")
        return receipt

    async def submit(self, to: str, data: str, value: int) -> str:
        """Sign and hand in, in turn; the transaction's hash."""
        async with self.turn:
            return await self.hand_in(await self.signed(to, data, value))

    async def signed(
        self, to: str | None, data: str, value: int, tip_wei: int = TIP_WEI
    ) -> str:  # fmt: skip
        """A raw transaction with the next nonce, for whoever has the turn.

        Raises RpcRefused when it would fail.
        """
        me = self.address
        wanted: dict[str, Any] = {"from": me, "data": data, "value": hex(value)}
        if to is not None:
            wanted["to"] = to
        gas = await self.rpc.number("eth_estimateGas", wanted) * GAS_FACTOR_PERCENT // 100
        price = await self.rpc.number("eth_gasPrice")
        transaction: dict[str, Any] = {
            "chainId": self._chain_id, "type": 2, "value": value, "data": data, "gas": gas,
            "nonce": await self.rpc.number("eth_getTransactionCount", me, "pending"),
            "maxFeePerGas": 2 * price + tip_wei, "maxPriorityFeePerGas": tip_wei,
        }  # fmt: skip
        if to is not None:
            transaction["to"] = to
        raw = self.account.sign_transaction(transaction).raw_transaction
        return "0x" + bytes(raw).hex()

    async def hand_in(self, raw: str) -> str:
        """Give a raw transaction to the node; its hash."""
        return str(await self.rpc.call("eth_sendRawTransaction", raw))

    async def _receipt(self, sent: str) -> dict[str, Any]:
        until = self._clock.monotonic_us() + RECEIPT_TIMEOUT_US
        while self._clock.monotonic_us() < until:
            found = await self.rpc.call("eth_getTransactionReceipt", sent)
            if found is not None:
                receipt: dict[str, Any] = found
                return receipt
            await self._clock.sleep_us(POLL_US)
        raise OutcomeUnknown(f"no block took transaction {sent} in time")
