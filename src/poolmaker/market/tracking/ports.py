"""What the trackers need: a venue to ask, feeds that push, rows to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import IntentId, PoolId, VenueAccountId
from poolmaker.kernel.market import Market
from poolmaker.kernel.money import Ratio
from poolmaker.market.tracking.model import (
    BalanceReport,
    BookDiff,
    BookSnapshot,
    ExchangeOrder,
    NoMarket,
    OddRow,
    OpenFees,
    OpenOrders,
    OrderReport,
    StoredFill,
    TradePage,
    TradeReport,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec


class Venue(Protocol):
    """Questions to a venue about markets and our account. Implemented by connectors.

    Every call ends within the connector's own timeout and raises VenueUnavailable when no answer
    came that can be read; a question may always be asked again.
    """

    async def market(self, spec: MarketSpec) -> VenueMarket | NoMarket:
        """The market's rules now. Raises CallerFault where ``spec`` cannot hold its amounts."""
        ...

    async def server_time_us(self) -> int:
        """The venue's clock."""
        ...

    async def book_snapshot(self, market: Market, levels: int) -> BookSnapshot:
        """The book's best levels with the number of their last update."""
        ...

    async def open_orders(self, market: Market) -> OpenOrders:
        """Every open order of the account in a market, whoever made it."""
        ...

    async def order_by_client_id(self, market: Market, client_id: str) -> OrderReport | None:
        """One order; None only when the venue definitely says that there is none."""
        ...

    async def order_by_id(self, market: Market, exchange_order_id: str) -> OrderReport | None:
        """One order; None only when the venue definitely says that there is none."""
        ...

    async def cursor_now(self, market: Market) -> str:
        """A cursor after the newest trade that the venue shows now."""
        ...

    async def trades_after(self, market: Market, cursor: str) -> TradePage:
        """The account's trades after a cursor, oldest first."""
        ...

    async def balances(self) -> list[BalanceReport]:
        """Every asset of which the account holds anything."""
        ...

    async def price(self, asset: str, market: Market) -> Ratio | None:
        """Quote units of ``market`` for units of ``asset``; None where the venue has no price."""
        ...

    def odd_rows(self) -> Sequence[tuple[OddRow, int]]:
        """Rows that could not be read in the newest read of each kind, and since when (wall us)."""
        ...


class BookFeed(Protocol):
    """Who hears a market's stream. Calls are synchronous and quick."""

    def on_diff(self, symbol: str, diff: BookDiff) -> None:
        """A change of the book."""
        ...

    def on_book_subscribed(self, symbol: str) -> None:
        """The stream said that it flows: from now on its silence means something."""
        ...

    def on_book_lost(self, symbol: str, reason: str) -> None:
        """The stream broke: changes were or may have been missed."""
        ...


class AccountFeed(Protocol):
    """Who hears the account's stream. Calls are synchronous and quick."""

    def on_order(self, report: OrderReport) -> None:
        """The venue's word on an order."""
        ...

    def on_trade(self, trade: TradeReport) -> None:
        """A trade of the account."""
        ...

    def on_balances(self, balances: Sequence[BalanceReport]) -> None:
        """Holdings that changed."""
        ...

    def on_account_odd(self, symbol: str) -> None:
        """An event could not be read and is set aside; ``symbol`` is empty where none is known."""
        ...

    def on_account_subscribed(self) -> None:
        """The stream flows from now on; what came before must be read over REST."""
        ...

    def on_account_lost(self, reason: str) -> None:
        """The stream broke: events were or may have been missed."""
        ...


class VenueFeeds(Protocol):
    """Streams of a venue. Implemented by connectors; both run until cancelled and reconnect."""

    async def run_book(self, market: Market, feed: BookFeed) -> None:
        """Push every change of a market's book."""
        ...

    async def run_account(self, markets: Mapping[str, Market], feed: AccountFeed) -> None:
        """Push every event of the account in markets that ``markets`` holds when it arrives."""
        ...

    async def ask_book(self, symbol: str) -> bool:
        """Ask a market's stream itself whether it carries the market; False without its word.

        The answer comes after every change that the stream has sent before it.
        """
        ...

    def restart_book(self, symbol: str) -> None:
        """Rebuild a market's stream: it is silent although the book moves."""
        ...

    def restart_account(self) -> None:
        """Rebuild the account's stream: it is silent although orders trade."""
        ...


class TrackingStore(Protocol):
    """Rows of the shadow ledger. Every method runs in the caller's transaction."""

    async def know_rules(
        self, tx: Tx, account: VenueAccountId, rules: VenueMarket, now_us: int
    ) -> VenueMarket:
        """The same rules with their version: the newest stored one, or a new one when they differ.

        Orders are stored with the version that they were made under.
        """
        ...

    async def adopt_orders(
        self, tx: Tx, account: VenueAccountId, market: Market
    ) -> list[ExchangeOrder]:
        """Bind orders that were stored before rows named their rules; answers those at stake.

        The programs that wrote them read a market's rules at each start of an account and could
        not follow a change, so the rules at the first start of this one are theirs.
        """
        ...

    async def save_orders(
        self, tx: Tx, account: VenueAccountId, orders: Sequence[ExchangeOrder]
    ) -> None:
        """Insert or update."""
        ...

    async def living_orders(
        self, tx: Tx, account: VenueAccountId, changed_after_us: int
    ) -> list[ExchangeOrder]:
        """Orders that have not ended, have unexplained fills, or changed after a time."""
        ...

    async def find_order(
        self,
        tx: Tx,
        account: VenueAccountId,
        symbol: str,
        exchange_order_id: str,
        intent: IntentId | None,
    ) -> ExchangeOrder | None:
        """One order however long ago it ended."""
        ...

    async def known_fills(
        self, tx: Tx, account: VenueAccountId, trades: Sequence[TradeReport]
    ) -> set[tuple[str, str, str]]:
        """Keys of those trades that are stored already."""
        ...

    async def add_fills(self, tx: Tx, account: VenueAccountId, fills: Sequence[StoredFill]) -> None:
        """Insert; a key that is there already fails the transaction."""
        ...

    async def add_fee(self, tx: Tx, account: VenueAccountId, fill: StoredFill) -> None:
        """Note that a fill's fee is on the stream now."""
        ...

    async def fills_after(
        self, tx: Tx, account: VenueAccountId, pool: PoolId, seq: int
    ) -> list[StoredFill]:
        """A pool's fills of which the fill or the fee stands after ``seq`` of the stream."""
        ...

    async def count_fills(self, tx: Tx, account: VenueAccountId) -> int:
        """How many fills were ever booked."""
        ...

    async def fees_without_price(self, tx: Tx, account: VenueAccountId) -> dict[PoolId, OpenFees]:
        """Fills of each pool whose fee is not on the stream yet: how many, worth how much."""
        ...

    async def fees_open(self, tx: Tx, account: VenueAccountId, limit: int) -> list[StoredFill]:
        """Fills whose fee is not on the stream yet, oldest first."""
        ...

    async def trade_cursor(self, tx: Tx, account: VenueAccountId, symbol: str) -> str | None:
        """Up to where trades were read; None when the market was never opened."""
        ...

    async def move_trade_cursor(
        self, tx: Tx, account: VenueAccountId, symbol: str, cursor: str
    ) -> None:
        """Remember up to where trades were read."""
        ...
