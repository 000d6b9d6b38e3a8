"""What rooms say to each other: commands, intents, events and the envelope they travel in.

Invariants
1. A message is immutable, tagged and versioned; unknown fields are refused when decoded.
2. Encoding is canonical: the same message always gives the same bytes.
3. The two wings, business and market, share nothing but this room.
"""
