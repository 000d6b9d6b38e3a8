"""The public RPC: what a node of a provider answers, passed on to anvil; nothing of its cheats."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.sandbox.chain.rpc import WORLD_HEADER, Rpc, RpcRefused
from poolmaker.sandbox.serving import FaultWords, FaultyCalls, Handler
from poolmaker.sandbox.venue.faults import Fault
from poolmaker.sandbox.venue.rest import answer

BATCH_MAX: Final = 100
_TYPE: Final = 2
_BEFORE_TIP: Final = 2
"""Chain id and nonce stand before the tip."""
_SHORT: Final = 0x80
_LONG_LIST: Final = 0xF8
_NO_LIMIT: Final = 2**256
MINED_TRIES: Final = 50
MINED_EVERY_US: Final = 10_000
_PUBLIC: Final = ("eth_", "net_", "web3_")
_OF_NODE_KEYS: Final = frozenset(
    {
        "eth_sendTransaction", "eth_sendUnsignedTransaction", "eth_sign", "eth_signTransaction",
        "eth_signTypedData", "eth_signTypedData_v3", "eth_signTypedData_v4",
    }
)  # fmt: skip


def _error(request_id: object, number: int, message: str, data: object = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": number, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _tip_wei(params: list[Any]) -> int:
    """The tip of a raw transaction of type 2; above every limit for what is none."""
    try:
        raw = bytes.fromhex(str(params[0]).removeprefix("0x"))
        if raw[0] != _TYPE:
            return _NO_LIMIT
        at = 2 if raw[1] < _LONG_LIST else 2 + raw[1] - _LONG_LIST + 1
        for _ in range(_BEFORE_TIP):
            at = _number(raw, at)[1]
        return _number(raw, at)[0]
    except (ValueError, IndexError):
        return _NO_LIMIT


def _number(raw: bytes, at: int) -> tuple[int, int]:
    """A number in RLP, and where the next one begins."""
    first = raw[at]
    if first < _SHORT:
        return first, at + 1
    end = at + 1 + first - _SHORT
    return int.from_bytes(raw[at + 1 : end], "big"), end


def _fault_body(fault: Fault, _request: web.Request) -> object:
    return _error(None, fault.code, fault.message)


_WORDS: Final = FaultWords(_fault_body, -32603, "Internal error", has_accounts=False)


class RpcWire:
    """Serves JSON-RPC over HTTP, single and in batches. A fault's endpoint is a method.

    Where the node mines each transaction, one that was handed in is answered once a block has it.
    """

    def __init__(
        self, node: Rpc, clock: Clock, *, mines_each: bool = False, tip_min_wei: int = 0
    ) -> None:
        self._node = node
        self._clock = clock
        self._mines_each = mines_each
        self._tip_min_wei = tip_min_wei
        self.faults = FaultyCalls(clock, _WORDS)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one HTTP request."""
        if request.method != "POST":
            return web.Response(status=405)
        try:
            asked = msgspec.json.decode(await request.read())
        except msgspec.DecodeError:
            return answer(_error(None, -32700, "Parse error"), 200, {})
        if WORLD_HEADER in request.headers:
            return await self._act(asked)(request)
        first = asked[0] if isinstance(asked, list) and asked else asked
        method = first.get("method") if isinstance(first, dict) else None
        return await self.faults.around(str(method), request, self._act(asked))

    def _act(self, asked: object) -> Handler:
        async def act(_request: web.Request) -> web.StreamResponse:
            if not isinstance(asked, list):
                return answer(await self._one(asked), 200, {})
            if not 0 < len(asked) <= BATCH_MAX:
                return answer(_error(None, -32600, "Invalid Request"), 200, {})
            return answer([await self._one(one) for one in asked], 200, {})

        return act

    async def _one(self, asked: object) -> dict[str, Any]:
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _error(None, -32600, "Invalid Request")
        request_id, method, params = asked.get("id"), asked["method"], asked.get("params", [])
        if not method.startswith(_PUBLIC) or method in _OF_NODE_KEYS:
            return _error(
                request_id, -32601, f"the method {method} does not exist/is not available"
            )
        if method == "eth_accounts":
            return {"jsonrpc": "2.0", "id": request_id, "result": []}
        if not isinstance(params, list):
            return _error(request_id, -32602, "params must be an array")
        if method == "eth_sendRawTransaction" and (tip_wei := _tip_wei(params)) < self._tip_min_wei:
            words = f"gas tip cap {tip_wei}, minimum needed {self._tip_min_wei}"
            return _error(request_id, -32000, f"transaction underpriced: {words}")
        try:
            result = await self._node.call(method, *params)
            if self._mines_each and method == "eth_sendRawTransaction":
                await self._mined(result)
        except RpcRefused as refused:
            return _error(request_id, refused.number, refused.message, refused.data)
        except Unavailable as problem:
            return _error(request_id, -32603, str(problem))
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    async def _mined(self, tx_hash: object) -> None:
        """Wait until a block has it; not for ever, since one behind a missing nonce has none."""
        for _ in range(MINED_TRIES):
            if await self._node.call("eth_getTransactionReceipt", tx_hash) is not None:
                return
            await self._clock.sleep_us(MINED_EVERY_US)
