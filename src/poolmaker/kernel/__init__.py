"""Values every room speaks in: amounts, assets, prices, ids, time, chance, checks and errors.

Standard library only. Nothing here reads a clock, draws a number or does I/O by itself.

Invariants
1. Two assets never mix: arithmetic between them raises.
2. ``split`` loses nothing: the parts sum to the whole.
3. Rounding is named by its direction; nothing rounds silently.
4. A value that exists is valid: construction checks, use does not.
"""
