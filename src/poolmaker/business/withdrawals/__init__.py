"""WITHDRAWAL ORCHESTRATOR: drain -> settle -> pay.

Invariants
1. A payout is recorded before it is sent, under a request id that is a pure function of the saga.
2. Unknown is never failed: only the provider's own word releases held money.
3. One payout in flight per (account, asset, address) where the venue has no idempotency key.
"""
