"""The story that ``poolmaker demo`` tells: people, a market, a campaign, a crash, and the counting.

Invariants
1. It acts only as people do: through the public API and the command line, and as the outside world
   through the worlds' own ports. It sees nothing from inside.
2. One seed, one plan: amounts, the moment of the crash and who does what come from it.
3. Whatever happens, the processes that it started are ended before it ends.
4. It deletes only what an earlier demo made.
5. Whether it was a good story is said by a judge that it does not know.
"""
