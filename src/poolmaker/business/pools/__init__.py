"""Pooled capital, shares, net asset value; the LP-share ledger.

Invariants
1. The account stream is applied in its order, each fact once, with its own natural key.
2. A JOIN or LEAVE names a barrier and is never applied before the facts ahead of that barrier.
3. The engine is told the capital with the stream position that it includes.
4. Leavers are let out of the orders before the barrier: the engine is drained first, released last.
5. One barrier per account and interval, however many wait: nobody makes a pool cancel at will.
6. A barrier is asked with the excess of all joins that wait for it: its depth prices stand for all of them together.
"""
