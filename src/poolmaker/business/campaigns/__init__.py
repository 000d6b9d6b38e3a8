"""CAMPAIGN ORCHESTRATOR: windows, participation, pause/withdraw drain.

Invariants
1. What a campaign is (whose, where, since when, how long its days are) is kept as it was seen first; another telling is recorded and changes nothing.
2. A campaign's days cover it from its start to its end without gap and without overlap, anchored at its own start.
3. Whether a campaign can be joined never touches an order; a required one that refuses us or puts us off is told until it is joined or over.
4. Taking part moves only by the state table, and every move is a line of the campaign's story.
"""
