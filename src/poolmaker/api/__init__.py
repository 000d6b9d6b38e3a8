"""User API and admin API: deny by default, problem+json errors, idempotency keys, server-sent events.

Invariants
1. A route that names no role lets nobody in; a test walks every route with every role.
2. Every POST has an Idempotency-Key: the same key and body is answered the same, another body is a conflict.
3. An amount comes in and goes out as an exact decimal text; a JSON number is refused.
4. A token is stored only as its hash and is shown once.
5. An error says what happened, what it means for the money and what to do, with a correlation id.
"""
