"""BALANCE LEDGER (single writer): the ONLY place allowed to mutate balances.

Invariants
1. Per asset, the sum of held equals the sum of owed after every transaction.
2. Users' available, locked, held, shares and exit balances are never below zero.
3. Requests may be refused; facts never are: what a fact takes beyond a balance becomes a named deficit.
4. Entries are never changed or deleted.
5. One key, one effect; the same key with another body is a conflict and is recorded.
6. The sequence has no gaps and equals commit order.
7. Any balance equals the sum of its entries.
8. A request that would push platform equity below zero is refused.
9. Per venue account and asset, pool capital and exits never exceed the custody there by our own act.
10. Only an excess is ever valued at a price, at the smallest result of prices that agree, and never beyond their depth.
11. Nobody keeps less of a pool than the minimum holding, so rounding costs a joiner an atomic unit or 1 part in 10**9.
"""
