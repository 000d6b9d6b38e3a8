"""Read models: trades, performance, statements, pool boards; rebuilt from events, never asked for truth.

Invariants
1. A view is a function of the events it has seen: dropped and rebuilt it says the same.
2. Every amount is an exact decimal text made from integer units; nothing here decides about money.
3. Every list is bounded; what does not fit is on the next page, never silently gone.
"""
