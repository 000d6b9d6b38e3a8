"""ACCOUNT ENGINE: joins quoting, execution and tracking for one venue account; one engine per account.

Invariants
1. Nothing is created in a market before it was reconciled with the venue in this session, under the rules of today.
2. An engine that was replaced stores nothing any more, and what is not stored is not sent.
3. Capital is the newest CapitalSet plus own facts after the sequence that it includes.
4. A wish from the control stream takes effect in the transaction that moves the cursor.
5. A barrier is appended only when the venue shows no trade that is not on the stream before it.
6. Cancelling needs no readiness, no rules, no book and no answer to a question.
7. What keeps orders from being created stands in ``latches.LATCHES``: what sets, clears and releases it.
8. Memory counts what a transaction stored after its commit; the database's failure is never the venue's.
9. One market's odd answers end no session and silence no other market.
"""
