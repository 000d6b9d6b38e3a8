"""web3.py alone reads what HuFi paid: argument {"rpc", "abis", "escrows", "launcher"} as JSON."""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from web3 import Web3  # type: ignore[import-not-found]
from web3.logs import DISCARD  # type: ignore[import-not-found]

STATUS = ["Launched", "Pending", "Partial", "Paid", "Complete", "Cancelled", "ToCancel"]


def attributed(w3: Web3, escrow: Any, log: Any) -> dict[str, Any]:
    """A payout with the day that it is for, proven by the results file."""
    said = log["args"]
    body = urllib.request.urlopen(said["finalResultsUrl"], timeout=20).read()
    assert hashlib.sha256(body).hexdigest() == said["finalResultsHash"]
    days = []
    for day in json.loads(body)["results"]:
        ids = [batch["id"] for batch in day["participants_outcomes_batches"]]
        ids.append(hashlib.sha256(f"{day['from']}/{day['to']}".encode()).hexdigest())
        if any(w3.keccak(text=one) == said["payoutId"] for one in ids):
            days.append([day["from"], day["to"]])
    assert len(days) == 1
    return {"day": days[0], "paid": dict(zip(said["recipients"], said["amounts"], strict=True))}


def received(w3: Web3, token: Any, escrow: str) -> dict[str, int]:
    """What the token itself says left the escrow, by receiver."""
    found: dict[str, int] = {}
    for log in token.events.Transfer().get_logs(from_block=0, argument_filters={"_from": escrow}):
        to = log["args"]["_to"]
        found[to] = found.get(to, 0) + log["args"]["_value"]
    return found


def main() -> None:
    asked = json.loads(sys.argv[1])
    w3 = Web3(Web3.HTTPProvider(asked["rpc"]))
    assert w3.eth.chain_id == 1338
    abis = {path.stem: json.loads(path.read_text()) for path in Path(asked["abis"]).glob("*.json")}
    factory = w3.eth.contract(address=asked["factory"], abi=abis["EscrowFactory"])
    answers = {}
    for address in asked["escrows"]:
        assert factory.functions.hasEscrow(address).call()
        escrow = w3.eth.contract(address=address, abi=abis["Escrow"])
        token = w3.eth.contract(address=escrow.functions.token().call(), abi=abis["HMToken"])
        receipts = {
            log["transactionHash"]: w3.eth.get_transaction_receipt(log["transactionHash"])
            for log in escrow.events.BulkTransferV3().get_logs(from_block=0)
        }
        logs = [
            log
            for receipt in receipts.values()
            for log in escrow.events.BulkTransferV3().process_receipt(receipt, errors=DISCARD)
        ]
        answers[address] = {
            "status": STATUS[escrow.functions.status().call()],
            "payouts": [attributed(w3, escrow, log) for log in logs],
            "received": received(w3, token, address),
            "left": token.functions.balanceOf(address).call(),
            "launcher": escrow.functions.launcher().call(),
        }
    print(json.dumps(answers))


main()
