"""What the venue remembers of an account: lookups by id, bounded pasts."""

from __future__ import annotations

from collections import deque

from poolmaker.sandbox.venue.model import Account, Order, Retention, SymbolHistory


def history_of(account: Account, symbol: str, retention: Retention) -> SymbolHistory:
    """The account's past in ``symbol``, made empty at first use."""
    found = account.history.get(symbol)
    if found is None:
        found = account.history[symbol] = SymbolHistory(retention)
    return found


def archive(history: SymbolHistory, order: Order, retention: Retention) -> None:
    """Remember a finished order and forget the oldest ones beyond the bound."""
    if order.done:
        history.traded.append(order)
        _trim(history, history.traded, retention.traded_orders)
    else:
        history.unfilled.append(order)
        _trim(history, history.unfilled, retention.unfilled_orders)


def _trim(history: SymbolHistory, closed: deque[Order], bound: int) -> None:
    while len(closed) > bound:
        oldest = closed.popleft()
        history.orders.pop(oldest.order_id, None)
        if history.by_client_id.get(oldest.client_id) is oldest:
            del history.by_client_id[oldest.client_id]
        history.archived_to = max(history.archived_to, oldest.order_id)


def find_order(
    account: Account, symbol: str, order_id: int | None, client_id: str | None
) -> Order | None:
    """The account's order by venue id or, among those still known, the newest by client id."""
    history = account.history.get(symbol)
    if history is None:
        return None
    if order_id is not None:
        return history.orders.get(order_id)
    return history.by_client_id.get(client_id or "")


def is_archived(account: Account, symbol: str, order_id: int | None) -> bool:
    """Whether an order of that id may have existed and been forgotten."""
    history = account.history.get(symbol)
    return history is not None and order_id is not None and order_id <= history.archived_to
