"""HUMAN's escrows on the chain: found by their logs, read, funded, recorded, paid, ended."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

from eth_utils.address import to_checksum_address

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.sandbox.chain.abi import call_data, decoded, topic
from poolmaker.sandbox.chain.model import (
    EXCHANGE_ORACLE,
    FACTORY,
    KVSTORE,
    LAUNCHER,
    RECORDING_ORACLE,
    REPUTATION_ORACLE,
    Token,
)
from poolmaker.sandbox.chain.options import CHAIN_ID, MNEMONIC
from poolmaker.sandbox.chain.rpc import Rpc
from poolmaker.sandbox.chain.wallet import ChainWallet, account_of
from poolmaker.sandbox.hufi.model import EscrowState, EscrowStatus, Launch, Payment

REQUESTER: Final = "hufi-campaign-launcher"
LAUNCHED: Final = topic("LaunchedV2(address,address,string)")
FUND: Final = topic("Fund(uint256)")
CANCELLATION: Final = topic("CancellationRequested()")
PAID: Final = topic("BulkTransferV3(bytes32,address[],uint256[],bool,string,string)")
COMPLETED: Final = topic("Completed()")
CANCELLED: Final = topic("Cancelled()")
_CREATE: Final = (
    "createFundAndSetupEscrow(address,uint256,string,address,address,address,string,string)"
)
_PAY: Final = "bulkPayOut(address[],uint256[],string,string,string,bool)"
_PAID_TYPES: Final = ["address[]", "uint256[]", "bool", "string", "string"]


class Escrows:
    """The chain as HuFi's wallets see it. Raises RpcRefused, Unavailable, OutcomeUnknown."""

    def __init__(self, rpc: Rpc, clock: Clock) -> None:
        self._rpc = rpc
        self._launcher, self._exchange, self._recorder, self._payer = (
            ChainWallet(rpc, account_of(MNEMONIC, index), CHAIN_ID, clock)
            for index in (LAUNCHER, EXCHANGE_ORACLE, RECORDING_ORACLE, REPUTATION_ORACLE)
        )

    @property
    def recording_oracle(self) -> str:
        """The address whose campaigns are ours."""
        return self._recorder.address

    async def is_ready(self) -> bool:
        """Whether the chain is ours and has the factory."""
        if await self._rpc.number("eth_chainId") != CHAIN_ID:
            return False
        return len(await self._rpc.call("eth_getCode", FACTORY, "latest")) > 2

    async def head(self) -> int:
        """Number of the newest block."""
        return await self._rpc.number("eth_blockNumber")

    async def launched(self, first: int, last: int) -> list[Launch]:
        """Escrows that the factory made in these blocks, oldest first."""
        wanted = {
            "address": FACTORY, "topics": [LAUNCHED], "fromBlock": hex(first), "toBlock": hex(last),
        }  # fmt: skip
        return [self._launch(log) for log in await self._rpc.call("eth_getLogs", wanted)]

    @staticmethod
    def _launch(log: dict[str, Any]) -> Launch:
        token, escrow, requester = decoded(["address", "address", "string"], log["data"])
        return Launch(escrow, token, requester, int(log["blockNumber"], 16))

    async def has(self, address: str) -> bool:
        """Whether the factory made it."""
        return bool(await self._ask(FACTORY, "hasEscrow(address)", "bool", address))

    async def _ask(self, where: str, signature: str, kind: str, *arguments: object) -> Any:
        call = {"to": where, "data": call_data(signature, *arguments)}
        said = await self._rpc.call("eth_call", call, "latest")
        if said in {None, "0x"}:
            raise Unavailable(f"{where} is no contract now")
        return decoded([kind], said)[0]

    async def _ask_all(self, where: str, questions: dict[str, str]) -> list[Any]:
        asked = (self._ask(where, f"{name}()", kind) for name, kind in questions.items())
        return list(await asyncio.gather(*asked))

    async def read(self, address: str) -> EscrowState:
        """All that the chain says of an escrow."""
        oracles = ("exchangeOracle", "recordingOracle", "reputationOracle")
        facts = await self._ask_all(
            address,
            {
                "token": "address", "status": "uint8", "launcher": "address",
                "manifest": "string", "manifestHash": "string", "remainingFunds": "uint256",
                "reservedFunds": "uint256", "getBalance": "uint256",
                "intermediateResultsUrl": "string", "intermediateResultsHash": "string",
                "finalResultsUrl": "string",
            },
        )  # fmt: skip
        who = await self._ask_all(address, dict.fromkeys(oracles, "address"))
        fees = await self._ask_all(
            address, dict.fromkeys((f"{name}FeePercentage" for name in oracles), "uint8")
        )
        logs = await self._rpc.call("eth_getLogs", {"address": address, "fromBlock": "0x0"})
        return EscrowState(
            address=address, token=facts[0], status=EscrowStatus(facts[1]), launcher=facts[2],
            oracles=(who[0], who[1], who[2]), fees=(fees[0], fees[1], fees[2]),
            manifest=facts[3], manifest_hash=facts[4], remaining_units=facts[5],
            reserved_units=facts[6], balance_units=facts[7], intermediate_url=facts[8],
            intermediate_hash=facts[9], final_url=facts[10],
            **await self._history(logs),
        )  # fmt: skip

    async def _history(self, logs: list[dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "fund_units": 0, "created_ms": 0, "cancel_requested_ms": None, "finalized_ms": None,
        }  # fmt: skip
        payments: list[Payment] = []
        for log in logs:
            kind = log["topics"][0]
            if kind == FUND:
                found["fund_units"] += int(log["data"], 16)
                found["created_ms"] = await self._time_ms(log)
            elif kind == CANCELLATION:
                found["cancel_requested_ms"] = await self._time_ms(log)
            elif kind in {COMPLETED, CANCELLED}:
                found["finalized_ms"] = await self._time_ms(log)
            elif kind == PAID:
                amounts = decoded(_PAID_TYPES, log["data"])[1]
                payments.append(Payment(await self._time_ms(log), sum(amounts)))
        return {**found, "payments": tuple(payments)}

    async def _time_ms(self, log: dict[str, Any]) -> int:
        stamp = log.get("blockTimestamp")
        if stamp is None:
            block = await self._rpc.call("eth_getBlockByNumber", log["blockNumber"], False)
            stamp = block["timestamp"]
        return int(stamp, 16) * 1_000

    async def oracle_fees(self) -> list[str]:
        """What the three oracles ask for new campaigns: exchange, recording, reputation."""
        wallets = (self._exchange, self._recorder, self._payer)
        asked = (
            self._ask(KVSTORE, "get(address,string)", "string", one.address, "fee")
            for one in wallets
        )
        return list(await asyncio.gather(*asked))

    async def create(self, token: Token, units: int, manifest: str) -> tuple[str, str]:
        """Fund and set up an escrow as the launcher does; its address and the transaction."""
        approve = call_data("approve(address,uint256)", FACTORY, units)
        await self._launcher.send(token.address, approve)
        digest = hashlib.sha1(manifest.encode(), usedforsecurity=False).hexdigest()
        data = call_data(
            _CREATE, token.address, units, REQUESTER, self._payer.address,
            self._recorder.address, self._exchange.address, manifest, digest,
        )  # fmt: skip
        receipt = await self._launcher.send(FACTORY, data)
        launched = next(log for log in receipt["logs"] if log["topics"][0] == LAUNCHED)
        return self._launch(launched).address, str(receipt["transactionHash"])

    async def request_cancellation(self, address: str) -> str:
        """As the launcher does."""
        receipt = await self._launcher.send(address, call_data("requestCancellation()"))
        return str(receipt["transactionHash"])

    async def store_results(self, address: str, url: str, digest: str, units: int) -> None:
        """As the recording oracle does; ``units`` more are reserved."""
        data = call_data("storeResults(string,string,uint256)", url, digest, units)
        await self._recorder.send(address, data)

    async def pay(
        self, address: str, payments: list[tuple[str, int]], url: str, digest: str, payout_id: str
    ) -> None:
        """As the reputation oracle does; amounts are what leaves the escrow, fees included."""
        recipients = [to_checksum_address(who) for who, _ in payments]
        amounts = [units for _, units in payments]
        data = call_data(_PAY, recipients, amounts, url, digest, payout_id, False)
        await self._payer.send(address, data)

    async def complete(self, address: str) -> None:
        """What is left goes back to the launcher."""
        await self._payer.send(address, call_data("complete()"))

    async def cancel(self, address: str) -> None:
        """The same, after a request to cancel."""
        await self._payer.send(address, call_data("cancel()"))
