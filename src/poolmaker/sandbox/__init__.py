"""A world on loopback that speaks the real wires: exchange venue, Mixin, chain, HuFi; faults on demand; market flow.

Invariants
1. It imports nothing of the platform but infra, messages and kernel; the platform reaches it only over its socket.
2. It listens on loopback only.
"""
