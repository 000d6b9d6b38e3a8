"""Comparisons of what we say with what others say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.recon.rules import Compared


@pytest.mark.parametrize(
    ("reported", "gone", "still_there", "agrees"),
    [
        (100, 0, 0, True),
        (99, 0, 0, False),
        (101, 0, 0, False),
        (70, 30, 0, True),
        (69, 30, 0, False),
        (101, 30, 0, False),
        (130, 0, 30, True),
        (131, 0, 30, False),
        (99, 0, 30, False),
    ],
)
def test_a_difference_is_explained_by_what_is_under_way_and_by_no_more(
    reported: int, gone: int, still_there: int, agrees: bool
) -> None:
    compared = Compared(
        booked_units=100,
        reported_units=reported,
        gone_units=gone,
        still_there_units=still_there,
    )
    assert compared.agrees == agrees


def test_what_is_explained_is_the_difference_where_both_agree() -> None:
    one = Compared(booked_units=100, reported_units=80, gone_units=30)
    other = Compared(booked_units=100, reported_units=110, still_there_units=30)
    wrong = Compared(booked_units=100, reported_units=10, gone_units=30)
    assert [one.explained_units, other.explained_units, wrong.explained_units] == [20, -10, 30]


UNITS = st.integers(0, 9)


@given(booked=UNITS, reported=UNITS, gone=UNITS, still_there=UNITS)
def test_what_is_missing_or_too_much_is_what_lies_outside_of_all_that_explains_it(
    booked: int, reported: int, gone: int, still_there: int
) -> None:
    one = Compared(
        booked_units=booked, reported_units=reported, gone_units=gone, still_there_units=still_there
    )
    explained = range(booked - gone, booked + still_there + 1)
    assert one.missing_units == sum(1 for units in range(booked - gone) if units >= reported)
    assert one.surplus_units == sum(
        1 for units in range(booked + still_there + 1, 20) if units <= reported
    )
    assert one.agrees is (reported in explained)
    assert one.proves_cover is (reported == booked - gone or reported >= booked)
    plain = Compared(booked_units=booked, reported_units=reported)
    assert (plain.missing_units, plain.surplus_units) == (
        max(0, booked - reported),
        max(0, reported - booked),
    )
