"""EVENT BUS / OUTBOX: append with the cause, cursors and receipts, dead letters, replay.

Invariants
1. A stream's sequence has no gaps and equals commit order: its head row moves in the same transaction.
2. An event is written in the transaction of its cause or not at all.
3. A consumer's cursor moves in the transaction of its effect.
4. One key, one event: the same key again is no new event, with another body it is a conflict.
5. An event that cannot be applied stops its own stream for its own consumer, under a dead letter; a
   person replays it or leaves it out with a reason that is kept. Nothing else stops.
"""
