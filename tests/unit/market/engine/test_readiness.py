"""Readiness of a market and states of a book: every state with every event, written out."""

from __future__ import annotations

import itertools

from poolmaker.market.engine.readiness import READINESS, Readiness, ReadinessEvent
from poolmaker.market.engine.state import MarketQuoting
from poolmaker.market.tracking.book import BOOK_STATES, BookEvent, BookState, OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import VenueMarket
from poolmaker.messages.market import MarketSpec
from tests.unit.market.makers import MARKET

R, RE = Readiness, ReadinessEvent
B, BE = BookState, BookEvent


def test_found_23_the_whole_product_of_readiness_is_decided() -> None:
    """Row 23: readiness is a market's own. Only comparing makes ready, only a change unmakes it."""
    after = {
        (R.UNPROVEN, RE.RECONCILED): R.READY,
        (R.UNPROVEN, RE.RULES_CHANGED): R.CHANGING,
        (R.UNPROVEN, RE.ORDERS_GONE): None,
        (R.READY, RE.RECONCILED): R.READY,
        (R.READY, RE.RULES_CHANGED): R.CHANGING,
        (R.READY, RE.ORDERS_GONE): None,
        (R.CHANGING, RE.RECONCILED): None,
        (R.CHANGING, RE.RULES_CHANGED): R.CHANGING,
        (R.CHANGING, RE.ORDERS_GONE): R.UNPROVEN,
    }
    assert {pair: READINESS.next(*pair) for pair in itertools.product(R, RE)} == after


def test_the_whole_product_of_the_book_is_decided() -> None:
    """Tracking invariant 1: only a diff or a second equal snapshot makes a book live."""
    found = {pair: BOOK_STATES.next(*pair) for pair in itertools.product(B, BE)}
    assert {pair for pair, after in found.items() if after is B.LIVE} == {
        (B.UNCONFIRMED, BE.CONTINUED),
        (B.UNCONFIRMED, BE.REPEATED),
        (B.LIVE, BE.CONTINUED),
        (B.LIVE, BE.REPEATED),
    }
    assert {pair for pair, after in found.items() if after is B.UNCONFIRMED} == {
        (B.EMPTY, BE.SNAPSHOT),
        (B.GAP, BE.SNAPSHOT),
    }
    assert {pair for pair, after in found.items() if after is B.GAP} == {
        (B.UNCONFIRMED, BE.SKIPPED),
        (B.LIVE, BE.SKIPPED),
    }
    assert all(found[state, BE.LOST] is B.EMPTY for state in B)
    refused = {pair for pair, after in found.items() if after is None}
    assert len(found) - len(refused) == 4 + 2 + 2 + 4


def test_an_event_that_the_table_refuses_changes_nothing() -> None:
    """A round of reconciling that began before a change of the rules proves nothing after it."""
    rules = VenueMarket(MARKET, is_open=True, maker_fee_cbps=0)
    desk = MarketQuoting(MarketSpec.of(MARKET), rules, OrderBook(MARKET), DepthTwaps(1))
    assert (desk.ready, desk.reconciled) == (False, False)
    desk.move(RE.RECONCILED)
    assert (desk.ready, desk.reconciled) == (True, True)
    desk.move(RE.RULES_CHANGED)
    desk.move(RE.RECONCILED)
    assert (desk.readiness, desk.reconciled) == (R.CHANGING, True)
    desk.move(RE.ORDERS_GONE)
    assert (desk.ready, desk.readiness) == (False, R.UNPROVEN)
    desk.move(RE.RECONCILED)
    assert desk.ready
