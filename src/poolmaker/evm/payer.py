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
    PaymentState,
    Receipt,
    Signed,
    Token,
)
from poolmaker.evm.ports import Gate, PaymentStore
from poolmaker.evm.rpc import RpcRefused
from poolmaker.evm.rules import first_bid, higher_bid, taken_from, with_margin
from poolmaker.evm.signer import Signer, require_address
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import CallerFault, OutcomeUnknown, Unavailable
from poolmaker.kernel.money import Amount, Asset
from poolmaker.messages.base import Money

NETWORK: Final = "evm"
_REVERTED: Final = 3
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request as the chain understands it."""

    token: Token
    recipient: str
    units: int


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

    async def send(self, request: SendRequest) -> SendAnswer:
        """See ``SendingProvider.send``. The same reference is the same transaction for ever.

        Raises Unavailable while gas costs more than is allowed or the wallet cannot pay it.
        """
        wanted = self._wanted(request)
        if isinstance(wanted, SendRefused):
            return wanted
        payment = await self._journaled(request, wanted) or await self._signed(request, wanted)
        if isinstance(payment, SendRefused):
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

    async def _signed(self, request: SendRequest, wanted: _Wanted) -> Payment | SendRefused:
        try:
            return await self._sign_first(request, wanted)
        except GateRefused as refused:
            return SendRefused(str(refused))

    async def _sign_first(self, request: SendRequest, wanted: _Wanted) -> Payment | SendRefused:
        """Take a nonce, sign and store both in one transaction; nothing is broadcast yet."""
        bid = await self._bid()
        gas = await self._gas(wanted)
        if isinstance(gas, SendRefused):
            return gas
        await self._require_gas_money(gas * bid.max_fee_wei)
        used = await self._used_nonces("latest")
        first = await self._used_nonces("pending")
        async with self._transactions.begin("evm.payment.sign") as tx:
            nonce = await self._store.take_nonce(tx, self._chain.chain_id, self._wallet, first)
            known = await self._known(tx, request, wanted)
            if known is not None:
                # Another process was faster; the nonce that was taken here must not be left out.
                raise Unavailable(f"{request.reference} is being sent by somebody else")
            ensure(nonce >= used, f"nonce {nonce} of {self._wallet} was used and is not ours")
            payment = self._payment(request, wanted, nonce)
            fields = self._fields(payment, gas, bid)
            attempt = self._attempt(1, self._signer.sign_transfer(fields), gas, bid)
            await self._store.add(tx, payment)
            await self._store.add_attempt(tx, payment.reference, attempt)
        return payment

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

    def _fields(self, payment: Payment, gas: int, bid: GasBid) -> Fields:
        return {
            "type": 2,
            "chainId": self._chain.chain_id,
            "nonce": payment.nonce,
            "to": payment.contract,
            "value": 0,
            "data": _transfer_data(payment.recipient, payment.units),
            "gas": gas,
            "maxFeePerGas": bid.max_fee_wei,
            "maxPriorityFeePerGas": bid.tip_wei,
        }

    def _attempt(self, number: int, signed: Signed, gas: int, bid: GasBid) -> Attempt:
        return Attempt(
            number=number,
            tx_hash=signed.tx_hash,
            raw=signed.raw,
            max_fee_wei=bid.max_fee_wei,
            tip_wei=bid.tip_wei,
            gas=gas,
            signed_us=self._clock.now_us(),
        )

    async def _bid(self) -> GasBid:
        base_wei, tip_wei = await self._chain.base_fee_wei(), await self._chain.tip_wei()
        bid = first_bid(base_wei, tip_wei, self._settings.fee_max_wei)
        if bid is None:
            raise Unavailable(f"gas costs {base_wei + tip_wei} wei, more than is allowed")
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
            raise Unavailable(f"{self._wallet} has {has_wei} wei for gas and needs {needed_wei}")

    async def _used_nonces(self, block: str) -> int:
        return await self._chain.rpc.number("eth_getTransactionCount", self._wallet, block)

    # ------------------------------------------------------------------------- following

    async def _attempts(self, payment: Payment) -> Sequence[Attempt]:
        async with self._transactions.begin("evm.payment.attempts") as tx:
            return await self._store.attempts(tx, payment.reference)

    async def _broadcast(self, attempts: Sequence[Attempt]) -> None:
        """Hand in the newest attempt. Whatever the node says, only a block says what happened."""
        try:
            await self._chain.rpc.broadcast(attempts[-1].raw)
        except (RpcRefused, OutcomeUnknown) as problem:
            # A node also refuses what it knows already, and what a block holds already.
            _LOG.info("broadcast", tx_hash=attempts[-1].tx_hash, problem=str(problem))

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
        if self._clock.now_us() - last.signed_us >= self._settings.stuck_us:
            attempts = await self._bid_more(payment, attempts)
        await self._broadcast(attempts)

    async def _may_send(self) -> bool:
        gate = self._settings.gate
        if gate is None:
            return True
        async with self._transactions.begin("evm.gate") as tx:
            return await gate.may_send(tx)

    async def _bid_more(self, payment: Payment, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        last = attempts[-1]
        paid = GasBid(last.max_fee_wei, last.tip_wei)
        bid = higher_bid(paid, await self._bid(), self._settings.fee_max_wei)
        if bid is None:
            _LOG.warning("gas_at_its_cap", reference=payment.reference, tx_hash=last.tx_hash)
            return attempts
        signed = self._signer.sign_replacement(
            self._fields(payment, last.gas, bid), self._fields(payment, last.gas, paid), last.raw
        )
        attempt = self._attempt(last.number + 1, signed, last.gas, bid)
        async with self._transactions.begin("evm.payment.replace") as tx:
            await self._store.add_attempt(tx, payment.reference, attempt)
        return [*attempts, attempt]

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
                return SendFailed(provider_id, f"{payment.tx_hash} moved nothing")
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


def _transfer_data(recipient: str, units: int) -> str:
    return call_data(TRANSFER_CALL, to_checksum_address(recipient), units)


def _provider_id(payment: Payment) -> str:
    """The nonce: hashes change with every bid, the nonce never."""
    return f"{payment.chain_id}/{payment.wallet}/{payment.nonce}"
