"""Laws of amounts: two assets never mix, a split loses nothing, rounding goes where it is told."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.money import (
    UNITS_MAX,
    Amount,
    Asset,
    AssetOnNetwork,
    Ratio,
    Rounding,
    divide,
    format_units,
    parse_units,
    split_units,
)

SCALES = st.integers(0, 18)
UNITS = st.integers(-UNITS_MAX, UNITS_MAX)
SMALL = st.integers(-(10**30), 10**30)
ASSETS = st.builds(Asset, st.sampled_from(["USDT", "BTC", "share:p:1"]), SCALES)
WEIGHTS = st.lists(st.integers(0, 10**24), min_size=1, max_size=40).filter(any)
ROUNDINGS = st.sampled_from(Rounding)


@given(ASSETS, SMALL, SMALL, SMALL)
def test_addition_is_a_group(asset: Asset, a: int, b: int, c: int) -> None:
    x, y, z = Amount(asset, a), Amount(asset, b), Amount(asset, c)
    assert x + y == y + x
    assert (x + y) + z == x + (y + z)
    assert x + Amount.zero(asset) == x
    assert x - y == x + (-y)
    assert not x - x
    assert x + (-x) == Amount.zero(asset)


@given(ASSETS, ASSETS, SMALL, SMALL)
def test_two_assets_never_mix(one: Asset, other: Asset, a: int, b: int) -> None:
    assume(one != other)
    x, y = Amount(one, a), Amount(other, b)
    for mix in (
        lambda: x + y,
        lambda: x - y,
        lambda: x < y,
        lambda: x <= y,
        lambda: x > y,
        lambda: x >= y,
    ):
        with pytest.raises(PreconditionError):
            mix()
    assert x != y


@given(ASSETS, SMALL, SMALL)
def test_order_is_the_order_of_units(asset: Asset, a: int, b: int) -> None:
    x, y = Amount(asset, a), Amount(asset, b)
    assert (x < y, x <= y, x > y, x >= y, x == y) == (a < b, a <= b, a > b, a >= b, a == b)
    assert bool(x) == bool(a)


@pytest.mark.parametrize("bad", [1.0, True, "1", None, Decimal(1), Fraction(1), 10**38, -(10**38)])
def test_an_amount_is_an_int_of_at_most_38_digits(bad: object) -> None:
    with pytest.raises(PreconditionError):
        Amount(Asset("USDT", 6), bad)  # type: ignore[arg-type]


def test_a_sum_beyond_38_digits_is_refused() -> None:
    most = Amount(Asset("USDT", 6), UNITS_MAX)
    with pytest.raises(PreconditionError):
        most + most


@pytest.mark.parametrize("scale", [-1, 19, 1.0, True, "6"])
def test_a_scale_is_an_int_from_0_to_18(scale: object) -> None:
    with pytest.raises(PreconditionError):
        Asset("USDT", scale)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["", " ", "a b", "a\n", "é", "-x", "x" * 97, "a'", "a;b"])
def test_an_asset_code_is_plain(code: str) -> None:
    with pytest.raises(PreconditionError):
        Asset(code, 6)


@given(UNITS, WEIGHTS)
def test_a_split_sums_to_the_whole_and_is_within_one_unit_of_fair(
    units: int, weights: list[int]
) -> None:
    parts = split_units(units, weights)
    assert sum(parts) == units
    assert len(parts) == len(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part) - Fraction(units * weight, sum(weights))) < 1
        assert part == 0 or weight > 0
        assert part * units >= 0


@given(UNITS, WEIGHTS)
def test_a_split_never_prefers_a_smaller_weight(units: int, weights: list[int]) -> None:
    parts = [abs(part) for part in split_units(units, weights)]
    for a, part_a in zip(weights, parts, strict=True):
        for b, part_b in zip(weights, parts, strict=True):
            if a > b:
                assert part_a >= part_b


@given(SMALL, WEIGHTS)
def test_a_split_of_the_negative_is_the_negative_of_the_split(
    units: int, weights: list[int]
) -> None:
    assert split_units(-units, weights) == [-part for part in split_units(units, weights)]


@given(UNITS, st.integers(1, 10**9), WEIGHTS)
def test_only_the_ratio_of_weights_counts(units: int, factor: int, weights: list[int]) -> None:
    assert split_units(units, [weight * factor for weight in weights]) == split_units(
        units, weights
    )


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1], [1, -1], [2, -1]])
def test_a_split_without_a_positive_weight_is_refused(weights: list[int]) -> None:
    with pytest.raises(PreconditionError):
        split_units(10, weights)


@pytest.mark.parametrize("weight", [1.5, True, Fraction(1, 2)])
def test_a_weight_is_an_int(weight: object) -> None:
    with pytest.raises(PreconditionError):
        split_units(10, [weight])  # type: ignore[list-item]


def test_ties_go_to_the_earlier_weight() -> None:
    assert split_units(2, [1, 1, 1]) == [1, 1, 0]
    assert split_units(-2, [1, 1, 1]) == [-1, -1, 0]


@given(ASSETS, SMALL, WEIGHTS)
def test_an_amount_splits_into_amounts_of_its_asset(
    asset: Asset, units: int, weights: list[int]
) -> None:
    parts = Amount(asset, units).split(weights)
    total = Amount.zero(asset)
    for part in parts:
        total += part
    assert total == Amount(asset, units)


@given(UNITS, st.integers(1, 10**38), ROUNDINGS)
def test_division_rounds_in_the_named_direction(n: int, d: int, rounding: Rounding) -> None:
    result = divide(n, d, rounding)
    exact = Fraction(n, d)
    if rounding is Rounding.DOWN:
        assert result <= exact < result + 1
    else:
        assert result - 1 < exact <= result


@given(UNITS, st.integers(-(10**9), 0))
def test_a_division_by_nothing_or_less_is_refused(n: int, d: int) -> None:
    with pytest.raises(PreconditionError):
        divide(n, d, Rounding.DOWN)


@given(UNITS, SCALES)
def test_formatting_and_parsing_give_back_the_units(units: int, scale: int) -> None:
    text = format_units(units, scale)
    assert parse_units(text, scale) == units
    with localcontext() as exact:
        exact.prec = 80
        assert Decimal(text) == Decimal(units).scaleb(-scale)
    assert "e" not in text.lower()


@given(UNITS, SCALES, st.integers(0, 18))
def test_trailing_zeros_say_nothing(units: int, scale: int, zeros: int) -> None:
    text = format_units(units, scale)
    longer = text + ("0" * zeros if "." in text else "." + "0" * (zeros + 1))
    assert parse_units(longer, scale) == units


@pytest.mark.parametrize(("zeros", "good"), [(126, True), (127, False)])
def test_a_text_of_more_than_128_characters_is_no_amount(zeros: int, *, good: bool) -> None:
    text = "7." + "0" * zeros
    if good:
        assert parse_units(text, 0) == 7
    else:
        with pytest.raises(PreconditionError, match="expected a decimal"):
            parse_units(text, 0)


@given(st.integers(1, 9), SCALES)
def test_a_digit_that_the_scale_cannot_hold_is_refused(digit: int, scale: int) -> None:
    with pytest.raises(PreconditionError):
        parse_units(f"0.{'0' * scale}{digit}", scale)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        ".5",
        "5.",
        "1e3",
        "1_000",
        "1,5",
        "NaN",
        "inf",
        "0x10",
        "\u0661",
        "1.\u0662",
        "1" * 200,
    ],
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(PreconditionError):
        parse_units(text, 6)


@given(st.text())
def test_any_text_is_a_decimal_or_a_callers_fault(text: str) -> None:
    try:
        units = parse_units(text, 18)
    except PreconditionError:
        return
    assert Fraction(text) * 10**18 == units


def test_a_parsed_amount_beyond_38_digits_is_refused() -> None:
    with pytest.raises(PreconditionError):
        Amount.parse(Asset("X", 0), "1" + "0" * 38)


@given(ASSETS, SMALL)
def test_an_amount_says_itself_exactly(asset: Asset, units: int) -> None:
    amount = Amount(asset, units)
    assert Amount.parse(asset, amount.decimal()) == amount
    assert str(amount) == f"{amount.decimal()} {asset.code}"


@given(SCALES, st.data(), st.integers(-(10**18), 10**18))
def test_a_form_reads_exactly_and_writes_with_named_dust(
    scale: int, data: st.DataObject, units: int
) -> None:
    decimals = data.draw(st.integers(0, scale))
    asset = Asset("USDT", scale)
    form = AssetOnNetwork(asset, "polygon", decimals)
    assert form.write(form.read(units)) == (units, Amount.zero(asset))
    form_units, dust = form.write(Amount(asset, units))
    assert form.read(form_units) + dust == Amount(asset, units)
    assert 0 <= dust.units < 10 ** (scale - decimals)


def test_a_form_has_no_more_decimals_than_its_asset() -> None:
    with pytest.raises(PreconditionError):
        AssetOnNetwork(Asset("USDT", 6), "bsc", 7)
    with pytest.raises(PreconditionError):
        AssetOnNetwork(Asset("USDT", 6), "bsc", 6).write(Amount(Asset("BTC", 6), 1))


@given(st.integers(1, 10**20), st.integers(1, 10**20), SMALL, ROUNDINGS)
def test_a_ratio_of_units_is_rounded_in_the_named_direction(
    n: int, d: int, units: int, rounding: Rounding
) -> None:
    assert Ratio(n, d).of(units, rounding) == divide(units * n, d, rounding)


@pytest.mark.parametrize(("n", "d"), [(0, 1), (1, 0), (-1, 1), (1.0, 1), (True, 1)])
def test_a_ratio_has_two_positive_ints(n: object, d: object) -> None:
    with pytest.raises(PreconditionError):
        Ratio(n, d)  # type: ignore[arg-type]
