"""Who sends money out of each place, and where a user's rewards are paid to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from poolmaker.app.figures import AssetRegistry
from poolmaker.business.ledger.accounts import custody_mixin, venue_account_of
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
from poolmaker.business.treasury.ports import SendingProvider
from poolmaker.business.user_orders.model import MIXIN, NO_CHILD, PayoutDestination, PayoutRequest
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import CommandKey, CorrelationId, UserId, VenueAccountId
from poolmaker.kernel.money import parse_units
from poolmaker.market.connectors.binance.wallet import (
    VenueWallet,
    VenueWithdrawal,
    VenueWithdrawalAddress,
    WithdrawalRefused,
)
from poolmaker.messages.base import Money

VENUE_HEAD: Final = "custody:venue:"
_FAILED: Final = frozenset({"CANCELLED", "REJECTED", "FAILURE"})
_LOOK_BACK_US: Final = 10 * MINUTE_US


class Providers:
    """``SendingProvider`` over the places: each source has its own by the head of its name."""

    def __init__(self, by_head: Mapping[str, SendingProvider]) -> None:
        self._by_head = dict(by_head)

    def plug(self, head: str, provider: SendingProvider) -> None:
        """From now on sources that begin with ``head`` are sent from by ``provider``."""
        self._by_head[head] = provider

    async def send(self, request: SendRequest) -> SendAnswer:
        return await self._of(request).send(request)

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        return await self._of(request).find(request, since_us)

    def _of(self, request: SendRequest) -> SendingProvider:
        for head, provider in self._by_head.items():
            if request.source.startswith(head):
                return provider
        raise Unavailable(f"nobody sends from {request.source} yet")


class RewardWallets:
    """``RewardPayouts``: rewards of who has no open order go to his Mixin wallet."""

    def __init__(
        self, withdrawals: Withdrawals, users: OrderStore, forms: Mapping[str, str]
    ) -> None:
        self._withdrawals = withdrawals
        self._users = users
        self._forms = forms

    async def waiting(self, tx: Tx, user: UserId, asset: str) -> int:
        return await self._withdrawals.waiting_of(tx, user, asset)

    async def request(self, tx: Tx, user: UserId, asset: str, units: int, key: CommandKey) -> None:
        """Who has no wallet at Mixin keeps his reward available here."""
        found = await self._users.user(tx, user)
        form = self._forms.get(asset)
        if found is None or not found.mixin_id or form is None:
            return
        wish = PayoutRequest(
            key=key,
            user=user,
            source=custody_mixin(form),
            money=Money(asset=asset, units=units),
            destination=PayoutDestination(asset=asset, network=MIXIN, address=found.mixin_id),
            saga=NO_CHILD,
            correlation=CorrelationId(key),
        )
        await self._withdrawals.request_payout(tx, wish)


class VenuePayouts:
    """``SendingProvider`` over the wallets of the venue accounts."""

    def __init__(
        self, wallets: Mapping[VenueAccountId, VenueWallet], scales: AssetRegistry
    ) -> None:
        self._wallets = wallets
        self._scales = scales

    async def send(self, request: SendRequest) -> SendAnswer:
        amount = self._scales.text(request.asset, request.units)
        try:
            provider_id = await self._wallet(request).withdraw(
                request.asset,
                amount,
                VenueWithdrawalAddress(request.network, request.address, request.tag),
                request.reference,
            )
        except WithdrawalRefused as refused:
            return SendRefused(str(refused))
        return SendAccepted(provider_id)

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        """The venue's clock may be behind ours by some minutes."""
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
