"""Comparisons of what we say with what others say."""

from __future__ import annotations

from poolmaker.recon.rules import (
    compare_custody,
    custody_agrees,
    orders_missing,
    orders_unknown,
)

PLACE = "custody:venue:main"


def test_equal_amounts_agree_whatever_their_zeros() -> None:
    compared = compare_custody({PLACE: {"BTC": "0.50"}}, {PLACE: {"BTC": "0.5"}})
    assert custody_agrees(compared)
    assert compared[0].difference == "0.000000000000000000"


def test_the_smallest_unit_is_a_difference() -> None:
    compared = compare_custody({PLACE: {"ETH": "1"}}, {PLACE: {"ETH": "1.000000000000000001"}})
    assert not custody_agrees(compared)
    assert compared[0].difference_units == 1


def test_what_one_side_lacks_counts_as_zero_there() -> None:
    compared = compare_custody({PLACE: {"BTC": "1"}}, {PLACE: {"USDT": "2"}})
    assert [(row.asset, row.ledger, row.reported) for row in compared] == [
        ("BTC", "1", "0"),
        ("USDT", "0", "2"),
    ]
    assert not custody_agrees(compared)


def test_nothing_compared_is_not_agreement() -> None:
    assert not custody_agrees(compare_custody({}, {}))


def test_orders_are_matched_one_to_one() -> None:
    venue = [("BUY", "60000.00", "0.01"), ("BUY", "60000", "0.010"), ("SELL", "60100", "0.02")]
    books = [("BUY", "60000", "0.01"), ("SELL", "60100.0", "0.02"), ("SELL", "60200", "0.02")]
    assert orders_unknown(venue, books) == 1
    assert orders_missing(venue, books) == 1
