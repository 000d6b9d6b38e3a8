"""People of a simulated world: they ask, lose the answer, ask again with the same key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from poolmaker.business.ledger.accounts import custody_venue
from poolmaker.business.pools.model import PoolConfig
from poolmaker.business.treasury.booking import Booked, Booking
from poolmaker.business.treasury.decisions import IN_DOUBT, OutcomeDecision
from poolmaker.business.treasury.model import (
    SendDecision,
)
from poolmaker.business.user_orders.model import Accepted, PayoutDestination, UserOrderState
from poolmaker.infra.attention import AttentionItem
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import OrderId, SagaId, UserId, VenueAccountId, WithdrawalId
from poolmaker.kernel.money import Amount, Asset
from poolmaker.kernel.rng import Rng
from poolmaker.lab.gate import ProcessCrash
from poolmaker.lab.loop import VirtualClock
from poolmaker.lab.mixin import SimMixin
from poolmaker.lab.platform import SimPlatform
from poolmaker.lab.venue import SimProvider, SimVenue
from poolmaker.messages.base import Money

T = TypeVar("T")

BTC: Final = Asset("BTC", 8)
ETH: Final = Asset("ETH", 8)
USDT: Final = Asset("USDT", 6)
ACCOUNT: Final = VenueAccountId("main")
_SETTLED: Final = frozenset(
    {
        UserOrderState.IN_MM,
        UserOrderState.PAUSE,
        UserOrderState.CLOSED,
        UserOrderState.EXPIRED,
        UserOrderState.REFUNDED,
    }
)


class ApiClient:
    """Where people reach the platform, whichever process is up."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._platform: SimPlatform | None = None

    def opens(self, platform: SimPlatform) -> None:
        """Requests go to ``platform`` from now on."""
        self._platform = platform

    def closes(self) -> None:
        """Nobody answers."""
        self._platform = None

    async def ask(self, request: Callable[[SimPlatform], Coroutine[Any, Any, T]]) -> T:
        """Ask until there is an answer. Whatever is in doubt is asked again."""
        while True:
            platform = self._platform
            if platform is None:
                await self._clock.sleep_us(SECOND_US)
                continue
            asking = asyncio.create_task(request(platform))
            dead = asyncio.create_task(_until(platform.process.dead))
            try:
                await asyncio.wait([asking, dead], return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    return asking.result()
            except (OutcomeUnknown, Unavailable, ProcessCrash):
                pass
            finally:
                await _drop(asking, dead)
            await self._clock.sleep_us(SECOND_US)


async def booked(
    door: ApiClient,
    clock: VirtualClock,
    state: Callable[[SimPlatform], Coroutine[Any, Any, Booking]],
) -> None:
    """State an arrival until it is booked: a busy place may not show it in the first moment."""
    while not isinstance(await door.ask(state), Booked):
        await clock.sleep_us(5 * SECOND_US)


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def _drop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Person:
    """One user with a script of his own seed."""

    name: str
    door: ApiClient
    venue: SimVenue
    clock: VirtualClock
    rng: Rng
    pools: tuple[PoolConfig, ...]
    mixin: SimMixin | None = None

    async def live(self) -> None:
        """Deposit, open orders, change one's mind, withdraw."""
        await self._pause_for(20)
        user = await self.door.ask(
            lambda p: p.rooms.orders.registry.create_user(
                self.name, f"user {self.name}", self._wallet
            )
        )
        for base in self._bases():
            await self._deposit(user, base, self.rng.between(10**7, 10**9))
        await self._deposit(user, USDT, self.rng.between(10**9, 6 * 10**11))
        for number in range(self.rng.between(1, 2)):
            await self._pause_for(30)
            await self._order(user, number)
        if self.rng.chance_ppm(500_000):
            await self._withdraw_money(user)

    def _bases(self) -> list[Asset]:
        bases = {pool.market.base: pool.market.base_asset for pool in self.pools}
        return [bases[code] for code in sorted(bases)]

    async def _pause_for(self, seconds: int) -> None:
        await self.clock.sleep_us(self.rng.exponential_us(seconds * SECOND_US))

    async def _deposit(self, user: UserId, asset: Asset, units: int) -> None:
        # Whoever pays from Mixin has less at the venue, so that cash has to be moved there.
        if self.mixin is not None and self.rng.chance_ppm(700_000):
            return
        reference = f"{self.name}-{asset.code}"
        self.venue.receive(asset.code, units, reference)
        amount = Amount(asset, units)
        await booked(
            self.door,
            self.clock,
            lambda p: p.rooms.treasury.credit_deposit(user, ACCOUNT, amount, reference),
        )

    async def _order(self, user: UserId, number: int) -> None:
        pool = self.rng.choice(self.pools)
        # Now and then more than there is: the ledger must refuse.
        base = self.rng.choice([0, self.rng.below(10**7), self.rng.below(3 * 10**8)])
        quote = self.rng.choice([0, self.rng.below(10**10), self.rng.below(2 * 10**11)])
        key = f"open {number}"
        by_mixin = self.mixin is not None and self.rng.chance_ppm(700_000)
        answer = await self.door.ask(
            lambda p: p.rooms.orders.open_order(user, pool.id, base, quote, key, by_mixin=by_mixin)
        )
        if not isinstance(answer, Accepted):
            return
        order = answer.order
        if by_mixin:
            await self._pay(order)
        if self.rng.chance_ppm(800_000):
            await self._state(order, _SETTLED)
        await self._pause_for(60)
        if self.rng.fork(f"excess {number}").chance_ppm(300_000):
            await self.door.ask(lambda p: p.rooms.orders.take_back(user, order, f"back {number}"))
        if self.rng.chance_ppm(400_000):
            await self.door.ask(lambda p: p.rooms.orders.pause(user, order, f"pause {number}"))
            await self._state(order, _SETTLED - {UserOrderState.IN_MM})
            if self.rng.chance_ppm(700_000):
                await self.door.ask(
                    lambda p: p.rooms.orders.resume(user, order, f"resume {number}")
                )
                await self._pause_for(60)
        if self.rng.chance_ppm(700_000):
            where = self._where(pool.market.base) if not by_mixin else []
            await self.door.ask(
                lambda p: p.rooms.orders.withdraw(user, order, where, f"withdraw {number}")
            )

    async def _pay(self, order: OrderId) -> None:
        """Pay the legs, most often as asked: else too little, too late, twice or rubbish."""
        intent = await self.door.ask(lambda p: p.rooms.orders.deposit_intent(order))
        if intent is None or self.mixin is None:
            return
        for leg in intent.legs:
            await self._pause_for(self.rng.choice([1, 5, 30]))
            memo = intent.memo if self.rng.chance_ppm(300_000) else b""
            units = leg.units if self.rng.chance_ppm(800_000) else self.rng.between(1, 10**9)
            if self.rng.chance_ppm(900_000):
                self.mixin.pay(leg, leg.asset, units, by_memo=memo)
            if self.rng.chance_ppm(100_000):
                self.mixin.pay(leg, self.rng.choice(["BTC", "USDT"]), units, by_memo=memo)
        if self.rng.chance_ppm(200_000):
            self.mixin.pay_rubbish("USDT", self.rng.between(2 * 10**6, 10**9))

    @property
    def _wallet(self) -> str:
        return f"{self.name}-at-mixin"

    def _where(self, base: str) -> list[PayoutDestination]:
        return [self._destination(base, base), self._destination("USDT", "TRX")]

    def _destination(self, asset: str, network: str) -> PayoutDestination:
        return PayoutDestination(asset=asset, network=network, address=f"{asset}-of-{self.name}")

    async def _withdraw_money(self, user: UserId) -> None:
        asset, network = self.rng.choice([("BTC", "BTC"), ("USDT", "TRX")])
        money = Money(asset=asset, units=self.rng.between(10**6, 10**8))
        where = self._destination(asset, network)
        await self.door.ask(
            lambda p: p.rooms.withdrawals.withdraw(
                user, custody_venue(ACCOUNT), money, where, "some money"
            )
        )

    async def _state(self, order: OrderId, wanted: frozenset[UserOrderState]) -> None:
        """Look at the order now and then until it is where one waits for it, or long enough."""
        for _ in range(20):
            view = await self.door.ask(lambda p: p.rooms.orders.view(order))
            if view is not None and view.order.state in wanted:
                return
            await self._pause_for(15)


@dataclass(frozen=True, slots=True)
class Operator:
    """Decides what became of payouts and transfers in doubt, by what the place itself shows."""

    door: ApiClient
    provider: SimProvider
    clock: VirtualClock
    rng: Rng

    async def live(self) -> None:
        """Look at what needs a person, for ever."""
        while True:
            await self.clock.sleep_us(20 * SECOND_US)
            payouts = await self.door.ask(lambda p: p.rooms.withdrawals.attention())
            transfers = await self.door.ask(lambda p: p.rooms.carrier.attention())
            for item in (*payouts, *transfers):
                if not self.provider.knows(item.evidence["reference"]):
                    await self._decide(item)

    async def _decide(self, item: AttentionItem) -> None:
        again = item.kind == IN_DOUBT and self.rng.chance_ppm(700_000)
        wanted = SendDecision.AGAIN if again else SendDecision.NOT_SENT
        sending = int(item.evidence["sendings"])
        decision = OutcomeDecision(sending=sending, decision=wanted, by="the operator")
        if item.source == "withdrawals":
            payout = WithdrawalId(item.subject)
            await self.door.ask(lambda p: p.rooms.withdrawals.decide(payout, decision))
        else:
            transfer = SagaId(item.subject)
            await self.door.ask(lambda p: p.rooms.carrier.decide(transfer, decision))


def all_of(people: list[Person]) -> Awaitable[list[None]]:
    """All lives at once."""
    return asyncio.gather(*(person.live() for person in people))
