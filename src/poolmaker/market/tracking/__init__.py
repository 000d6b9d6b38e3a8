"""EXCHANGE STATE TRACKERS: order book, exchange orders (shadow ledger), user stream.

Invariants
1. A book with a sequence gap is not used until it is resynchronised and confirmed by one applied diff.
2. An order is registered before it is sent; its state only moves forward; terminal only by evidence.
3. A fill is counted once per (venue, account, market, order, trade), whatever channel brings it.
4. A barrier follows every fact the venue had shown before it.
"""
