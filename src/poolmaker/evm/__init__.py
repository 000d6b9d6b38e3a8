"""EVM chain client: logs with finality, signer with a safety gate."""
