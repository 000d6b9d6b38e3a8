"""Sends tokens on: journaled before they go out, followed until a final block holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.business.ledger.accounts import custody_evm
from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendFailed,
    SendPostponed,
    SendRefused,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.evm.attention import incident_item, payment_item
from poolmaker.evm.chain import Chain, NonceUnproven
from poolmaker.evm.gas import GasMarket, NotNow, WouldRevert, transfer_data
from poolmaker.evm.model import (
    GAS,
    Attempt,
    EvmPayment,
    EvmPaymentState,
    Fields,
    GasBid,
    GateRefused,
    NonceUse,
    PaymentAction,
    RegisteredToken,
    Signed,
    TransactionReceipt,
    WalletIncident,
)
from poolmaker.evm.ports import EvmOutgoingGate, PaymentStore
from poolmaker.evm.rpc import RpcRefused
from poolmaker.evm.rules import (
    is_about_price,
    is_known,
    pays_the_same,
    taken_from,
)
from poolmaker.evm.signer import Signer, require_address
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import MINUTE_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.kernel.money import Amount, Asset
from poolmaker.messages.base import Money

NETWORK: Final = "evm"
NONCE_USED: Final = "nonce_used_elsewhere"
LEFT_OUT_MAX: Final = 1_000
"""More nonces than that are not left out on one node's word."""
REFUSAL_MAX: Final = 300
SLOW_US: Final = 30 * MINUTE_US
_LOG: Final = get_logger("evm")


