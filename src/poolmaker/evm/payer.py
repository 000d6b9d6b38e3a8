"""Sends tokens on: journaled before they go out, followed until a final block holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from eth_utils.address import to_checksum_address

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
from poolmaker.evm.abi import TRANSFER_CALL, call_data
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import (
    GAS,
    Attempt,
    Fields,
    GasBid,
    GateRefused,
    Payment,
    PaymentAction,
    PaymentState,
    Receipt,
    Signed,
    Token,
    WalletIncident,
)
from poolmaker.evm.ports import Gate, PaymentStore
from poolmaker.evm.rpc import RpcRefused
from poolmaker.evm.rules import (
    demanded_bid,
    demanded_tip_wei,
    first_bid,
    higher_bid,
    is_about_price,
    is_known,
    taken_from,
    with_margin,
)
from poolmaker.evm.signer import Signer, require_address
from poolmaker.infra.attention import AttentionItem, Remedy, closed_by_a_person
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import MINUTE_US, Clock
from poolmaker.kernel.errors import CallerFault, OutcomeUnknown, PoolmakerError, Unavailable
from poolmaker.kernel.money import Amount, Asset
from poolmaker.messages.base import Money

NETWORK: Final = "evm"
_REVERTED: Final = 3
NONCE_USED: Final = "nonce_used_elsewhere"
LEFT_OUT_MAX: Final = 1_000
"""More nonces than that are not left out on one node's word."""
REFUSAL_MAX: Final = 300
SLOW_US: Final = 30 * MINUTE_US
_LOG: Final = get_logger("evm")


