"""The judge: says by itself whether the books are true.

It imports nothing of Poolmaker, so a mistake of the platform is not repeated here. It reads the
database as a reader, and every place by that place's own API with its own signatures:

1. it changes nothing anywhere;
2. what it could not read counts as not true;
3. amounts are integers or exact decimals, never floats.
"""
