"""The outside world of a simulation: a venue that holds money, and its payouts."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from poolmaker.business.treasury.booking import ReportedDeposit
from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendFailed,
    SendRefused,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.lab.gate import FaultGate
from poolmaker.lab.loop import VirtualClock, VirtualLoop
from poolmaker.lab.mixin import AT_MIXIN, AT_VENUE, SimMixin

ARRIVAL_US_MAX = 40 * SECOND_US
HISTORY_LAG_US_MAX = 20 * SECOND_US
_TIMEOUT_S = 10
_MIXIN = "custody:mixin:"


class SimVenue:
    """What is really there, whatever anybody has booked."""

    def __init__(self) -> None:
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.deposits: dict[tuple[str, str], int] = {}

    async def arrived_units(self, _target: str, asset: str, transaction_id: str) -> int | None:
        return self.deposits.get((asset, transaction_id))

    def knows(self, _location: str, _asset: str) -> bool:
        return True

    async def deposit(self, _location: str, asset: str, reference: str) -> ReportedDeposit | None:
        units = self.deposits.get((asset, reference))
        return ReportedDeposit(reference=reference, units=units) if units is not None else None

    async def held_units(self, _location: str, asset: str) -> int:
        return self.balances[asset]

    def receive(self, asset: str, units: int, transaction_id: str) -> None:
        """Something comes from a chain."""
        self.move(asset, units)
        self.deposits[asset, transaction_id] = units

    def move(self, asset: str, units: int) -> None:
        """Money comes or goes."""
        self.balances[asset] += units


@dataclass
class VenuePayment:
    """One payout that the venue took, whether it was asked for once or twice."""

    request: SendRequest
    provider_id: str
    fee_units: int
    visible_at_us: int
    ends_at_us: int
    fails: bool


@dataclass(frozen=True, slots=True)
class SimPlaces:
    """Where our money really is; some worlds have no Mixin."""

    venue: SimVenue
    mixin: SimMixin

    def balances(self, source: str) -> defaultdict[str, int]:
        """What is at the place of a custody account."""
        return self.mixin.balances if source.startswith(_MIXIN) else self.venue.balances

    def receivers(self) -> dict[str, Callable[[str, int, str], None]]:
        """Addresses of ours, and what happens when something comes there."""
        return {AT_VENUE: self.venue.receive, AT_MIXIN: self.mixin.receive}


class SimProvider:
    """Payouts of the venue and of Mixin: slow, forgetful, silent before or after the effect.

    ``on_the_wire`` counts requests that it has not seen yet, by their reference.

    Some seeds have a venue that knows a reference again, others one that pays whatever it is
    asked; Mixin always knows it.
    """

    def __init__(self, places: SimPlaces, gate: FaultGate, loop: VirtualLoop, rng: Rng) -> None:
        self.payments: list[VenuePayment] = []
        self.calls: Counter[str] = Counter()
        self.calm = False
        self.on_the_wire: Counter[str] = Counter()
        self._places = places
        self._gate = gate
        self._loop = loop
        self._clock = VirtualClock(loop)
        self._rng = rng
        self._idempotent = rng.chance_ppm(500_000)
        self.fees: Mapping[str, int] = {
            "USDT": rng.choice([0, 1_000_000]),
            "BTC": 20_000,
            "ETH": 0,
        }

    async def send(self, request: SendRequest) -> SendAnswer:
        self.calls["send"] += 1
        if self._chance(80_000):
            await self._clock.sleep_us(self._rng.exponential_us(50_000))
            raise Unavailable("the provider refused the connection")
        answer: asyncio.Future[SendAnswer] = self._loop.create_future()
        lost = self._chance(80_000)
        silent = self._chance(120_000)
        after_us = self._rng.choice([20_000, 100_000, 2 * SECOND_US])
        if self._chance(100_000):
            after_us = self._rng.between(_TIMEOUT_S * SECOND_US, ARRIVAL_US_MAX)
        if not lost:
            self.on_the_wire[request.reference] += 1
            at = (self._loop.now_us + after_us) / SECOND_US
            self._loop.call_at(at, self._arrive, request, None if silent else answer)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await answer
        except TimeoutError as error:
            raise OutcomeUnknown(f"no answer about {request.reference}") from error

    def _arrive(self, request: SendRequest, answer: asyncio.Future[SendAnswer] | None) -> None:
        said = self._take(request)
        self.on_the_wire[request.reference] -= 1
        self._gate.note(f"payout {request.reference}", type(said).__name__)
        # The caller may have given up or died meanwhile.
        if answer is not None and not answer.done():
            answer.set_result(said)

    def _take(self, request: SendRequest) -> SendAnswer:
        known = [one for one in self.payments if one.request.reference == request.reference]
        at_mixin = request.source.startswith(_MIXIN)
        if known and (self._idempotent or at_mixin):
            return SendAccepted(known[0].provider_id)
        if self._chance(100_000):
            return SendRefused("withdrawals of this asset are suspended")
        fee_units = self.fees.get(request.asset, 0)
        balances = self._places.balances(request.source)
        if request.units <= fee_units or request.units > balances[request.asset]:
            return SendRefused("insufficient balance")
        now_us = self._clock.now_us()
        visible_at_us = now_us + self._rng.below(HISTORY_LAG_US_MAX)
        payment = VenuePayment(
            request=request,
            provider_id=f"w{len(self.payments) + 1}",
            fee_units=fee_units,
            visible_at_us=visible_at_us,
            ends_at_us=visible_at_us + self._rng.exponential_us(30 * SECOND_US),
            fails=self._chance(100_000),
        )
        self.payments.append(payment)
        balances[request.asset] -= request.units
        self._loop.call_later((payment.ends_at_us - now_us) / SECOND_US, self._end, payment)
        return SendAccepted(payment.provider_id)

    def _end(self, payment: VenuePayment) -> None:
        """It comes back, or it arrives: at a place of ours a while later."""
        request = payment.request
        if payment.fails:
            self._places.balances(request.source)[request.asset] += request.units
            return
        receive = self._places.receivers().get(request.address)
        if receive is not None:
            received = request.units - payment.fee_units
            after_us = self._rng.exponential_us(20 * SECOND_US)
            transaction_id = f"tx-{payment.provider_id}"
            self._loop.call_later(
                after_us / SECOND_US, receive, request.asset, received, transaction_id
            )

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        ensure(since_us <= self._clock.now_us(), "a history cannot begin in the future")
        self.calls["find"] += 1
        await self._clock.sleep_us(self._rng.exponential_us(80_000))
        if self._chance(100_000):
            raise Unavailable("the history cannot be read")
        now_us = self._clock.now_us()
        for payment in self.payments:
            if payment.request.reference == request.reference and payment.visible_at_us <= now_us:
                return _status(payment, now_us)
        return SendAbsent()

    def knows(self, reference: str) -> bool:
        """Whether it has taken a payment or will see a request for it: the truth of the world."""
        taken = any(one.request.reference == reference for one in self.payments)
        return taken or self.on_the_wire[reference] > 0

    def _chance(self, parts_per_million: int) -> bool:
        return not self.calm and self._rng.chance_ppm(parts_per_million)


def _status(payment: VenuePayment, now_us: int) -> SendStatus:
    if now_us < payment.ends_at_us:
        return SendUnderWay(payment.provider_id)
    if payment.fails:
        return SendFailed(payment.provider_id, "rejected by the network")
    return SendCompleted(
        provider_id=payment.provider_id,
        transaction_id=f"tx-{payment.provider_id}",
        units=payment.request.units,
        fee_units=payment.fee_units,
    )
