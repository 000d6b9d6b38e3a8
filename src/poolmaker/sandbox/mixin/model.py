"""People, outputs, requests and what else a server keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from poolmaker.kernel.rng import Rng
from poolmaker.mixin.codec.ids import members_hash, uuid_text
from poolmaker.mixin.codec.keys import (
    KeyPair,
    PrivatePair,
    reduce_wide,
    seed_public_key,
    seed_scalar,
)
from poolmaker.mixin.codec.transactions import Transaction


def seed_from(rng: Rng) -> bytes:
    """32 bytes of chance."""
    return rng.bits(256).to_bytes(32, "big")


def uuid_from(rng: Rng) -> str:
    """A uuid of version 4."""
    data = bytearray(rng.bits(128).to_bytes(16, "big"))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    return uuid_text(bytes(data))


@dataclass(slots=True, eq=False, kw_only=True)
class MixinPerson:
    """A user or a bot, with the keys that both sides would hold."""

    number: int
    user_id: str
    name: str
    identity_number: str
    session_id: str
    session_seed: bytes
    spend_seed: bytes
    view: bytes
    client_secret: str
    created_us: int
    keys: KeyPair = field(init=False)
    session_key: bytes = field(init=False)
    members_hash: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive what is public."""
        self.keys = PrivatePair(seed_scalar(self.spend_seed), self.view).public()
        self.session_key = seed_public_key(self.session_seed)
        self.members_hash = members_hash([self.user_id])

    def keystore(self, server_key: bytes) -> dict[str, str]:
        """What its owner would have on his disk."""
        return {
            "app_id": self.user_id,
            "session_id": self.session_id,
            "session_private_key": self.session_seed.hex(),
            "server_public_key": server_key.hex(),
            "spend_private_key": self.spend_seed.hex(),
            "client_secret": self.client_secret,
            "name": self.name,
            "identity_number": self.identity_number,
        }


def make_person(
    number: int, name: str, rng: Rng, created_us: int, user_id: str = ""
) -> MixinPerson:
    """Somebody with fresh keys."""
    return MixinPerson(
        number=number, user_id=user_id or uuid_from(rng), name=name,
        identity_number=str(7_000_000_000 + number), session_id=uuid_from(rng),
        session_seed=seed_from(rng), spend_seed=seed_from(rng),
        view=reduce_wide(seed_from(rng) + seed_from(rng)), client_secret=seed_from(rng).hex(),
        created_us=created_us,
    )  # fmt: skip


class OutputState(StrEnum):
    """What became of an output."""

    UNSPENT = "unspent"
    SIGNED = "signed"
    SPENT = "spent"


Place = tuple[str, int]


@dataclass(slots=True, eq=False, kw_only=True)
class Held:
    """An output. ``receivers`` is empty where the server does not know whose keys lock it."""

    hash: str
    index: int
    asset_id: str
    units: int
    mask: bytes
    keys: tuple[bytes, ...]
    receivers: tuple[str, ...]
    threshold: int
    extra: str
    senders: tuple[str, ...]
    request_id: str
    sequence: int
    created_us: int
    state: OutputState = OutputState.UNSPENT
    signed_by: str = ""
    signed_us: int = 0
    spent_us: int = 0
    deposit: Any = None

    @property
    def place(self) -> Place:
        """Where transactions find it."""
        return self.hash, self.index

    @property
    def is_unspent(self) -> bool:
        """Whether it may still be spent."""
        return self.state is OutputState.UNSPENT


@dataclass(slots=True, eq=False, kw_only=True)
class Request:
    """A transaction under its request id; the state is that of its inputs."""

    request_id: str
    person: MixinPerson
    tx: Transaction
    hash: str
    asset_id: str
    raw: str
    views: tuple[str, ...]
    created_us: int
    state: OutputState = OutputState.UNSPENT
    updated_us: int = 0
    snapshot_us: int = 0
    snapshot_id: str = ""
    withdrawal: MixinWithdrawal | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Snapshot:
    """What a transaction did to one user; ``units`` is negative for a payer."""

    snapshot_id: str
    user_id: str
    opponent_id: str
    hash: str
    asset_id: str
    units: int
    memo: str
    request_id: str
    time_us: int
    deposit: MixinDeposit | None = None
    withdrawal: MixinWithdrawal | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class MixinDeposit:
    """What came from another chain; it is credited once its confirmations are enough."""

    deposit_id: str
    tx_id: str
    index: int
    asset_id: str
    units: int
    destination: str
    tag: str
    sender: str
    receivers: tuple[str, ...]
    threshold: int
    confirmations: int
    created_us: int
    is_credited: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class MixinWithdrawal:
    """What leaves for another chain; ``tx_id`` is empty until the outside world has it."""

    withdrawal_id: str
    user_id: str
    request_id: str
    hash: str
    asset_id: str
    units: int
    destination: str
    tag: str
    created_us: int
    tx_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A deposit address and whose it is."""

    entry_id: str
    chain_id: str
    members: tuple[str, ...]
    threshold: int
    destination: str
