"""Technical ground: PostgreSQL, units of work, migrations, settings, logs, leases, sagas, schedule, health, approvals.

Invariants
1. Time is an argument of every statement: no SQL reads the server's clock to decide, but for how
   long a lease lasts, which one clock must decide for all who compete.
2. A saga row advances by compare-and-set together with everything its step wrote.
3. A lease decides who may try; the fence inside the transaction decides who can. A lease or an
   epoch that another process took is never taken back.
4. A running database is recognised by a connection that reports our data directory, never by a file.
5. What an approval allows is done once, by the request that used it, and only after another person
   agreed, or the only person there is asked again after the delay.
6. Wall time never runs from the time that has passed: a jump of the machine's clock is not followed.
7. A connection has the role and the limits that the server reads back, or it is not used.
8. A server without room is away and not broken: what was asked may be asked again.
"""
