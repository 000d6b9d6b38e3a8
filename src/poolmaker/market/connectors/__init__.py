"""Exchange connectors: ccxt (any exchange) and customs (hot venues).

Invariants
1. A write whose answer did not arrive raises OutcomeUnknown; it is never retried here.
2. Only a venue's definite refusal is reported as a refusal.
3. Quantities and prices cross this edge as ticks and lots, never as floats.
4. Every answer is read row by row: what cannot be read is set aside and named, and nothing is guessed.
5. A question ends in a typed value or VenueUnavailable, whatever the venue sends.
"""
