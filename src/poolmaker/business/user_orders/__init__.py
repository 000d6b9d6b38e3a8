"""MIXIN USER ORDER TRACKER: CREATED / LOCKED / FUNDING / IN_MM / PAUSE / WITHDRAW / CLOSED / EXPIRED / REFUNDED.

Invariants
1. An order's state changes only through its transition table.
2. Every wait is a saga row; a crash at any point continues from it.
3. Money moves only through ledger commands whose keys are functions of (saga, step, attempt).
4. An order has at most one child at work; what its user wishes meanwhile is kept and obeyed next.
5. A payment is a deposit of an order only while that waits for it in this asset; whatever comes else is not credited.
6. An order joins only with funds that are claimed for it at its venue account.
7. The time line of an order is only ever added to; it names the ledger key that moved money.
8. Money leaves only to its user's own wallet; no caller, the operator included, names another. A user is
   made with a Mixin id; one of before without it binds it by a payment from there, and it is never exchanged.
9. No leave, pause or payout waits for a price; what waits for one can be taken back.
"""
