"""PostgreSQL: our own supervised server, or the operator's by URL, behind the same few calls."""
