"""Small parts of the venue: numbers, tape, limits, wallet, options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.clock import DAY_US, MINUTE_US, SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.venue.limits import Limiter, LimitSettings
from poolmaker.sandbox.venue.model import AccountId, TradePrint
from poolmaker.sandbox.venue.options import parse_balances
from poolmaker.sandbox.venue.quotas import BY_ACCOUNT, BY_ADDRESS_AND_SECOND, Quotas
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.tape import MINUTES_MAX, Tape
from poolmaker.sandbox.venue.units import (
    BadDecimal,
    TooPrecise,
    to_short_text,
    to_text,
    to_units,
)

START_US = 1_700_000_000 * SECOND_US // MINUTE_US * MINUTE_US


@given(st.integers(0, 10**24))
def test_decimal_text_and_units_are_a_round_trip(units: int) -> None:
    assert to_units(to_text(units)) == units
    assert to_units(to_short_text(units)) == units


@pytest.mark.parametrize("text", ["", "-1", "1e5", "1.", ".5", " 1", "1,0", "NaN", "٣"])
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(BadDecimal):
        to_units(text)


def test_nine_places_are_too_many_but_zeros_do_not_count() -> None:
    with pytest.raises(TooPrecise):
        to_units("0.000000001")
    assert to_units("1.500000000000") == 150_000_000
    assert to_text(-5) == "-0.00000005"


def printed(trade_id: int, price: int, lots: int, at_us: int) -> TradePrint:
    return TradePrint("BTCUSDT", trade_id, price, lots, price * lots, at_us, False)


def test_quiet_minutes_become_flat_candles() -> None:
    tape = Tape(100, START_US)
    tape.add([printed(1, 105, 2, START_US + SECOND_US)])
    tape.add([printed(2, 103, 1, START_US + 3 * MINUTE_US)])
    candles = list(tape.candles("1m", START_US + 4 * MINUTE_US))
    assert [(one.open, one.high, one.low, one.close, one.lots) for one in candles] == [
        (105, 105, 105, 105, 2), (105, 105, 105, 105, 0), (105, 105, 105, 105, 0),
        (103, 103, 103, 103, 1), (103, 103, 103, 103, 0),
    ]  # fmt: skip


def test_longer_candles_are_the_sum_of_the_minutes() -> None:
    tape = Tape(100, START_US // (5 * MINUTE_US) * 5 * MINUTE_US)
    base_us = START_US // (5 * MINUTE_US) * 5 * MINUTE_US
    for minute in range(7):
        tape.add([printed(minute, 100 + minute, 1, base_us + minute * MINUTE_US)])
    candles = list(tape.candles("5m", base_us + 7 * MINUTE_US))
    assert [(one.open, one.close, one.lots, one.trades) for one in candles] == [
        (100, 104, 5, 5), (105, 106, 2, 2),
    ]  # fmt: skip
    assert tape.day(base_us + 7 * MINUTE_US).lots == 7


def test_the_tape_is_bounded_after_a_long_silence() -> None:
    tape = Tape(100, START_US)
    tape.current(START_US + 30 * DAY_US)
    assert len(list(tape.candles("1m", START_US + 30 * DAY_US))) <= MINUTES_MAX


def test_trades_at_two_prices_are_two_aggregates() -> None:
    tape = Tape(100, START_US)
    made = tape.add(
        [printed(1, 100, 1, START_US), printed(2, 100, 2, START_US), printed(3, 101, 1, START_US)]
    )
    assert [(one.lots, one.first_id, one.last_id) for one in made] == [(3, 1, 2), (1, 3, 3)]


def test_counts_start_anew_with_each_span() -> None:
    limiter = Limiter(LimitSettings(orders_per_10s=2, orders_per_day=3))
    account = AccountId(1)
    for _ in range(2):
        limiter.admit_order(account, START_US)
        limiter.count_order(account, START_US)
    with pytest.raises(WireRefusal) as refused:
        limiter.admit_order(account, START_US)
    assert (refused.value.code, refused.value.status) == (-1015, 429)
    later_us = START_US + 10 * SECOND_US
    limiter.admit_order(account, later_us)
    limiter.count_order(account, later_us)
    with pytest.raises(WireRefusal, match="1 DAY"):
        limiter.admit_order(account, later_us + 10 * SECOND_US)
    limiter.count_first_fill(account, later_us)
    limiter.admit_order(account, later_us + 10 * SECOND_US)


def test_a_second_ban_is_twice_as_long() -> None:
    limiter = Limiter(LimitSettings(weight_per_minute=1))
    waits = []
    time_us = START_US
    for _ in range(2):
        for _ in range(40):
            try:
                limiter.admit(1, time_us)
            except WireRefusal as refused:
                if refused.status == 418:
                    waits.append(int(refused.headers["Retry-After"]))
                    break
        time_us += 10 * MINUTE_US
    assert waits == [120, 240]


def test_the_withdrawal_history_may_be_asked_ten_times_a_second() -> None:
    quotas, name = Quotas(), "GET /sapi/v1/capital/withdraw/history"
    for second in range(3):
        time_us = START_US + second * SECOND_US
        for _ in range(10):
            quotas.admit(name, BY_ADDRESS_AND_SECOND, 18_000, None, time_us)
        for _ in range(50):
            with pytest.raises(WireRefusal) as refused:
                quotas.admit(name, BY_ADDRESS_AND_SECOND, 18_000, None, time_us)
            assert (refused.value.code, refused.value.status) == (-1003, 429)


def test_an_account_does_not_use_up_what_another_may_ask() -> None:
    quotas = Quotas()
    for account in (AccountId(1), AccountId(2)):
        quotas.admit("apply", BY_ACCOUNT, 180_000, account, START_US)
    with pytest.raises(WireRefusal, match="180000 request weight per 1 MINUTE"):
        quotas.admit("apply", BY_ACCOUNT, 1, AccountId(1), START_US)
    quotas.admit("apply", BY_ACCOUNT, 1, AccountId(1), START_US + MINUTE_US)


def test_initial_balances_are_read_strictly() -> None:
    assert parse_balances("USDT=1000, BTC=0.5") == {"USDT": 100_000_000_000, "BTC": 50_000_000}
    assert parse_balances("") == {}
    for text in ("DOGE=1", "BTC", "BTC=-1", "BTC=0.000000001"):
        with pytest.raises(EnvironmentProblem):
            parse_balances(text)
