"""Schema revisions: plain SQL files in a chain, applied by one runner under one lock.

Each revision is a Python file of three lines that names its ``.sql`` file beside it. All pending
revisions are applied in one transaction, so a database is never left half-way.
"""
