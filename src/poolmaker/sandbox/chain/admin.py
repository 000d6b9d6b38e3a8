"""The admin port: what the outside world does on the chain."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec
from aiohttp import web
from eth_utils.address import is_address, to_checksum_address

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.sandbox.chain.abi import call_data, decoded
from poolmaker.sandbox.chain.keyed import ContractCall, KeyedTransfers
from poolmaker.sandbox.chain.model import DEPLOYER, NATIVE, TOKENS, Token, token_called
from poolmaker.sandbox.chain.options import (
    ACCOUNTS,
    CHAIN_ID,
    MINE_MAX,
    MNEMONIC,
    ChainOptions,
)
from poolmaker.sandbox.chain.rpc import Rpc
from poolmaker.sandbox.chain.wallet import ChainWallet, account_of
from poolmaker.sandbox.serving import Body, FaultyCalls, guarded, read

BLOCKS_MAX: Final = 1_024


class GiveOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Give ``amount`` of ``asset`` (ETH, HMT, USDT or a token's address) to an address."""

    address: str
    asset: str
    amount: str
    mine: bool = True


class TransferOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The same from one of the mnemonic's wallets."""

    account: int
    address: str
    asset: str
    amount: str
    mine: bool = True


class KeyedOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The same, once for each ``key``: repeated, it tells how far the transfer is."""

    key: str
    account: int
    address: str
    asset: str
    amount: str


class MineOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Mine so many blocks now."""

    blocks: int = 1


class MiningOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Pause or resume the blocks that come by themselves."""

    is_running: bool


class ReorgOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Replace the newest blocks by empty ones: what was in them is gone."""

    depth: int


class RevertOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Go back to a snapshot."""

    id: str


def units_of(amount: str, decimals: int) -> int:
    """Smallest units of a decimal text.

    Raises CallerFault when it is not above zero or too precise.
    """
    try:
        units = Decimal(amount).scaleb(decimals)
    except InvalidOperation:
        raise PreconditionError(f"amount: expected a decimal number, was {amount!r}") from None
    require(units.is_finite() and units > 0, f"amount: expected more than zero, was {amount!r}")
    require(units == int(units), f"amount: at most {decimals} decimals, was {amount!r}")
    return int(units)


def asset_called(name: str) -> Token:
    """A token or the chain's own coin.

    Raises CallerFault when it is unknown.
    """
    if name.upper() in {NATIVE.symbol, "NATIVE"}:
        return NATIVE
    found = token_called(name)
    if found is None:
        known = ", ".join([NATIVE.symbol, *(token.symbol for token in TOKENS)])
        raise PreconditionError(f"asset: expected one of {known}, was {name!r}")
    return found


class ChainAdmin:
    """Serves the admin port of a chain."""

    def __init__(self, node: Rpc, clock: Clock, faults: FaultyCalls, options: ChainOptions) -> None:
        self._node = node
        self._faults = faults
        self._mines_each = not options.block_ms
        self._depth_max = options.finality_blocks
        self.is_mining = True
        self._wallets = [
            ChainWallet(node, account_of(MNEMONIC, index), CHAIN_ID, clock)
            for index in range(ACCOUNTS)
        ]
        self._keyed = KeyedTransfers(node)

    def app(self) -> web.Application:
        """All its calls."""
        app = web.Application()
        app.router.add_routes(
            [
                web.post("/faucet", guarded(self._give)),
                web.post("/transfer", guarded(self._transfer)),
                web.post("/transfers", guarded(self._transfer_once)),
                web.get("/transfers", guarded(self._transfers)),
                web.post("/mine", guarded(self._mine)),
                web.post("/mining", guarded(self._mining)),
                web.post("/reorg", guarded(self._reorg)),
                web.post("/snapshot", guarded(self._snapshot)),
                web.post("/revert", guarded(self._revert)),
                web.get("/balances/{address}", guarded(self._balances)),
                *self._faults.routes(),
            ]
        )
        return app

    async def _give(self, request: web.Request) -> Body:
        order = await read(request, GiveOrder)
        wanted = TransferOrder(DEPLOYER, order.address, order.asset, order.amount, order.mine)
        return await self._send(wanted)

    async def _transfer(self, request: web.Request) -> Body:
        return await self._send(await read(request, TransferOrder))

    async def _send(self, order: TransferOrder) -> Body:
        wallet, call = self._called(order)
        if not order.mine:
            return {"tx_hash": await wallet.submit(*call), "block": None}
        receipt = await wallet.send(*call, mine=not self._mines_each)
        return {"tx_hash": receipt["transactionHash"], "block": int(receipt["blockNumber"], 16)}

    def _called(self, order: TransferOrder | KeyedOrder) -> tuple[ChainWallet, ContractCall]:
        require(is_address(order.address), f"address: expected one, was {order.address!r}")
        require(0 <= order.account < ACCOUNTS, f"account: 0 to {ACCOUNTS - 1}")
        token = asset_called(order.asset)
        units, to = units_of(order.amount, token.decimals), to_checksum_address(order.address)
        wallet = self._wallets[order.account]
        if token is NATIVE:
            return wallet, ContractCall(str(to), "0x", units)
        return wallet, ContractCall(
            token.address, call_data("transfer(address,uint256)", to, units), 0
        )

    async def _transfer_once(self, request: web.Request) -> Body:
        order = await read(request, KeyedOrder)
        wallet, call = self._called(order)
        return (await self._keyed.send(order.key, wallet, call)).shown()

    async def _transfers(self, _request: web.Request) -> Body:
        return {"transfers": [one.shown() for one in await self._keyed.all()]}

    async def _mine(self, request: web.Request) -> Body:
        order = await read(request, MineOrder)
        require(0 < order.blocks <= BLOCKS_MAX, f"blocks: 1 to {BLOCKS_MAX}")
        await self.mine(order.blocks)
        return await self._heads()

    async def mine(self, blocks: int) -> None:
        """Mine so many blocks, at most 64 in one call of the node."""
        while blocks > 0:
            now = min(blocks, MINE_MAX)
            await self._node.call("anvil_mine", hex(now), "0x0")
            blocks -= now

    async def _heads(self) -> Body:
        found: Body = {}
        for tag in ("latest", "safe", "finalized"):
            block = await self._node.call("eth_getBlockByNumber", tag, False)
            found[tag] = int(block["number"], 16)
        return found

    async def _mining(self, request: web.Request) -> Body:
        self.is_mining = (await read(request, MiningOrder)).is_running
        return {"is_running": self.is_mining}

    async def _reorg(self, request: web.Request) -> Body:
        order = await read(request, ReorgOrder)
        require(
            0 < order.depth <= self._depth_max,
            f"depth: 1 to {self._depth_max}, not below finality",
        )
        await self._node.call("anvil_reorg", order.depth, [])
        return await self._heads()

    async def _snapshot(self, _request: web.Request) -> Body:
        return {"id": await self._node.call("evm_snapshot")}

    async def _revert(self, request: web.Request) -> Body:
        order = await read(request, RevertOrder)
        require(await self._node.call("evm_revert", order.id), f"id: no snapshot {order.id!r}")
        return await self._heads()

    async def _balances(self, request: web.Request) -> Body:
        address = request.match_info["address"]
        require(is_address(address), f"address: expected one, was {address!r}")
        found: Body = {"ETH": str(await self._node.number("eth_getBalance", address, "latest"))}
        data = call_data("balanceOf(address)", to_checksum_address(address))
        for token in TOKENS:
            said = await self._node.call("eth_call", {"to": token.address, "data": data}, "latest")
            found[token.symbol] = str(decoded(["uint256"], said)[0])
        return found
