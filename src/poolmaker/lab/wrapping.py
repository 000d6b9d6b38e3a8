"""Stores as one simulated process sees them: behind the gate, and some notifications are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Any, TypeVar, cast

from poolmaker.infra.transactions import Tx
from poolmaker.kernel.rng import Rng
from poolmaker.lab.gate import FaultGate, SimProcess

T = TypeVar("T")
Hint = Callable[[], None]


class Hints:
    """Who is told that something was committed. A hint may be lost, so everybody polls as well."""

    def __init__(self, rng: Rng, lost_ppm: int) -> None:
        self._rng = rng
        self._lost_ppm = lost_ppm
        self._listeners: dict[str, list[Hint]] = {}

    def listen(self, topic: str, hint: Hint) -> None:
        """Call ``hint`` for each hint about ``topic`` that is not lost."""
        self._listeners.setdefault(topic, []).append(hint)

    def forget(self, topic: str, hint: Hint) -> None:
        """Undo ``listen``."""
        listeners = self._listeners.get(topic, [])
        if hint in listeners:
            listeners.remove(hint)

    def about(self, topic: str) -> Hint:
        """What to call when something about ``topic`` was committed."""

        def told() -> None:
            for hint in list(self._listeners.get(topic, [])):
                if not self._rng.chance_ppm(self._lost_ppm):
                    hint()

        return told


class _NoTransactions:
    """For calls that are transactions of their own."""

    @asynccontextmanager
    async def begin(self, _label: str) -> AsyncIterator[Tx]:
        yield Tx()

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        return self.begin(label)


class _Wrapped:
    """An object, some of whose asynchronous methods are replaced."""

    def __init__(self, inner: Any, replace: Callable[[str, Any], Any]) -> None:
        self._inner = inner
        self._replace = replace

    def __getattr__(self, name: str) -> Any:
        return self._replace(name, getattr(self._inner, name))


def hinted(inner: T, gate: FaultGate, methods: Collection[str], hint: Hint) -> T:
    """``inner``, whose named methods leave a hint when the transaction around them commits."""

    def replace(name: str, method: Any) -> Any:
        if name not in methods:
            return method

        async def call(*arguments: Any) -> Any:
            gate.after_commit(hint)
            return await method(*arguments)

        return call

    return cast("T", _Wrapped(inner, replace))


def gated_calls(
    inner: T,
    prefix: str,
    gate: FaultGate,
    process: SimProcess,
    after: Mapping[str, Hint] = MappingProxyType({}),
    instead: Mapping[str, Any] = MappingProxyType({}),
) -> T:
    """``inner``, each of whose methods passes the gate as a transaction of its own.

    ``after``: the hint that a method leaves when it has committed; ``instead``: methods that are
    the world's own and pass no gate.
    """

    def replace(name: str, method: Any) -> Any:
        if name in instead:
            return instead[name]

        async def call(*arguments: Any) -> Any:
            async with gate.through(_NoTransactions(), f"{prefix}.{name}", process):
                if name in after:
                    gate.after_commit(after[name])
                return await method(*arguments)

        return call

    return cast("T", _Wrapped(inner, replace))
