"""Mixin on loopback: the Safe wire, login of users, messages and Blaze, with real keys and signatures.

Invariants
1. Per asset, what came in equals what lies in unspent outputs plus what left for other chains.
2. An output is spent once, by a transaction whose sums are equal and whose signatures are its owners'.
3. A request id is bound for ever to the first transaction that was sent with it.
4. A deposit counts once per (transaction id, index), a withdrawal leaves once with one transaction id.
5. What is refused changes nothing; a batch of transactions is taken whole or not at all.
"""
