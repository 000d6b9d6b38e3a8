"""The log replayed and the balances counted. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from tools.judge.model import Books, Transaction

_HELD: Final = re.compile(r"(custody|transit|deficit):.|pool:.*:issued$")
_KNOWN: Final = re.compile(
    r"(custody|transit|deficit|user|order|pool|exit|withdrawal|rewards|platform|suspense):."
)
_MAY_GO_BELOW: Final = re.compile(r"(custody|transit|platform|suspense):")
_GENESIS: Final = bytes(32)


def is_held(account: str) -> bool:
    """Whether an account says where value is, otherwise whose it is."""
    return _HELD.match(account) is not None


def trial_problems(books: Books) -> Iterator[str]:
    """Per asset what is held is what is owed, and every balance is the sum of its entries."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for transaction in books.log:
        for leg in transaction.legs:
            sums[leg.account, leg.asset] += leg.units
    for where in sorted({*sums, *books.balances}):
        if sums.get(where, 0) != books.balances.get(where, 0):
            yield f"{where[0]} {where[1]}: the balance is not the sum of its entries"
    for name, amounts in (("entries", sums), ("balances", books.balances)):
        held: defaultdict[str, int] = defaultdict(int)
        owed: defaultdict[str, int] = defaultdict(int)
        for (account, asset), units in amounts.items():
            (held if is_held(account) else owed)[asset] += units
        for asset in sorted({*held, *owed}):
            if held[asset] + owed[asset]:
                yield f"{asset}: by the {name} held and owed differ"


def log_problems(books: Books) -> Iterator[str]:
    """The chain of hashes, the sequence, the sums, and no balance below zero at any moment."""
    running: defaultdict[tuple[str, str], int] = defaultdict(int)
    hash_before, seq_before, time_before, keys = _GENESIS, 0, 0, set[str]()
    for transaction in books.log:
        said = f"transaction {transaction.seq}"
        if transaction.seq != seq_before + 1:
            yield f"{said} follows {seq_before}"
        if transaction.at_us <= time_before:
            yield f"{said}: ledger time runs backwards"
        if transaction.key in keys:
            yield f"{said}: its key was used before"
        if hashlib.sha256(transaction.body).digest() != transaction.body_hash:
            yield f"{said}: the hash is not the body's"
        if _link(hash_before, transaction) != transaction.chain_hash:
            yield f"{said}: the chain of hashes is broken"
        if not _is_command(transaction):
            yield f"{said}: its body is not the command of its key and kind"
        for problem in _leg_problems(transaction, running):
            yield f"{said}: {problem}"
        keys.add(transaction.key)
        hash_before, seq_before = transaction.chain_hash, transaction.seq
        time_before = transaction.at_us
    if (books.last_seq, books.last_hash) != (seq_before, hash_before):
        yield "the head does not name the last transaction"


def _link(before: bytes, transaction: Transaction) -> bytes:
    legs = [[leg.account, leg.asset, leg.units] for leg in transaction.legs]
    covered = [transaction.seq, transaction.at_us, transaction.body_hash.hex(), legs]
    text = json.dumps(covered, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(before + text.encode()).digest()


def _is_command(transaction: Transaction) -> bool:
    try:
        said = json.loads(transaction.body)
    except ValueError:
        return False
    return bool(said.get("kind") == transaction.kind and said.get("key") == transaction.key)


def _leg_problems(
    transaction: Transaction, running: defaultdict[tuple[str, str], int]
) -> Iterator[str]:
    totals: defaultdict[str, int] = defaultdict(int)
    for leg in transaction.legs:
        where = leg.account, leg.asset
        totals[leg.asset] += leg.units
        running[where] += leg.units
        if _KNOWN.match(leg.account) is None:
            yield f"{leg.account} is not in the chart"
        if running[where] != leg.balance_after:
            yield f"{leg.account}: the balance after it is not the sum up to it"
        home = running[where] if is_held(leg.account) else -running[where]
        if home < 0 and _MAY_GO_BELOW.match(leg.account) is None:
            yield f"{leg.account}: {leg.asset} is below zero"
    if not transaction.legs:
        yield "it has no entries"
    for asset, total in totals.items():
        if total:
            yield f"{asset}: the entries do not sum to zero"