@dataclass(frozen=True, slots=True)
class TransactionSenderSettings:
    """Bounds of gas, and after how long without a block more is bid for it.

    Without a gate nobody can freeze what is signed.
    """

    gas_asset: Asset
    fee_max_wei: int
    stuck_us: int
    gate: EvmOutgoingGate | None = None
    tip_min_wei: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request as the chain understands it."""

    token: RegisteredToken
    recipient: str
    units: int


class TransactionSender:
    """``SendingProvider`` of what stands at ``custody:evm:<wallet>:<form>``.

    The journal is the history: what is not in it was never signed. ``find`` also works, while the
    gate is open: it broadcasts again what no block holds, bids more for what is stuck, and signs
    anew, under another nonce, what a final block shows to be void.
    """

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        tokens: Sequence[RegisteredToken],
        store: PaymentStore,
        transactions: Transactions,
        clock: Clock,
        settings: TransactionSenderSettings,
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._tokens = {custody_evm(signer.address, one.form.name): one for one in tokens}
        self._store = store
        self._transactions = transactions
        self._clock = clock
        self._settings = settings
        self._gas = GasMarket(chain, signer.address, settings.fee_max_wei, settings.tip_min_wei)

    async def send(self, request: SendRequest) -> SendAnswer:
        """Of all that is signed for a reference, one transaction at most can be taken.

        Postponed while gas costs more than is allowed or the wallet cannot pay it.
        """
        wanted = self._wanted(request)
        if isinstance(wanted, SendRefused):
            return wanted
        payment = await self._journaled(request, wanted) or await self._signed(request, wanted)
        if isinstance(payment, SendRefused | SendPostponed):
            return payment
        if payment.state is EvmPaymentState.SIGNED:
            await self._broadcast(await self._attempts(payment))
        return SendAccepted(_provider_id(payment))

    async def find(
        self,
        request: SendRequest,
        since_us: int,  # noqa: ARG002 - the journal knows every reference
    ) -> SendStatus:
        """Completed and failed mean: in a final block.

        Absent also means: its nonce is used by what the journal does not know, and that may be
        this payment.
        """
        token = self._token(request)
        wanted = self._read(request, token)
        if isinstance(wanted, SendRefused):
            return SendAbsent()
        payment = await self._journaled(request, wanted)
        if payment is None:
            return SendAbsent()
        if payment.state is EvmPaymentState.SIGNED:
            followed = await self._follow(payment, wanted)
            if not isinstance(followed, EvmPayment):
                return followed
            payment = followed
        return self._status(token, payment)

    def _token(self, request: SendRequest) -> RegisteredToken:
        token = self._tokens.get(request.source)
        if token is None:
            raise Unavailable(f"{request.source} is not configured here")
        return token

    def _wanted(self, request: SendRequest) -> _Wanted | SendRefused:
        """What is asked, as far as it may be sent today."""
        wanted = self._read(request, self._token(request))
        if isinstance(wanted, SendRefused) or self._may_go(wanted):
            return wanted
        return SendRefused(f"{wanted.recipient} is not pinned for this token")

    def _may_go(self, wanted: _Wanted) -> bool:
        return self._signer.may_send(wanted.token.contract, wanted.recipient)

    def _read(self, request: SendRequest, token: RegisteredToken) -> _Wanted | SendRefused:
        """What is asked, to whatever address: what was signed once stays ours to follow."""
        if request.network != NETWORK or request.tag:
            return SendRefused(f"the network is {request.network!r} with tag {request.tag!r}")
        if request.asset != token.form.asset.code:
            return SendRefused(f"{request.asset} is not what stands at {request.source}")
        try:
            recipient = require_address(request.address, "address")
            units, dust = token.form.write(Amount(token.form.asset, request.units))
            require(units > 0, "units: expected more than nothing")
        except PreconditionError as fault:
            return SendRefused(str(fault))
        if dust:
            return SendRefused(f"the token has {token.form.decimals} decimals, dust is {dust}")
        return _Wanted(token, recipient, units)

    async def _journaled(self, request: SendRequest, wanted: _Wanted) -> EvmPayment | None:
        async with self._transactions.begin("evm.payment.find") as tx:
            return await self._known(tx, request, wanted)

    async def _known(self, tx: Tx, request: SendRequest, wanted: _Wanted) -> EvmPayment | None:
        payment = await self._store.find(tx, request.reference)
        if payment is not None:
            said = (payment.contract, payment.recipient, payment.units)
            asked = (wanted.token.contract, wanted.recipient, wanted.units)
            ensure(said == asked, f"{request.reference}: signed {said}, asked {asked}")
        return payment

    # --------------------------------------------------------------------------- signing

    async def _signed(
        self, request: SendRequest, wanted: _Wanted
    ) -> EvmPayment | SendRefused | SendPostponed:
        try:
            return await self._sign_first(request, wanted)
        except (GateRefused, WouldRevert) as refused:
            return SendRefused(str(refused))
        except NotNow as problem:
            return SendPostponed(str(problem), needs_person=True)

    async def _sign_first(self, request: SendRequest, wanted: _Wanted) -> EvmPayment:
        """Take a nonce, sign and store both in one transaction; nothing is broadcast yet."""
        gas, bid = await self._gas.offer(wanted.token.contract, wanted.recipient, wanted.units)
        first = await self._used_nonces()
        async with self._transactions.begin("evm.payment.sign") as tx:
            nonce = await self._take_nonce(tx, first)
            known = await self._known(tx, request, wanted)
            if known is not None:
                # Another process was faster; the nonce that was taken here must not be left out.
                raise Unavailable(f"{request.reference} is being sent by somebody else")
            payment = self._payment(request, wanted, nonce)
            fields = self._fields(payment, gas, bid)
            attempt = self._attempt(1, self._signer.sign_transfer(fields), gas, bid)
            await self._store.add(tx, payment)
            await self._store.add_attempt(tx, payment.reference, attempt)
        return payment

    async def _take_nonce(self, tx: Tx, first: int) -> int:
        """The next nonce. Those that somebody else has used are left out, and told of."""
        place = (self._chain.chain_id, self._wallet)
        nonce, left_out = await self._store.take_nonce(tx, *place, first)
        if left_out > LEFT_OUT_MAX:
            raise Unavailable(f"the node says that {left_out} nonces of {self._wallet} are used")
        if left_out:
            note = f"{left_out} nonces below {first} were used by transactions that are not ours"
            await self._report(tx, note)
        return nonce

    async def _doubt(self, payment: EvmPayment, what: str) -> None:
        """Tell once that a person has to find out what became of a payment."""
        note = f"nonce {payment.nonce} of payment {payment.reference} {what}"
        async with self._transactions.begin("evm.payment.doubt") as tx:
            told = await self._store.incidents(tx, self._chain.chain_id, self._wallet)
            if all(one.note != note for one in told):
                await self._report(tx, note)

    async def _report(self, tx: Tx, note: str) -> None:
        incident = WalletIncident(0, NONCE_USED, note, self._clock.now_us())
        await self._store.report(tx, self._chain.chain_id, self._wallet, incident)
        _LOG.error(NONCE_USED, wallet=self._wallet, note=note)

    @property
    def _wallet(self) -> str:
        return self._signer.address

    def _payment(self, request: SendRequest, wanted: _Wanted, nonce: int) -> EvmPayment:
        return EvmPayment(
            reference=request.reference,
            chain_id=self._chain.chain_id,
            wallet=self._wallet,
            nonce=nonce,
            contract=wanted.token.contract,
            recipient=wanted.recipient,
            units=wanted.units,
            made_us=self._clock.now_us(),
            state=EvmPaymentState.SIGNED,
        )

    def _fields(
        self, payment: EvmPayment, gas: int, bid: GasBid, *, cancels: bool = False
    ) -> Fields:
        data = "0x" if cancels else transfer_data(payment.recipient, payment.units)
        return {
            "type": 2,
            "chainId": self._chain.chain_id,
            "nonce": payment.nonce,
            "to": self._wallet if cancels else payment.contract,
            "value": 0,
            "data": data,
            "gas": gas,
            "maxFeePerGas": bid.max_fee_wei,
            "maxPriorityFeePerGas": bid.tip_wei,
        }

    def _attempt(
        self, number: int, signed: Signed, gas: int, bid: GasBid, *, cancels: bool = False
    ) -> Attempt:
        return Attempt(
            cancels=cancels,
            number=number,
            tx_hash=signed.tx_hash,
            raw=signed.raw,
            max_fee_wei=bid.max_fee_wei,
            tip_wei=bid.tip_wei,
            gas=gas,
            signed_us=self._clock.now_us(),
        )

    async def _used_nonces(self) -> int:
        """Nonces that final blocks have used; what a pool or a newer block holds may vanish."""
        final = await self._chain.finalized()
        return await self._chain.nonces_used(self._wallet, final.number)

    # ------------------------------------------------------------------------- following

    async def _attempts(self, payment: EvmPayment) -> Sequence[Attempt]:
        async with self._transactions.begin("evm.payment.attempts") as tx:
            return await self._store.attempts(tx, payment.reference)

    async def _broadcast(self, attempts: Sequence[Attempt]) -> None:
        """Hand in the newest attempt. Whatever the node says, only a block says what happened."""
        last, refusal = attempts[-1], ""
        try:
            await self._chain.rpc.broadcast(last.raw)
        except RpcRefused as refused:
            refusal = "" if is_known(refused.message) else refused.message[:REFUSAL_MAX]
            _LOG.info("broadcast", tx_hash=last.tx_hash, problem=str(refused))
        except OutcomeUnknown as problem:
            _LOG.info("broadcast", tx_hash=last.tx_hash, problem=str(problem))
            return
        if refusal != last.refusal:
            async with self._transactions.begin("evm.payment.refusal") as tx:
                await self._store.note_refusal(tx, last, refusal)

    async def _follow(
        self, payment: EvmPayment, wanted: _Wanted
    ) -> EvmPayment | SendPostponed | SendAbsent:
        attempts = await self._attempts(payment)
        receipt = await self._receipt(attempts)
        if receipt is None:
            return await self._unmined(payment, wanted, attempts)
        final = await self._chain.finalized()
        if receipt.block > final.number or not await self._chain.is_canonical(receipt):
            return payment
        return await self._finish(payment, receipt)

    async def _unmined(
        self, payment: EvmPayment, wanted: _Wanted, attempts: Sequence[Attempt]
    ) -> EvmPayment | SendPostponed | SendAbsent:
        """No block holds it: out again, or under another nonce once this one is used."""
        try:
            use = await self._chain.nonce_use(self._wallet, payment.nonce)
        except NonceUnproven:
            await self._doubt(payment, "was used, and the node does not show by what")
            return SendAbsent()
        if use is None:
            if self._may_go(wanted) or attempts[-1].cancels:
                await self._push(payment, attempts)
            return payment
        if use.tx_hash in {one.tx_hash for one in attempts}:
            return payment  # The receipt lags behind the block.
        return await self._displaced(payment, attempts, use)

    async def _displaced(
        self, payment: EvmPayment, attempts: Sequence[Attempt], use: NonceUse
    ) -> EvmPayment | SendPostponed | SendAbsent:
        """A final block holds another transaction under its nonce: what was signed is void."""
        if pays_the_same(use, payment):
            await self._doubt(payment, f"was used by {use.tx_hash}, which pays the same")
            return SendAbsent()
        if attempts[-1].cancels:
            void = replace(
                payment, state=EvmPaymentState.FAILED, tx_hash=use.tx_hash, block=use.block
            )
            return await self._ended(void)
        if not await self._may_send():
            return payment
        try:
            return await self._sign_anew(payment, attempts, use)
        except (GateRefused, NotNow, WouldRevert) as problem:
            return SendPostponed(str(problem), needs_person=True)

    async def _sign_anew(
        self, payment: EvmPayment, attempts: Sequence[Attempt], use: NonceUse
    ) -> EvmPayment:
        """Sign it under another nonce, once: nonce and bytes change in one transaction."""
        gas, bid = await self._gas.offer(payment.contract, payment.recipient, payment.units)
        first = await self._used_nonces()
        async with self._transactions.begin("evm.payment.anew") as tx:
            nonce = await self._take_nonce(tx, first)
            if not await self._store.change_nonce(tx, payment, nonce):
                raise Unavailable(f"{payment.reference} is being sent by somebody else")
            note = f"nonce {payment.nonce} was used by {use.tx_hash}, which is not ours"
            await self._report(tx, note)
            payment = replace(payment, nonce=nonce)
            signed = self._signer.sign_transfer(self._fields(payment, gas, bid))
            attempt = self._attempt(len(attempts) + 1, signed, gas, bid)
            await self._store.add_attempt(tx, payment.reference, attempt)
        await self._broadcast([attempt])
        return payment

    async def _receipt(self, attempts: Sequence[Attempt]) -> TransactionReceipt | None:
        for attempt in reversed(attempts):
            receipt = await self._chain.receipt(attempt.tx_hash)
            if receipt is not None:
                return receipt
        return None

    async def _push(self, payment: EvmPayment, attempts: Sequence[Attempt]) -> None:
        """No block holds it: out again, and with more for gas when it has waited too long."""
        if not await self._may_send():
            return
        last = attempts[-1]
        waited_us = self._clock.now_us() - last.signed_us
        if is_about_price(last.refusal) or (
            not last.refusal and waited_us >= self._settings.stuck_us
        ):
            attempts = await self._bid_anew(payment, attempts)
        await self._broadcast(attempts)

    async def _may_send(self) -> bool:
        gate = self._settings.gate
        if gate is None:
            return True
        async with self._transactions.begin("evm.gate") as tx:
            return await gate.may_send(tx)

    async def _bid_anew(
        self, payment: EvmPayment, attempts: Sequence[Attempt]
    ) -> Sequence[Attempt]:
        """Sign it for more, unless the cap leaves no room."""
        bid = await self._gas.next_bid(attempts[-1])
        if bid is None:
            return attempts
        return [*attempts, await self._replaced(payment, attempts[-1], bid)]

    async def _replaced(
        self, payment: EvmPayment, last: Attempt, bid: GasBid, *, cancels: bool = False
    ) -> Attempt:
        """Sign and store what takes the place of the last attempt."""
        cancels = cancels or last.cancels
        paid = GasBid(last.max_fee_wei, last.tip_wei)
        before = self._fields(payment, last.gas, paid, cancels=last.cancels)
        gas = last.gas if cancels == last.cancels else await self._gas.cancel_gas()
        fields = self._fields(payment, gas, bid, cancels=cancels)
        sign = self._signer.sign_cancellation if cancels else self._signer.sign_replacement
        signed = sign(fields, before, last.raw)
        attempt = self._attempt(last.number + 1, signed, gas, bid, cancels=cancels)
        async with self._transactions.begin("evm.payment.replace") as tx:
            await self._store.add_attempt(tx, payment.reference, attempt)
        return attempt

    # ------------------------------------------------------------------------- a person's part

    async def act(self, reference: str, action: PaymentAction) -> str:
        """Do what a person wants of a payment that no block takes; why not, empty when done.

        Raises Unavailable while the node does not answer.
        """
        async with self._transactions.begin("evm.payment.act") as tx:
            payment = await self._store.find(tx, reference)
            attempts = await self._store.attempts(tx, reference)
        if payment is None or payment.state is not EvmPaymentState.SIGNED:
            return "unknown_payment"
        if not await self._may_send():
            return "frozen"
        may_go = self._signer.may_send(payment.contract, payment.recipient)
        if action is PaymentAction.RETRY and not may_go and not attempts[-1].cancels:
            return "not_pinned"
        bid = await self._gas.next_bid(attempts[-1])
        if bid is not None:
            cancels = action is PaymentAction.CANCEL
            made = await self._replaced(payment, attempts[-1], bid, cancels=cancels)
            attempts = [*attempts, made]
        elif action is PaymentAction.CANCEL:
            return "gas_at_its_cap"
        await self._broadcast(attempts)
        return ""

    async def attention(self) -> Sequence[AttentionItem]:
        """Payments that no block takes, and nonces that somebody else has used."""
        place = (self._chain.chain_id, self._wallet)
        async with self._transactions.begin("evm.attention") as tx:
            incidents = await self._store.incidents(tx, *place)
            found = [incident_item(one, self._wallet) for one in incidents]
            for payment in await self._store.open_payments(tx, *place):
                last = (await self._store.attempts(tx, payment.reference))[-1]
                waited_us = self._clock.now_us() - payment.made_us
                if last.refusal or waited_us >= SLOW_US:
                    found.append(payment_item(payment, last))
        return found

    async def _finish(self, payment: EvmPayment, receipt: TransactionReceipt) -> EvmPayment:
        taken = taken_from(receipt, payment.contract, payment.wallet, payment.recipient)
        moved = receipt.succeeded and taken > 0
        ended = replace(
            payment,
            state=EvmPaymentState.COMPLETED if moved else EvmPaymentState.FAILED,
            tx_hash=receipt.tx_hash,
            block=receipt.block,
            taken=taken if moved else 0,
            gas_wei=receipt.gas_wei,
        )
        return await self._ended(ended)

    async def _ended(self, ended: EvmPayment) -> EvmPayment:
        async with self._transactions.begin("evm.payment.finish") as tx:
            await self._store.finish(tx, ended)
        return ended

    def _status(self, token: RegisteredToken, payment: EvmPayment) -> SendStatus:
        provider_id = _provider_id(payment)
        match payment.state:
            case EvmPaymentState.SIGNED:
                return SendUnderWay(provider_id)
            case EvmPaymentState.FAILED:
                return SendFailed(
                    provider_id,
                    f"{payment.tx_hash} used its nonce and moved nothing of it",
                    other_fee=self._gas_fee(payment.gas_wei),
                    other_location=custody_evm(self._wallet, GAS),
                )
            case EvmPaymentState.COMPLETED:
                return SendCompleted(
                    provider_id=provider_id,
                    transaction_id=payment.tx_hash,
                    units=token.form.read(payment.taken).units,
                    fee_units=0,
                    other_fee=self._gas_fee(payment.gas_wei),
                    other_location=custody_evm(self._wallet, GAS),
                )

    def _gas_fee(self, gas_wei: int) -> Money | None:
        """Gas in the register's asset, whose atomic unit is a wei."""
        code = self._settings.gas_asset.code
        return Money(asset=code, units=gas_wei) if gas_wei else None


def _provider_id(payment: EvmPayment) -> str:
    """The nonce: hashes change with every bid, the nonce only when somebody else has used it."""
    return f"{payment.chain_id}/{payment.wallet}/{payment.nonce}"
