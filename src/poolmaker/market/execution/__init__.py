"""EXECUTION CORE: tick barrier, intents, budgets, retry and back-off, throttler, kill switch.

Invariants
1. A create is sent only after its intent is committed, and never sent twice.
2. The client order id is a reversible function of the intent id.
3. Live, pending-cancel and unknown orders all count against the budget.
4. The tick does no I/O; a late tick is dropped, not caught up.
5. No create leaves while a kill latch holds: the last look is after signing, before the socket.
6. An order on the wrong side of the reference price goes at once, whatever its replacement waits for.
"""
