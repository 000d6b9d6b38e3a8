"""Pooled capital, shares, net asset value; the LP-share ledger.

Invariants
1. The account stream is applied in its order, each fact once, with its own natural key.
2. A JOIN or LEAVE names a barrier and is never applied before the facts ahead of that barrier.
3. The engine is told the capital with the stream position that it includes.
"""