@dataclass(frozen=True, slots=True)
class PayerSettings:
    """Bounds of gas, and after how long without a block more is bid for it.

    Without a gate nobody can freeze what is signed.
    """

    gas_asset: Asset
    fee_max_wei: int
    stuck_us: int
    gate: Gate | None = None
    tip_min_wei: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request as the chain understands it."""

    token: Token
    recipient: str
    units: int


class _NotNow(PoolmakerError):
    """It cannot be signed as things are; a person may change that."""

    code = "evm_not_now"


class Payer:
    """``SendingProvider`` of what stands at ``custody:evm:<wallet>:<form>``.

    The journal is the history: what is not in it was never signed. ``find`` also works: it
    broadcasts again what no block holds, and bids more for what is stuck, while the gate is open.
    """

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        tokens: Sequence[Token],
        store: PaymentStore,
        transactions: Transactions,
        clock: Clock,
        settings: PayerSettings,
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._tokens = {custody_evm(signer.address, one.form.name): one for one in tokens}
        self._store = store
        self._transactions = transactions
        self._clock = clock
        self._settings = settings
        self._stuck_us = settings.stuck_us

    async def send(self, request: SendRequest) -> SendAnswer:
        """See ``SendingProvider.send``. The same reference is the same transaction for ever.

        Postponed while gas costs more than is allowed or the wallet cannot pay it.
        """
        wanted = self._wanted(request)
        if isinstance(wanted, SendRefused):
            return wanted
        payment = await self._journaled(request, wanted) or await self._signed(request, wanted)
        if isinstance(payment, SendRefused | SendPostponed):
            return payment
        if payment.state is PaymentState.SIGNED:
            await self._broadcast(await self._attempts(payment))
        return SendAccepted(_provider_id(payment))

    async def find(
        self,
        request: SendRequest,
        since_us: int,  # noqa: ARG002 - the journal knows every reference
    ) -> SendStatus:
        """See ``SendingProvider.find``. Completed and failed mean: in a final block."""
        wanted = self._wanted(request)
        if isinstance(wanted, SendRefused):
            return SendAbsent()
        payment = await self._journaled(request, wanted)
        if payment is None:
            return SendAbsent()
        if payment.state is PaymentState.SIGNED:
            payment = await self._follow(payment)
        if payment.state is PaymentState.SIGNED and await self._nonce_is_gone(payment):
            reason = f"nonce {payment.nonce} was used by a transaction that is not ours"
            return SendPostponed(f"{reason}, and no block holds this payment", needs_person=True)
        return self._status(wanted.token, payment)

    def _wanted(self, request: SendRequest) -> _Wanted | SendRefused:
        token = self._tokens.get(request.source)
        if token is None:
            raise Unavailable(f"{request.source} is not configured here")
        if request.network != NETWORK or request.tag:
            return SendRefused(f"the network is {request.network!r} with tag {request.tag!r}")
        if request.asset != token.form.asset.code:
            return SendRefused(f"{request.asset} is not what stands at {request.source}")
        try:
            recipient = require_address(request.address, "address")
            units, dust = token.form.write(Amount(token.form.asset, request.units))
            require(units > 0, "units: expected more than nothing")
        except CallerFault as fault:
            return SendRefused(str(fault))
        if not self._signer.may_send(token.contract, recipient):
            return SendRefused(f"{recipient} is not pinned for this token")
        if dust:
            return SendRefused(f"the token has {token.form.decimals} decimals, dust is {dust}")
        return _Wanted(token, recipient, units)

    async def _journaled(self, request: SendRequest, wanted: _Wanted) -> Payment | None:
        async with self._transactions.begin("evm.payment.find") as tx:
            return await self._known(tx, request, wanted)

    async def _known(self, tx: Tx, request: SendRequest, wanted: _Wanted) -> Payment | None:
        payment = await self._store.find(tx, request.reference)
        if payment is not None:
            said = (payment.contract, payment.recipient, payment.units)
            asked = (wanted.token.contract, wanted.recipient, wanted.units)
            ensure(said == asked, f"{request.reference}: signed {said}, asked {asked}")
        return payment

    # --------------------------------------------------------------------------- signing

    async def _signed(
        self, request: SendRequest, wanted: _Wanted
    ) -> Payment | SendRefused | SendPostponed:
        try:
            return await self._sign_first(request, wanted)
        except GateRefused as refused:
            return SendRefused(str(refused))
        except _NotNow as problem:
            return SendPostponed(str(problem), needs_person=True)

    async def _sign_first(self, request: SendRequest, wanted: _Wanted) -> Payment | SendRefused:
        """Take a nonce, sign and store both in one transaction; nothing is broadcast yet."""
        bid = await self._bid()
        gas = await self._gas(wanted)
        if isinstance(gas, SendRefused):
            return gas
        await self._require_gas_money(gas * bid.max_fee_wei)
        first = max(await self._used_nonces("latest"), await self._used_nonces("pending"))
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
            note = f"{left_out} nonces below {nonce} were used by transactions that are not ours"
            incident = WalletIncident(0, NONCE_USED, note, self._clock.now_us())
            await self._store.report(tx, *place, incident)
            _LOG.error(NONCE_USED, wallet=self._wallet, note=note)
        return nonce

    @property
    def _wallet(self) -> str:
        return self._signer.address

    def _payment(self, request: SendRequest, wanted: _Wanted, nonce: int) -> Payment:
        return Payment(
            reference=request.reference,
            chain_id=self._chain.chain_id,
            wallet=self._wallet,
            nonce=nonce,
            contract=wanted.token.contract,
            recipient=wanted.recipient,
            units=wanted.units,
            made_us=self._clock.now_us(),
            state=PaymentState.SIGNED,
        )

    def _fields(self, payment: Payment, gas: int, bid: GasBid, *, cancels: bool = False) -> Fields:
        data = "0x" if cancels else _transfer_data(payment.recipient, payment.units)
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

    async def _bid(self, tip_min_wei: int = 0) -> GasBid:
        """What the chain asks now, the tip no less than ``tip_min_wei`` and the chain's own least.

        Raises _NotNow when that is more than is allowed.
        """
        base_wei, advised_wei = await self._chain.base_fee_wei(), await self._chain.tip_wei()
        tip_wei = max(advised_wei, self._settings.tip_min_wei, tip_min_wei)
        bid = first_bid(base_wei, tip_wei, self._settings.fee_max_wei)
        if bid is None:
            raise _NotNow(f"gas costs {base_wei + tip_wei} wei, more than gas_price_max_gwei")
        return bid

    async def _gas(self, wanted: _Wanted) -> int | SendRefused:
        """What the transfer may use; a transfer that would fail is refused before it is signed."""
        call = {
            "from": self._wallet,
            "to": wanted.token.contract,
            "data": _transfer_data(wanted.recipient, wanted.units),
        }
        try:
            return with_margin(await self._chain.rpc.number("eth_estimateGas", call))
        except RpcRefused as refused:
            if refused.number == _REVERTED:
                return SendRefused(f"the token refuses the transfer: {refused.message}")
            raise

    async def _require_gas_money(self, needed_wei: int) -> None:
        has_wei = await self._chain.rpc.number("eth_getBalance", self._wallet, "latest")
        if has_wei < needed_wei:
            raise _NotNow(f"{self._wallet} has {has_wei} wei for gas and needs {needed_wei}")

    async def _used_nonces(self, block: str) -> int:
        return await self._chain.rpc.number("eth_getTransactionCount", self._wallet, block)

    # ------------------------------------------------------------------------- following

    async def _attempts(self, payment: Payment) -> Sequence[Attempt]:
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

    async def _follow(self, payment: Payment) -> Payment:
        attempts = await self._attempts(payment)
        receipt = await self._receipt(attempts)
        if receipt is None:
            await self._push(payment, attempts)
            return payment
        final = await self._chain.finalized()
        if receipt.block > final.number or not await self._chain.is_canonical(receipt):
            return payment
        return await self._finish(payment, receipt)

    async def _receipt(self, attempts: Sequence[Attempt]) -> Receipt | None:
        for attempt in reversed(attempts):
            receipt = await self._chain.receipt(attempt.tx_hash)
            if receipt is not None:
                return receipt
        return None

    async def _push(self, payment: Payment, attempts: Sequence[Attempt]) -> None:
        """No block holds it: out again, and with more for gas when it has waited too long."""
        if not await self._may_send():
            return
        last = attempts[-1]
        waited_us = self._clock.now_us() - last.signed_us
        if is_about_price(last.refusal) or (not last.refusal and waited_us >= self._stuck_us):
            attempts = await self._bid_anew(payment, attempts)
        await self._broadcast(attempts)

    async def _may_send(self) -> bool:
        gate = self._settings.gate
        if gate is None:
            return True
        async with self._transactions.begin("evm.gate") as tx:
            return await gate.may_send(tx)

    async def _bid_anew(self, payment: Payment, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """Sign it for more, unless the cap leaves no room."""
        bid = await self._next_bid(attempts[-1])
        if bid is None:
            return attempts
        return [*attempts, await self._replaced(payment, attempts[-1], bid)]

    async def _next_bid(self, last: Attempt) -> GasBid | None:
        """What replaces an attempt: more of it where a pool may have it, else what is asked now.

        A bid that no pool has taken is not raised step by step: that would only reach the cap.
        """
        paid, cap_wei = GasBid(last.max_fee_wei, last.tip_wei), self._settings.fee_max_wei
        try:
            fresh = await self._bid(demanded_tip_wei(last.refusal))
        except _NotNow as problem:
            _LOG.warning("gas_at_its_cap", tx_hash=last.tx_hash, problem=str(problem))
            return None
        if last.refusal:
            return demanded_bid(paid, fresh, cap_wei)
        return higher_bid(paid, fresh, cap_wei)

    async def _replaced(
        self, payment: Payment, last: Attempt, bid: GasBid, *, cancels: bool = False
    ) -> Attempt:
        """Sign and store what takes the place of the last attempt."""
        cancels = cancels or last.cancels
        paid = GasBid(last.max_fee_wei, last.tip_wei)
        before = self._fields(payment, last.gas, paid, cancels=last.cancels)
        gas = last.gas if cancels == last.cancels else await self._cancel_gas()
        fields = self._fields(payment, gas, bid, cancels=cancels)
        sign = self._signer.sign_cancellation if cancels else self._signer.sign_replacement
        signed = sign(fields, before, last.raw)
        attempt = self._attempt(last.number + 1, signed, gas, bid, cancels=cancels)
        async with self._transactions.begin("evm.payment.replace") as tx:
            await self._store.add_attempt(tx, payment.reference, attempt)
        return attempt

    async def _cancel_gas(self) -> int:
        call = {"from": self._wallet, "to": self._wallet, "data": "0x"}
        return with_margin(await self._chain.rpc.number("eth_estimateGas", call))

    async def _nonce_is_gone(self, payment: Payment) -> bool:
        """Whether a final block holds another transaction under the payment's nonce."""
        final = hex((await self._chain.finalized()).number)
        if await self._used_nonces(final) <= payment.nonce:
            return False
        attempts = await self._attempts(payment)
        return await self._receipt(attempts) is None

    # ------------------------------------------------------------------------- a person's part

    async def act(self, reference: str, action: PaymentAction) -> str:
        """Do what a person wants of a payment that no block takes; why not, empty when done.

        Raises Unavailable while the node does not answer.
        """
        async with self._transactions.begin("evm.payment.act") as tx:
            payment = await self._store.find(tx, reference)
        if payment is None or payment.state is not PaymentState.SIGNED:
            return "unknown_payment"
        if not await self._may_send():
            return "frozen"
        attempts = await self._attempts(payment)
        bid = await self._next_bid(attempts[-1])
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
            found = [_incident_item(one, self._wallet) for one in incidents]
            for payment in await self._store.open_payments(tx, *place):
                last = (await self._store.attempts(tx, payment.reference))[-1]
                waited_us = self._clock.now_us() - payment.made_us
                if last.refusal or waited_us >= SLOW_US:
                    found.append(_payment_item(payment, last))
        return found

    async def _finish(self, payment: Payment, receipt: Receipt) -> Payment:
        taken = taken_from(receipt, payment.contract, payment.wallet, payment.recipient)
        moved = receipt.succeeded and taken > 0
        ended = replace(
            payment,
            state=PaymentState.COMPLETED if moved else PaymentState.FAILED,
            tx_hash=receipt.tx_hash,
            block=receipt.block,
            taken=taken if moved else 0,
            gas_wei=receipt.gas_wei,
        )
        async with self._transactions.begin("evm.payment.finish") as tx:
            await self._store.finish(tx, ended)
        return ended

    def _status(self, token: Token, payment: Payment) -> SendStatus:
        provider_id = _provider_id(payment)
        match payment.state:
            case PaymentState.SIGNED:
                return SendUnderWay(provider_id)
            case PaymentState.FAILED:
                return SendFailed(
                    provider_id,
                    f"{payment.tx_hash} moved nothing",
                    other_fee=self._gas_fee(payment.gas_wei),
                    other_location=custody_evm(self._wallet, GAS),
                )
            case PaymentState.COMPLETED:
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


