"""Call data, answers and logs of contracts, by their flat signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from poolmaker.kernel.errors import Unavailable

_ADDRESS_DIGITS: Final = 40


class Undecodable(Unavailable):
    """Bytes from the chain are not what their signature says."""

    code = "undecodable"


def types_of(signature: str) -> list[str]:
    """Types of the arguments of ``name(type,type)``."""
    inside = signature[signature.index("(") + 1 : -1]
    return inside.split(",") if inside else []


def topic(signature: str) -> str:
    """First topic of an event's logs."""
    return "0x" + keccak(text=signature).hex()


def call_data(signature: str, *arguments: object) -> str:
    """What a call or a transaction carries."""
    return "0x" + (keccak(text=signature)[:4] + encode(types_of(signature), arguments)).hex()


def decoded(types: Sequence[str], data: str) -> tuple[Any, ...]:
    """Values of an answer or of a log's data; addresses are lower case.

    Raises Undecodable when the data is anything else.
    """
    try:
        return tuple(decode(list(types), bytes.fromhex(data.removeprefix("0x"))))
    except (DecodingError, ValueError, OverflowError) as problem:
        raise Undecodable(f"expected {', '.join(types)}: {problem}") from None


def topic_of(address: str) -> str:
    """An address as an indexed argument."""
    return "0x" + address.removeprefix("0x").lower().rjust(64, "0")


def address_of(text: str) -> str:
    """The address in an indexed argument."""
    return "0x" + text[-_ADDRESS_DIGITS:].lower()


TRANSFER: Final = topic("Transfer(address,address,uint256)")
TRANSFER_CALL: Final = "transfer(address,uint256)"
