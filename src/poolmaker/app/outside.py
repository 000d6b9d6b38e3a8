"""Mixin, the chain and HuFi, opened and plugged into business."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from poolmaker.app.business import Business
from poolmaker.app.figures import AssetRegistry
from poolmaker.app.payouts import Providers
from poolmaker.app.places import EvmPlace
from poolmaker.app.routes import TransferRoutes
from poolmaker.business.ledger.accounts import custody_evm
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.evm.model import GAS, PaymentAction
from poolmaker.evm.service import Evm, EvmPorts, open_evm, tokens_of
from poolmaker.evm.signer import wallet_of
from poolmaker.hufi.model import AccountKeys, LeaderboardEntry
from poolmaker.hufi.service import Hufi, HufiPorts, open_hufi
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.settings.model import Mode, Settings, VenueAccountSettings
from poolmaker.infra.settings.outside import EvmSettings, HufiSettings
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.key_check import ReadOnlyKeyCheck
from poolmaker.mixin.model import MixinForm
from poolmaker.mixin.service import Mixin, MixinPorts, open_mixin
from poolmaker.recon.ports import Holdings

MIXIN_HEAD: Final = "custody:mixin:"
EVM_HEAD: Final = "custody:evm:"
RETRY_US: Final = 2 * SECOND_US


def mixin_forms_of(settings: Settings, scales: AssetRegistry) -> tuple[MixinForm, ...]:
    """The forms that Mixin holds."""
    return tuple(
        MixinForm(
            name=form.name,
            asset=form.asset,
            scale=scales.of(form.asset),
            decimals=form.decimals,
            mixin_id=form.mixin_id,
            mixin_chain_id=form.mixin_chain_id or "",
            venue_network=form.venue_network or "",
        )
        for form in settings.forms
        if form.mixin_id is not None
    )


class OutgoingFreeze:
    """The ``Gate`` of Mixin and chain: closed while money is frozen, or nobody can say."""

    def __init__(self) -> None:
        self._withdrawals: Withdrawals | None = None

    def plug(self, withdrawals: Withdrawals) -> None:
        """Say who knows whether outgoing money is frozen."""
        self._withdrawals = withdrawals

    async def may_send(self, tx: Tx) -> bool:
        return self._withdrawals is not None and not await self._withdrawals.why_frozen(tx)


def open_bot(settings: Settings, scales: AssetRegistry, ports: MixinPorts) -> Mixin | None:
    """The bot at Mixin, None where none is configured. Nothing is asked yet."""
    if settings.mixin is None:
        return None
    return open_mixin(settings.mixin, mixin_forms_of(settings, scales), ports)


def chain_wallet_of(settings: Settings) -> str:
    """The address that campaigns pay to, lower case; empty without a chain."""
    if settings.evm is None:
        return ""
    return wallet_of(settings.evm.wallet_private_key.get_secret_value())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPorts:
    """What the chain's side is given."""

    session: aiohttp.ClientSession
    transactions: Transactions
    business: Business
    providers: Providers
    gate: OutgoingFreeze
    routes: TransferRoutes
    trading: Mapping[VenueAccountId, Transport]
    health: HealthReporter
    clock: Clock


