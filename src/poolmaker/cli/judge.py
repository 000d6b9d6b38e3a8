"""The judge of the demo: pure comparisons over what its story has collected."""

from __future__ import annotations

from poolmaker.recon.rules import compare_custody, custody_agrees, orders_unknown
from poolmaker.sandbox.story.model import Evidence, Verdict


def judge(evidence: Evidence) -> Verdict:
    """What the evidence says; nothing that was not read counts as true."""
    compared = compare_custody(evidence.booked, evidence.reported)
    custody: dict[str, dict[str, dict[str, str]]] = {}
    for row in compared:
        pair = {"ledger": row.ledger, "reported": row.reported}
        custody.setdefault(row.location, {})[row.asset] = pair
    return Verdict(
        trial_balance_ok=evidence.trial_balance.get("ok") is True,
        ledger_verify_ok=evidence.verification.get("ok") is True,
        custody_ok=custody_agrees(compared),
        custody=custody,
        open_orders_unknown=orders_unknown(evidence.orders_at_venue, evidence.orders_in_books),
    )
