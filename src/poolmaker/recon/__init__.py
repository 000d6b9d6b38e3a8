"""Reconciliation: open orders against the shadow ledger, custody against the ledger; incidents.

Invariants
1. A comparison reads two sides and changes neither.
2. Amounts are compared exactly; what one side lacks counts as zero there, never as equal.
3. Every custody account of the ledger is compared; one whose place is not configured is an incident.
4. A difference opens an incident only when it lasts, and only the place's own report closes it.
5. A place that does not answer is an incident, and proves nothing about what it holds.
6. What needs a person stands in one list, and a source that cannot be read stands in it too.
7. An item closes when its room no longer reports it. Only what a room marks so is closed by a named
   person with a reason; that is never changed and holds only as long as the evidence is the same.
8. The list is bounded: no kind displaces another, and whatever is not shown is counted.
"""