def _payment_item(payment: Payment, last: Attempt) -> AttentionItem:
    evidence = {
        "refusal": last.refusal,
        "contract": payment.contract,
        "token_units": str(payment.units),
        "recipient": payment.recipient,
        "nonce": str(payment.nonce),
        "attempts": str(last.number),
        "tx_hash": last.tx_hash,
        "max_fee_wei": str(last.max_fee_wei),
        "tip_wei": str(last.tip_wei),
    }
    return AttentionItem(
        source="evm",
        kind="payment_refused" if last.refusal else "payment_slow",
        subject=payment.reference,
        since_us=payment.made_us,
        evidence={name: value for name, value in evidence.items() if value},
        blocks=(f"payments of {payment.wallet} from nonce {payment.nonce} on",),
        remedies=tuple(
            Remedy(
                action=action,
                command=f"poolmaker chain {action} {payment.reference}",
                route=f"POST /api/v1/chain/payments/{payment.reference}/{action}",
            )
            for action in PaymentAction
        ),
    )


def _incident_item(one: WalletIncident, wallet: str) -> AttentionItem:
    return AttentionItem(
        source="evm",
        kind=one.kind,
        subject=str(one.id),
        since_us=one.at_us,
        evidence={"wallet": wallet, "note": one.note},
        remedies=(closed_by_a_person("evm", one.kind, str(one.id)),),
    )


def _transfer_data(recipient: str, units: int) -> str:
    return call_data(TRANSFER_CALL, to_checksum_address(recipient), units)


def _provider_id(payment: Payment) -> str:
    """The nonce: hashes change with every bid, the nonce never."""
    return f"{payment.chain_id}/{payment.wallet}/{payment.nonce}"
