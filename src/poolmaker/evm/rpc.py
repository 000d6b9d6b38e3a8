"""JSON-RPC over HTTP to a node of somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import msgspec

from poolmaker.infra.foreign import NotReadable, read_json
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable

TIMEOUT_S: Final = 20
_OK: Final = 200
_TOO_MANY: Final = 429
_BAD: Final = 400
_BROKEN: Final = 500
_MAY_PASS: Final = frozenset({408, 425, _TOO_MANY})
"""What a status below 500 says of this moment, and not of the question."""
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
Call = tuple[str, tuple[object, ...]]


class RpcRefused(Unavailable):
    """The node answered with an error; ``number`` is JSON-RPC's code. Nothing happened."""

    code = "rpc_refused"

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"the node refused: {message} ({number})")
        self.number = number
        self.message = message


class RpcSilent(Unavailable):
    """The node gave no answer at all, or asks us to slow down."""

    code = "rpc_silent"


class RpcFailed(Unavailable):
    """The node answered with a status above 499 and no words."""

    code = "rpc_failed"


class Rpc:
    """A client of one node. Every call has a timeout; nothing is repeated.

    ``takes_batches`` is False once the node has refused a batch whose calls it answered singly.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, timeout_s: int = TIMEOUT_S
    ) -> None:
        self._session = session
        self._url = url
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self.takes_batches = True

    async def call(self, method: str, *params: object) -> Any:
        """The result of a call that only reads.

        Raises RpcRefused with the node's error, Unavailable when it does not answer.
        """
        return _result(await self._post(body := self._body(method, params)), body["id"])

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Results of calls that one node answers together, or singly where it takes no batches.

        Raises as ``call`` does.
        """
        if self.takes_batches:
            found = await self._together(calls)
            if found is not None:
                return found
        results = [await self.call(method, *params) for method, params in calls]
        self.takes_batches = False
        return results

    async def _together(self, calls: Sequence[Call]) -> list[Any] | None:
        """Results of one batch, None when the node has refused it as a whole."""
        bodies = [self._body(method, params) for method, params in calls]
        try:
            said = await self._post(bodies)
        except RpcSilent:
            raise
        except Unavailable:
            return None
        found = {}
        for one in said if isinstance(said, list) else ():
            if isinstance(one, dict) and isinstance(one.get("id"), int):
                found[one["id"]] = one
        if any(body["id"] not in found for body in bodies):
            return None
        return [_result(found[body["id"]], body["id"]) for body in bodies]

    async def number(self, method: str, *params: object) -> int:
        """The result of a call that answers with a quantity."""
        return quantity(await self.call(method, *params))

    async def broadcast(self, raw: bytes) -> None:
        """Hand a signed transaction in.

        Raises RpcRefused when the node says no, OutcomeUnknown when it says nothing.
        """
        try:
            await self.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcRefused:
            raise
        except Unavailable as problem:
            raise OutcomeUnknown(str(problem)) from problem

    def _body(self, method: str, params: tuple[object, ...]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}

    async def _post(self, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    self._url, data=msgspec.json.encode(body), headers=headers
                ) as reply,
            ):
                content = await reply.read()
                return read_json(content) if reply.status == _OK else _error(reply.status, content)
        except NotReadable as problem:
            raise Unavailable(f"the node answers no JSON: {problem}") from problem
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise RpcSilent(f"the node does not answer: {problem!r}") from problem


def _error(status: int, content: bytes) -> Any:
    """The JSON-RPC errors that stand under a status other than 200, as they are.

    Without any: RpcRefused where the status says that nothing was done, RpcSilent where it speaks
    of this moment, RpcFailed otherwise.
    """
    with contextlib.suppress(NotReadable):
        said = read_json(content)
        rows = said if isinstance(said, list) else [said]
        is_error = rows and all(isinstance(_error_of(one), dict) for one in rows)
        if is_error and status != _TOO_MANY:
            return said
    if _BAD <= status < _BROKEN and status not in _MAY_PASS:
        raise RpcRefused(status, f"HTTP {status}")
    kind = RpcSilent if status in _MAY_PASS else RpcFailed
    raise kind(f"the node answers HTTP {status}")


def _error_of(said: object) -> object:
    return said.get("error") if isinstance(said, dict) else None


def _result(said: Any, wanted_id: object) -> Any:
    if not isinstance(said, dict):
        raise Unavailable("the node does not speak JSON-RPC")
    error = _error_of(said)
    if isinstance(error, dict):
        number = error.get("code")
        raise RpcRefused(number if isinstance(number, int) else 0, str(error.get("message", "")))
    if "result" not in said or said.get("id") != wanted_id:
        raise Unavailable("the node answered something else than was asked")
    return said["result"]


def quantity(value: object) -> int:
    """The int of a quantity of the wire. Raises Unavailable for anything else."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise Unavailable(f"the node said {ascii(value)[:80]} instead of a number")


def hexadecimal(value: object, digits: int | None = None) -> str:
    """A hexadecimal text in lower case, of so many digits. Raises Unavailable for anything else."""
    good = isinstance(value, str) and _HEX.fullmatch(value)
    if isinstance(value, str) and good and digits in {None, len(value) - 2}:
        return value.lower()
    raise Unavailable(f"the node said {ascii(value)[:80]} instead of bytes")
