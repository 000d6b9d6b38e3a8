"""The Mixin client put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from poolmaker.infra.settings.outside import MixinSettings
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem, PreconditionError, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.mixin._store.paying import PgPayStore
from poolmaker.mixin._store.walking import PgWalkStore
from poolmaker.mixin.api import MixinApi
from poolmaker.mixin.client import PAGE, SafeClient
from poolmaker.mixin.codec.encoding import from_hex
from poolmaker.mixin.codec.keys import KEY_BYTES
from poolmaker.mixin.codec.links import PAY_URL, PaymentLink, payment_link
from poolmaker.mixin.model import (
    Balance,
    DepositAddress,
    Keystore,
    MixinForm,
    MixinIncident,
    MixinRefused,
    MixinUser,
)
from poolmaker.mixin.ports import MixinOutgoingGate, Safe, WalkStore
from poolmaker.mixin.unlisted import UnlistedPorts, UnlistedReturns
from poolmaker.mixin.walker import OutputScanner, WalkPorts
from poolmaker.mixin.wallet import MixinWallet, WalletPorts


class MixinService:
    """What others ask of Mixin besides sending: addresses, balances, links, users, incidents."""

    def __init__(
        self, safe: Safe, store: WalkStore, transactions: Transactions,
        settings: MixinSettings, forms: Sequence[MixinForm],
    ) -> None:  # fmt: skip
        self._safe = safe
        self._store = store
        self._transactions = transactions
        self._settings = settings
        self._forms = {form.name: form for form in forms}

    async def deposit_address(self, form: str) -> DepositAddress:
        """Where a form is deposited to over its chain; always the same.

        Raises Unavailable while the address is being made and for a form without a chain.
        """
        chain_id = self._form(form).mixin_chain_id
        if not chain_id:
            raise Unavailable(f"the form {form} has no chain at Mixin")
        try:
            return await self._safe.deposit_address(chain_id)
        except PreconditionError as refused:
            raise Unavailable(f"the address of {form}: {refused}") from refused

    async def wrong_forms(self) -> list[str]:
        """What is wrong with the configured forms, one sentence each; nothing is the good answer.

        Failure row P20: ids are held against the network's own list, not believed.
        """
        found = []
        for form in self._forms.values():
            try:
                chain_id = await self._safe.chain_of(form.mixin_id)
            except MixinRefused as refused:
                found.append(f"the form {form.name} is of an asset unknown to Mixin: {refused}")
                continue
            if form.mixin_chain_id not in {"", chain_id}:
                found.append(
                    f"the form {form.name} names the chain {form.mixin_chain_id}, "
                    f"but its asset lives on {chain_id}"
                )
        return found

    async def balances(self) -> dict[str, Balance]:
        """What the network says is unspent, by the name of the form."""
        return {name: await self._balance(form) for name, form in self._forms.items()}

    async def _balance(self, form: MixinForm) -> Balance:
        units = strange = sequence = 0
        counted: set[str] = set()
        while True:
            page = await self._safe.outputs(sequence, asset_id=form.mixin_id, state="unspent")
            fresh = [one for one in page if one.output_id not in counted]
            async with self._transactions.begin("mixin.balance") as tx:
                known = await self._store.known(tx, [one.output_id for one in fresh])
                unbooked = await self._store.unbooked(tx, form.mixin_id)
            for one in fresh:
                counted.add(one.output_id)
                sequence = max(sequence, one.sequence)
                money = 0 if one.is_inscription else one.units
                units += money
                strange += money if one.output_id not in known else 0
            if len(page) < PAGE or not fresh:
                return Balance(form.read(units)[0], form.read(strange + unbooked)[0], sequence)

    def payment_link(
        self, form: str, units: int, trace: str, memo: str = "", return_to: str = ""
    ) -> str:
        """The link by which a wallet pays ``units`` of the register to the bot, once.

        Raises CallerFault for what the network cannot hold.
        """
        network_units = self._form(form).write(units)
        if network_units is None:
            raise PreconditionError(f"{units} units do not fit into {form}")
        link = payment_link(
            PaymentLink(
                recipient=self._settings.app_id, asset_id=self._form(form).mixin_id,
                units=network_units, trace=trace, memo=memo, return_to=return_to,
            )
        )  # fmt: skip
        return f"{self._settings.pay_url.rstrip('/')}/{link.removeprefix(PAY_URL)}"

    async def user(self, user_id: str) -> MixinUser | None:
        """A user, None when there is none. Only who ``has_safe`` can be paid."""
        return await self._safe.user(user_id)

    async def incidents(self) -> list[MixinIncident]:
        """What a person should look at, newest first."""
        async with self._transactions.begin("mixin.incidents") as tx:
            return await self._store.incidents(tx)

    def _form(self, name: str) -> MixinForm:
        if name not in self._forms:
            raise PreconditionError(f"form: {name!r} is not configured at Mixin")
        return self._forms[name]


@dataclass(frozen=True, slots=True)
class Mixin:
    """The parts. Plug the treasury into the walker before anything runs."""

    wallet: MixinWallet
    unlisted: UnlistedReturns
    walker: OutputScanner
    desk: MixinService


@dataclass(frozen=True, slots=True, kw_only=True)
class MixinPorts:
    """What the client is made of. Without a gate nobody can freeze what is journalled."""

    session: aiohttp.ClientSession
    transactions: Transactions
    clock: Clock
    rng: Rng
    gate: MixinOutgoingGate | None = None


def open_mixin(settings: MixinSettings, forms: Sequence[MixinForm], ports: MixinPorts) -> Mixin:
    """The client of one bot. Nothing is asked of the network yet (failure row P33)."""
    keystore = keystore_of(settings)
    api = MixinApi(ports.session, settings.api_url, keystore, ports.clock, ports.rng)
    return mixin_over(SafeClient(api, keystore.app_id), settings, forms, ports)


def mixin_over(
    safe: Safe, settings: MixinSettings, forms: Sequence[MixinForm], ports: MixinPorts
) -> Mixin:
    """The client over any ``Safe``."""
    keystore, store = keystore_of(settings), PgWalkStore()
    walking = WalkPorts(safe=safe, store=store, transactions=ports.transactions, clock=ports.clock)
    walker = OutputScanner(walking, keystore.app_id, forms, settings.poll_ms * 1_000)
    paying = WalletPorts(
        safe=safe, store=PgPayStore(), transactions=ports.transactions, walks=walker,
        clock=ports.clock, gate=ports.gate,
    )  # fmt: skip
    desk = MixinService(safe, store, ports.transactions, settings, forms)
    wallet = MixinWallet(paying, keystore, forms)
    returns = UnlistedReturns(
        UnlistedPorts(
            safe=safe, store=store, transactions=ports.transactions, wallet=wallet,
            clock=ports.clock, gate=ports.gate,
        ),
        keystore.app_id,
        forms,
    )  # fmt: skip
    return Mixin(wallet, returns, walker, desk)


def keystore_of(settings: MixinSettings) -> Keystore:
    """The keystore of the settings. Raises EnvironmentProblem for a key that is none."""
    return Keystore(
        settings.app_id,
        settings.session_id,
        _seed(settings.session_private_key.get_secret_value(), "session_private_key"),
        _seed(settings.spend_private_key.get_secret_value(), "spend_private_key"),
    )


def _seed(text: str, name: str) -> bytes:
    try:
        data = from_hex(text.strip().lower())
    except PreconditionError:
        data = b""
    # Some keystores hold the seed with its public key behind it.
    if len(data) not in {KEY_BYTES, 2 * KEY_BYTES}:
        raise EnvironmentProblem(
            f"mixin.{name} must be 64 hexadecimal digits; copy it from the bot's keystore"
        )
    return data[:KEY_BYTES]
