"""Everything that one server keeps: people, assets, outputs, and time that only moves on."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.rng import Rng
from poolmaker.mixin.codec.ids import FEE_RECEIVER, members_hash
from poolmaker.mixin.codec.keys import seed_public_key
from poolmaker.sandbox.mixin import catalog, refusals
from poolmaker.sandbox.mixin.model import (
    Entry,
    Held,
    MixinDeposit,
    MixinPerson,
    MixinWithdrawal,
    Place,
    Request,
    Snapshot,
    make_person,
    seed_from,
)
from poolmaker.sandbox.venue.faults import FaultPlan

LOG_MAX: Final = 10_000


@dataclass(slots=True)
class Locks:
    """A one-time lock that the server made, and for whom."""

    receivers: tuple[str, ...]
    index: int
    keys: tuple[bytes, ...]
    mask: bytes


@dataclass(slots=True)
class Books:
    """Records by the names under which they are asked for."""

    outputs: dict[Place, Held] = field(default_factory=dict)
    by_members: dict[tuple[str, int], list[Held]] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    by_hash: dict[str, Request] = field(default_factory=dict)
    snapshots: dict[str, list[Snapshot]] = field(default_factory=dict)
    deposits: dict[tuple[str, int], MixinDeposit] = field(default_factory=dict)
    withdrawals: dict[str, MixinWithdrawal] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    locks: dict[tuple[str, int], Locks] = field(default_factory=dict)
    locks_by_mask: dict[bytes, Locks] = field(default_factory=dict)
    used_keys: dict[bytes, str] = field(default_factory=dict)


class MixinNetwork:
    """One server's state. Time is strictly increasing, so that no two records share an instant."""

    def __init__(self, clock: Clock, seed: int, users: int) -> None:
        self.clock = clock
        self.rng = Rng(seed).fork("mixin")
        self.assets = catalog.listed()
        self.books = Books()
        self.faults = FaultPlan()
        self.log: deque[dict[str, object]] = deque(maxlen=LOG_MAX)
        self.on_snapshot: list[Callable[[Snapshot], None]] = []
        self.server_seed = seed_from(self.rng.fork("server"))
        self.sequence = 0
        self._last_us = 0
        self.people: dict[str, MixinPerson] = {}
        self.bot = self.add_person("Poolmaker")
        self.users = [self.add_person(f"User {number}") for number in range(1, users + 1)]
        self.add_person("Mixin", FEE_RECEIVER)

    @property
    def server_key(self) -> bytes:
        """The server's public key."""
        return seed_public_key(self.server_seed)

    def time_us(self) -> int:
        """Now, later than every time given before."""
        self._last_us = max(self._last_us + 1, self.clock.now_us())
        return self._last_us

    def add_person(self, name: str, user_id: str = "") -> MixinPerson:
        """Somebody new, with keys that depend on the seed and his number."""
        number = len(self.people)
        rng = self.rng.fork(f"person/{number}")
        person = make_person(number, name, rng, self.time_us(), user_id)
        self.people[person.user_id] = person
        return person

    def person(self, user_id: str) -> MixinPerson:
        """Whoever has this id."""
        found = self.people.get(user_id)
        if found is None:
            raise refusals.not_registered()
        return found

    def asset(self, asset_id: str) -> catalog.Asset:
        """The asset of this id."""
        found = self.assets.get(asset_id)
        if found is None:
            raise refusals.bad_field("asset_id", "unknown asset")
        return found

    def asset_by_kernel_id(self, kernel_id: str) -> catalog.Asset:
        """The asset that the network calls so."""
        for asset in self.assets.values():
            if asset.kernel_id == kernel_id:
                return asset
        raise refusals.bad_field("raw", "unknown asset")

    def keep_output(self, held: Held) -> None:
        """Add an output; its sequence is the next one."""
        self.sequence += 1
        held.sequence = self.sequence
        self.books.outputs[held.place] = held
        if held.receivers:
            key = (members_hash(held.receivers), held.threshold)
            self.books.by_members.setdefault(key, []).append(held)

    def outputs_of(self, members: str, threshold: int, offset: int) -> list[Held]:
        """Outputs of these members from sequence ``offset`` on, which is included."""
        found = self.books.by_members.get((members, threshold), [])
        return found[bisect_left(found, offset, key=lambda one: one.sequence) :]

    def unspent_of(self, person: MixinPerson, asset_id: str) -> list[Held]:
        """What a person can spend, oldest first."""
        mine = self.outputs_of(person.members_hash, 1, 0)
        return [one for one in mine if one.asset_id == asset_id and one.is_unspent]

    def balances(self, person: MixinPerson) -> dict[str, int]:
        """Units of what a person can spend, per asset."""
        found: dict[str, int] = {}
        for one in self.outputs_of(person.members_hash, 1, 0):
            if one.is_unspent:
                found[one.asset_id] = found.get(one.asset_id, 0) + one.units
        return found

    def tell(self, snapshot: Snapshot) -> None:
        """Keep a snapshot and tell whoever listens."""
        self.books.snapshots.setdefault(snapshot.user_id, []).append(snapshot)
        for listener in self.on_snapshot:
            listener(snapshot)

    def record(self, call: dict[str, object]) -> None:
        """Note a call, bounded."""
        self.log.append(call)
