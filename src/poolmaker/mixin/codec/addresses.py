"""Addresses: XIN (one pair of keys on the main network) and MIX (members and a threshold)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.mixin.codec.encoding import demand, from_base58, to_base58
from poolmaker.mixin.codec.ids import check_uuid, sha3, uuid_bytes, uuid_text
from poolmaker.mixin.codec.keys import KEY_BYTES, KeyPair, check_point

MIX_VERSION: Final = 2
MEMBERS_MAX: Final = 64
THRESHOLD_MAX: Final = 64
BURN_ADDRESS: Final = (
    "XINSwYaJPnKiwBWqXm4i3e3My9GKguReMRyB1sRSexeHcQ7V66RWsicAiR2d"
    "okcQ5kiJsfY5QbEjTcqRQRCxkEyENBaz4AeB"
)
"""Where paid storage is burnt, under a threshold that nobody can meet."""
_CHECK_BYTES: Final = 4
_UUID_BYTES: Final = 16
_PAIR_BYTES: Final = 2 * KEY_BYTES


def seal(prefix: str, payload: bytes) -> bytes:
    """``payload`` with its checksum behind it."""
    return payload + sha3(prefix.encode() + payload)[:_CHECK_BYTES]


def unseal(prefix: str, sealed: bytes) -> bytes:
    """The payload; Malformed unless the checksum is right."""
    payload = sealed[:-_CHECK_BYTES]
    demand(payload and seal(prefix, payload) == sealed, f"{prefix}: the checksum is wrong")
    return payload


def _write(prefix: str, payload: bytes) -> str:
    return prefix + to_base58(seal(prefix, payload))


def _read(prefix: str, text: str) -> bytes:
    demand(text.startswith(prefix), f"{prefix}: expected an address that starts with {prefix}")
    return unseal(prefix, from_base58(text.removeprefix(prefix)))


def xin_address(pair: KeyPair) -> str:
    """The main-network address of two public keys."""
    return _write("XIN", check_point(pair.spend) + check_point(pair.view))


def parse_xin(text: str) -> KeyPair:
    """The public keys of a main-network address."""
    payload = _read("XIN", text)
    demand(len(payload) == _PAIR_BYTES, "XIN: expected two keys")
    return KeyPair(check_point(payload[:KEY_BYTES]), check_point(payload[KEY_BYTES:]))


@dataclass(frozen=True, slots=True)
class MixAddress:
    """Members, of whom ``threshold`` must sign: users by uuid or main-network addresses.

    The order of the members is kept. A threshold above the count of main-network members can
    never be met: such an output is burnt, as paid storage is. It can be made, but no text is
    read as one: nobody shall burn money because he was shown an address.
    """

    threshold: int
    uuids: tuple[str, ...] = ()
    xins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the network would refuse."""
        count = len(self.uuids) + len(self.xins)
        demand(not (self.uuids and self.xins), "MIX: members of two kinds")
        demand(1 <= count <= MEMBERS_MAX, f"MIX: expected 1 to 64 members, were {count}")
        highest = len(self.uuids) or THRESHOLD_MAX
        demand(1 <= self.threshold <= highest, f"MIX: a threshold of {self.threshold}")
        for member in self.uuids:
            check_uuid(member, "MIX member")

    @property
    def members(self) -> tuple[str, ...]:
        """Whoever is named, in order."""
        return self.uuids or self.xins

    def payload(self) -> bytes:
        """The bytes under the checksum."""
        people = b"".join(uuid_bytes(member) for member in self.uuids)
        pairs = b"".join(_pair_bytes(member) for member in self.xins)
        return bytes((MIX_VERSION, self.threshold, len(self.members))) + people + pairs

    def __str__(self) -> str:
        """The address as it is shown."""
        return _write("MIX", self.payload())


def _pair_bytes(address: str) -> bytes:
    pair = parse_xin(address)
    return pair.spend + pair.view


def read_mix_payload(payload: bytes) -> MixAddress:
    """The address of the bytes under a checksum."""
    demand(len(payload) > 3 and payload[0] == MIX_VERSION, "MIX: not of version 2")
    threshold, count, body = payload[1], payload[2], payload[3:]
    demand(threshold <= count, "MIX: a threshold that its members cannot meet")
    if len(body) == _UUID_BYTES * count:
        uuids = tuple(uuid_text(piece) for piece in _pieces(body, _UUID_BYTES))
        return MixAddress(threshold, uuids=uuids)
    demand(len(body) == _PAIR_BYTES * count, "MIX: the members do not fit their count")
    pairs = (KeyPair(piece[:KEY_BYTES], piece[KEY_BYTES:]) for piece in _pieces(body, _PAIR_BYTES))
    return MixAddress(threshold, xins=tuple(xin_address(pair) for pair in pairs))


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def parse_mix(text: str) -> MixAddress:
    """The members and threshold of a MIX address that its members can spend from."""
    return read_mix_payload(_read("MIX", text))
