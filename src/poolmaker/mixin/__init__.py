"""Mixin client: deposits in, transfers and withdrawals out, login, bot messages.

Invariants
1. Whatever leaves is the network's own encoding, byte for byte; vectors made by the official SDKs prove it.
2. Nothing is cut, rounded or guessed: a number, key, address or byte that does not fit is refused.
3. A signature is made only with a key that the output to be spent names.
4. Every output is kept, judged and counted in one transaction, once; what cannot be judged yet is kept and asked again.
5. What we send to ourselves, change and joined outputs, never arrives.
6. A request id is a pure function of who asked and of the attempt, and stands for one transaction for ever.
7. Bytes are journalled and their inputs reserved before they are bound, signed bytes before they are sent; after a doubt the same bytes are sent again.
8. A payment has one transaction that can be taken. Another is built only when the old one was never signed, or an input of it is spent by another.
9. What is received plus the fee is exactly what was asked to be paid, and every output of the wallet is reserved for one transaction at a time.
10. What is paid in assets without a form is counted per asset and sender, never kept one by one, and goes back to a known sender.
"""
