"""Call data, answers and logs of contracts, by the signatures that stand in their ABIs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from poolmaker.kernel.errors import EnvironmentProblem

_ARTIFACTS: Final = Path("@human-protocol", "core", "artifacts")
_PLACES: Final = {
    "ERC1967Proxy": Path(
        "@openzeppelin", "contracts", "proxy", "ERC1967", "ERC1967Proxy.sol", "ERC1967Proxy.json"
    )
}


def types_of(signature: str) -> list[str]:
    """Types of the arguments of ``name(type,type)``; the types here are flat."""
    inside = signature[signature.index("(") + 1 : -1]
    return inside.split(",") if inside else []


def topic(signature: str) -> str:
    """First topic of an event's logs."""
    return "0x" + keccak(text=signature).hex()


def call_data(signature: str, *arguments: object) -> str:
    """What a transaction or a call carries."""
    selector = keccak(text=signature)[:4]
    return "0x" + (selector + encode(types_of(signature), arguments)).hex()


def decoded(types: list[str], data: str) -> tuple[Any, ...]:
    """Values of an answer or of a log's data; addresses come checksummed."""
    values = decode(types, bytes.fromhex(data.removeprefix("0x")))
    return tuple(_tidy(kind, value) for kind, value in zip(types, values, strict=True))


def _tidy(kind: str, value: Any) -> Any:
    if kind == "address":
        return to_checksum_address(value)
    if kind == "address[]":
        return [to_checksum_address(one) for one in value]
    return value


def address_of_topic(text: str) -> str:
    """The address in an indexed argument."""
    return to_checksum_address("0x" + text[-40:])


def bytecode(modules: Path, name: str) -> str:
    """Creation code of a contract as its makers published it.

    Raises EnvironmentProblem when the package does not hold it.
    """
    place = _PLACES.get(name, Path("contracts", f"{name}.sol", f"{name}.json"))
    path = modules / _ARTIFACTS / place
    try:
        document = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        raise EnvironmentProblem(
            f"{path} cannot be read; remove the folder {modules.parent} and start again."
        ) from None
    return str(document["bytecode"])
