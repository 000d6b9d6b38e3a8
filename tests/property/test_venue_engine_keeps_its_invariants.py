"""The matching engine under arbitrary commands (venue invariants 1, 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.sandbox.venue.engine import Engine
from poolmaker.sandbox.venue.invariants import audit
from poolmaker.sandbox.venue.model import (
    Accepted,
    Account,
    AccountId,
    NewOrder,
    Order,
    OrderType,
    StpMode,
    SymbolSpec,
    TimeInForce,
    TradePrint,
    VenueError,
)
from poolmaker.sandbox.venue.streams import DiffCursor
from poolmaker.sandbox.venue.units import SCALE, to_units

BTC = SymbolSpec(
    base="BTC", quote="USDT", tick_units=to_units("0.01"), step_units=to_units("0.00001"),
    min_notional_units=1, first_price_units=100 * SCALE,
)  # fmt: skip
BNB = SymbolSpec(
    base="BNB", quote="USDT", tick_units=to_units("0.01"), step_units=to_units("0.001"),
    min_notional_units=1, first_price_units=10 * SCALE,
)  # fmt: skip
MIDDLE = 10_000


@dataclass(frozen=True)
class Place:
    account: int
    is_buy: bool
    offset: int
    lots: int
    order_type: OrderType
    tif: TimeInForce
    stp: StpMode
    by_quote: bool


@dataclass(frozen=True)
class Cancel:
    pick: int


@dataclass(frozen=True)
class Move:
    account: int
    units: int
    is_deposit: bool


places = st.builds(
    Place,
    account=st.integers(1, 3),
    is_buy=st.booleans(),
    offset=st.integers(-5, 5),
    lots=st.integers(1, 50),
    order_type=st.sampled_from([OrderType.LIMIT] * 4 + [OrderType.LIMIT_MAKER, OrderType.MARKET]),
    tif=st.sampled_from([TimeInForce.GTC] * 3 + [TimeInForce.IOC, TimeInForce.FOK]),
    stp=st.sampled_from(list(StpMode)),
    by_quote=st.booleans(),
)
commands = st.lists(
    st.one_of(
        places,
        places,
        places,
        st.builds(Cancel, pick=st.integers(0, 1_000)),
        st.builds(
            Move,
            account=st.integers(1, 3),
            units=st.integers(1, 100_000),
            is_deposit=st.booleans(),
        ),
    ),
    max_size=60,
)


def make_engine() -> Engine:
    engine = Engine([BTC, BNB])
    for number in (1, 2, 3):
        account = engine.open_account(
            AccountId(number), f"a{number}", is_client=True, rate=100_000 * number
        )
        account.pays_in_bnb = number == 3
        engine.deposit(account, "USDT", 2 * SCALE, 0)
        engine.deposit(account, "BTC", SCALE // 100, 0)
        engine.deposit(account, "BNB", 50_000, 0)
    return engine


def request_of(engine: Engine, place: Place, number: int) -> NewOrder:
    is_market = place.order_type is OrderType.MARKET
    by_quote = is_market and place.by_quote
    return NewOrder(
        account=engine.accounts[AccountId(place.account)],
        symbol="BTCUSDT",
        is_buy=place.is_buy,
        order_type=place.order_type,
        tif=place.tif if place.order_type is OrderType.LIMIT else TimeInForce.GTC,
        price=0 if is_market else MIDDLE + place.offset,
        lots=0 if by_quote else place.lots,
        quote_order_units=place.lots * 100_000 if by_quote else 0,
        client_id=f"c{number % 7}",
        stp=place.stp,
    )


def holdings(engine: Engine) -> object:
    return (
        {
            (number, asset): (held.free, held.locked)
            for number, account in engine.accounts.items()
            for asset, held in account.balances.items()
            if held.free or held.locked
        },
        dict(engine.fees),
        [[(order.order_id, order.done) for level in side.levels.values() for order in level]
         for side in (engine.markets["BTCUSDT"].bids, engine.markets["BTCUSDT"].asks)],
        engine.markets["BTCUSDT"].update_id,
    )  # fmt: skip


def open_orders(account: Account) -> list[Order]:
    return [order for some in account.open_orders.values() for order in some.values()]


def obey(engine: Engine, command: Place | Cancel | Move, number: int) -> None:
    if isinstance(command, Move):
        account = engine.accounts[AccountId(command.account)]
        if command.is_deposit:
            engine.deposit(account, "USDT", command.units, number)
        else:
            engine.withdraw(account, "USDT", command.units, number)
    elif isinstance(command, Cancel):
        found = [order for one in engine.accounts.values() for order in open_orders(one)]
        if found:
            assert engine.cancel(found[command.pick % len(found)], number) is None
    else:
        before = holdings(engine)
        outcome = engine.submit(request_of(engine, command, number), number)
        if isinstance(outcome, VenueError):
            assert holdings(engine) == before, "a refused order changed something"


@settings(max_examples=300, deadline=None)
@given(commands)
def test_value_is_conserved_locks_match_and_the_book_is_never_crossed(
    given_commands: list[Place | Cancel | Move],
) -> None:
    engine = make_engine()
    for number, command in enumerate(given_commands):
        obey(engine, command, number)
        found = audit(engine)
        assert found.ok, found.violations


@settings(max_examples=150, deadline=None)
@given(commands)
def test_cancelling_everything_frees_every_lock(
    given_commands: list[Place | Cancel | Move],
) -> None:
    engine = make_engine()
    for number, command in enumerate(given_commands):
        obey(engine, command, number)
    for account in engine.accounts.values():
        for order in open_orders(account):
            engine.cancel(order, 0)
    assert all(
        held.locked == 0 for one in engine.accounts.values() for held in one.balances.values()
    )
    market = engine.markets["BTCUSDT"]
    assert not market.bids.keys
    assert not market.asks.keys


@settings(max_examples=150, deadline=None)
@given(commands, st.lists(st.integers(0, 59), max_size=10))
def test_diffs_chain_and_rebuild_the_book(
    given_commands: list[Place | Cancel | Move], flushes: list[int]
) -> None:
    engine = make_engine()
    market = engine.markets["BTCUSDT"]
    cursor, last_id = DiffCursor(market), market.update_id
    book: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    for number, command in enumerate([*given_commands, *given_commands[:1]]):
        obey(engine, command, number)
        if number not in flushes and number != len(given_commands):
            continue
        cursor.bids |= market.changed_bids
        cursor.asks |= market.changed_asks
        market.changed_bids.clear()
        market.changed_asks.clear()
        diff = cursor.take(market, number)
        if diff is None:
            continue
        assert diff["U"] == last_id + 1
        assert diff["u"] >= diff["U"]
        last_id = diff["u"]
        for name in ("b", "a"):
            for price, quantity in diff[name]:
                if to_units(quantity):
                    book[name][price] = quantity
                else:
                    book[name].pop(price, None)
        for name, side in (("b", market.bids), ("a", market.asks)):
            wanted = {level.price: level.total for level in side.levels.values()}
            got = {
                to_units(price) // BTC.tick_units: to_units(quantity) // BTC.step_units
                for price, quantity in book[name].items()
            }
            assert got == wanted


@dataclass
class NaiveOrder:
    """The reference: a flat list, scanned for the best price and the oldest order."""

    number: int
    account: int
    is_buy: bool
    price: int
    left: int


@dataclass
class NaiveBook:
    resting: list[NaiveOrder] = field(default_factory=list)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)

    def place(self, order: NaiveOrder, *, keeps: bool) -> None:
        while order.left:
            others = [
                one
                for one in self.resting
                if one.is_buy is not order.is_buy
                and (one.price <= order.price if order.is_buy else one.price >= order.price)
            ]
            if not others:
                break
            sign = 1 if order.is_buy else -1
            best = min(others, key=lambda one: (sign * one.price, one.number))
            if best.account == order.account:
                self.resting.remove(best)
                continue
            lots = min(order.left, best.left)
            self.trades.append((best.number, order.number, best.price, lots))
            order.left -= lots
            best.left -= lots
            if not best.left:
                self.resting.remove(best)
        if order.left and keeps:
            self.resting.append(order)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3), st.booleans(), st.integers(-4, 4), st.integers(1, 20), st.booleans()
        ),
        max_size=60,
    )
)
def test_matching_equals_a_naive_scan_for_price_then_time(
    orders: list[tuple[int, bool, int, int, bool]],
) -> None:
    engine, naive = Engine([BTC]), NaiveBook()
    for number in (1, 2, 3):
        account = engine.open_account(AccountId(number), f"a{number}", is_client=True)
        for asset in ("BTC", "USDT"):
            engine.deposit(account, asset, 10**6 * SCALE, 0)
    numbers: dict[int, int] = {}
    trades: list[tuple[int, int, int, int]] = []
    for number, (account_number, is_buy, offset, lots, keeps) in enumerate(orders):
        naive.place(NaiveOrder(number, account_number, is_buy, MIDDLE + offset, lots), keeps=keeps)
        outcome = engine.submit(
            NewOrder(
                account=engine.accounts[AccountId(account_number)], symbol="BTCUSDT",
                is_buy=is_buy, price=MIDDLE + offset, lots=lots, client_id=str(number),
                tif=TimeInForce.GTC if keeps else TimeInForce.IOC,
            ),
            number,
        )  # fmt: skip
        assert isinstance(outcome, Accepted)
        numbers[outcome.order.order_id] = number
        prints = [event for event in engine.take_events() if isinstance(event, TradePrint)]
        for fill, printed in zip(outcome.fills, prints, strict=True):
            maker = _maker_of(engine, fill.trade_id)
            trades.append((numbers[maker], number, printed.price, printed.lots))
    assert trades == naive.trades
    assert sorted(
        (numbers[order.order_id], order.remaining)
        for one in engine.accounts.values()
        for order in open_orders(one)
    ) == sorted((order.number, order.left) for order in naive.resting)


def _maker_of(engine: Engine, trade_id: int) -> int:
    for account in engine.accounts.values():
        history = account.history.get("BTCUSDT")
        for fill in history.fills if history else ():
            if fill.trade_id == trade_id and fill.is_maker:
                return fill.order_id
    raise AssertionError(f"nobody was the maker of trade {trade_id}")
