"""The chain on loopback: anvil with HUMAN's own escrow contracts and test tokens, behind a plain public RPC.

Invariants
1. The contracts are HUMAN's published artifacts, deployed to the addresses that its SDK knows for localhost.
2. The RPC answers what a public node answers: no node keys, no cheats; those are behind the admin port.
3. Blocks are mined at most 64 in one call, so finality and the wall clock stay near each other.
4. The node ends with the process that started it.
"""
