"""What campaigns paid to our wallet, from the chain's logs and the files that the chain names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from tools.judge.model import NotReadable, Payout
from tools.judge.places import Chain, padded
from tools.judge.wires import Wires

PAID: Final = (
    "0x" + keccak(text="BulkTransferV3(bytes32,address[],uint256[],bool,string,string)").hex()
)
TRANSFER: Final = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
_HAS_ESCROW: Final = keccak(text="hasEscrow(address)")[:4].hex()
_TYPES: Final = ["address[]", "uint256[]", "bool", "string", "string"]
_MICROSECOND: Final = 1_000_000


async def payouts(wires: Wires, chain: Chain, factory: str) -> list[Payout]:
    """Every final transfer of an escrow of the factory to our wallet, attributed or not."""
    wanted = {
        "fromBlock": "0x0",
        "toBlock": "finalized",
        "topics": [TRANSFER, None, f"0x{padded(chain.address)}"],
    }
    found: list[Payout] = []
    for log in await chain.ask("eth_getLogs", wanted):
        sender = f"0x{log['topics'][1][-40:]}"
        if int(await chain.call(factory, f"0x{_HAS_ESCROW}{padded(sender)}") or "0x0", 16):
            found.append(await _payout(wires, chain, log, sender))
    return found


async def _payout(wires: Wires, chain: Chain, log: Mapping[str, Any], escrow: str) -> Payout:
    units, hash_ = int(log["data"], 16), str(log["transactionHash"])
    bare = Payout(escrow=escrow, token=str(log["address"]), transaction_id=hash_, units=units)
    try:
        said = await _announcement(chain, hash_, escrow, units)
        day = await _day(wires, *said)
    except (NotReadable, KeyError, ValueError) as problem:
        return _with(bare, problem=str(problem))
    return _with(
        bare, symbol=str(day["symbol"]), from_us=_instant(day["from"]), to_us=_instant(day["to"])
    )


def _with(payout: Payout, **more: Any) -> Payout:
    fields = {name: getattr(payout, name) for name in payout.__slots__}
    return Payout(**{**fields, **more})


async def _announcement(
    chain: Chain, hash_: str, escrow: str, units: int
) -> tuple[bytes, str, str]:
    """Payout id, address and hash of the results file, where the escrow names us and the sum."""
    receipt = await chain.ask("eth_getTransactionReceipt", hash_)
    for log in receipt["logs"]:
        if log["topics"][0] != PAID or log["address"].lower() != escrow.lower():
            continue
        people, amounts, _, url, digest = decode(_TYPES, bytes.fromhex(log["data"][2:]))
        paid = dict(zip((one.lower() for one in people), amounts, strict=True))
        if paid.get(chain.address.lower()) == units:
            return bytes.fromhex(log["topics"][1][2:]), url, digest
    raise NotReadable("the escrow did not announce it")


async def _day(wires: Wires, payout_id: bytes, url: str, digest: str) -> Mapping[str, Any]:
    """The one day of the results file that the payout is for."""
    body = await wires.read("GET", url)
    if hashlib.sha256(body).hexdigest() != digest:
        raise NotReadable("the results file is not the one that the chain names")
    document = json.loads(body, parse_float=str)
    days = [
        {**day, "symbol": document["symbol"]}
        for day in document["results"]
        if any(keccak(text=one) == payout_id for one in _ids(day))
    ]
    if len(days) != 1:
        raise NotReadable(f"{len(days)} days of the results file bear its id")
    return days[0]


def _ids(day: Mapping[str, Any]) -> list[str]:
    named = [str(batch["id"]) for batch in day["participants_outcomes_batches"]]
    return [*named, hashlib.sha256(f"{day['from']}/{day['to']}".encode()).hexdigest()]


def _instant(text: str) -> int:
    at = datetime.fromisoformat(text).astimezone(UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECOND + since.microseconds
