"""The ledger in PostgreSQL: one proposal per append, judged by the database itself."""

from __future__ import annotations

from poolmaker.business.ledger._store.evidence import PgAuditReader
from poolmaker.business.ledger._store.rows import PgCommandStore
from poolmaker.business.ledger._store.writer import PgLedgerStore

__all__ = ["PgAuditReader", "PgCommandStore", "PgLedgerStore"]
