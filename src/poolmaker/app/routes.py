"""How our places are joined: addresses that the places name, fees that are configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.app.figures import AssetRegistry
from poolmaker.business.ledger.accounts import (
    custody_evm,
    custody_mixin,
    custody_venue,
    venue_account_of,
)
from poolmaker.business.treasury.model import Route
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.settings.base import AmountSettings
from poolmaker.infra.settings.model import Settings
from poolmaker.infra.settings.outside import FormSettings
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import parse_units, power_of_ten
from poolmaker.market.connectors.binance.wallet import VenueWallet
from poolmaker.mixin.service import MixinService

CHAIN_NETWORK: Final = "evm"
RETRY_US: Final = 2 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePorts:
    """Who names addresses. ``chain_wallet`` is empty without a chain."""

    venues: Mapping[VenueAccountId, VenueWallet]
    mixin: MixinService
    chain_wallet: str
    health: HealthReporter
    clock: Clock


class TransferRoutes:
    """Every route whose address is known. An address that was named once stays for this process."""

    def __init__(self, settings: Settings, scales: AssetRegistry, ports: RoutePorts) -> None:
        self._settings = settings
        self._scales = scales
        self._ports = ports
        self._forms = [form for form in settings.forms if form.mixin_id is not None]
        self._routes: dict[tuple[str, str, str], Route] = {}

    def routes(self) -> Sequence[Route]:
        return tuple(self._routes.values())

    async def run(self) -> None:
        """Ask for what is not known until everything is; then nothing is left to do but wait."""
        while True:
            missing = [one for one in self._wanted() if _name(one) not in self._routes]
            problem = ""
            for route in missing:
                try:
                    await self._learn(route)
                except (Unavailable, OutcomeUnknown) as trouble:
                    problem = f"no address for {route.asset} at {route.target}: {trouble}"
            sentence = problem or "every address is known"
            self._ports.health.report("routes", ok=not problem, sentence=sentence)
            await self._ports.clock.sleep_us(RETRY_US if problem else MINUTE_US)

    async def addresses_of_mixin(self) -> dict[str, str]:
        """Mixin's own deposit addresses of the forms that live on the chain, by form."""
        found = {}
        for form in self._forms:
            if form.evm_contract is not None:
                found[form.name] = (await self._ports.mixin.deposit_address(form.name)).address
        return found

    async def _learn(self, route: Route) -> None:
        account = venue_account_of(route.target)
        if account is not None:
            wallet = self._ports.venues[account]
            address, tag = await wallet.deposit_address(route.asset, route.network)
        else:
            form = route.target.removeprefix(custody_mixin(""))
            named = await self._ports.mixin.deposit_address(form)
            address, tag = named.address, named.tag
        self._routes[_name(route)] = replace(route, address=address, tag=tag)

    def _wanted(self) -> list[Route]:
        return [route for form in self._forms for route in self._of(form)]

    def _of(self, form: FormSettings) -> list[Route]:
        mixin, found = custody_mixin(form.name), []
        if form.venue_network is not None:
            for account in self._ports.venues:
                venue = custody_venue(account)
                found.append(self._route(form, mixin, venue, form.venue_network))
                found.append(self._route(form, venue, mixin, form.venue_network))
        if form.evm_contract is not None and self._ports.chain_wallet:
            chain = custody_evm(self._ports.chain_wallet, form.name)
            found.append(replace(self._route(form, chain, mixin, CHAIN_NETWORK), nets=False))
        return found

    def _route(self, form: FormSettings, source: str, target: str, network: str) -> Route:
        settings = self._settings
        quoted: Sequence[AmountSettings] = ()
        least: Sequence[AmountSettings] = ()
        if source.startswith(custody_mixin("")):
            quoted = settings.treasury.funding_fees
        elif venue_account_of(source) is not None:
            quoted, least = settings.payout.fees, settings.payout.minimums
        scale = self._scales.of(form.asset)
        step = power_of_ten(scale - min(form.mixin_decimals, scale))
        fee = sum(parse_units(one.amount, scale) for one in quoted if one.asset == form.asset)
        minimum = sum(parse_units(one.amount, scale) for one in least if one.asset == form.asset)
        return Route(
            source=source,
            target=target,
            asset=form.asset,
            network=network,
            address="",
            fee_units=fee,
            minimum_units=max(1, minimum),
            step_units=step,
        )


class NoRoutes:
    """A platform without Mixin moves nothing by itself."""

    def routes(self) -> Sequence[Route]:
        return ()


def _name(route: Route) -> tuple[str, str, str]:
    return route.source, route.target, route.asset
