"""A venue account's wallet as the payout provider of withdrawals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from poolmaker.app.figures import Scales
from poolmaker.business.ledger.accounts import venue_account_of
from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendFailed,
    SendRefused,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import parse_units
from poolmaker.market.connectors.binance.wallet import (
    Destination,
    VenueWallet,
    VenueWithdrawal,
    WithdrawalRefused,
)

_FAILED: Final = frozenset({"CANCELLED", "REJECTED", "FAILURE"})
_LOOK_BACK_US: Final = 10 * MINUTE_US


class VenuePayouts:
    """``SendingProvider`` over the wallets of the venue accounts."""

    def __init__(self, wallets: Mapping[VenueAccountId, VenueWallet], scales: Scales) -> None:
        self._wallets = wallets
        self._scales = scales

    async def send(self, request: SendRequest) -> SendAnswer:
        """See ``SendingProvider.send``."""
        amount = self._scales.text(request.asset, request.units)
        try:
            provider_id = await self._wallet(request).withdraw(
                request.asset,
                amount,
                Destination(request.network, request.address, request.tag),
                request.reference,
            )
        except WithdrawalRefused as refused:
            return SendRefused(str(refused))
        return SendAccepted(provider_id)

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        """See ``SendingProvider.find``. The venue's clock may be behind ours by some minutes."""
        since_ms = max(0, since_us - _LOOK_BACK_US) // 1_000
        row = await self._wallet(request).withdrawal(request.asset, request.reference, since_ms)
        return self._status(request.asset, row) if row is not None else SendAbsent()

    def _status(self, asset: str, row: VenueWithdrawal) -> SendStatus:
        """The history's amount is what the receiver gets; the fee was taken beside it."""
        if row.state in _FAILED:
            return SendFailed(row.withdrawal_id, row.state.lower())
        if row.state != "COMPLETED" or not row.transaction_id:
            return SendUnderWay(row.withdrawal_id)
        scale = self._scales.of(asset)
        received, fee = parse_units(row.amount_text, scale), parse_units(row.fee_text, scale)
        return SendCompleted(
            provider_id=row.withdrawal_id,
            transaction_id=row.transaction_id,
            units=received + fee,
            fee_units=fee,
        )

    def _wallet(self, request: SendRequest) -> VenueWallet:
        account = venue_account_of(request.source)
        wallet = self._wallets.get(account) if account is not None else None
        if wallet is None:
            raise Unavailable(f"{request.source} is not configured here")
        return wallet
