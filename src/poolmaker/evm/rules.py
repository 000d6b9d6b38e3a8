"""Pure decisions of the chain client: what may be signed, what gas is bid, what a log says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from poolmaker.evm.abi import (
    TRANSFER,
    TRANSFER_CALL,
    Undecodable,
    address_of,
    call_data,
    decoded,
    types_of,
)
from poolmaker.evm.model import (
    ChainTransfer,
    EvmPayment,
    Fields,
    GasBid,
    GatePolicy,
    Log,
    NonceUse,
    TransactionReceipt,
)
from poolmaker.kernel.money import Rounding, divide

GWEI: Final = 10**9
BUMP_PERCENT: Final = 13
GAS_MARGIN_PERCENT: Final = 130
_TIP_MIN_GWEI: Final[Mapping[int, int]] = {137: 30, 80_002: 30}
"""Polygon's pools take no less than 25 gwei, whatever a node advises; 30 is recommended."""
_PRICE_WORDS: Final = (
    "underpriced", "tip cap", "tip needed", "less than block base fee", "fee cap", "feetoolow",
    "max fee per gas", "gas price too low",
)  # fmt: skip
_KNOWN_WORDS: Final = ("already known", "known transaction", "already imported", "alreadyknown")
_NEEDED: Final = re.compile(r"needed[^0-9]{0,20}([0-9]{1,30})")
_LOGIN: Final = re.compile(r'\{"nonce":"(?:signup|[0-9a-f]{32})"\}')
_FIELDS: Final = frozenset(
    {
        "type",
        "chainId",
        "nonce",
        "to",
        "value",
        "data",
        "gas",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
    }
)
_TRANSFER_DATA_CHARACTERS: Final = 2 + 2 * (4 + 32 + 32)
_TRANSFER_TOPICS: Final = 3
_TYPE: Final = 2


def login_problem(text: str) -> str:
    """Why the text is not HuFi's login text, empty when it is exactly that."""
    return "" if _LOGIN.fullmatch(text) else "the text is not a login text"


def transaction_problem(fields: Fields, policy: GatePolicy) -> str:
    """Why the signer must not sign these fields, empty when it may: the first of all reasons."""
    if set(fields) != _FIELDS:
        return f"the fields are {sorted(fields)}"
    numbers = _FIELDS - {"to", "data"}
    if any(type(fields[name]) is not int or fields[name] < 0 for name in numbers):
        return "a number is none"
    if (fields["type"], fields["chainId"]) != (_TYPE, policy.chain_id):
        return "it is for another chain or of another type"
    if fields["value"] != 0:
        return "it carries the chain's own coin"
    if fields["gas"] > policy.gas_max:
        return f"its gas is above {policy.gas_max}"
    if not fields["maxPriorityFeePerGas"] <= fields["maxFeePerGas"] <= policy.fee_max_wei:
        return f"its price of gas is above {policy.fee_max_wei} wei"
    return _call_problem(fields, policy)


def _call_problem(fields: Fields, policy: GatePolicy) -> str:
    to, data = fields["to"], fields["data"]
    if not isinstance(to, str) or to.lower() not in policy.recipients:
        return f"{to} is no registered token"
    sent = transfer_of(data) if isinstance(data, str) else None
    if sent is None:
        return "it calls anything but transfer"
    if sent[0] not in policy.recipients[to.lower()]:
        return f"{sent[0]} is not pinned for this token"
    return "" if sent[1] > 0 else "it transfers nothing"


def transfer_of(data: str) -> tuple[str, int] | None:
    """(recipient, units) of the call data of a transfer, None for any other bytes."""
    selector = call_data("transfer(address,uint256)", "0x" + "0" * 40, 0)[:10]
    if len(data) != _TRANSFER_DATA_CHARACTERS or not data.lower().startswith(selector):
        return None
    try:
        recipient, units = decoded(types_of(TRANSFER_CALL), "0x" + data[10:])
    except Undecodable:
        return None
    return str(recipient).lower(), int(units)


def replacement_problem(fields: Fields, before: Fields) -> str:
    """Why these fields do not replace the transaction ``before``, empty when they do."""
    if set(before) != _FIELDS:
        return f"the fields replaced are {sorted(before)}"
    same = ("type", "chainId", "nonce", "value", "gas")
    if any(fields[name] != before[name] for name in same):
        return "it is not the same nonce, gas and value"
    if (fields["to"], fields["data"]) != (before["to"], before["data"]):
        return "it is not the same transfer"
    prices = ("maxFeePerGas", "maxPriorityFeePerGas")
    if any(fields[name] <= before[name] for name in prices):
        return "it does not pay more"
    return ""


def pays_the_same(use: NonceUse, payment: EvmPayment) -> bool:
    """Whether a transaction that is not in our journal moves what a payment is to move.

    It may be this payment, of a journal that was lost: nobody signs it once more by a guess.
    """
    sent = transfer_of(use.data) if use.to == payment.contract else None
    return sent == (payment.recipient, payment.units)


def first_bid(base_wei: int, tip_wei: int, cap_wei: int) -> GasBid | None:
    """Twice the base fee and the tip, under the cap; None while the chain asks more than that."""
    if base_wei + tip_wei > cap_wei:
        return None
    return GasBid(min(2 * base_wei + tip_wei, cap_wei), tip_wei)


