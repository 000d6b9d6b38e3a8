"""The exchange on loopback: a price-time matching engine behind the Binance spot wire.

Invariants
1. Per asset, free plus locked plus fees collected is what came in minus what left.
2. The published book is never crossed, first in is first out, and diffs chain without a gap.
3. What is refused changes nothing; what is accepted is answered and reported in one order.
4. It is as strict as the real wire: unknown parameters, filters, signatures, time, weights.
5. Every queue is bounded; a reader who does not keep up is cut, never waited for.
"""
