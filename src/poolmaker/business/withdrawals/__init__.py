"""WITHDRAWAL ORCHESTRATOR: drain -> settle -> pay.

Invariants
1. A payout is recorded before it is sent, under a request id that is a pure function of the saga.
2. Unknown is never failed: only the provider's own word releases held money.
3. One payout in flight per (source, asset, address), because a venue has no idempotency key.
4. After an unknown outcome nothing is sent a second time and nothing is given back on silence, however long: where the
   provider does not know its reference again, a person decides with the evidence in view.
5. Whoever was held first is paid first, from money that no pool and no leaver claims.
6. A refund gives back what is nobody's; what a provider refuses of it is in suspense again, with an incident.
7. While outgoing money is frozen nothing is sent; what was sent is followed all the same.
"""
