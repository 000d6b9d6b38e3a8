"""What every place says it holds for us: venue, Mixin, chain."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from eth_account import Account as EthAccount
from nacl.signing import SigningKey

from tools.judge.config import Account, Bot, Wallet
from tools.judge.model import MIXIN_DECIMALS, Form, NotReadable, OpenOrder, rescaled, units_of
from tools.judge.wires import Wires, now_us

Scales = Mapping[str, int]
Found = dict[tuple[str, str], int]
PAGE: Final = 500
PAGES_MAX: Final = 1_000
GAS: Final = "gas"
"""What the place of the chain's own coin is called beside those of the forms."""
GAS_DECIMALS: Final = 18
_SEED_BYTES: Final = 32


# ---------------------------------------------------------------------------------------- venue


async def _signed(wires: Wires, account: Account, path: str, query: str = "") -> Any:
    parts = [query] if query else []
    text = "&".join([*parts, f"timestamp={now_us() // 1_000}", "recvWindow=10000"])
    signature = hmac.new(account.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    url = f"{account.rest_url}{path}?{text}&signature={signature}"
    return await wires.json("GET", url, headers={"X-MBX-APIKEY": account.key})


async def venue_balances(wires: Wires, account: Account, scales: Scales) -> Found:
    """Free and locked together, of every asset in the register."""
    found = await _signed(wires, account, "/api/v3/account")
    location = f"custody:venue:{account.id}"
    held: Found = {}
    for row in found["balances"]:
        asset = row["asset"]
        if asset in scales:
            scale = scales[asset]
            held[location, asset] = units_of(row["free"], scale) + units_of(row["locked"], scale)
    return {where: units for where, units in held.items() if units}


async def venue_orders(wires: Wires, account: Account) -> list[OpenOrder]:
    """Every open order of the account's markets."""
    found: list[OpenOrder] = []
    for symbol in account.symbols:
        rows = await _signed(wires, account, "/api/v3/openOrders", f"symbol={symbol}")
        found += [
            OpenOrder(frozenset({str(row["orderId"]), str(row["clientOrderId"])})) for row in rows
        ]
    return found


# ---------------------------------------------------------------------------------------- Mixin


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _token(bot: Bot, uri: str) -> str:
    """A token of the bot's session for one GET."""
    now_s = now_us() // 1_000_000
    digest = hashlib.sha256(f"GET{uri}".encode()).hexdigest()
    claims = {
        "uid": bot.app_id,
        "sid": bot.session_id,
        "iat": now_s,
        "exp": now_s + 60,
        "jti": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri}{now_us()}")),
        "sig": digest,
        "scp": "FULL",
    }
    parts = ({"alg": "EdDSA", "typ": "JWT"}, claims)
    text = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
    seed = bytes.fromhex(bot.seed)[:_SEED_BYTES]
    return f"{text}.{_base64url(SigningKey(seed).sign(text.encode()).signature)}"


async def mixin_balances(wires: Wires, bot: Bot, forms: Sequence[Form], scales: Scales) -> Found:
    """The sum of the bot's unspent outputs: per form, and per id of an asset without one."""
    by_id = {form.mixin_id: form for form in forms if form.mixin_id}
    held: defaultdict[tuple[str, str], int] = defaultdict(int)
    members = hashlib.sha3_256(bot.app_id.encode()).hexdigest()
    offset = 0
    for _ in range(PAGES_MAX):
        uri = (
            f"/safe/outputs?members={members}&threshold=1&offset={offset}"
            f"&limit={PAGE}&state=unspent"
        )
        headers = {
            "Authorization": f"Bearer {_token(bot, uri)}",
            "X-Request-Id": str(uuid.uuid5(uuid.NAMESPACE_URL, uri)),
        }
        rows = (await wires.json("GET", f"{bot.api_url}{uri}", headers=headers))["data"]
        for row in rows:
            form = by_id.get(row["asset_id"])
            if form is not None:
                where = f"custody:mixin:{form.name}", form.asset
                held[where] += units_of(str(row["amount"]), scales[form.asset])
            elif not row.get("inscription_hash"):
                where = f"custody:mixin:{row['asset_id']}", row["asset_id"]
                held[where] += units_of(str(row["amount"]), MIXIN_DECIMALS)
        if len(rows) < PAGE:
            return dict(held)
        offset = max(int(row["sequence"]) for row in rows) + 1
    raise NotReadable("Mixin: too many outputs")


# ---------------------------------------------------------------------------------------- chain


class Chain:
    """A chain by its JSON-RPC; everything is read at ``finalized``."""

    def __init__(self, wires: Wires, wallet: Wallet) -> None:
        self._wires = wires
        self._url = wallet.rpc_url
        self.address = str(EthAccount.from_key(wallet.key).address)

    def place(self, form: str) -> str:
        """The custody account of what the wallet holds of a form."""
        return f"custody:evm:{self.address.lower()}:{form}"

    async def ask(self, method: str, *params: object) -> Any:
        """One call; NotReadable where the node refuses."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        said = await self._wires.json(
            "POST", self._url, headers={"Content-Type": "application/json"}, body=body
        )
        if "result" not in said:
            raise NotReadable(f"{method}: {said.get('error')}")
        return said["result"]

    async def call(self, to: str, data: str) -> str:
        """A contract's answer at the newest final block."""
        return str(await self.ask("eth_call", {"to": to, "data": data}, "finalized"))


def padded(address: str) -> str:
    """An address as an argument or a topic, without 0x."""
    return address.lower().removeprefix("0x").rjust(64, "0")


async def chain_balances(
    chain: Chain, wallet: Wallet, forms: Sequence[Form], scales: Scales
) -> Found:
    """The wallet's registered tokens, and its coin where the register has it."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for form in forms:
        if form.evm_contract:
            said = await chain.call(form.evm_contract, f"0x70a08231{padded(chain.address)}")
            found[chain.place(form.name), form.asset] = int(said, 16), form.decimals
    if wallet.gas_asset in scales:
        said = await chain.ask("eth_getBalance", chain.address, "finalized")
        found[chain.place(GAS), wallet.gas_asset] = int(said, 16), GAS_DECIMALS
    return {
        (place, asset): rescaled(units, decimals, scales[asset])
        for (place, asset), (units, decimals) in found.items()
        if units
    }
