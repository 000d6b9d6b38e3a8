"""Evidence: which event a venue's word is, and when absence is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import IntentId
from poolmaker.market.tracking.model import (
    ExchangeOrder,
    OrderReport,
    ReportedState,
    VenueOrderEvent,
)


def event_of(order: ExchangeOrder, report: OrderReport) -> VenueOrderEvent:
    """What a report means for an order; a lower cumulative fill never lowers ours."""
    match report.state:
        case ReportedState.LIVE:
            filled = max(report.filled_units, order.filled_units)
            return VenueOrderEvent.SEEN_PART if filled > 0 else VenueOrderEvent.SEEN_LIVE
        case ReportedState.FILLED:
            return VenueOrderEvent.SEEN_FILLED
        case ReportedState.CANCELLED:
            return VenueOrderEvent.CANCEL_PROVED
        case ReportedState.EXPIRED:
            return VenueOrderEvent.EXPIRE_PROVED
        case ReportedState.REJECTED:
            return VenueOrderEvent.REJECT_PROVED
        case _:
            assert_never(report.state)


@dataclass(frozen=True, slots=True)
class AbsenceRule:
    """Absence counts after ``misses_min`` look-ups in a row, spread over ``span_min_us``.

    Only a venue's definite "no such order" is a miss; a network error is none.
    """

    misses_min: int = 4
    span_min_us: int = 5_000_000

    def __post_init__(self) -> None:
        require(self.misses_min >= 1, "misses_min: expected 1 or more")
        require(self.span_min_us >= 0, "span_min_us: expected 0 or more")


@dataclass(slots=True)
class _Misses:
    count: int
    first_us: int


class Absences:
    """Counts misses per order. Anything seen of the order starts the count anew."""

    def __init__(self, rule: AbsenceRule) -> None:
        self._rule = rule
        self._misses: dict[IntentId, _Misses] = {}

    def missed(self, intent: IntentId, now_us: int) -> bool:
        """Count one miss; whether the rule is met, so that open orders and trades may decide."""
        misses = self._misses.setdefault(intent, _Misses(0, now_us))
        misses.count += 1
        enough = misses.count >= self._rule.misses_min
        return enough and now_us - misses.first_us >= self._rule.span_min_us

    def count(self, intent: IntentId) -> int:
        """Misses in a row so far."""
        misses = self._misses.get(intent)
        return misses.count if misses is not None else 0

    def seen(self, intent: IntentId) -> None:
        """It was seen: earlier misses prove nothing."""
        self._misses.pop(intent, None)
