"""HUMAN's contracts and the test tokens: deployed in the order that gives their known addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.sandbox.chain.abi import bytecode, call_data, types_of
from poolmaker.sandbox.chain.model import (
    DEPLOYER,
    EXCHANGE_ORACLE,
    FACTORY,
    HMT,
    KVSTORE,
    LAUNCHER,
    RECORDING_ORACLE,
    REPUTATION_ORACLE,
    STAKING,
    TOKENS,
    USDT,
    VAULTS,
)
from poolmaker.sandbox.chain.options import ACCOUNTS, CHAIN_ID, MNEMONIC
from poolmaker.sandbox.chain.rpc import Rpc
from poolmaker.sandbox.chain.wallet import ChainWallet, account_of

FEES: Final = (
    (EXCHANGE_ORACLE, "1", "Exchange Oracle"),
    (RECORDING_ORACLE, "1", "Recording Oracle"),
    (REPUTATION_ORACLE, "2", "Reputation Oracle"),
)
SUPPLY: Final = 1_000_000_000
STAKE_UNITS: Final = 10**18
LAUNCHER_TOKENS: Final = 10_000_000
VAULT_TOKENS: Final = 100_000_000


class Deployer:
    """Puts the contracts on an empty chain; needs a node that mines every transaction at once."""

    def __init__(self, rpc: Rpc, modules: Path, clock: Clock) -> None:
        self._modules = modules
        self._wallets = [
            ChainWallet(rpc, account_of(MNEMONIC, index), CHAIN_ID, clock)
            for index in range(ACCOUNTS)
        ]

    async def deploy(self) -> None:
        """Contracts, fees, roles, stake, funds of launcher and vaults; each address is checked."""
        hmt = (SUPPLY, HMT.title, HMT.decimals, HMT.symbol)
        usdt = (SUPPLY, USDT.title, USDT.decimals, USDT.symbol)
        await self._create(HMT.address, "HMToken", "(uint256,string,uint8,string)", *hmt)
        await self._create(
            STAKING, "Staking", "(address,uint256,uint32,uint256)", HMT.address, 1, 1_000, 1
        )
        await self._create(KVSTORE, "KVStore", "()")
        implementation = await self._create(None, "EscrowFactory", "()")
        first = call_data("initialize(address,uint256,address)", STAKING, 1, KVSTORE)
        await self._create(
            FACTORY, "ERC1967Proxy", "(address,bytes)", implementation,
            bytes.fromhex(first.removeprefix("0x")),
        )  # fmt: skip
        await self._create(USDT.address, "HMToken", "(uint256,string,uint8,string)", *usdt)
        await self._introduce()

    async def _introduce(self) -> None:
        for index, fee, role in FEES:
            for name, value in (("fee", fee), ("role", role)):
                data = call_data("set(string,string)", name, value)
                await self._wallets[index].send(KVSTORE, data)
        launcher = self._wallets[LAUNCHER]
        for index, tokens in (
            (LAUNCHER, LAUNCHER_TOKENS),
            *((one, VAULT_TOKENS) for one in VAULTS),
        ):
            for token in TOKENS:
                units, holder = tokens * 10**token.decimals, self._wallets[index].address
                data = call_data("transfer(address,uint256)", holder, units)
                await self._wallets[DEPLOYER].send(token.address, data)
        await launcher.send(
            HMT.address, call_data("approve(address,uint256)", STAKING, STAKE_UNITS)
        )
        await launcher.send(STAKING, call_data("stake(uint256)", STAKE_UNITS))

    async def _create(
        self, expected: str | None, name: str, signature: str, *arguments: object
    ) -> str:
        code = bytecode(self._modules, name) + encode(types_of(signature), arguments).hex()
        receipt = await self._wallets[DEPLOYER].send(None, code)
        address = str(to_checksum_address(receipt["contractAddress"]))
        ensure(expected in {None, address}, f"{name} is at {address}, not at {expected}")
        return address
