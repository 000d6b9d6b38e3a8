"""User API and admin API: deny by default, problem+json errors, idempotency keys, server-sent events."""
