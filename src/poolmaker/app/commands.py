"""The API's commands over the services of business: texts to units, answers to what can be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from poolmaker.api import ports
from poolmaker.app.figures import AssetRegistry
from poolmaker.app.money import MoneyReading
from poolmaker.app.people import UserDirectory
from poolmaker.app.reading import PlatformReading
from poolmaker.business.ledger.accounts import custody_mixin, share_asset
from poolmaker.business.user_orders.model import (
    MIXIN,
    Accepted,
    Answer,
    Declined,
    OrderRefusal,
    PayoutDestination,
    User,
)
from poolmaker.business.user_orders.service import UserOrders, UserRegistry
from poolmaker.business.withdrawals.model import NotRequested, Requested
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.infra.settings.outside import MIXIN_DECIMALS, FormSettings
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.money import SCALE_MAX, Rounding, divide, parse_units, power_of_ten
from poolmaker.messages.base import Money as UnitMoney
from poolmaker.views.model import OrderView, UserView, WalletClaimView, WithdrawalView


class UserCommands:
    """``api.ports.People`` over the users of user orders. ``link`` makes a payment link."""

    def __init__(self, registry: UserRegistry, link: Callable[[str], tuple[str, str]]) -> None:
        self._registry = registry
        self._link = link

    async def create(
        self, request_id: str, name: str, mixin_id: str
    ) -> UserView | ports.ActionRefused:
        made = await self._registry.made_by(request_id)
        owner = await self._registry.user_at_mixin(mixin_id)
        if owner is not None and owner.id != made:
            return ports.ActionRefused("mixin_id_taken")
        named = await self._registry.user_named(name)
        if named is not None and named.id != made:
            return ports.ActionRefused("name_taken", {"name": name})
        user_id = await self._registry.create_user(name, request_id, mixin_id)
        user = await self._registry.user(user_id)
        ensure(user is not None, f"user {user_id} was made and is not there")
        return _seen(user) if user is not None else ports.ActionRefused("unknown_user")

    async def users(self, after: str, limit: int) -> Sequence[UserView]:
        return tuple(_seen(user) for user in await self._registry.users(UserId(after), limit))

    async def user(self, user_id: UserId) -> UserView | None:
        found = await self._registry.user(user_id)
        return _seen(found) if found is not None else None

    async def claim_wallet(
        self, user_id: UserId, mixin_id: str
    ) -> WalletClaimView | ports.ActionRefused:
        claim = await self._registry.claim_wallet(user_id, mixin_id)
        if isinstance(claim, Declined):
            return ports.ActionRefused(claim.reason.value)
        memo, link = self._link(claim.trace)
        if not link:
            return ports.ActionRefused("no_mixin")
        return WalletClaimView(user_id, mixin_id, claim.trace, memo, link, claim.until_us)

    async def disable(self, user_id: UserId, *, disabled: bool) -> UserView | ports.ActionRefused:
        found = await self._registry.disable(user_id, disabled=disabled)
        return (
            ports.ActionRefused(found.reason.value) if isinstance(found, Declined) else _seen(found)
        )


NO_ORDER: Final = OrderId("")


class OrderCommands:
    """``api.ports.Orders`` over user orders; answers with the order as it stands."""

    def __init__(self, orders: UserOrders, reading: PlatformReading, scales: AssetRegistry) -> None:
        self._orders = orders
        self._reading = reading
        self._scales = scales

    async def open(self, order: ports.NewOrder) -> OrderView | ports.ActionRefused:
        base, quote = (
            parse_units(money.amount, self._scales.of(money.asset))
            for money in (order.base, order.quote)
        )
        answer = await self._orders.open_order(
            order.user_id,
            order.pool_id,
            base,
            quote,
            order.request_id,
            by_mixin=order.pays_by_mixin,
            shares_min=await self._share_units(order),
        )
        return await self._answer(answer)

    async def _share_units(self, order: ports.NewOrder) -> int:
        """The least shares in units of the pool's present epoch, rounded up."""
        if not order.least_shares:
            return 0
        pools = {pool.pool_id: pool for pool in await self._reading.pools()}
        pool = pools.get(order.pool_id)
        scale = self._scales.of(share_asset(order.pool_id, pool.epoch)) if pool else SCALE_MAX
        units = parse_units(order.least_shares, SCALE_MAX)
        return divide(units, power_of_ten(SCALE_MAX - scale), Rounding.UP)

    async def take_back(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ports.ActionRefused:
        answer = await self._orders.take_back(user_id, order_id, request_id)
        return await self._answer(answer, order_id)

    async def pause(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ports.ActionRefused:
        answer = await self._orders.pause(user_id, order_id, request_id)
        return await self._answer(answer, order_id)

    async def resume(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ports.ActionRefused:
        answer = await self._orders.resume(user_id, order_id, request_id)
        return await self._answer(answer, order_id)

    async def withdraw(
        self,
        user_id: UserId,
        order_id: OrderId,
        payout: Sequence[ports.WithdrawalDestination],
        request_id: str,
    ) -> OrderView | ports.ActionRefused:
        destinations = [
            PayoutDestination(asset=to.asset, network=to.network, address=to.address, tag=to.memo)
            for to in payout
        ]
        answer = await self._orders.withdraw(user_id, order_id, destinations, request_id)
        return await self._answer(answer, order_id)

    async def _answer(
        self, answer: Answer, order_id: OrderId = NO_ORDER
    ) -> OrderView | ports.ActionRefused:
        match answer:
            case Declined(OrderRefusal.NO_WALLET):
                return ports.ActionRefused("no_mixin")
            case Declined(OrderRefusal.BAD_AMOUNT):
                return ports.ActionRefused("bad_order_amount")
            case Declined(OrderRefusal.WRONG_STATE):
                stands = await self._reading.order(order_id)
                return ports.ActionRefused("wrong_state", {"state": stands.state if stands else ""})
            case Declined():
                return ports.ActionRefused(answer.reason.value)
            case Accepted():
                seen = await self._reading.order(answer.order)
                return seen if seen is not None else ports.ActionRefused("unknown_order")


class PayoutCommands:
    """``api.ports.Payouts``: available money to Mixin wallets. ``forms`` are Mixin's, by asset."""

    def __init__(
        self,
        withdrawals: Withdrawals,
        people: UserDirectory,
        reading: MoneyReading,
        scales: AssetRegistry,
        forms: Mapping[str, FormSettings],
    ) -> None:
        self._withdrawals = withdrawals
        self._people = people
        self._reading = reading
        self._scales = scales
        self._forms = forms

    async def request(self, payout: ports.NewPayout) -> WithdrawalView | ports.ActionRefused:
        asset, form = payout.money.asset, self._forms.get(payout.money.asset)
        user = await self._people.user(payout.user_id)
        if form is None or user is None or not user.mixin_id:
            return ports.ActionRefused("no_mixin")
        scale = self._scales.of(asset)
        units = parse_units(payout.money.amount, scale)
        if units % power_of_ten(scale - min(MIXIN_DECIMALS, scale)):
            facts = {"asset": asset, "scale": str(min(MIXIN_DECIMALS, scale))}
            return ports.ActionRefused("bad_amount", facts)
        answer = await self._withdrawals.withdraw(
            payout.user_id,
            custody_mixin(form.name),
            UnitMoney(asset=asset, units=units),
            PayoutDestination(asset=asset, network=MIXIN, address=user.mixin_id),
            payout.request_id,
        )
        match answer:
            case NotRequested(reason):
                return ports.ActionRefused(reason.value, self._scales.facts(asset))
            case Requested(withdrawal):
                seen = await self._reading.withdrawal(withdrawal)
                ensure(seen is not None, f"withdrawal {withdrawal} was made and is not there")
                return seen if seen is not None else ports.ActionRefused("no_mixin")


def _seen(user: User) -> UserView:
    return UserView(user.id, user.name, user.created_us, user.mixin_id, user.disabled_us)
