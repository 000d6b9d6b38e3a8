"""web3.py alone pays from a wallet and reads transfers: argument {"rpc", "abis", …} as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from eth_account import Account
from web3 import Web3  # type: ignore[import-not-found]
from web3.logs import DISCARD  # type: ignore[import-not-found]


def pay(w3: Web3, token: Any, asked: dict[str, Any]) -> list[str]:
    """Send everything that the wallet holds of the token and some of its coin; the hashes."""
    Account.enable_unaudited_hdwallet_features()
    wallet = Account.from_mnemonic(asked["mnemonic"], account_path=asked["path"])
    to = Web3.to_checksum_address(asked["to"])
    units = token.functions.balanceOf(wallet.address).call()
    common = {"from": wallet.address, "maxPriorityFeePerGas": 10**9, "maxFeePerGas": 3 * 10**9}
    nonce = w3.eth.get_transaction_count(wallet.address)
    first = token.functions.transfer(to, units).build_transaction({**common, "nonce": nonce})
    second = {
        **common, "nonce": nonce + 1, "to": to, "value": int(asked["wei"]), "gas": 30_000,
        "chainId": w3.eth.chain_id,
    }  # fmt: skip
    hashes = []
    for transaction in (first, second):
        sent = w3.eth.send_raw_transaction(wallet.sign_transaction(transaction).raw_transaction)
        assert w3.eth.wait_for_transaction_receipt(sent, timeout=60)["status"] == 1
        hashes.append(sent.to_0x_hex())
    return hashes


def read(w3: Web3, tokens: list[Any], hashes: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What each transaction moved, in smallest units, by the chain alone."""
    found = {}
    for name in hashes:
        receipt, tx = w3.eth.get_transaction_receipt(name), w3.eth.get_transaction(name)
        assert receipt["status"] == 1
        moved = [
            {"asset": one.functions.symbol().call(), "to": log["args"]["_to"].lower(),
             "units": log["args"]["_value"]}
            for one in tokens
            for log in one.events.Transfer().process_receipt(receipt, errors=DISCARD)
            if log["address"] == one.address
        ]  # fmt: skip
        if tx["value"]:
            moved.append({"asset": "POL", "to": tx["to"].lower(), "units": tx["value"]})
        found[name] = moved
    return found


def main() -> None:
    asked = json.loads(sys.argv[1])
    w3 = Web3(Web3.HTTPProvider(asked["rpc"]))
    assert w3.eth.chain_id == 1338
    abi = json.loads((Path(asked["abis"]) / "HMToken.json").read_text())
    tokens = [w3.eth.contract(address=one, abi=abi) for one in asked["tokens"]]
    if "to" in asked:
        print(json.dumps(pay(w3, tokens[0], asked)))
    else:
        print(json.dumps(read(w3, tokens, asked["hashes"])))


main()
