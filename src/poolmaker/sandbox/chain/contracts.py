"""HUMAN's contracts and the test tokens: deployed in the order that gives their known addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import Clock
from poolmaker.sandbox.chain.abi import bytecode, call_data, types_of
from poolmaker.sandbox.chain.options import CHAIN_ID, MNEMONIC
from poolmaker.sandbox.chain.rpc import Rpc
from poolmaker.sandbox.chain.wallet import Wallet, account_of

DEPLOYER: Final = 0
LAUNCHER: Final = 1
EXCHANGE_ORACLE: Final = 2
RECORDING_ORACLE: Final = 3
REPUTATION_ORACLE: Final = 4
FEES: Final = (
    (EXCHANGE_ORACLE, "1", "Exchange Oracle"),
    (RECORDING_ORACLE, "1", "Recording Oracle"),
    (REPUTATION_ORACLE, "2", "Reputation Oracle"),
)
SUPPLY: Final = 1_000_000_000
STAKE_UNITS: Final = 10**18
LAUNCHER_TOKENS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Token:
    """A test token; ``decimals`` as on Polygon."""

    symbol: str
    title: str
    decimals: int
    address: str


HMT: Final = Token("HMT", "HUMAN Token", 18, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
USDT: Final = Token("USDT", "Tether USD", 6, "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707")
TOKENS: Final = (HMT, USDT)
STAKING: Final = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
KVSTORE: Final = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"
FACTORY: Final = "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9"


def addresses() -> dict[str, str]:
    """What the ready line names."""
    return {
        "hmt": HMT.address, "usdt": USDT.address, "staking": STAKING, "kvstore": KVSTORE,
        "escrow_factory": FACTORY,
    }  # fmt: skip


def token_called(name: str) -> Token | None:
    """The token of a symbol or an address."""
    wanted = name.lower()
    return next(
        (one for one in TOKENS if wanted in {one.symbol.lower(), one.address.lower()}), None
    )


class Deployer:
    """Puts the contracts on an empty chain; needs a node that mines every transaction at once."""

    def __init__(self, rpc: Rpc, modules: Path, clock: Clock) -> None:
        self._modules = modules
        self._wallets = [
            Wallet(rpc, account_of(MNEMONIC, index), CHAIN_ID, clock) for index in range(5)
        ]

    async def deploy(self) -> None:
        """Contracts, fees, roles, stake and the launcher's funds; each address is checked."""
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
        for token in TOKENS:
            units = LAUNCHER_TOKENS * 10**token.decimals
            data = call_data("transfer(address,uint256)", launcher.address, units)
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
