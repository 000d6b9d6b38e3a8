"""What a venue's answer to a withdrawal means for the money that should leave."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.connectors.binance.wallet import (
    DAY_MS,
    VenueWallet,
    VenueWithdrawalAddress,
    WithdrawalRefused,
)

PLACE = VenueWithdrawalAddress("ETH", "0xabc")


class Answering:
    """A transport that answers one thing."""

    def __init__(self, answer: Exception) -> None:
        self._answer = answer

    async def send(self, method: str, params: dict[str, Any], throttle: object) -> Any:
        raise self._answer


async def _withdraw(answer: Exception) -> None:
    wallet = VenueWallet(Answering(answer), SystemClock())  # type: ignore[arg-type]
    await wallet.withdraw("USDT", "1", PLACE, "ref")


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, -1003), (418, -1003), (400, -1021), (400, -1022), (401, -2015), (400, -1003)],
)
async def test_a_no_to_us_is_no_refusal_of_the_withdrawal(status: int, code: int) -> None:
    """Too many requests, a wrong clock, a key: the payout waits, it does not end unpaid."""
    with pytest.raises(VenueUnavailable):
        await _withdraw(VenueRefused(status, code, "no"))


async def test_a_no_to_the_withdrawal_is_final_and_silence_is_doubt() -> None:
    with pytest.raises(WithdrawalRefused):
        await _withdraw(VenueRefused(400, -4001, "the address is not on the list"))
    with pytest.raises(OutcomeUnknown):
        await _withdraw(NoAnswer("silence"))


NOW_MS = 1_790_000_000_000


class Histories:
    """Two histories that refuse a span as the venue does, and show at most a page."""

    def __init__(self, applied_ms: dict[str, int], deposits: list[int]) -> None:
        self.applied_ms = applied_ms
        self.deposits = deposits
        self.calls = 0

    async def send(self, method: str, params: dict[str, Any], throttle: object) -> Any:
        self.calls += 1
        start, end = params["startTime"], params["endTime"]
        days = 7 if "withdrawOrderId" in params else 90
        if end - start >= days * DAY_MS:
            raise VenueRefused(400, -1127, f"the span exceeds {days} days")
        if method == "sapiGetCapitalDepositHisrec":
            found: list[Any] = [_deposit(at) for at in self.deposits if start <= at <= end]
        else:
            wanted = params.get("withdrawOrderId")
            found = [
                _withdrawal(name, at)
                for name, at in self.applied_ms.items()
                if start <= at <= end and wanted in {None, name}
            ]
        return found[params["offset"] : params["offset"] + params["limit"]]


def _withdrawal(name: str, at_ms: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return {
        "id": f"id-{name}", "amount": "1", "transactionFee": "0.1", "coin": "USDT", "status": 6,
        "address": "0xab", "txId": "0xcd", "applyTime": at.strftime("%Y-%m-%d %H:%M:%S"),
        "network": "ETH", "withdrawOrderId": name,
    }  # fmt: skip


def _deposit(at_ms: int) -> dict[str, Any]:
    return {
        "id": str(at_ms), "amount": "1", "coin": "USDT", "network": "ETH", "status": 1,
        "address": "0xab", "txId": "0xcd", "insertTime": at_ms,
    }  # fmt: skip


def _wallet(histories: Histories) -> VenueWallet:
    return VenueWallet(histories, ManualClock(NOW_MS * 1_000))  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    applied_days=st.floats(0, 400, allow_nan=False),
    asked_before_ms=st.integers(0, 10 * DAY_MS),
    others=st.lists(st.integers(0, 400 * DAY_MS), max_size=5),
)
def test_found_32_a_withdrawal_is_found_by_its_reference_however_old_it_is(
    applied_days: float, asked_before_ms: int, others: list[int]
) -> None:
    """Found 32 by search: no span is refused, and no instant lies between two windows."""
    applied_ms = NOW_MS - math.floor(applied_days * DAY_MS)
    rows = {f"other{at}": NOW_MS - at for at in others} | {"mine": applied_ms}
    histories = Histories(rows, [])
    since_ms = applied_ms - asked_before_ms
    found = asyncio.run(_wallet(histories).withdrawal("USDT", "mine", since_ms))
    assert found is not None
    assert found.withdrawal_id == "id-mine"
    assert histories.calls <= (NOW_MS - since_ms) // (7 * DAY_MS) + 2
    nothing = asyncio.run(_wallet(histories).withdrawal("USDT", "nobody's", since_ms))
    assert nothing is None


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 300 * DAY_MS), max_size=30), st.integers(0, 300))
def test_found_32_histories_of_any_length_are_read_whole(ages_ms: list[int], days: int) -> None:
    times = [NOW_MS - age for age in ages_ms]
    burst = [NOW_MS - 5 * DAY_MS - at for at in range(2_100)]
    histories = Histories({f"w{at}": at for at in times}, [*times, *burst])
    since_ms = NOW_MS - days * DAY_MS
    deposits = asyncio.run(_wallet(histories).deposits("USDT", since_ms))
    wanted = sorted(at for at in [*times, *burst] if at >= since_ms)
    assert [one.seen_ms for one in deposits] == wanted
    rows = asyncio.run(_wallet(histories).withdrawals("USDT", since_ms))
    assert len(rows) == len({at for at in times if at >= since_ms})


async def test_found_32_a_history_weighs_what_the_venue_says_and_holds_up_no_order() -> None:
    """18,000 of 180,000 a second for each question: eight a second beside the reserve."""
    clock = ManualClock(NOW_MS * 1_000)
    wallet = VenueWallet(Histories({}, []), clock)  # type: ignore[arg-type]
    begun_us = clock.monotonic_us()
    reading = asyncio.create_task(wallet.withdrawal("USDT", "x", NOW_MS - 20 * 7 * DAY_MS))
    while not reading.done():
        await asyncio.sleep(0)
        clock.advance(10_000)
    assert await reading is None
    assert clock.monotonic_us() - begun_us >= 2_000_000
