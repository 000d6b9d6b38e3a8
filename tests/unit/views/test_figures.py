"""How a figure is written for a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.money import format_units, parse_units
from poolmaker.views import figures


@pytest.mark.parametrize(
    ("text", "decimals", "wanted"),
    [
        ("1234567.891", 2, "1,234,567.89"),
        ("0.999", 2, "0.99"),
        ("-1234.5", 2, "-1,234.50"),
        ("5", 0, "5"),
        ("12.9", 0, "12"),
        ("0.00000001", 2, "0.00000001"),
        ("-0.00012", 2, "-0.0001"),
        ("0.000", 2, "0.00"),
        ("-0.0", 2, "0.00"),
    ],
)
def test_an_amount_is_cut_and_what_is_not_zero_never_reads_as_zero(
    text: str, decimals: int, wanted: str
) -> None:
    assert figures.shown(text, decimals) == wanted


@given(st.integers(-(10**30), 10**30), st.integers(0, 18), st.integers(0, 8))
def test_what_is_shown_is_never_more_than_there_is(units: int, scale: int, decimals: int) -> None:
    shown = figures.shown(format_units(units, scale), decimals).replace(",", "")
    assert abs(parse_units(shown, 18)) <= abs(units) * 10 ** (18 - scale)
    assert (parse_units(shown, 18) == 0) == (units == 0)


@pytest.mark.parametrize(
    ("ppm", "decimals", "wanted"),
    [(4_247, 2, "0.42"), (-8_005, 2, "-0.80"), (500_000, 0, "50"), (999_950, 1, "100.0")],
)
def test_parts_per_million_as_per_cent(ppm: int, decimals: int, wanted: str) -> None:
    assert figures.percent(ppm, decimals) == wanted


def test_a_time_is_written_with_two_digits_each() -> None:
    assert figures.duration(72_900_000) == "01:12"
    assert figures.duration(3_600_000_000 + 61_000_000) == "1:01:01"
    assert figures.duration(-5) == "00:00"
    assert figures.clock_time(86_399_000_000) == "23:59:59"


def test_sums_and_shares_are_exact() -> None:
    assert figures.added(["0.1", "0.2"]) == "0.3"
    assert figures.share_ppm("1", "3") == 333_333
    assert figures.share_ppm("1", "0") == 0
    assert figures.signed("0.00") == "0.00"
    assert figures.signed("0.01") == "+0.01"
    assert figures.signed("9,500.00") == "+9,500.00"
    assert figures.signed("-9,500.00") == "-9,500.00"
