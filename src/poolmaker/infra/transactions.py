"""Units of work: what is written between ``begin`` and its end is applied whole or not at all.

The PostgreSQL store and the model store of the simulator implement the same ports; a store
method takes the ``Tx`` it runs in and never commits by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")
PATIENCE_US: Final = 120 * SECOND_US
"""Longer than the server lets a transaction stand that nobody goes on with."""
_PAUSE_US: Final = SECOND_US // 2


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

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        """One statement that only reads, for those who look again and again and mostly in vain.

        It costs no BEGIN and COMMIT. A second statement raises CallerFault: two of them would see
        two moments, and what must see one moment, or locks or writes, takes ``begin``.
        """
        ...


async def patiently(step: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Do ``step``, again while the database cannot do it, for at most ``PATIENCE_US``.

    For steps of a start that may be done twice: a process that was stopped in the middle of a
    transaction holds its locks until the server ends it. Raises what the last try raised.
    """
    until_us = clock.monotonic_us() + PATIENCE_US
    while True:
        try:
            return await step()
        except (Unavailable, OutcomeUnknown):
            if clock.monotonic_us() >= until_us:
                raise
        await clock.sleep_us(_PAUSE_US)
