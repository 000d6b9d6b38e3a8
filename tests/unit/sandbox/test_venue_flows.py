"""Flows: a recorded market that one can trade into, and a market made up from a seed."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.flow_recorded import RecordedFlow
from poolmaker.sandbox.venue.flow_seeded import PROFILES, SeededFlow, thinned
from poolmaker.sandbox.venue.flows import flows_of, listed_symbols, read_recording
from poolmaker.sandbox.venue.invariants import audit
from poolmaker.sandbox.venue.model import (
    Accepted,
    AccountId,
    NewOrder,
    Order,
    OrderStatus,
)
from poolmaker.sandbox.venue.options import Flow, VenueOptions
from poolmaker.sandbox.venue.recording import TakerOrder, load_recording
from poolmaker.sandbox.venue.server import build_exchange

SNAPSHOT = (
    '{"lastUpdateId":100,"bids":[["60000.00","1.00000"],["59999.00","2.00000"]],'
    '"asks":[["60001.00","1.00000"],["60002.00","2.00000"]]}'
)


def depth(first: int, last: int, bids: str = "", asks: str = "") -> str:
    def rows(text: str) -> str:
        pairs = [pair.split(":") for pair in text.split()]
        return "[" + ",".join(f'["{price}","{size}"]' for price, size in pairs) + "]"

    return (
        f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","s":"BTCUSDT",'
        f'"U":{first},"u":{last},"b":{rows(bids)},"a":{rows(asks)}}}}}'
    )


def trade(price: str, size: str, time_ms: int, *, sells: bool) -> str:
    maker = "true" if sells else "false"
    return (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","s":"BTCUSDT","t":1,"p":"{price}",'
        f'"q":"{size}","T":{time_ms},"m":{maker},"M":true}}}}'
    )


def record(path: Path, *frames: str) -> Path:
    target = path / "market.ndjson.gz"
    with gzip.open(target, "wt") as file:
        for number, frame in enumerate(frames):
            file.write(f"{1_723_161_253_000_000_000 + number * 10_000_000} {frame}\n")
    return target


def flow_of(path: Path, *frames: str) -> RecordedFlow:
    recording = load_recording(record(path, SNAPSHOT, *frames))
    exchange = build_exchange(VenueOptions(), ManualClock(), listed_symbols(recording))
    flow = RecordedFlow(exchange, recording)
    flow.restart()
    return flow


def book(flow: RecordedFlow) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    market = flow.market
    return (
        [(level.price / 100, level.total / 100_000) for level in market.bids.top(50)],
        [(level.price / 100, level.total / 100_000) for level in market.asks.top(50)],
    )


def place(flow: RecordedFlow, side: str, price: float, size: float) -> Order:
    outcome = flow.exchange.engine.submit(
        NewOrder(
            account=flow.exchange.engine.accounts[AccountId(1)], symbol="BTCUSDT",
            is_buy=side == "BUY", price=round(price * 100), lots=round(size * 100_000),
            client_id=f"c{flow.played}-{price}",
        ),
        0,
    )  # fmt: skip
    assert isinstance(outcome, Accepted), outcome
    return outcome.order


def test_without_clients_the_book_is_the_recorded_one(tmp_path: Path) -> None:
    flow = flow_of(
        tmp_path,
        depth(90, 101, bids="60000.00:0.50000"),
        trade("60001.00", "0.30000", 5, sells=False),
        depth(102, 103, bids="60000.50:0.20000", asks="60001.00:0.70000"),
        depth(104, 104, bids="60000.50:0.00000"),
    )
    while flow.step():
        pass
    assert book(flow) == ([(60000.0, 0.5), (59999.0, 2.0)], [(60001.0, 0.7), (60002.0, 2.0)])
    assert len(flow.exchange.feeds["BTCUSDT"].tape.trades) == 1
    flow.restart()
    assert book(flow) == ([(60000.0, 1.0), (59999.0, 2.0)], [(60001.0, 1.0), (60002.0, 2.0)])
    assert audit(flow.exchange.engine).ok


def test_a_clients_order_waits_behind_recorded_depth_and_is_hit_by_recorded_takers(
    tmp_path: Path,
) -> None:
    flow = flow_of(
        tmp_path,
        trade("60000.00", "0.90000", 5, sells=True),
        trade("60000.00", "0.30000", 6, sells=True),
        depth(101, 101, bids="60000.00:0.60000"),
    )
    own = place(flow, "BUY", 60000, 0.5)
    flow.step()
    assert own.done == 0, "the recorded depth was there first"
    flow.step()
    assert own.done == 20_000
    flow.step()
    assert book(flow)[0][0] == (60000.0, 0.9), "the recorded quantity and what is left of ours"
    assert audit(flow.exchange.engine).ok


def test_a_decrease_cancels_from_the_back_and_never_from_before_the_client(
    tmp_path: Path,
) -> None:
    flow = flow_of(
        tmp_path,
        depth(101, 101, bids="60000.00:3.00000"),
        depth(102, 102, bids="60000.00:1.00000"),
        trade("60000.00", "1.00000", 5, sells=True),
        trade("60000.00", "0.10000", 6, sells=True),
    )
    own = place(flow, "BUY", 60000, 0.1)
    for _ in range(3):
        flow.step()
    assert own.done == 0, "one whole coin stood before us from the start"
    flow.step()
    assert own.status is OrderStatus.FILLED


def test_recorded_depth_that_crosses_a_clients_order_trades_with_it(tmp_path: Path) -> None:
    flow = flow_of(
        tmp_path,
        depth(101, 101, asks="60001.00:0.00000 60002.00:0.00000 60010.00:1.00000"),
        depth(102, 102, bids="60005.00:0.30000"),
        depth(103, 103, bids="59990.00:1.00000"),
    )
    own = place(flow, "SELL", 60003, 0.5)
    flow.step()
    flow.step()
    assert own.done == 30_000
    assert flow.market.bids.best_price() == 6_000_000
    flow.step()
    assert own.done == 30_000, "what a client ate does not come back by itself"
    assert audit(flow.exchange.engine).ok


def test_a_client_inside_the_spread_is_hit_first(tmp_path: Path) -> None:
    flow = flow_of(
        tmp_path,
        trade("60000.00", "0.20000", 5, sells=True),
        depth(101, 101, bids="59990.00:1.00000"),
    )
    own = place(flow, "BUY", 60000.5, 0.2)
    flow.step()
    assert own.status is OrderStatus.FILLED
    assert flow.market.total_at(6_000_000, is_buy=True) == 100_000


def test_trades_of_one_instant_and_side_are_one_taker_order(tmp_path: Path) -> None:
    recording = load_recording(
        record(
            tmp_path,
            trade("59000.00", "1.00000", 1, sells=True),
            SNAPSHOT,
            trade("60001.00", "0.10000", 5, sells=False),
            trade("60002.00", "0.20000", 5, sells=False),
            trade("60000.00", "0.30000", 5, sells=True),
            depth(101, 101, bids="59990.00:1.00000"),
        )
    )
    takers = [frame for frame in recording.frames if isinstance(frame, TakerOrder)]
    assert [(one.is_buy, one.limit_units, one.quantity_units) for one in takers] == [
        (True, 6_000_200_000_000, 30_000_000),
        (False, 6_000_000_000_000, 30_000_000),
    ]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ((SNAPSHOT, depth(103, 104)), "gap"),
        ((SNAPSHOT,), "no snapshot followed by depth"),
        ((depth(101, 102),), "no snapshot followed by depth"),
        (("{broken",), "not a list of recorded frames"),
    ],
)
def test_a_bad_recording_is_refused_in_one_sentence(
    tmp_path: Path, frames: tuple[str, ...], words: str
) -> None:
    with pytest.raises(EnvironmentProblem, match=words):
        load_recording(record(tmp_path, *frames))


def test_a_missing_or_foreign_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        load_recording(tmp_path / "nothing.gz")
    foreign = depth(101, 101).replace("BTCUSDT", "XYZUSDT")
    options = VenueOptions(recording=record(tmp_path, SNAPSHOT, foreign))
    with pytest.raises(EnvironmentProblem, match="XYZUSDT"):
        read_recording(options)


def play(exchange: Exchange, flow: SeededFlow, clock: ManualClock, seconds: int) -> None:
    start_us = clock.now_us()
    while flow.next_due_us() < seconds * 1_000_000:
        clock.advance(start_us + flow.next_due_us() - clock.now_us())
        flow.step()


def seeded(symbol: str, seed: int, seconds: int) -> tuple[Exchange, SeededFlow]:
    clock = ManualClock()
    exchange = build_exchange(VenueOptions(seed=seed), clock)
    flow = SeededFlow(exchange, symbol, PROFILES[symbol], Rng(seed))
    play(exchange, flow, clock, seconds)
    return exchange, flow


def test_one_seed_makes_one_market(tmp_path: Path) -> None:
    first, second, other = (seeded("BTCUSDT", seed, 10)[0] for seed in (1, 1, 2))
    tapes = [
        [(one.trade_id, one.price, one.lots) for one in exchange.feeds["BTCUSDT"].tape.trades]
        for exchange in (first, second, other)
    ]
    assert tapes[0] == tapes[1]
    assert tapes[0] != tapes[2]


@pytest.mark.parametrize("symbol", list(PROFILES))
def test_a_made_up_market_has_two_sides_and_keeps_the_invariants(symbol: str) -> None:
    exchange, flow = seeded(symbol, 5, 60)
    market = flow.market
    bid, ask = market.bids.best_price(), market.asks.best_price()
    assert bid is not None
    assert ask is not None
    assert bid < ask
    assert audit(exchange.engine).ok


def test_the_busy_market_is_calibrated_to_the_recorded_one() -> None:
    """exchanges.md section 6: 9.4 taker orders a second, median spread one tick."""
    exchange, flow = seeded("BTCUSDT", 3, 60)
    assert 5 < flow.takers / 60 < 15
    assert len(exchange.feeds["BTCUSDT"].tape.trades) > 300
    assert 200 < (flow.market.update_id - 1_700_000_000_000) / 60 < 800


def test_a_thin_market_hardly_trades() -> None:
    _, flow = seeded("HMTUSDT", 3, 120)
    assert flow.takers < 30
    assert len(flow.market.bids.keys) <= 9
    assert thinned(PROFILES["BTCUSDT"]).taker_rate == 0.05


def test_a_recording_replaces_the_flow_of_its_own_symbol(tmp_path: Path) -> None:
    frames = (SNAPSHOT, depth(101, 101, bids="59990.00:1.00000"))
    for flow, count in ((Flow.SEEDED, 4), (Flow.THIN, 4), (Flow.NONE, 1)):
        options = VenueOptions(recording=record(tmp_path, *frames), flow=flow)
        recording = read_recording(options)
        exchange = build_exchange(options, ManualClock(), listed_symbols(recording))
        assert exchange.engine.markets["BTCUSDT"].last_price == 6_000_050
        assert recording is not None
        recorded = RecordedFlow(exchange, recording)
        assert len(flows_of(options, exchange, recorded)) == count