def higher_bid(before: GasBid, fresh: GasBid, cap_wei: int) -> GasBid | None:
    """The bid that replaces ``before``: what nodes demand at least, or what is asked now.

    None when the cap leaves no room.
    """
    max_fee = max(_bumped(before.max_fee_wei), fresh.max_fee_wei)
    tip = max(_bumped(before.tip_wei), fresh.tip_wei)
    return GasBid(max_fee, min(tip, max_fee)) if max_fee <= cap_wei else None


def demanded_bid(before: GasBid, fresh: GasBid, cap_wei: int) -> GasBid | None:
    """The bid instead of one that no pool has taken: what is asked now, and no more than that.

    None when that is not more than before, or above the cap.
    """
    if fresh.tip_wei <= before.tip_wei and fresh.max_fee_wei <= before.max_fee_wei:
        return None
    tip = max(fresh.tip_wei, before.tip_wei + 1)
    max_fee = max(fresh.max_fee_wei, before.max_fee_wei + 1, tip)
    return GasBid(max_fee, tip) if max_fee <= cap_wei else None


def is_about_price(refusal: str) -> bool:
    """Whether a node did not take a transaction because it pays too little for gas."""
    return any(words in refusal.lower() for words in _PRICE_WORDS)


def is_known(refusal: str) -> bool:
    """Whether a node refused a transaction because it has it already."""
    return any(words in refusal.lower() for words in _KNOWN_WORDS)


def demanded_tip_wei(refusal: str) -> int:
    """The tip that a refusal names as needed, 0 where it names none."""
    found = _NEEDED.search(refusal.lower())
    return int(found[1]) if found is not None else 0


def tip_min_wei(chain_id: int, configured_gwei: int | None) -> int:
    """The least tip that pools of a chain take: configured, or what is known of the chain."""
    if configured_gwei is not None:
        return configured_gwei * GWEI
    return _TIP_MIN_GWEI.get(chain_id, 0) * GWEI


def cancellation_problem(fields: Fields, wallet: str, policy: GatePolicy) -> str:
    """Why these fields are not the wallet's empty transaction to itself, empty when they are."""
    if set(fields) != _FIELDS:
        return f"the fields are {sorted(fields)}"
    numbers = _FIELDS - {"to", "data"}
    if any(type(fields[name]) is not int or fields[name] < 0 for name in numbers):
        return "a number is none"
    if (fields["type"], fields["chainId"]) != (_TYPE, policy.chain_id):
        return "it is for another chain or of another type"
    to = str(fields["to"]).lower()
    if (to, fields["data"], fields["value"]) != (wallet, "0x", 0) or fields["gas"] > policy.gas_max:
        return "it is more than nothing to ourselves"
    if not fields["maxPriorityFeePerGas"] <= fields["maxFeePerGas"] <= policy.fee_max_wei:
        return f"its price of gas is above {policy.fee_max_wei} wei"
    return ""


def cancel_problem(fields: Fields, before: Fields) -> str:
    """Why a cancellation does not take the place of ``before``, empty when it does."""
    if fields["nonce"] != before.get("nonce"):
        return "it is not the same nonce"
    prices = ("maxFeePerGas", "maxPriorityFeePerGas")
    if any(fields[name] <= before[name] for name in prices):
        return "it does not pay more"
    return ""


def _bumped(wei: int) -> int:
    return divide(wei * (100 + BUMP_PERCENT), 100, Rounding.UP) + 1


def with_margin(gas: int) -> int:
    """A limit of gas with room above what a node has estimated."""
    return divide(gas * GAS_MARGIN_PERCENT, 100, Rounding.UP)


def transfers_in(
    receipt: TransactionReceipt, chain_id: int, wallet: str, at_us: int
) -> Iterator[ChainTransfer]:
    """Every transfer to the wallet that a receipt holds, of whatever contract.

    Transfers of nothing and of the wallet to itself move nothing and are left out.
    """
    for position, log in enumerate(receipt.logs):
        moved = moved_by(log)
        if moved is None or moved[1] != wallet or moved[0] == wallet or not moved[2]:
            continue
        yield ChainTransfer(
            chain_id=chain_id,
            tx_hash=receipt.tx_hash,
            position=position,
            contract=log.address,
            sender=moved[0],
            recipient=wallet,
            units=moved[2],
            block=receipt.block,
            at_us=at_us,
        )


def moved_by(log: Log) -> tuple[str, str, int] | None:
    """(sender, recipient, units) of an ERC-20 transfer, None for any other log."""
    if len(log.topics) != _TRANSFER_TOPICS or log.topics[0] != TRANSFER:
        return None
    try:
        units = decoded(["uint256"], log.data)[0]
    except Undecodable:
        return None
    return address_of(log.topics[1]), address_of(log.topics[2]), int(units)


def taken_from(receipt: TransactionReceipt, contract: str, wallet: str, recipient: str) -> int:
    """Units of a token that a receipt's transfers took from the wallet to the recipient."""
    moves = (moved_by(log) for log in receipt.logs if log.address == contract)
    return sum(move[2] for move in moves if move and move[:2] == (wallet, recipient))
