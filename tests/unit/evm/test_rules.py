"""Pure decisions of the chain client."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.evm.abi import TRANSFER, topic_of
from poolmaker.evm.model import GasBid, Log, TransactionReceipt
from poolmaker.evm.rules import (
    GWEI,
    demanded_bid,
    demanded_tip_wei,
    first_bid,
    higher_bid,
    is_about_price,
    is_known,
    taken_from,
    tip_min_wei,
    transfers_in,
)

WALLET, SENDER, TOKEN = "0x" + "0a" * 20, "0x" + "0b" * 20, "0x" + "0c" * 20
WEI = st.integers(min_value=0, max_value=10**13)


def log(sender: str, recipient: str, units: int, **changes: Any) -> Log:
    values: dict[str, Any] = {
        "address": TOKEN, "topics": (TRANSFER, topic_of(sender), topic_of(recipient)),
        "data": "0x" + units.to_bytes(32, "big").hex(), "index": 40, "block": 9,
        "block_hash": "0x01", "tx_hash": "0x02",
    }  # fmt: skip
    return Log(**{**values, **changes})


def receipt(*logs: Log) -> TransactionReceipt:
    return TransactionReceipt("0x02", 9, "0x01", True, 21_000, logs)


def test_a_transfer_is_named_by_its_place_inside_its_transaction() -> None:
    """evm invariant 2: the number in the block changes when a block is made anew."""
    moved = [log(SENDER, SENDER, 1), log(SENDER, WALLET, 5)]
    (first,) = transfers_in(receipt(*moved), 137, WALLET, 3)
    later = [log(SENDER, SENDER, 1, index=90), log(SENDER, WALLET, 5, index=91)]
    (second,) = transfers_in(receipt(*later), 137, WALLET, 3)
    assert first == second
    assert first.reference == "137/0x02/1"


def test_what_moves_nothing_to_us_is_no_transfer() -> None:
    logs = [
        log(SENDER, WALLET, 0),
        log(WALLET, WALLET, 5),
        log(WALLET, SENDER, 5),
        log(SENDER, WALLET, 5, data="0x"),
        log(SENDER, WALLET, 5, topics=(TRANSFER, topic_of(SENDER))),
        log(SENDER, WALLET, 5, topics=("0x00", topic_of(SENDER), topic_of(WALLET))),
    ]
    assert list(transfers_in(receipt(*logs), 137, WALLET, 3)) == []


def test_what_left_is_what_the_tokens_own_logs_say() -> None:
    logs = [
        log(WALLET, SENDER, 5),
        log(WALLET, SENDER, 7, address=SENDER),
        log(SENDER, WALLET, 9),
    ]
    assert taken_from(receipt(*logs), TOKEN, WALLET, SENDER) == 5


@given(WEI, WEI, WEI)
def test_a_bid_is_never_above_the_cap_and_never_below_what_the_chain_asks(
    base: int, tip: int, cap: int
) -> None:
    bid = first_bid(base, tip, cap)
    assert (bid is None) == (base + tip > cap)
    if bid is not None:
        assert base + tip <= bid.max_fee_wei <= cap
        assert bid.tip_wei <= bid.max_fee_wei


@given(WEI, WEI, WEI, WEI, WEI)
def test_a_higher_bid_raises_both_prices_by_an_eighth_or_there_is_none(
    fee: int, tip: int, fresh_fee: int, fresh_tip: int, cap: int
) -> None:
    before = GasBid(max(fee, tip), tip)
    fresh = GasBid(max(fresh_fee, fresh_tip), fresh_tip)
    bid = higher_bid(before, fresh, cap)
    if bid is not None:
        assert bid.max_fee_wei <= cap
        assert bid.max_fee_wei * 8 > before.max_fee_wei * 9
        assert bid.tip_wei * 8 > before.tip_wei * 9
        assert bid.tip_wei <= bid.max_fee_wei


# ------------------------------------------------------------------------ found 16


@pytest.mark.parametrize(
    ("words", "tip_wei"),
    [
        ("transaction underpriced: gas tip cap 1500000000, minimum needed 25000000000", 25 * GWEI),
        ("transaction underpriced: tip needed 25000000000, tip permitted 1500000000", 25 * GWEI),
        ("replacement transaction underpriced", 0),
        ("insufficient funds for gas * price + value: balance 1, tx cost 2", 0),
        ("", 0),
    ],
)
def test_found_16_a_refusal_names_the_tip_that_is_needed(words: str, tip_wei: int) -> None:
    assert demanded_tip_wei(words) == tip_wei


@given(WEI, WEI, WEI, WEI, st.integers(1, 10**13))
def test_found_16_what_no_pool_took_is_replaced_by_what_is_asked_and_no_more(
    fee: int, tip: int, fresh_fee: int, fresh_tip: int, cap: int
) -> None:
    """A series of refusals with the same demand signs one more transaction, not one each time."""
    before = GasBid(max(fee, tip), tip)
    fresh = GasBid(max(fresh_fee, fresh_tip), fresh_tip)
    bid = demanded_bid(before, fresh, cap)
    if bid is None:
        return
    assert bid.max_fee_wei <= cap
    assert bid.tip_wei <= bid.max_fee_wei
    assert (bid.tip_wei, bid.max_fee_wei) > (before.tip_wei, before.max_fee_wei)
    assert bid.tip_wei > before.tip_wei
    assert bid.tip_wei <= max(fresh.tip_wei, before.tip_wei + 1)
    assert demanded_bid(bid, fresh, cap) is None


SMALL = st.integers(0, 4)


@given(SMALL, SMALL, SMALL, SMALL, SMALL)
def test_a_demanded_bid_is_the_least_that_is_more_than_before_and_all_that_is_asked(
    fee: int, tip: int, fresh_fee: int, fresh_tip: int, cap: int
) -> None:
    before, fresh = GasBid(max(fee, tip), tip), GasBid(max(fresh_fee, fresh_tip), fresh_tip)
    asks_more = fresh.tip_wei > before.tip_wei or fresh.max_fee_wei > before.max_fee_wei
    enough = [
        GasBid(max_fee, tip)
        for tip in range(8)
        for max_fee in range(tip, 8)
        if tip > before.tip_wei
        and max_fee > before.max_fee_wei
        and tip >= fresh.tip_wei
        and max_fee >= fresh.max_fee_wei
    ]
    least = min(enough, key=lambda bid: (bid.tip_wei, bid.max_fee_wei))
    expected = least if asks_more and least.max_fee_wei <= cap else None
    assert demanded_bid(before, fresh, cap) == expected


def test_found_16_a_chain_has_a_least_tip_of_its_own_unless_one_is_set() -> None:
    assert tip_min_wei(137, None) == 30 * GWEI
    assert tip_min_wei(1, None) == 0
    assert tip_min_wei(137, 26) == 26 * GWEI


@given(st.text(max_size=300))
def test_found_16_no_words_of_a_node_break_the_reading_of_its_refusal(words: str) -> None:
    assert demanded_tip_wei(words) >= 0
    assert is_about_price(words) in {True, False}
    assert is_known(words) in {True, False}
