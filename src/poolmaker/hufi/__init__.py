"""HuFi as an external module: campaign sync, joiner, score estimator, reward receiver, vault transfer.

Invariants
1. Scores and rewards equal HuFi's own to the last digit; vectors made by HuFi's code prove it.
2. An estimate never reaches the ledger as a number: only what was received does.
"""
