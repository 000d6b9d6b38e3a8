"""Where money is: Mixin, venue accounts, EVM wallet, in transit; moves it, nets it.

Invariants
1. Operator money and credited deposits name their outside reference; one reference, one credit.
2. What leaves is recorded before it is sent.
3. What the ledger and a place may differ by is named: a row in flight, or an incident.
4. Every arrival is judged once: a deposit, a transfer of ours, or suspense; the same reference with another content is an
   incident. What is nobody's goes back to its sender, and is never credited by guess.
5. A transfer leaves in the ledger before it is sent and arrives only on evidence at its target; one is in flight per route.
6. Orders are funded first come, first served from what nobody else claims at their venue account.
7. Nothing is sent from where custody is short, nobody joins where it is short or silent, nothing new is moved to a silent
   place; a surplus stops nothing. `CustodyGate` is the only place that says so, and every sending, join and transfer asks it.
8. What people state is booked only when the place reports it: by its own identity of the deposit and the exact amount, or as a
   surplus that has lasted, with a second person; never more than the place reports. `StatedArrivals` is the only way in.
9. Time in which nobody looked for arrivals is not the user's; nothing expires before what came in time has been read.
"""
