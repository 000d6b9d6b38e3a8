"""Mixin in a simulated world: wallets pay in, and what comes is told late, twice, in any order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from poolmaker.business.ledger.accounts import custody_mixin, custody_venue
from poolmaker.business.treasury.model import Arrival, Route
from poolmaker.business.user_orders.model import DepositLeg
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.rng import Rng
from poolmaker.lab.loop import VirtualClock

FORMS: Final = {"BTC": "btc", "ETH": "eth", "USDT": "usdt"}
AT_MIXIN: Final = "at-mixin"
AT_VENUE: Final = "at-the-venue"


def routes(account: VenueAccountId, fees: dict[str, int]) -> tuple[Route, ...]:
    """From Mixin to the venue account and back, in every asset."""
    found = []
    for asset, form in FORMS.items():
        there = Route(
            source=custody_mixin(form),
            target=custody_venue(account),
            asset=asset,
            network="chain",
            address=AT_VENUE,
            fee_units=fees.get(asset, 0),
        )
        back = Route(
            source=there.target,
            target=there.source,
            asset=asset,
            network="chain",
            address=AT_MIXIN,
            fee_units=fees.get(asset, 0),
        )
        found += [there, back]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Output:
    due_us: int
    arrival: Arrival


class SimMixin:
    """What is really at Mixin, and the outputs that nobody has told yet."""

    def __init__(self, clock: VirtualClock, rng: Rng) -> None:
        self.balances: defaultdict[str, int] = defaultdict(int)
        self._clock = clock
        self._rng = rng
        self._outputs: list[_Output] = []
        self._count = 0

    @property
    def idle(self) -> bool:
        """Whether everything that came has been told."""
        return not self._outputs

    def pay(self, leg: DepositLeg, asset: str, units: int, *, by_memo: bytes = b"") -> None:
        """A wallet pays: by the leg's link, or by memo alone."""
        trace = "" if by_memo else leg.trace
        self._come(asset, units, sender="a-wallet", trace=trace, memo=by_memo)

    def pay_rubbish(self, asset: str, units: int) -> None:
        """A stranger pays without saying why."""
        self._come(asset, units, sender="a-stranger", trace="", memo=b"hello")

    def receive(self, asset: str, units: int, transaction_id: str) -> None:
        """Something comes from a chain."""
        self._come(asset, units, transaction_id=transaction_id)

    def _come(self, asset: str, units: int, **more: str | bytes) -> None:
        self.balances[asset] += units
        self._count += 1
        arrival = Arrival(
            location=custody_mixin(FORMS[asset]),
            asset=asset,
            units=units,
            reference=f"output-{self._count}",
            at_us=self._clock.now_us(),
            **more,  # type: ignore[arg-type]
        )
        for _ in range(1 + self._rng.chance_ppm(200_000)):
            due_us = self._clock.now_us() + self._rng.exponential_us(5 * SECOND_US)
            self._outputs.append(_Output(due_us, arrival))

    def due(self) -> Arrival | None:
        """An output that it is time to tell."""
        now_us = self._clock.now_us()
        return next((one.arrival for one in self._outputs if one.due_us <= now_us), None)

    def told(self, arrival: Arrival, *, waits: bool) -> None:
        """It was judged, or it has to be told again after a while."""
        index = next(at for at, one in enumerate(self._outputs) if one.arrival == arrival)
        del self._outputs[index]
        if waits:
            due_us = self._clock.now_us() + 5 * SECOND_US
            self._outputs.append(_Output(due_us, arrival))
