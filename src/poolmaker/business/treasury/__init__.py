"""Where money is: Mixin, venue accounts, EVM wallet, in transit; moves it, nets it.

Invariants
1. Operator money and credited deposits name their outside reference; one reference, one credit.
2. What leaves is recorded before it is sent.
3. What the ledger and a place may differ by is named: a row in flight, or an incident.
"""
