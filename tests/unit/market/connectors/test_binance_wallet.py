"""What a venue's answer to a withdrawal means for the money that should leave."""

from __future__ import annotations

from typing import Any

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.connectors.binance.wallet import Destination, VenueWallet, WithdrawalRefused

PLACE = Destination("ETH", "0xabc")


class Answering:
    """A transport that answers one thing."""

    def __init__(self, answer: Exception) -> None:
        self._answer = answer

    async def ask(self, method: str, params: dict[str, Any], weight: int) -> Any:
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
