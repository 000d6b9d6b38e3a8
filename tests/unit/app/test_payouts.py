"""A venue's wallet as payout provider: what is said of a payment is the venue's own word."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from poolmaker.app.figures import AssetRegistry
from poolmaker.app.payouts import VenuePayouts
from poolmaker.business.ledger.accounts import custody_venue
from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendCompleted,
    SendFailed,
    SendRefused,
    SendRequest,
    SendUnderWay,
)
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.market.connectors.binance.wallet import (
    VenueWithdrawal,
    VenueWithdrawalAddress,
    WithdrawalRefused,
)

A1 = VenueAccountId("a1")
REQUEST = SendRequest(
    source=custody_venue(A1),
    reference="pm-1",
    asset="USDT",
    units=1_234_56,
    network="ETH",
    address="0xabc",
    tag="7",
)


def row(state: str, transaction_id: str = "0x1") -> VenueWithdrawal:
    return VenueWithdrawal(
        withdrawal_id="w1",
        client_reference="pm-1",
        asset="USDT",
        network="ETH",
        amount_text="1233.06",
        fee_text="1.5",
        address="0xabc",
        transaction_id=transaction_id,
        state=state,
        applied_ms=1,
    )


@dataclass
class FakeWallet:
    history: VenueWithdrawal | None = None
    refuses: bool = False
    asked: list[object] = field(default_factory=list)

    async def withdraw(self, *asked: object) -> str:
        self.asked.append(asked)
        if self.refuses:
            raise WithdrawalRefused("no")
        return "w1"

    async def withdrawal(self, *asked: object) -> VenueWithdrawal | None:
        self.asked.append(asked)
        return self.history


def payouts(wallet: FakeWallet) -> VenuePayouts:
    return VenuePayouts({A1: wallet}, AssetRegistry({"USDT": Asset("USDT", 2)}))  # type: ignore[dict-item]


async def test_everything_that_names_the_receiver_reaches_the_venue() -> None:
    wallet = FakeWallet()
    assert await payouts(wallet).send(REQUEST) == SendAccepted("w1")
    assert wallet.asked == [
        ("USDT", "1234.56", VenueWithdrawalAddress("ETH", "0xabc", "7"), "pm-1")
    ]


async def test_only_a_definite_no_is_a_refusal() -> None:
    assert isinstance(await payouts(FakeWallet(refuses=True)).send(REQUEST), SendRefused)


async def test_the_history_is_asked_for_our_reference_from_before_the_sending() -> None:
    wallet = FakeWallet()
    answer = await payouts(wallet).find(REQUEST, 60 * MINUTE_US)
    assert answer == SendAbsent()
    assert wallet.asked == [("USDT", "pm-1", 50 * MINUTE_US // 1_000)]


@pytest.mark.parametrize("state", ["PROCESSING", "AWAITING_APPROVAL", "EMAIL_SENT"])
async def test_what_is_not_over_is_pending(state: str) -> None:
    assert await payouts(FakeWallet(row(state))).find(REQUEST, 0) == SendUnderWay("w1")


async def test_complete_without_a_transaction_is_still_pending() -> None:
    found = await payouts(FakeWallet(row("COMPLETED", ""))).find(REQUEST, 0)
    assert found == SendUnderWay("w1")


@pytest.mark.parametrize("state", ["CANCELLED", "REJECTED", "FAILURE"])
async def test_what_the_venue_ended_has_failed(state: str) -> None:
    assert isinstance(await payouts(FakeWallet(row(state))).find(REQUEST, 0), SendFailed)


async def test_what_was_taken_is_what_arrived_and_the_fee() -> None:
    found = await payouts(FakeWallet(row("COMPLETED"))).find(REQUEST, 0)
    assert found == SendCompleted(
        provider_id="w1", transaction_id="0x1", units=1_234_56, fee_units=1_50
    )


async def test_an_account_that_is_not_configured_cannot_be_asked() -> None:
    with pytest.raises(Unavailable):
        await VenuePayouts({}, AssetRegistry({})).find(REQUEST, 0)