class ChainSide:
    """The chain and HuFi. A node that is down at the start is asked until it answers.

    Nothing else of the platform waits for it: until then nobody sends from there, and its
    holdings are not known.
    """

    def __init__(
        self, settings: Settings, evm: EvmSettings, scales: AssetRegistry, ports: ChainPorts
    ) -> None:
        self._settings = settings
        self._evm_settings = evm
        self._scales = scales
        self._ports = ports
        self.name = custody_evm(chain_wallet_of(settings), "").rstrip(":")
        self._evm: Evm | None = None
        self._hufi: Hufi | None = None

    async def run(self) -> None:
        """Open, then follow chain and HuFi until cancelled."""
        evm = await self._open()
        self._evm = evm
        self._ports.providers.plug(EVM_HEAD, evm.payer)
        if self._settings.hufi is None:
            await asyncio.Event().wait()
            return
        self._hufi = await self._join(self._settings.hufi, evm)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hufi.run_campaigns())
            group.create_task(self._hufi.run_rewards())

    async def _open(self) -> Evm:
        while True:
            try:
                return await self._opened()
            except (Unavailable, OutcomeUnknown) as problem:
                self._ports.health.report("chain", ok=False, sentence=str(problem))
                await self._ports.clock.sleep_us(RETRY_US)

    async def _opened(self) -> Evm:
        ports = self._ports
        evm = await open_evm(
            self._evm_settings,
            tokens_of(self._settings.forms, self._scales.assets),
            self._scales.assets[self._evm_settings.gas_asset],
            await ports.routes.addresses_of_mixin(),
            EvmPorts(
                session=ports.session,
                transactions=ports.transactions,
                clock=ports.clock,
                gate=ports.gate,
            ),
        )
        ports.health.report("chain", ok=True, sentence=f"wallet {evm.wallet}")
        return evm

    async def _join(self, settings: HufiSettings, evm: Evm) -> Hufi:
        ports = self._ports
        keys = _keys_of(self._settings, settings.account)
        check = ReadOnlyKeyCheck(
            trading=ports.trading[VenueAccountId(settings.account)],
            key=keys.read_only_key,
            secret=keys.read_only_secret,
            clock=ports.clock,
        )
        hufi_ports = HufiPorts(
            key_check=check,
            session=ports.session,
            transactions=ports.transactions,
            campaigns=ports.business.campaigns,
            rewards=ports.business.rewards,
            arrivals=ports.business.rooms.reception,
            clock=ports.clock,
            health=ports.health,
        )
        while True:
            try:
                return await open_hufi(
                    settings,
                    evm,
                    self._evm_settings.poll_ms * 1_000,
                    keys,
                    hufi_ports,
                    is_sandbox=self._settings.mode is Mode.SANDBOX,
                )
            except (Unavailable, OutcomeUnknown) as problem:
                ports.health.report("hufi.campaigns", ok=False, sentence=str(problem))
                await ports.clock.sleep_us(RETRY_US)

    # ------------------------------------------------------------------------- as a place

    def covers(self, location: str) -> bool:
        """See ``CustodyPlace.covers``; what is configured, whether the chain answers or not."""
        tokens = (form.name for form in self._settings.forms if form.evm_contract is not None)
        return location in {f"{self.name}:{form}" for form in (*tokens, GAS)}

    async def holdings(self) -> Holdings:
        if self._evm is None:
            raise Unavailable("the chain has not answered yet")
        return await self._place(self._evm).holdings()

    async def is_caught_up(self) -> bool:
        return self._evm is not None

    def _place(self, evm: Evm) -> EvmPlace:
        return EvmPlace(evm, self._scales.assets[self._evm_settings.gas_asset])

    async def act(self, reference: str, action: PaymentAction) -> str:
        """Raises Unavailable until the chain has answered once."""
        if self._evm is None:
            raise Unavailable("the chain has not answered yet")
        return await self._evm.payer.act(reference, action)

    async def attention(self) -> Sequence[AttentionItem]:
        """What the chain's wallet and HuFi need a person for."""
        found: list[AttentionItem] = []
        if self._evm is not None:
            found += await self._evm.payer.attention()
        if self._hufi is not None and self._hufi.joiner is not None:
            found += self._hufi.joiner.attention()
        return found

    async def standing(self, campaign: str) -> LeaderboardEntry | None:
        """Our line of a campaign's leaderboard; None while there is none."""
        if self._hufi is None or self._evm is None:
            return None
        lines = await self._hufi.leaderboard(campaign)
        return next((one for one in lines if one.address.lower() == self._evm.wallet), None)


def _keys_of(settings: Settings, account: str) -> AccountKeys:
    found: Mapping[str, VenueAccountSettings] = {one.id: one for one in settings.venue_accounts}
    venue = found[account]
    if venue.read_only_api_key is None or venue.read_only_secret is None:
        raise PreconditionError(f"the account {account} has no read-only key")
    return AccountKeys(
        read_only_key=venue.read_only_api_key.get_secret_value(),
        read_only_secret=venue.read_only_secret.get_secret_value(),
        trading_key=venue.api_key.get_secret_value(),
        trading_secret=venue.secret.get_secret_value(),
    )
