"""Mixin client: deposits in, transfers and withdrawals out, login, bot messages.

Invariants
1. Whatever leaves is the network's own encoding, byte for byte; vectors made by the official SDKs prove it.
2. Nothing is cut, rounded or guessed: a number, key, address or byte that does not fit is refused.
3. A signature is made only with a key that the output to be spent names.
"""
