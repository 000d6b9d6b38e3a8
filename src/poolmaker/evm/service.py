"""The chain client put together: verified, pinned, watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from poolmaker.evm._store import PgPaymentStore, PgPinStore, PgWatchStore
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import GatePolicy, Holdings, RegisteredToken
from poolmaker.evm.payer import TransactionSender, TransactionSenderSettings
from poolmaker.evm.ports import EvmOutgoingGate, PinStore
from poolmaker.evm.rpc import Rpc
from poolmaker.evm.rules import GWEI, tip_min_wei
from poolmaker.evm.signer import Signer, require_address, wallet_of
from poolmaker.evm.watcher import Watcher
from poolmaker.infra.settings.outside import EvmSettings, FormSettings
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import MINUTE_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.money import Asset, AssetOnNetwork

GAS_MAX: Final = 300_000
STUCK_US: Final = 3 * MINUTE_US
AT_THE_START: Final = "the first start"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvmPorts:
    """What the chain client reaches the outside through."""

    session: aiohttp.ClientSession
    transactions: Transactions
    clock: Clock
    gate: EvmOutgoingGate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evm:
    """The parts of a chain client. ``wallet`` is the lower-case address."""

    wallet: str
    tokens: Sequence[RegisteredToken]
    chain: Chain
    signer: Signer
    watcher: Watcher
    payer: TransactionSender

    async def balances(self) -> Holdings:
        """What the wallet has at the newest final block. Raises Unavailable."""
        head = await self.chain.finalized()
        block, units = hex(head.number), {}
        for token in self.tokens:
            found = await self.chain.ask(
                token.contract, "balanceOf(address)", "uint256", self.wallet, block=block
            )
            units[token.form.name] = token.form.read(int(found)).units
        gas_wei = await self.chain.rpc.number("eth_getBalance", self.wallet, block)
        return Holdings(head, units, gas_wei)


def tokens_of(
    forms: Iterable[FormSettings], assets: Mapping[str, Asset]
) -> tuple[RegisteredToken, ...]:
    """The forms that live on the chain, with their contracts."""
    return tuple(
        RegisteredToken(
            AssetOnNetwork(assets[one.asset], one.name, one.decimals), one.evm_contract.lower()
        )
        for one in forms
        if one.evm_contract is not None
    )


async def open_evm(
    settings: EvmSettings,
    tokens: Sequence[RegisteredToken],
    gas_asset: Asset,
    destinations: Mapping[str, str],
    ports: EvmPorts,
) -> Evm:
    """A chain client whose node serves the right chain.

    ``destinations`` are the addresses that rewards are sent on to, by form: those of Mixin. An
    address is pinned when it is first given. Raises EnvironmentProblem when the node serves
    another chain or a given address differs from the pinned one, Unavailable when the node does
    not answer.
    """
    _require_sound(tokens)
    chain = Chain(Rpc(ports.session, settings.rpc_url), settings.chain_id, settings.finality_blocks)
    await chain.verify()
    wallet = wallet_of(settings.wallet_private_key.get_secret_value())
    pins = await _pinned(chain, tokens, destinations, ports)
    recipients = {
        one.contract: frozenset({pins[one.contract]} if one.contract in pins else ())
        for one in tokens
    }
    fee_max_wei = settings.gas_price_max_gwei * GWEI
    policy = GatePolicy(settings.chain_id, recipients, GAS_MAX, fee_max_wei)
    signer = Signer(settings.wallet_private_key.get_secret_value(), policy)
    contracts = [one.contract for one in tokens]
    return Evm(
        wallet=wallet,
        tokens=tuple(tokens),
        chain=chain,
        signer=signer,
        watcher=Watcher(chain, wallet, contracts, PgWatchStore(), ports.transactions, ports.clock),
        payer=TransactionSender(
            chain,
            signer,
            tokens,
            PgPaymentStore(),
            ports.transactions,
            ports.clock,
            TransactionSenderSettings(
                gas_asset,
                fee_max_wei,
                STUCK_US,
                ports.gate,
                tip_min_wei(settings.chain_id, settings.tip_min_gwei),
            ),
        ),
    )


def _require_sound(tokens: Sequence[RegisteredToken]) -> None:
    contracts = [one.contract for one in tokens]
    require(contracts, "tokens: expected at least one form with an evm_contract")
    require(len(set(contracts)) == len(contracts), "tokens: two forms name one contract")


async def _pinned(
    chain: Chain,
    tokens: Sequence[RegisteredToken],
    destinations: Mapping[str, str],
    ports: EvmPorts,
) -> Mapping[str, str]:
    pins = AddressAllowlist(PgPinStore(), chain.chain_id, ports)
    for token in tokens:
        if token.form.name in destinations:
            await pins.give(token, destinations[token.form.name])
    return await pins.valid()


class AddressAllowlist:
    """Where each token may be sent."""

    def __init__(self, store: PinStore, chain_id: int, ports: EvmPorts) -> None:
        self._store = store
        self._chain_id = chain_id
        self._transactions = ports.transactions
        self._clock = ports.clock

    async def valid(self) -> Mapping[str, str]:
        """The valid address of every contract."""
        async with self._transactions.begin("evm.pins") as tx:
            return await self._store.pins(tx, self._chain_id)

    async def give(self, token: RegisteredToken, address: str) -> None:
        """Pin a token's address when it has none; raise EnvironmentProblem when it differs."""
        wanted = require_address(address, "destination")
        async with self._transactions.begin("evm.pin") as tx:
            known = (await self._store.pins(tx, self._chain_id)).get(token.contract)
            if known is None:
                await self._pin(tx, token, wanted, AT_THE_START)
        if known not in {None, wanted}:
            raise EnvironmentProblem(
                f"{token.form.name} is pinned to {known}, but Mixin now names {wanted}; find out "
                "why before anything is sent: nothing goes to the new address until it is pinned."
            )

    async def change(self, token: RegisteredToken, before: str, after: str, by_whom: str) -> None:
        """A person's word that a token goes to another address from the next start on.

        Raises CallerFault unless ``before`` is the valid address and somebody says it.
        """
        require(by_whom, "by_whom: expected who says so")
        old, new = require_address(before, "before"), require_address(after, "after")
        async with self._transactions.begin("evm.repin") as tx:
            known = (await self._store.pins(tx, self._chain_id)).get(token.contract)
            require(known == old, f"before: {token.form.name} is pinned to {known}")
            await self._pin(tx, token, new, by_whom)

    async def _pin(self, tx: Tx, token: RegisteredToken, address: str, by_whom: str) -> None:
        now_us = self._clock.now_us()
        await self._store.pin(tx, self._chain_id, token.contract, address, by_whom, now_us)
