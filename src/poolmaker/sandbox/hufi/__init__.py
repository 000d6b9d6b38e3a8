"""HuFi on loopback: recording oracle, launcher and results files over the real escrow contracts of the sandbox chain.

Invariants
1. Its answers, refusals and rules are those of HuFi's running servers; what is scored is scored by ``hufi.rules``.
2. What a participant is paid is his reward by those rules to the last unit; escrow 6.0 takes the oracles' fees on top.
3. The chain decides what is recorded and paid: after a doubt or a reorganisation a pass repeats only what is missing.
4. A shorter day is honoured only because this is a sandbox.
5. A restart keeps the chain and nothing else: users, keys, who took part and results files are gone;
   campaigns without results are found again, one that has some is left alone and named.
"""
