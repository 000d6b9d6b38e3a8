"""HuFi as an external module: campaign sync, joiner, score estimator, reward receiver, vault transfer.

Invariants
1. Scores and rewards equal HuFi's own to the last digit; vectors made by HuFi's code prove it.
2. An estimate never reaches the ledger as a number: only what was received does.
3. A reward is attributed by the chain's own evidence and the file that it names, or not at all; its period is a day of
   that campaign, by the manifest on the chain.
4. What is attributed is told once, and what is not goes to suspense once, in the transaction that marks it.
5. HuFi is given the read-only key of the account, never the one that trades; and only while the venue itself says that
   it is of that account and does nothing but read.
6. A campaign is asked for only after the wish to join is stored and the oracle was asked whether we are in.
"""
