"""SANDBOX RELAY: carries withdrawals between Mixin and the venue, as the chains would.

Invariants
1. A withdrawal arrives at most once, exactly in its amount in units of 1e-8.
2. Both sides show one transaction id, which depends only on the side and the withdrawal's id.
3. A withdrawal is completed only after it has arrived.
4. What has no known address or asset on the other side stays pending, and is named.
"""
