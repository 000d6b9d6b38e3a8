"""Pure comparisons: open orders against the shadow ledger, ledger against custody; incidents.

Invariants
1. A comparison reads two sides and changes neither.
2. Amounts are compared exactly; what one side lacks counts as zero there, never as equal.
"""
