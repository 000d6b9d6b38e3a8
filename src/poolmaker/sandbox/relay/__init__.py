"""SANDBOX RELAY: carries value between Mixin, the venue and the sandbox chain, as the chains would.

Invariants
1. A withdrawal arrives at most once, exactly in its amount in units of 1e-8.
2. Both sides show one transaction id: the chain's own, or one that depends only on the side and the
   withdrawal's id where the chain is not the sandbox's.
3. A withdrawal is completed only after it has arrived; on the chain, after its block counts.
4. What has no known address or asset on the other side stays pending, and is named.
5. A transfer on the chain to a deposit address is credited once per transaction and index, when its
   block is final or has the confirmations asked for; what a reorganisation removed before credits
   nothing. What is too small for a side to count is named.
"""
