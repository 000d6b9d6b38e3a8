"""HuFi as an external module: campaign sync, joiner, score estimator, reward receiver, vault transfer."""
