"""What a person decides about money that leaves, over the rooms that send it."""

from __future__ import annotations

from dataclasses import replace

from poolmaker.api import ports
from poolmaker.app.figures import AssetRegistry
from poolmaker.app.outside import ChainSide
from poolmaker.business.treasury.decisions import (
    DecisionRefusal,
    OutcomeDecision,
    decision_refusal,
)
from poolmaker.business.treasury.model import OutgoingPayment, SendDecision
from poolmaker.business.treasury.service import Carrier
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.evm.model import PaymentAction
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import SagaId, WithdrawalId
from poolmaker.kernel.money import parse_units

_UNKNOWN: ports.ActionRefused = ports.ActionRefused("unknown_payment")


class OutgoingCommands:
    """``api.ports.OutgoingPayments`` over withdrawals, transfers and the chain's payer."""

    def __init__(
        self,
        withdrawals: Withdrawals,
        carrier: Carrier,
        chain: ChainSide | None,
        scales: AssetRegistry,
    ) -> None:
        self._withdrawals = withdrawals
        self._carrier = carrier
        self._chain = chain
        self._scales = scales

    async def decide(self, decision: ports.OutgoingDecision) -> ports.ActionRefused | None:
        payout, transfer = WithdrawalId(decision.payment_id), SagaId(decision.payment_id)
        sent = await self._withdrawals.outgoing(payout)
        if sent is not None:
            said = self._said(decision, sent)
            refused = said and await self._withdrawals.decide(payout, said)
        else:
            sent = await self._carrier.sent(transfer)
            if sent is None:
                return _UNKNOWN
            said = self._said(decision, sent)
            refused = said and await self._carrier.decide(transfer, said)
        if said is None:
            return ports.ActionRefused("bad_amount", self._scale(sent))
        return self._refusal(refused or None, sent)

    async def undecided(self, decision: ports.OutgoingDecision) -> int | ports.ActionRefused:
        sent = await self._withdrawals.outgoing(WithdrawalId(decision.payment_id))
        if sent is None:
            sent = await self._carrier.sent(SagaId(decision.payment_id))
        if sent is None:
            return _UNKNOWN
        said = self._said(replace(decision, sending=sent.sending.sends), sent)
        if said is None:
            return ports.ActionRefused("bad_amount", self._scale(sent))
        return self._refusal(decision_refusal(sent, said), sent) or said.sending

    def _said(
        self, decision: ports.OutgoingDecision, sent: OutgoingPayment
    ) -> OutcomeDecision | None:
        scale = self._scales.of(sent.request.asset)
        try:
            taken, fee = parse_units(decision.taken, scale), parse_units(decision.fee, scale)
        except PreconditionError:
            return None
        return OutcomeDecision(
            sending=decision.sending,
            decision=SendDecision(decision.decision),
            by=decision.by,
            transaction_id=decision.transaction_id,
            units=taken,
            fee_units=fee,
        )

    def _refusal(
        self, refused: DecisionRefusal | None, sent: OutgoingPayment
    ) -> ports.ActionRefused | None:
        match refused:
            case None:
                return None
            case DecisionRefusal.UNKNOWN:
                return _UNKNOWN
            case DecisionRefusal.BAD_AMOUNT:
                return ports.ActionRefused("bad_amount", self._scale(sent))
            case DecisionRefusal.NOT_WAITING:
                return ports.ActionRefused("not_waiting")

    def _scale(self, sent: OutgoingPayment) -> dict[str, str]:
        asset = sent.request.asset
        return {"asset": asset, "scale": str(self._scales.of(asset))}

    async def act_on_chain(self, reference: str, action: str) -> ports.ActionRefused | None:
        if self._chain is None:
            return _UNKNOWN
        problem = await self._chain.act(reference, PaymentAction(action))
        return ports.ActionRefused(problem) if problem else None
