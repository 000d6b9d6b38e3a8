"""What of the execution core others plug together."""

from __future__ import annotations

from poolmaker.market.execution._store import PgIntents
from poolmaker.market.execution.ports import IntentStore


def postgres_intents() -> IntentStore:
    """The rows in PostgreSQL."""
    return PgIntents()
