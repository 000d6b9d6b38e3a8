"""EVM chain client: logs with finality, signer with a safety gate.

Invariants
1. Only what stands in a final block is handed on as a fact; what lies above it may vanish and is only shown.
2. A transfer is named by its transaction and its place inside it; it is stored once, in the transaction that moves the cursor.
3. Contracts that the operator did not register do not exist.
4. The signer signs HuFi's login text, transfers of registered tokens to pinned addresses, their replacements, and the
   empty transaction to ourselves that takes a transfer's nonce; nothing else.
5. Nonce and signed bytes are stored before they are broadcast; after doubt the same bytes go out again. Under another
   nonce a payment is signed only once a final block holds a transaction that is not ours under the first.
6. A pinned address never changes without a person's word.
7. A nonce is left out only where a final block shows it used, and told of; what another program sends, or sends and
   drops, stops no payment.
8. A bid that no pool has taken is not raised step by step: what the chain asks now is bid, under the cap.
"""
