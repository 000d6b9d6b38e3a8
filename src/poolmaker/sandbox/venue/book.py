"""One symbol's order book: price levels, first in first out within each.

Invariants
1. Orders of a level are in the order in which they came to rest.
2. A level's total is the sum of what its orders still have to trade; no level is empty.
3. Every change of a level's total takes the next update id.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from poolmaker.sandbox.venue.model import Account, Order, SymbolSpec, SymbolStatus
from poolmaker.sandbox.venue.units import SCALE


class Level:
    """The orders at one price, a linked queue so that any of them leaves in constant time."""

    __slots__ = ("head", "price", "tail", "total")

    def __init__(self, price: int) -> None:
        self.price = price
        self.total = 0
        self.head: Order | None = None
        self.tail: Order | None = None

    def __iter__(self) -> Iterator[Order]:
        """Orders in the order of their turn."""
        order = self.head
        while order is not None:
            yield order
            order = order.after


class BookSide:
    """Bids or asks. ``keys`` ascend towards the best price: bids by price, asks by minus price."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, *, is_bids: bool) -> None:
        self.sign = 1 if is_bids else -1
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    def best_price(self) -> int | None:
        """The most attractive price, or None when the side is empty."""
        return self.keys[-1] * self.sign if self.keys else None

    def best(self) -> Level | None:
        """The level at the most attractive price."""
        return self.levels[self.keys[-1] * self.sign] if self.keys else None

    def top(self, depth: int) -> Iterator[Level]:
        """The best ``depth`` levels, best first."""
        for key in reversed(self.keys[-depth:]):
            yield self.levels[key * self.sign]

    def add(self, order: Order) -> None:
        """Queue ``order`` behind everybody at its price."""
        level = self.levels.get(order.price)
        if level is None:
            level = self.levels[order.price] = Level(order.price)
            insort(self.keys, order.price * self.sign)
        tail = level.tail
        order.before, order.after = tail, None
        if tail is None:
            level.head = order
        else:
            tail.after = order
        level.tail = order
        level.total += order.lots - order.done
        order.resting = True

    def remove(self, order: Order) -> None:
        """Take a resting ``order`` out of its queue, with what it still had to trade."""
        level = self.levels[order.price]
        before, after = order.before, order.after
        if before is None:
            level.head = after
        else:
            before.after = after
        if after is None:
            level.tail = before
        else:
            after.before = before
        order.before = order.after = None
        order.resting = False
        level.total -= order.lots - order.done
        if level.head is None:
            del self.levels[order.price]
            key = order.price * self.sign
            if self.keys[-1] == key:
                self.keys.pop()
            else:
                del self.keys[bisect_left(self.keys, key)]


class Market:
    """One symbol: its rules, its two sides, its counters and what changed since the last diff."""

    __slots__ = (
        "asks",
        "bids",
        "changed_asks",
        "changed_bids",
        "last_price",
        "next_order_id",
        "next_prevented_id",
        "next_trade_id",
        "quote_per_tick_lot",
        "rates",
        "spec",
        "status",
        "update_id",
    )

    def __init__(self, spec: SymbolSpec, first_id: int) -> None:
        self.spec = spec
        self.status = SymbolStatus.TRADING
        self.bids = BookSide(is_bids=True)
        self.asks = BookSide(is_bids=False)
        self.quote_per_tick_lot = spec.tick_units * spec.step_units // SCALE
        self.last_price = spec.first_price_units // spec.tick_units
        self.update_id = first_id
        self.next_order_id = first_id + 1
        self.next_trade_id = first_id // 10 + 1
        self.next_prevented_id = 1
        self.rates: tuple[int, int] | None = None
        self.changed_bids: set[int] = set()
        self.changed_asks: set[int] = set()

    def rates_of(self, account: Account) -> tuple[int, int]:
        """What an account pays here as maker and as taker: the symbol's own rates or its own."""
        return self.rates or (account.maker_rate, account.taker_rate)

    def side(self, *, is_buy: bool) -> BookSide:
        """The side that an order of this direction rests on."""
        return self.bids if is_buy else self.asks

    def touch(self, price: int, *, is_buy: bool) -> None:
        """Record that the total at ``price`` changed."""
        self.update_id += 1
        (self.changed_bids if is_buy else self.changed_asks).add(price)

    def rest(self, order: Order) -> None:
        """Put ``order`` on the book."""
        self.side(is_buy=order.is_buy).add(order)
        self.touch(order.price, is_buy=order.is_buy)

    def leave(self, order: Order) -> None:
        """Take ``order`` off the book."""
        self.side(is_buy=order.is_buy).remove(order)
        self.touch(order.price, is_buy=order.is_buy)

    def total_at(self, price: int, *, is_buy: bool) -> int:
        """Lots resting at ``price``."""
        level = self.side(is_buy=is_buy).levels.get(price)
        return 0 if level is None else level.total

    def price_units(self, ticks: int) -> int:
        """Units (1e-8) of the quote asset of a price in ticks."""
        return ticks * self.spec.tick_units

    def quantity_units(self, lots: int) -> int:
        """Units (1e-8) of the base asset of a quantity in lots."""
        return lots * self.spec.step_units
