"""Units of work: what is written between ``begin`` and its end is applied whole or not at all.

The PostgreSQL store and the model store of the simulator implement the same ports; a store
method takes the ``Tx`` it runs in and never commits by itself.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Tx:
    """An open transaction. Opaque to services; stores know their own kind."""

    __slots__ = ()


class Transactions(Protocol):
    """Opens transactions."""

    def begin(self, label: str) -> AbstractAsyncContextManager[Tx]:
        """Open one; it commits when the block ends and rolls back when the block raises.

        ``label`` names the purpose in logs, metrics and the simulator's trace. When the commit's
        answer is lost ``OutcomeUnknown`` is raised: the caller must read before it acts.
        """
        ...
