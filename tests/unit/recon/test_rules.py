"""Comparisons of what we say with what others say."""

from __future__ import annotations

import pytest

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
