"""What the chain says of escrows."""

from __future__ import annotations

from typing import Any, Final

from poolmaker.evm.chain import Chain
from poolmaker.infra.foreign import NotReadable, read_json
from poolmaker.kernel.errors import EnvironmentProblem

_REMEMBERED_MAX: Final = 10_000
_CANCELLED: Final = frozenset({5, 6})
"""States of HUMAN's escrow: cancelled, and to be cancelled."""


class Escrows:
    """Reads of escrows that HUMAN's factory has made. Everything raises Unavailable."""

    def __init__(self, chain: Chain, factory: str) -> None:
        self._chain = chain
        self._factory = factory
        self._known: set[str] = set()
        self._tokens: dict[str, str] = {}

    async def verify(self) -> None:
        """Raise EnvironmentProblem when there is no factory."""
        if not await self._chain.has_code(self._factory):
            raise EnvironmentProblem(
                f"There is no contract at hufi.escrow_factory {self._factory} on the chain of "
                "evm.rpc_url; correct one of them."
            )

    async def has(self, address: str) -> bool:
        """Whether the factory made it; what it made once it made for ever."""
        if address in self._known:
            return True
        found = bool(await self._chain.ask(self._factory, "hasEscrow(address)", "bool", address))
        if found and len(self._known) < _REMEMBERED_MAX:
            self._known.add(address)
        return found

    async def token(self, address: str) -> str:
        """The contract of the token that it pays, lower case; it never changes."""
        if address in self._tokens:
            return self._tokens[address]
        found = str(await self._chain.ask(address, "token()", "address")).lower()
        if len(self._tokens) < _REMEMBERED_MAX:
            self._tokens[address] = found
        return found

    async def is_cancelled(self, address: str) -> bool:
        """Whether its launcher has asked to end it, or has ended it, before its time."""
        return int(await self._chain.ask(address, "status()", "uint8")) in _CANCELLED

    async def manifest(self, address: str) -> dict[str, Any]:
        """Its manifest where that stands on the chain itself, else nothing."""
        text = str(await self._chain.ask(address, "manifest()", "string"))
        try:
            found = read_json(text)
        except NotReadable:
            return {}
        return found if isinstance(found, dict) else {}
