"""What a command does to the books: pure decisions, the table of kinds, the hash chain, readers."""

from __future__ import annotations

from poolmaker.business.ledger.rules.books import (
    BlockedCommand,
    LedgerState,
    PostingDecision,
    Verdict,
    apply,
    books_of,
    image_of,
    in_order,
    state_of,
)
from poolmaker.business.ledger.rules.chain import link
from poolmaker.business.ledger.rules.kinds import KINDS, Kind, decide, kind_of
from poolmaker.business.ledger.rules.readers import (
    Cover,
    StatementRow,
    TrialRow,
    covers,
    net_asset_value,
    statement,
    trial_balance,
    trial_rows,
    users_surplus,
)

__all__ = [
    "KINDS",
    "BlockedCommand",
    "Cover",
    "Kind",
    "LedgerState",
    "PostingDecision",
    "StatementRow",
    "TrialRow",
    "Verdict",
    "apply",
    "books_of",
    "covers",
    "decide",
    "image_of",
    "in_order",
    "kind_of",
    "link",
    "net_asset_value",
    "state_of",
    "statement",
    "trial_balance",
    "trial_rows",
    "users_surplus",
]
