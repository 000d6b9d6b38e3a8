"""REWARD ALLOCATION & DISTRIBUTION: time-weighted shares -> allocations -> CREDIT_REWARD.

Invariants
1. One payment out there is one reward for ever: told again it is the same, told otherwise it is an incident, and nothing is edited.
2. Only what is final is booked; what is not final is shown and may vanish.
3. Fee, dust and users' parts are together what was received, exactly, and every user's part can be paid out to the last unit.
4. A part is an order's by its shares over the reward's period while we take part, in ledger time, read only once the ledger is past the period's end; a closed order keeps its claim.
5. An allocation is stored before the ledger is asked, is only ever added to, and its digest stands in the ledger.
6. A reward that nobody has a weight in stays unallocated under an open incident and is tried again.
7. Every command's key is a function of saga, step and attempt: a crash at any commit moves nothing twice and loses nothing.
"""
