"""Units become the texts that people see, and amounts are valued in a pool's quote."""

from __future__ import annotations

from poolmaker.app.figures import AssetRegistry, Valuation
from poolmaker.kernel.money import Asset, Ratio
from poolmaker.messages.base import Money

SCALES = AssetRegistry({"BTC": Asset("BTC", 8), "USDT": Asset("USDT", 2)})


def test_amounts_keep_every_digit_of_their_scale() -> None:
    assert SCALES.text("BTC", 1) == "0.00000001"
    assert SCALES.money("USDT", 123456).amount == "1234.56"


def test_shares_of_an_epoch_that_began_since_have_eighteen_decimals() -> None:
    known = AssetRegistry({"share:btc:1": Asset("share:btc:1", 8)})
    assert known.text("share:btc:1", 10**8) == "1.00000000"
    assert known.text("share:btc:2", 10**18) == "1." + "0" * 18


def test_sums_leave_out_what_is_nothing() -> None:
    moneys = (Money(asset="BTC", units=0), Money(asset="USDT", units=5))
    assert [money.asset for money in SCALES.sums(moneys)] == ["USDT"]


def test_a_value_is_base_at_the_price_and_quote_as_it_is() -> None:
    worth = Valuation("BTC", "USDT", Ratio(6_000_000, 10**8))
    assert worth.units({"BTC": 10**7, "USDT": 100}) == 600_000 + 100


def test_base_without_a_price_has_no_value_but_quote_alone_has() -> None:
    worth = Valuation("BTC", "USDT", None)
    assert worth.units({"BTC": 1, "USDT": 100}) is None
    assert worth.units({"USDT": 100}) == 100
