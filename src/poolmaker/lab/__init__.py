"""Backtest, replay, parameter sweep, simulation: the same code under a virtual clock.

Invariants
1. One seed, one trace: a run repeats to the last event, on either store.
2. All I/O of a simulated world passes one gate.
"""
