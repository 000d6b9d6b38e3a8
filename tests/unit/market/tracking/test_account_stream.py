"""The account stream: every trade becomes facts once, whatever channels bring it how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import Ratio
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.bus import ModelBus
from poolmaker.market.tracking.account_stream import (
    NO_POOL,
    AccountStream,
    Attributed,
    fee_cost,
    fee_is_due,
    third_asset,
)
from poolmaker.market.tracking.model import StoredFill, TradeReport
from poolmaker.market.tracking.ports import TrackingStore
from poolmaker.messages.base import Rate, decode
from poolmaker.messages.market import AccountEvent, FeeFact, FillFact, MarketSpec, account_stream
from tests.unit.market.makers import MARKET, POOL, SYMBOL, intent_id, order, trade

ACCOUNT = VenueAccountId("main")
SPEC = MarketSpec.of(MARKET)
SPECS = {SYMBOL: SPEC}
RATE = Ratio(300, 1)


class _Kept:
    """The rows of fills in memory."""

    def __init__(self) -> None:
        self.fills: dict[tuple[str, str, str], StoredFill] = {}

    async def known_fills(
        self, _tx: Tx, _account: VenueAccountId, trades: Sequence[TradeReport]
    ) -> set[tuple[str, str, str]]:
        return {one.key for one in trades if one.key in self.fills}

    async def add_fills(
        self, _tx: Tx, _account: VenueAccountId, fills: Sequence[StoredFill]
    ) -> None:
        for fill in fills:
            assert fill.trade.key not in self.fills, "stored twice"
            self.fills[fill.trade.key] = fill

    async def add_fee(self, _tx: Tx, _account: VenueAccountId, fill: StoredFill) -> None:
        assert self.fills[fill.trade.key].fee_seq is None
        self.fills[fill.trade.key] = fill


class _Place:
    """One account's stream with its rows."""

    def __init__(self) -> None:
        self.database, self.bus, self.kept = ModelDatabase(), ModelBus(), _Kept()
        self.stream = AccountStream(ACCOUNT, self.bus, cast("TrackingStore", self.kept))

    async def append(self, *trades: Attributed) -> list[StoredFill]:
        async with self.database.begin("append") as tx:
            return await self.stream.append_trades(tx, trades, SPECS, 9)

    async def facts(self) -> list[AccountEvent]:
        async with self.database.begin("read") as tx:
            rows = await self.bus.read(tx, account_stream(ACCOUNT), 0, 1_000)
        return [decode(row.body, AccountEvent) for row in rows]  # type: ignore[arg-type]


def _own(number: int, **changed: object) -> Attributed:
    return Attributed(trade(number, intent=None, **changed), order())


@given(batches=st.lists(st.lists(st.integers(1, 5), max_size=6), max_size=6))
async def test_a_trade_is_one_fill_however_often_it_is_brought(batches: list[list[int]]) -> None:
    place = _Place()
    for batch in batches:
        fresh = await place.append(*(_own(number, fee_units=0) for number in batch))
        assert len({fill.trade.key for fill in fresh}) == len(fresh)
    facts = await place.facts()
    brought = list(dict.fromkeys(number for batch in batches for number in batch))
    assert [one.trade_id for one in facts if isinstance(one, FillFact)] == [
        trade(number).trade_id for number in brought
    ]
    assert len(facts) == len(brought) == len(place.kept.fills)


async def test_a_trade_and_its_fee_stand_one_after_the_other_and_know_their_places() -> None:
    place = _Place()
    stored = await place.append(
        _own(1, fee_asset="USDT", fee_units=7),
        Attributed(trade(2, fee_asset="BTC", fee_units=-3), None),
        _own(3, fee_units=0),
    )
    fill, fee, stranger, rebate, free = await place.facts()
    assert isinstance(fill, FillFact)
    assert (fill.pool, fill.intent, fill.account) == (POOL, intent_id(1), ACCOUNT)
    assert isinstance(fee, FeeFact)
    assert (fee.asset, fee.units, fee.recharge_rate) == ("USDT", 7, None)
    assert isinstance(stranger, FillFact)
    assert (stranger.pool, stranger.intent) == (NO_POOL, "")
    assert isinstance(rebate, FeeFact)
    assert (rebate.pool, rebate.asset, rebate.units) == (NO_POOL, "BTC", -3)
    assert isinstance(free, FillFact)
    rows = [(one.fill_seq, one.fee_seq, one.fee_base_units, one.fee_quote_units) for one in stored]
    assert rows == [(1, 2, 0, 7), (3, 4, -3, 0), (5, None, 0, 0)]
    assert [one.trade.intent for one in stored] == [intent_id(1), None, intent_id(1)]
    assert list(place.kept.fills.values()) == stored


async def test_a_fee_in_a_third_asset_waits_for_its_rate_and_never_delays_its_fill() -> None:
    place = _Place()
    (fill,) = await place.append(_own(1, fee_asset="BNB", fee_units=7))
    assert (fill.fee_seq, len(await place.facts())) == (None, 1)
    async with place.database.begin("fee") as tx:
        paid = await place.stream.append_fee(tx, fill, SPEC, RATE, 10)
    assert (paid.fee_seq, paid.fee_base_units, paid.fee_quote_units) == (2, 0, 2_100)
    assert place.kept.fills[fill.trade.key] == paid
    fee = (await place.facts())[1]
    assert isinstance(fee, FeeFact)
    assert (fee.asset, fee.units, fee.recharge_rate) == ("BNB", 7, Rate.of(RATE))
    known = Attributed(trade(2, fee_asset="BNB", fee_units=7), order(), RATE)
    (at_once,) = await place.append(known)
    assert (at_once.fill_seq, at_once.fee_seq, at_once.fee_quote_units) == (3, 4, 2_100)


@pytest.mark.parametrize("asset", ["BTC", "USDT", "BNB"])
@pytest.mark.parametrize("units", [-7, 0, 7])
@pytest.mark.parametrize("rate", [None, Ratio(1, 2)])
def test_what_a_fee_takes_of_a_pool(asset: str, units: int, rate: Ratio | None) -> None:
    one = Attributed(trade(1, fee_asset=asset, fee_units=units), order(), rate)
    third = asset == "BNB" and units != 0
    assert third_asset(one.trade, SPEC) is third
    assert fee_is_due(one, SPEC) is (units != 0 and not (third and rate is None))
    quote = 0 if rate is None else {-7: -3, 0: 0, 7: 4}[units]
    expected = {"BTC": (units, 0), "USDT": (0, units), "BNB": (0, quote)}
    assert fee_cost(one.trade, SPEC, rate) == expected[asset]
