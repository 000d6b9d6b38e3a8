"""Cancelling past everything else: by the venue's own list, until it shows nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import VenueUnavailable
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.connectors.binance.venue import BinanceVenue, native
from poolmaker.market.execution.client_ids import decode_client_id
from poolmaker.market.execution.model import VenueRefusal

_LOOK_US: Final = 250_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """What became of it.

    ``proven``: the venue's list showed nothing of ours, late enough that no order that was signed
    before can still arrive. ``left`` are client ids, or the venue's own id where there is none.
    """

    cancelled: int
    left: tuple[str, ...]
    looks: int
    proven: bool
    problem: str = ""


@dataclass(slots=True)
class _Work:
    asked: set[str] = field(default_factory=set)
    left: tuple[str, ...] = ()
    looks: int = 0
    problem: str = "the venue was not asked yet"


class Sweeper:
    """Cancels what is ours on one account. Orders of others stay."""

    def __init__(self, transport: Transport, venue: BinanceVenue, clock: Clock) -> None:
        self._transport = transport
        self._venue = venue
        self._clock = clock

    async def sweep(self, symbols: Sequence[str] | None, timeout_us: int) -> Sweep:
        """List and cancel until proven or ``timeout_us`` has passed; ``symbols`` None is all.

        Whoever calls has latched before: an order that left this machine earlier was signed with
        a receive window, after which the venue refuses it. The proof waits for that long.
        """
        work = _Work()
        began_us = self._clock.monotonic_us()
        window_us = self._transport.config.arrival_max_us
        while (passed_us := self._clock.monotonic_us() - began_us) < timeout_us:
            ours = await self._look(symbols, work)
            if ours is not None and not ours and passed_us >= window_us:
                return Sweep(len(work.asked), (), work.looks, proven=True)
            for row in ours or ():
                await self._cancel(row, work)
            await self._clock.sleep_us(_LOOK_US)
        return Sweep(len(work.asked), work.left, work.looks, proven=False, problem=work.problem)

    async def _look(self, symbols: Sequence[str] | None, work: _Work) -> list[Any] | None:
        """Rows of the list that are ours or cannot be read; None when there was no list."""
        try:
            rows = [row for asked in _asked(symbols) for row in await self._list(asked)]
        except (VenueRefused, NoAnswer) as problem:
            work.problem = str(problem)[:300]
            await self._correct_clock(problem)
            return None
        work.looks += 1
        work.problem = ""
        ours = [row for row in rows if not _anothers(row)]
        work.left = tuple(_shown(row) for row in ours)
        return ours

    async def _list(self, asked: dict[str, str]) -> list[Any]:
        answer = await self._transport.ask("privateGetOpenOrders", asked, 6 if asked else 80)
        if not isinstance(answer, list):
            raise NoAnswer("open orders: expected a list")
        return answer

    async def _cancel(self, row: Any, work: _Work) -> None:
        if not isinstance(row, dict):
            return
        named = {"symbol": str(row.get("symbol", "")), "orderId": str(row.get("orderId", ""))}
        try:
            await self._transport.send("privateDeleteOrder", named)
            work.asked.add(_shown(row))
        except VenueRefused as refused:
            if not refused.not_there:
                work.problem = str(refused)[:300]
            await self._correct_clock(refused)
        except NoAnswer as problem:
            work.problem = str(problem)[:300]

    async def _correct_clock(self, problem: Exception) -> None:
        if not isinstance(problem, VenueRefused) or problem.refusal is not VenueRefusal.CLOCK:
            return
        try:
            await self._venue.server_time_us()
        except VenueUnavailable:
            return


def _asked(symbols: Sequence[str] | None) -> list[dict[str, str]]:
    return [{}] if symbols is None else [{"symbol": native(symbol)} for symbol in symbols]


def _anothers(row: Any) -> bool:
    """Whether a row is readable and names an order that no engine of ours made."""
    client_id = row.get("clientOrderId") if isinstance(row, dict) else None
    return isinstance(client_id, str) and decode_client_id(client_id) is None


def _shown(row: Any) -> str:
    client_id = row.get("clientOrderId") if isinstance(row, dict) else None
    if isinstance(client_id, str) and client_id.isascii():
        return client_id
    return ascii(row.get("orderId") if isinstance(row, dict) else row)[:100]
