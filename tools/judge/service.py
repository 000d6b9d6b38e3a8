"""From everything that was read to the verdict. Pure."""

from __future__ import annotations

from tools.judge.books import log_problems, trial_problems
from tools.judge.custody import custody
from tools.judge.model import Part, Seen, Verdict
from tools.judge.rewards import allocation_problems


def judge(seen: Seen) -> Verdict:
    """What holds and what does not. What could not be read fails every flag that needs it."""
    table, custody_problems = custody(seen)
    unknown = sum(1 for order in seen.at_venue if not order.ids & seen.known)
    problems = {
        "trial_balance_ok": list(trial_problems(seen.books)),
        "ledger_verify_ok": list(log_problems(seen.books)),
        "custody_ok": [*custody_problems, *seen.unread.get(Part.BALANCES, ())],
        "allocations_ok": [*allocation_problems(seen), *seen.unread.get(Part.PAYOUTS, ())],
        "open_orders_unknown": list(seen.unread.get(Part.ORDERS, ())),
    }
    return Verdict(
        trial_balance_ok=not problems["trial_balance_ok"],
        ledger_verify_ok=not problems["ledger_verify_ok"],
        custody_ok=not problems["custody_ok"],
        allocations_ok=not problems["allocations_ok"],
        open_orders_unknown=None if problems["open_orders_unknown"] else unknown,
        custody=table,
        problems=problems,
    )
