"""EXCHANGE STATE TRACKERS: order book, exchange orders (shadow ledger), user stream.

Invariants
1. A book with a sequence gap is not used until it is resynchronised and confirmed by one applied diff or a second equal
   snapshot.
2. An order is registered before it is sent; its state only moves forward; terminal only by evidence.
3. A fill is counted once per (venue, account, market, order, trade), whatever channel brings it.
4. A barrier follows every fact the venue had shown before it.
5. What holds ticks or lots holds the market rules that they count in; public prices are atomic units.
6. Every price that quotes or money follow has depth of others' orders behind it.
"""
