"""Server-rendered pages of Poolmaker.

Invariants
1. Nothing on a page changes anything, and no page loads anything from another host.
2. Every word comes from a catalogue; every amount is cut, never rounded up, and full on hover.
3. A state is a word and a shape; colour only repeats it.
4. A slow reader gets the newest frame, never a queue.
"""
