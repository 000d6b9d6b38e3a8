"""A chain client on the sandbox chain, and what else its tests need."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from eth_account import Account

from poolmaker.evm.model import RegisteredToken
from poolmaker.evm.ports import EvmOutgoingGate
from poolmaker.evm.service import Evm, EvmPorts, open_evm, tokens_of
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.settings.outside import EvmSettings, FormSettings
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.money import Asset
from tests.support.worlds import RunningWorld

USDT = Asset("USDT", 8)
"""Finer than the token's six decimals, so that dust exists."""
ETH = Asset("ETH", 18)


def fresh_key() -> str:
    """A private key that nobody has."""
    return "0x" + secrets.token_hex(32)


def usdt_of(contract: str) -> tuple[RegisteredToken, ...]:
    """The registered tokens of a test: USDT alone."""
    form = FormSettings(name="usdt-test", asset="USDT", decimals=6, evm_contract=contract)
    return tokens_of([form], {"USDT": USDT})


@dataclass
class ChainStage:
    """A wallet of the platform on the sandbox chain, opened anew as often as a test likes."""

    chain: RunningWorld
    database: Database
    session: aiohttp.ClientSession
    clock: Clock = field(default_factory=SystemClock)
    key: str = field(default_factory=fresh_key)
    mixin: str = field(default_factory=lambda: "0x" + secrets.token_hex(20))
    """Where rewards are sent on to."""
    more: dict[str, Any] = field(default_factory=dict)
    gate: EvmOutgoingGate | None = None

    @property
    def wallet(self) -> str:
        """The checksummed address."""
        return str(Account.from_key(self.key).address)

    @property
    def location(self) -> str:
        """Where the wallet's USDT stand in the ledger."""
        return f"custody:evm:{self.wallet.lower()}:usdt-test"

    @property
    def settings(self) -> EvmSettings:
        """The section of the configuration."""
        values = {
            "rpc_url": self.chain.ready["rpc"], "chain_id": 1338, "wallet_private_key": self.key,
            **self.more,
        }  # fmt: skip
        return EvmSettings.model_validate(values)

    async def open(self, destination: str = "", transactions: Transactions | None = None) -> Evm:
        """The client of a fresh process."""
        tokens = usdt_of(self.chain.ready["contracts"]["usdt"])
        ports = EvmPorts(
            session=self.session,
            transactions=transactions or self.database,
            clock=self.clock,
            gate=self.gate,
        )
        return await open_evm(
            self.settings, tokens, ETH, {"usdt-test": destination or self.mixin}, ports
        )

    async def give(self, asset: str, amount: str, to: str | None = None) -> str:
        """Tokens or coins from nowhere; the transaction."""
        order = {"address": to or self.wallet, "asset": asset, "amount": amount}
        answer = await self.chain.admin("POST", "/faucet", order)
        assert answer["status"] == 200, answer
        return str(answer["tx_hash"])

    async def mine(self, blocks: int = 65) -> None:
        """Blocks; 65 make final what is there."""
        assert (await self.chain.admin("POST", "/mine", {"blocks": blocks}))["status"] == 200

    async def until_paid(self, units: int) -> None:
        """The node mines by itself, a moment after it has taken a transaction."""
        while await self.balance("USDT", self.mixin) < units:
            await SystemClock().sleep_us(20_000)
        assert await self.balance("USDT", self.mixin) == units

    async def balance(self, asset: str, of: str | None = None) -> int:
        """Smallest units at the newest block."""
        found = await self.chain.admin("GET", f"/balances/{of or self.wallet}")
        return int(found[asset])


@contextlib.asynccontextmanager
async def on_stage(chain: RunningWorld, database: Database) -> AsyncIterator[ChainStage]:
    """A stage with a session of its own."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield ChainStage(chain, database, session)
