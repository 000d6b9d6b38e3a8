"""Pure decisions of the pages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.views.model import (
    AmountView,
    BarPart,
    Check,
    CustodyLine,
    HealthView,
    MoneyBarPart,
    WorldMode,
)
from poolmaker.web import rules
from poolmaker.web.look import SnapshotLoader
from poolmaker.web.model import Agreement, Look
from tests.e2e.world import FakeWorld

PLACE = "custody:venue:main"


@pytest.fixture
async def look() -> Look:
    world = FakeWorld()
    world.furnish()
    return await SnapshotLoader(world.showing()).take()


def _line(ledger: str, reported: str | None, in_flight: str = "0", agreed: int = 0) -> CustodyLine:
    return CustodyLine(PLACE, "USDT", ledger, reported, in_flight, 5, agreed)


async def test_the_books_agree_when_everything_is_explained(look: Look) -> None:
    assert rules.agreement(look) is Agreement.AGREE


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (_line("10", "10.00"), Agreement.AGREE),
        (_line("10", "7", in_flight="3"), Agreement.AGREE),
        (_line("10", "9.99999999"), Agreement.DIFFER),
        (_line("10", "13", in_flight="3"), Agreement.DIFFER),
        (_line("10", None), Agreement.CHECKING),
    ],
)
async def test_custody_decides_the_word_of_the_top_line(
    look: Look, line: CustodyLine, wanted: Agreement
) -> None:
    assert rules.agreement(replace(look, custody=(line,))) is wanted


@pytest.mark.parametrize(
    ("line", "surplus"),
    [
        (_line("10", "10"), False),
        (_line("10", "10.00000001"), True),
        (_line("10", "8", in_flight="3"), True),
        (_line("10", "9"), False),
        (_line("10", None), False),
    ],
)
def test_more_than_is_booked_is_a_surplus(line: CustodyLine, *, surplus: bool) -> None:
    assert rules.is_surplus(line) is surplus
    assert not (surplus and rules.explained(line))


async def test_a_place_that_trades_on_agreed_when_it_last_did(look: Look) -> None:
    recent = _line("10", None, agreed=look.now_us - 20_000_000)
    long_ago = _line("10", None, agreed=look.now_us - 31_000_000)
    assert rules.agreement(replace(look, custody=(recent,))) is Agreement.AGREE
    assert rules.agreement(replace(look, custody=(long_ago,))) is Agreement.CHECKING


async def test_a_difference_in_the_ledger_or_a_failed_check_is_told(look: Look) -> None:
    unbalanced = replace(look, trial=replace(look.trial, ok=False))
    sick = replace(
        look, health=HealthView(WorldMode.SANDBOX, "1", 0, 0, (Check("ledger", ok=False),))
    )
    assert rules.agreement(unbalanced) is Agreement.DIFFER
    assert rules.agreement(sick) is Agreement.DIFFER


def _part(part: MoneyBarPart, value: str | None) -> BarPart:
    return BarPart(part, (AmountView("USDT", value or "0"),), value, "x")


@given(st.lists(st.integers(0, 10**12), max_size=5))
def test_a_bar_has_no_gap_and_no_overlap(values: list[int]) -> None:
    bar = [_part(part, str(value)) for part, value in zip(MoneyBarPart, values, strict=False)]
    segments = rules.segments(bar)
    assert [x for _, x, _ in segments] == [
        sum(w for _, _, w in segments[:i]) for i in range(len(segments))
    ]
    assert sum(width for _, _, width in segments) == (rules.BAR_WIDTH if any(values) else 0)


def test_a_part_without_a_price_has_no_place_in_the_bar() -> None:
    assert rules.segments([_part(MoneyBarPart.LOCKED, None)]) == []


async def test_a_browser_is_sent_only_what_it_lacks(look: Look) -> None:
    whole = rules.chart_frame(look, 0, 0)
    last_ms, last_fill = whole["points"][-3][0], whole["fills"][-2][0]
    rest = rules.chart_frame(look, last_ms, last_fill)
    assert rest["points"] == whole["points"][-2:]
    assert rest["fills"] == whole["fills"][-1:]


async def test_the_spread_is_of_own_quotes_only(look: Look) -> None:
    market = look.market
    assert market is not None
    buys = tuple(order for order in market.own if order.side == "BUY")
    assert rules.spread_cbps(replace(market, own=buys)) is None
    found = rules.spread_cbps(market)
    assert found is not None
    assert 500 < found < 700
