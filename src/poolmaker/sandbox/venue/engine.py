"""The matching engine: pure, integer, price-time priority, accounts with free and locked balances.

It reads no clock and does no I/O: time comes with each command, what happened leaves as events.

Invariants
1. Per asset, everything free and locked plus the fees collected is what came in minus what left.
2. No balance is below zero, and what is locked is what open orders may still consume.
3. The book is never crossed, and within a price first in is first out.
4. A command that is refused changes nothing.
5. Every change of a level takes the next update id, so diffs chain without a gap.
"""

from __future__ import annotations

from collections.abc import Iterable

from poolmaker.kernel.checks import require
from poolmaker.sandbox.venue import rules
from poolmaker.sandbox.venue.book import BookSide, Market
from poolmaker.sandbox.venue.history import archive, history_of
from poolmaker.sandbox.venue.model import (
    Accepted,
    Account,
    AccountId,
    BalanceMoved,
    Event,
    Execution,
    Fill,
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    PositionSeen,
    Prevented,
    Report,
    Retention,
    StpMode,
    SymbolSpec,
    SymbolStatus,
    TimeInForce,
    TradePrint,
    VenueError,
)

_BNB_MARKET = "BNBUSDT"


class Engine:
    """All markets and accounts of the venue. Single-threaded; each command is atomic."""

    def __init__(
        self,
        specs: Iterable[SymbolSpec],
        *,
        first_id: int = 1_000,
        retention: Retention | None = None,
    ) -> None:
        self.markets = {spec.name: Market(spec, first_id) for spec in specs}
        self.accounts: dict[AccountId, Account] = {}
        self.fees: dict[str, int] = {}
        self.net_inflow: dict[str, int] = {}
        self.commands = 0
        self._retention = retention or Retention()
        self._events: list[Event] = []
        self._touched: dict[AccountId, dict[str, None]] = {}
        self._execution_id = first_id
        self._bnb = self.markets.get(_BNB_MARKET)

    # Accounts

    def open_account(
        self, account_id: AccountId, name: str, *, is_client: bool, rate: int = 0
    ) -> Account:
        """A new account without funds that pays ``rate`` (1e-8 parts) as maker and as taker."""
        require(account_id not in self.accounts, f"account {account_id} exists already")
        account = Account(account_id=account_id, name=name, is_client=is_client)
        account.maker_rate = account.taker_rate = rate
        self.accounts[account_id] = account
        return account

    def deposit(self, account: Account, asset: str, units: int, time_us: int) -> None:
        """Value comes in from outside."""
        require(units > 0, "a deposit must be positive")
        account.balance(asset).free += units
        self.net_inflow[asset] = self.net_inflow.get(asset, 0) + units
        self._moved(account, asset, units, time_us)

    def withdraw(self, account: Account, asset: str, units: int, time_us: int) -> VenueError | None:
        """Value leaves; only what is free can."""
        require(units > 0, "a withdrawal must be positive")
        balance = account.balance(asset)
        if balance.free < units:
            return VenueError.INSUFFICIENT_BALANCE
        balance.free -= units
        self.net_inflow[asset] = self.net_inflow.get(asset, 0) - units
        self._moved(account, asset, -units, time_us)
        return None

    def _moved(self, account: Account, asset: str, delta: int, time_us: int) -> None:
        if account.is_client:
            self._events.append(BalanceMoved(account, asset, delta, time_us))
            self._touch(account, asset)
        self._finish(time_us)

    # Orders

    def submit(
        self, request: NewOrder, time_us: int, *, dry: bool = False
    ) -> Accepted | VenueError:
        """Place an order, match it, rest or expire what is left; ``dry`` only says if it would."""
        market = self.markets[request.symbol]
        opposite = market.asks if request.is_buy else market.bids
        refusal = self._refusal(market, opposite, request)
        if refusal is not None:
            return refusal
        lots, lock_units = self._sizes(market, opposite, request)
        if lots == 0:
            return VenueError.NO_LIQUIDITY
        balance = request.account.balance(market.spec.quote if request.is_buy else market.spec.base)
        if balance.free < lock_units:
            return VenueError.INSUFFICIENT_BALANCE
        if dry:
            return Accepted(Order(0, request, time_us), [])
        order = Order(market.next_order_id, request, time_us)
        order.lots = lots
        market.next_order_id += 1
        balance.free -= lock_units
        balance.locked += lock_units
        order.locked_units = lock_units
        return self._run(market, opposite, order, time_us)

    def _refusal(self, market: Market, opposite: BookSide, request: NewOrder) -> VenueError | None:
        account = request.account
        if account.is_client:
            refusal = rules.filter_refusal(market, request)
            if refusal is not None:
                return refusal
            if (request.symbol, request.client_id) in account.open_client_ids:
                return VenueError.DUPLICATE_ORDER
        if request.order_type is OrderType.LIMIT_MAKER and rules.crosses(request.price, opposite):
            return VenueError.WOULD_TAKE
        return None

    @staticmethod
    def _sizes(market: Market, opposite: BookSide, request: NewOrder) -> tuple[int, int]:
        """The quantity in lots, and the units that the order must have locked."""
        lots, step = request.lots, market.spec.step_units
        if request.order_type is not OrderType.MARKET:
            per_lot = request.price * market.quote_per_tick_lot if request.is_buy else step
            return lots, lots * per_lot
        walked, cost = rules.market_order_walk(market, opposite, request)
        lots = lots or walked
        return lots, cost if request.is_buy else lots * step

    def _run(self, market: Market, opposite: BookSide, order: Order, time_us: int) -> Accepted:
        account = order.account
        if account.is_client:
            self._register(account, order)
        fills: list[Fill] = []
        if order.tif is not TimeInForce.FOK or self._fillable(opposite, order):
            self._match(market, opposite, order, time_us, fills)
        if order.is_open:
            self._settle_remainder(market, order, time_us)
        elif order.status is OrderStatus.FILLED:
            self._close(order)
        self._touch(account, market.spec.base)
        self._touch(account, market.spec.quote)
        self._finish(time_us)
        return Accepted(order, fills)

    def _register(self, account: Account, order: Order) -> None:
        account.open_client_ids.add((order.symbol, order.client_id))
        account.open_orders.setdefault(order.symbol, {})[order.order_id] = order
        history = history_of(account, order.symbol, self._retention)
        history.orders[order.order_id] = order
        history.by_client_id[order.client_id] = order
        self._report(order, Execution.NEW, order.created_us)

    def _fillable(self, opposite: BookSide, order: Order) -> bool:
        request = NewOrder(
            account=order.account, symbol=order.symbol, is_buy=order.is_buy,
            price=order.price, lots=order.lots, stp=order.stp,
        )  # fmt: skip
        return rules.available_lots(opposite, request) >= order.lots

    def _settle_remainder(self, market: Market, order: Order, time_us: int) -> None:
        if order.order_type is not OrderType.MARKET and order.tif is TimeInForce.GTC:
            market.rest(order)
            return
        order.status = OrderStatus.EXPIRED
        order.updated_us = time_us
        self._close(order)
        self._report(order, Execution.EXPIRED, time_us)

    # Matching

    def _match(
        self, market: Market, opposite: BookSide, taker: Order, time_us: int, fills: list[Fill]
    ) -> None:
        limit = taker.price
        while opposite.keys:
            price = opposite.keys[-1] * opposite.sign
            if limit and (price > limit if taker.is_buy else price < limit):
                return
            wanted = taker.lots - taker.done
            if wanted <= 0:
                return
            maker = opposite.levels[price].head
            if maker is None:
                return
            if maker.account is taker.account and taker.stp is not StpMode.NONE:
                if self._prevent(market, taker, maker, wanted, time_us):
                    return
                continue
            self._trade(market, taker, maker, min(wanted, maker.lots - maker.done), time_us, fills)

    def _prevent(
        self, market: Market, taker: Order, maker: Order, wanted: int, time_us: int
    ) -> bool:
        """Expire what the taker's mode says; True when the taker itself is over."""
        match_id = market.next_prevented_id
        market.next_prevented_id += 1
        price, lots = maker.price, min(wanted, maker.remaining)
        if taker.account.is_client:
            history_of(taker.account, taker.symbol, self._retention).prevented.append(
                Prevented(
                    match_id=match_id, taker_order_id=taker.order_id,
                    maker_order_id=maker.order_id, stp=taker.stp, price=price, lots=lots,
                    time_us=time_us,
                )
            )  # fmt: skip
        taker_expires = taker.stp is not StpMode.EXPIRE_MAKER
        if taker.stp is not StpMode.EXPIRE_TAKER:
            market.leave(maker)
            self._expire_in_match(market, maker, lots, time_us)
            self._prevented(maker, taker, match_id, price, lots, time_us)
        if taker_expires:
            self._expire_in_match(market, taker, lots, time_us)
            self._prevented(taker, maker, match_id, price, lots, time_us)
        return taker_expires

    def _expire_in_match(self, market: Market, order: Order, lots: int, time_us: int) -> None:
        order.status = OrderStatus.EXPIRED_IN_MATCH
        order.prevented_lots += lots
        order.updated_us = time_us
        self._close(order)
        self._touch(order.account, market.spec.base)
        self._touch(order.account, market.spec.quote)

    def _prevented(
        self, order: Order, counter: Order, match_id: int, price: int, lots: int, time_us: int
    ) -> None:
        report = self._report(order, Execution.TRADE_PREVENTION, time_us)
        if report is not None:
            report.prevented_lots = lots
            report.prevented_match_id = match_id
            report.prevented_price = price
            report.counter_order_id = counter.order_id

    def _trade(
        self, market: Market, taker: Order, maker: Order, lots: int, time_us: int, fills: list[Fill]
    ) -> None:
        price = maker.price
        quote = price * lots * market.quote_per_tick_lot
        trade_id = market.next_trade_id
        market.next_trade_id = trade_id + 1
        market.last_price = price
        level = market.side(is_buy=maker.is_buy).levels[price]
        level.total -= lots
        maker.done += lots
        if maker.done == maker.lots:
            market.leave(maker)
        else:
            market.touch(price, is_buy=maker.is_buy)
        taker.done += lots
        trade = TradePrint(taker.symbol, trade_id, price, lots, quote, time_us, maker.is_buy)
        self._events.append(trade)
        taken = self._book_fill(market, taker, trade, is_maker=False)
        if taken is not None:
            fills.append(taken)
        self._book_fill(market, maker, trade, is_maker=True)
        if maker.done == maker.lots:
            self._close(maker)

    def _book_fill(
        self, market: Market, order: Order, trade: TradePrint, *, is_maker: bool
    ) -> Fill | None:
        order.quote_done += trade.quote_units
        order.updated_us = trade.time_us
        if order.done == order.lots:
            order.status = OrderStatus.FILLED
        else:
            order.status = OrderStatus.PARTIALLY_FILLED
        fee_asset, fee = self._exchange(market, order, trade, is_maker=is_maker)
        if not order.account.is_client:
            return None
        fill = Fill(
            order.symbol, trade.trade_id, order.order_id, trade.price, trade.lots,
            trade.quote_units, fee, fee_asset, trade.time_us, order.is_buy, is_maker,
        )  # fmt: skip
        history_of(order.account, order.symbol, self._retention).fills.append(fill)
        report = self._report(order, Execution.TRADE, trade.time_us)
        if report is not None:
            report.fill = fill
        for asset in (market.spec.base, market.spec.quote, fee_asset):
            self._touch(order.account, asset)
        return fill

    def _exchange(
        self, market: Market, order: Order, trade: TradePrint, *, is_maker: bool
    ) -> tuple[str, int]:
        """Swap the locked asset for the other one and take the commission."""
        account, spec, quote = order.account, market.spec, trade.quote_units
        base = trade.lots * spec.step_units
        if order.is_buy:
            paid, held = account.balance(spec.quote), quote
            if order.price:
                held = order.price * trade.lots * market.quote_per_tick_lot
            paid.locked -= held
            paid.free += held - quote
            order.locked_units -= held
            asset, received = spec.base, base
        else:
            account.balance(spec.base).locked -= base
            order.locked_units -= base
            asset, received = spec.quote, quote
        account.balance(asset).free += received
        own = account.maker_rate, account.taker_rate
        maker, taker = market.rates_of(account) if account.is_client else own
        rate = maker if is_maker else taker
        if not rate:
            return asset, 0
        return self._charge(account, asset, received, quote, rate)

    def _charge(
        self, account: Account, asset: str, received: int, quote: int, rate: int
    ) -> tuple[str, int]:
        fee_asset, fee = asset, rules.received_fee(received, rate)
        bnb = self._bnb
        if account.pays_in_bnb and bnb is not None and bnb.last_price:
            in_bnb = rules.bnb_fee(quote, rate, bnb.price_units(bnb.last_price))
            if account.balance(rules.BNB).free >= in_bnb:
                fee_asset, fee = rules.BNB, in_bnb
        account.balance(fee_asset).free -= fee
        self.fees[fee_asset] = self.fees.get(fee_asset, 0) + fee
        return fee_asset, fee

    # Cancels

    def cancel(self, order: Order, time_us: int, *, cancel_id: str = "") -> VenueError | None:
        """Take an open order off the book and free what it had locked."""
        if not order.is_open:
            return VenueError.UNKNOWN_ORDER
        market = self.markets[order.symbol]
        if market.status is SymbolStatus.BREAK:
            return VenueError.MARKET_CLOSED
        market.leave(order)
        order.status = OrderStatus.CANCELED
        order.updated_us = time_us
        self._close(order)
        report = self._report(order, Execution.CANCELED, time_us)
        if report is not None:
            report.client_id = cancel_id
            report.original_client_id = order.client_id
        self._touch(order.account, market.spec.base)
        self._touch(order.account, market.spec.quote)
        self._finish(time_us)
        return None

    def reduce(self, order: Order, lots: int) -> None:
        """Make an internal order smaller where it stands, keeping its turn (no event)."""
        require(0 < lots < order.remaining, "reduce: expected less than what remains")
        require(not order.account.is_client, "reduce: internal orders only")
        market = self.markets[order.symbol]
        market.side(is_buy=order.is_buy).levels[order.price].total -= lots
        order.lots -= lots
        per_lot = market.spec.step_units
        if order.is_buy:
            per_lot = order.price * market.quote_per_tick_lot
        balance = order.account.balance(market.spec.quote if order.is_buy else market.spec.base)
        balance.locked -= lots * per_lot
        balance.free += lots * per_lot
        order.locked_units -= lots * per_lot
        market.touch(order.price, is_buy=order.is_buy)

    def _close(self, order: Order) -> None:
        """Release what a finished order still has locked and move it to history."""
        account = order.account
        if order.locked_units:
            spec = self.markets[order.symbol].spec
            balance = account.balance(spec.quote if order.is_buy else spec.base)
            balance.locked -= order.locked_units
            balance.free += order.locked_units
            order.locked_units = 0
        if account.is_client:
            account.open_client_ids.discard((order.symbol, order.client_id))
            del account.open_orders[order.symbol][order.order_id]
            archive(account.history[order.symbol], order, self._retention)

    # Events

    def _report(self, order: Order, execution: Execution, time_us: int) -> Report | None:
        if not order.account.is_client:
            return None
        self._execution_id += 1
        report = Report(
            execution=execution, execution_id=self._execution_id, order=order,
            status=order.status, done=order.done, quote_done=order.quote_done, time_us=time_us,
            is_working=order.is_open, client_id=order.client_id,
        )  # fmt: skip
        self._events.append(report)
        return report

    def _touch(self, account: Account, asset: str) -> None:
        if account.is_client:
            self._touched.setdefault(account.account_id, {})[asset] = None

    def _finish(self, time_us: int) -> None:
        """Close a command: one position event for each client that it touched."""
        self.commands += 1
        if not self._touched:
            return
        for account_id, assets in self._touched.items():
            account = self.accounts[account_id]
            account.updated_us = time_us
            seen = [
                (asset, account.balance(asset).free, account.balance(asset).locked)
                for asset in assets
            ]
            self._events.append(PositionSeen(account, time_us, seen))
        self._touched.clear()

    def take_events(self) -> list[Event]:
        """Everything that happened since the last call, in order."""
        events, self._events = self._events, []
        return events
