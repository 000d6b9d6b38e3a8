"""Pure decisions of the pages: do the books agree, how wide is a bar, what do the charts draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.money import parse_units
from poolmaker.views.figures import is_zero
from poolmaker.views.model import (
    AllocationView,
    AmountView,
    ArrivalView,
    BarPart,
    CampaignView,
    CustodyLine,
    FillView,
    MarketLive,
    MarketPoint,
    OrderView,
    OwnOrder,
    TransferView,
    WithdrawalView,
)
from poolmaker.web.model import Agreement, Look

BAR_WIDTH: Final = 1000
CAMPAIGNS_SHOWN: Final = 2
DAYS_SHOWN: Final = 31
DAY_GAP: Final = 8
STRANGERS_SHOWN: Final = 4
REWARDS_SHOWN: Final = 4
MOVING_SHOWN: Final = 10
ENDED: Final = frozenset({"DONE", "DEBITED", "RETURNED", "DECLINED", "RELEASED"})
REWARD_WAY: Final = ("OBSERVED", "CONFIRMED", "TRANSFERRED", "ALLOCATED", "CREDITED")
_REWARD_REACHED: Final = {
    "OBSERVED": 0,
    "VANISHED": 0,
    "CONFIRMED": 1,
    "TRANSFERRING": 1,
    "TRANSFERRED": 2,
    "ALLOCATING": 2,
    "ALLOCATED": 3,
    "CREDITED": 4,
    "DONE": 4,
}
_NOBODYS: Final = frozenset({"refund", "suspense", "waiting"})
AGREED_US: Final = 30 * SECOND_US
_SCALE: Final = 18


def explained(line: CustodyLine) -> bool:
    """Whether what a place reports is what the ledger says, movements on the way counted in."""
    return line.reported is not None and not _beyond(line, line.reported)


def is_surplus(line: CustodyLine) -> bool:
    """Whether a place reports more than what the ledger says; that stops nothing."""
    return line.reported is not None and _beyond(line, line.reported) > 0


def _beyond(line: CustodyLine, reported: str) -> int:
    booked = parse_units(line.ledger, _SCALE) - parse_units(line.in_flight, _SCALE)
    return parse_units(reported, _SCALE) - booked


def agreement(look: Look) -> Agreement:
    """The one word of the top line."""
    if not look.trial.ok or not look.health.ok:
        return Agreement.DIFFER
    asked = [line for line in look.custody if line.reported is not None]
    if not all(explained(line) for line in asked):
        return Agreement.DIFFER
    waiting = (line for line in look.custody if line.reported is None)
    if all(recently_agreed(line, look.now_us) for line in waiting):
        return Agreement.AGREE
    return Agreement.CHECKING


def recently_agreed(line: CustodyLine, now_us: int) -> bool:
    """Whether a place that trades on while it is asked agreed a short while ago."""
    return line.agreed_at_us > 0 and now_us - line.agreed_at_us <= AGREED_US


def segments(bar: Sequence[BarPart]) -> list[tuple[BarPart, int, int]]:
    """(part, x, width) of every part with a value, over a bar of ``BAR_WIDTH`` without a gap."""
    valued = [part for part in bar if part.value is not None and not is_zero(part.value)]
    total = sum(parse_units(part.value or "0", _SCALE) for part in valued)
    ends: list[int] = []
    reached = 0
    for part in valued:
        reached += parse_units(part.value or "0", _SCALE)
        ends.append(reached * BAR_WIDTH // total if total > 0 else 0)
    starts = [0, *ends][:-1]
    return [(p, x, end - x) for p, x, end in zip(valued, starts, ends, strict=True)]


def spread_cbps(market: MarketLive) -> int | None:
    """Best own ask less best own bid in hundredths of a basis point of mid; None if one-sided."""
    bids = [parse_units(order.price, _SCALE) for order in market.own if order.side == "BUY"]
    asks = [parse_units(order.price, _SCALE) for order in market.own if order.side == "SELL"]
    if not bids or not asks or market.mid is None:
        return None
    return (min(asks) - max(bids)) * 1_000_000 // parse_units(market.mid, _SCALE)


def ladder(orders: Sequence[OwnOrder]) -> list[OwnOrder]:
    """Own orders from the highest price to the lowest, as a book is read."""
    return sorted(orders, key=lambda order: -parse_units(order.price, _SCALE))


def inventory_words(ppm: int | None, target_ppm: int, band_ppm: int) -> str:
    """Where the inventory stands against its band: a key of the catalogue."""
    if ppm is None:
        return "pool.inventory.unknown"
    off = ppm - target_ppm
    if abs(off) > band_ppm:
        return "pool.inventory.outside"
    return "pool.inventory.inside"


def running(campaigns: Sequence[CampaignView]) -> list[CampaignView]:
    """Campaigns that matter now: those we are in or want first, at most two."""
    joined = sorted(campaigns, key=lambda one: (one.joined_at_us == 0, -one.start_us))
    return joined[:CAMPAIGNS_SHOWN]


def day_segments(campaign: CampaignView, now_us: int) -> list[tuple[int, int, int]]:
    """(x, width, done) of each day over a bar of ``BAR_WIDTH``, with a gap between days."""
    length = max(1, campaign.end_us - campaign.start_us)
    # More days than can be told apart are one bar.
    is_many = length > DAYS_SHOWN * campaign.day_us
    step_us = length if is_many else campaign.day_us
    segments: list[tuple[int, int, int]] = []
    at_us = campaign.start_us
    while at_us < campaign.end_us:
        to_us = min(at_us + step_us, campaign.end_us)
        x = (at_us - campaign.start_us) * BAR_WIDTH // length
        width = max(1, (to_us - campaign.start_us) * BAR_WIDTH // length - x - DAY_GAP)
        done = max(0, min(now_us, to_us) - at_us) * width // (to_us - at_us)
        segments.append((x, width, done))
        at_us = to_us
    return segments


def parts_of_reward(parts: Sequence[AllocationView]) -> list[tuple[AllocationView, int, int]]:
    """(part, x, width) over a bar of ``BAR_WIDTH`` without a gap, by the order of the parts."""
    total = sum(parse_units(part.amount.amount, _SCALE) for part in parts)
    ends, reached = [0], 0
    for part in parts:
        reached += parse_units(part.amount.amount, _SCALE)
        ends.append(reached * BAR_WIDTH // total if total > 0 else 0)
    return [(part, ends[i], ends[i + 1] - ends[i]) for i, part in enumerate(parts)]


def reward_way(state: str) -> list[tuple[str, str]]:
    """(state, past | now | next) of each station of a reward."""
    reached = _REWARD_REACHED.get(state.upper(), 0)
    ended = reached == len(REWARD_WAY) - 1
    marks = ["past" if at < reached or ended else "next" for at in range(len(REWARD_WAY))]
    if not ended:
        marks[reached] = "now"
    return list(zip(REWARD_WAY, marks, strict=True))


def has_result(order: OrderView) -> bool:
    """Whether anything arrived for an order: before that it can have gained or lost nothing."""
    return order.profit is not None and bool(order.deposited or order.profit.fees)


def tone(money: AmountView | None) -> str:
    """How a gain is marked: up, down, or not at all for nothing."""
    if money is None or is_zero(money.amount):
        return "muted"
    return "down" if money.amount.startswith("-") else "up"


def negated(amount: str) -> str:
    """The same amount with the other sign."""
    return amount[1:] if amount.startswith("-") else f"-{amount}"


def strangers(look: Look) -> list[ArrivalView]:
    """Payments that name no order of ours: what goes back, and what waits for a person."""
    found = [one for one in look.arrivals if one.disposition.lower() in _NOBODYS]
    return found[:STRANGERS_SHOWN]


def moving(look: Look) -> list[TransferView | WithdrawalView]:
    """Money on its way, the newest first, what has ended behind it."""
    rows: list[TransferView | WithdrawalView] = [*look.transfers, *look.withdrawals]
    ordered = sorted(rows, key=lambda row: -_begun_us(row))
    return sorted(ordered, key=lambda row: row.state.upper() in ENDED)[:MOVING_SHOWN]


def _begun_us(row: TransferView | WithdrawalView) -> int:
    if isinstance(row, TransferView):
        return row.started_at_us
    return row.steps[0].at_us if row.steps else 0


def settled(order: OrderView) -> bool:
    """Whether nothing more will happen to an order by itself or by its owner."""
    return order.state in ("CLOSED", "REFUNDED", "EXPIRED")


# ---------------------------------------------------------------------- what the charts draw


def point_row(point: MarketPoint) -> list[str | int | None]:
    """A point as the browser reads it: time in milliseconds, then texts of numbers."""
    return [point.at_us // 1000, point.mid, point.own_bid, point.own_ask, point.inventory_ppm]


def fill_row(fill: FillView) -> list[str | int]:
    """A fill as the browser reads it."""
    return [fill.seq, fill.at_us // 1000, fill.price, fill.side]


def depth(market: MarketLive | None) -> Mapping[str, Any]:
    """Both sides of the book with own quantities, best first."""
    if market is None:
        return {"bids": [], "asks": []}
    return {
        "bids": [[level.price, level.quantity, level.own] for level in market.bids],
        "asks": [[level.price, level.quantity, level.own] for level in market.asks],
    }


def chart_frame(look: Look, after_ms: int, after_fill: int) -> dict[str, Any]:
    """What a browser that has points to ``after_ms`` and fills to ``after_fill`` still lacks."""
    pool = look.pool
    return {
        "points": [point_row(p) for p in look.points if p.at_us // 1000 > after_ms],
        "fills": [fill_row(fill) for fill in reversed(look.fills) if fill.seq > after_fill],
        "depth": depth(look.market),
        "band": [pool.target_ppm, pool.band_ppm] if pool else None,
        "mid": look.market.mid if look.market else None,
    }
