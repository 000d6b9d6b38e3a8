"""STRATEGY / INTENT: pure; (market view, inventory, parameters) -> CREATE_ORDER / CANCEL_ORDER / REPRICE / STOP.

Invariants
1. Same inputs, same quotes: no clock, no I/O, no chance.
2. Bids round down and asks round up, to the tick; sizes round down to the lot.
3. No quote crosses the book or an own order; none exceeds the pool's capital.
4. Each side without a quote names the one gate that prevents it.
5. No order that is worth less than the pool's own level moves the reference (decision 0105).
"""
