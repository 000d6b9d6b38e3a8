"""Command line.

Invariants
1. Exit codes are stable: 0 done, 1 a check failed, 2 usage or environment.
2. What the machine or the configuration prevents is one sentence on standard error, never a traceback.
3. Nothing heavy is imported before a command needs it: help answers within half a second.
4. No secret is ever an argument.
"""
