"""What needs a person: payments that no block takes, and nonces that somebody else has used."""

from __future__ import annotations

from typing import Final

from poolmaker.evm.model import Attempt, EvmPayment, PaymentAction, WalletIncident
from poolmaker.infra.attention import AttentionItem, Remedy, closed_by_a_person

REFUSED: Final = "payment_refused"
SLOW: Final = "payment_slow"


def payment_item(payment: EvmPayment, last: Attempt) -> AttentionItem:
    """A payment whose last attempt was refused, or that waits for long."""
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
        kind=REFUSED if last.refusal else SLOW,
        subject=payment.reference,
        since_us=payment.made_us,
        evidence={name: value for name, value in evidence.items() if value},
        blocks=(f"{payment.wallet} {payment.nonce}",),
        remedies=tuple(
            Remedy(
                action=action,
                command=f"poolmaker chain {action} {payment.reference}",
                route=f"POST /api/v1/chain/payments/{payment.reference}/{action}",
            )
            for action in PaymentAction
        ),
    )


def incident_item(one: WalletIncident, wallet: str) -> AttentionItem:
    """What another program has done with the wallet; a person closes it."""
    return AttentionItem(
        source="evm",
        kind=one.kind,
        subject=str(one.id),
        since_us=one.at_us,
        evidence={"wallet": wallet, "note": one.note},
        remedies=(closed_by_a_person("evm", one.kind, str(one.id)),),
    )
