"""Value that comes from and goes to other chains: addresses, deposits, withdrawals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin.codec.encoding import to_base58
from poolmaker.mixin.codec.ids import blake3, members_hash, object_id
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.catalog import BITCOIN, CHAINS, TRON, CatalogChain
from poolmaker.sandbox.mixin.model import Entry, Held, MixinDeposit, MixinWithdrawal, Snapshot
from poolmaker.sandbox.mixin.safe import Safe
from poolmaker.sandbox.mixin.world import MixinNetwork

_LETTERS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the outside world says has come; (tx_id, index) is its identity."""

    tx_id: str
    asset_id: str
    units: int
    destination: str
    index: int = 0
    tag: str = ""
    sender: str = ""
    confirmations: int | None = None


class Crossing:
    """The gate between this network and the others."""

    def __init__(self, world: MixinNetwork, safe: Safe) -> None:
        self._world = world
        self._safe = safe
        self._books = world.books

    def entry(self, chain_id: str, members: Sequence[str], threshold: int) -> Entry:
        """The deposit address of these members on a chain: always the same one."""
        chain = CHAINS.get(chain_id)
        if chain is None:
            raise refusals.bad_field("chain_id")
        names = tuple(sorted(members))
        for name in names:
            self._world.person(name)
        if not names or not 1 <= threshold <= len(names):
            raise refusals.bad_field("threshold")
        destination = _address(chain, f"{members_hash(names)}/{threshold}/{chain_id}")
        made = Entry(
            object_id(chain_id, *names, str(threshold)), chain_id, names, threshold, destination
        )
        return self._books.entries.setdefault((chain_id, destination.lower()), made)

    def arrive(self, arrival: Arrival) -> tuple[MixinDeposit, bool]:
        """Count what came; (deposit, whether it was known). It is credited once.

        Raises CallerFault when the same (tx_id, index) was something else, or nobody has the
        address.
        """
        asset = self._world.assets.get(arrival.asset_id)
        if asset is None or arrival.units <= 0:
            raise PreconditionError("asset or amount: unknown, or not more than zero")
        entry = self._books.entries.get((asset.chain.chain_id, arrival.destination.lower()))
        if entry is None:
            raise PreconditionError("destination: nobody's address on the asset's chain")
        enough = asset.chain.confirmations
        seen = enough if arrival.confirmations is None else arrival.confirmations
        known = self._books.deposits.get((arrival.tx_id, arrival.index))
        deposit = known or self._new(arrival, entry)
        if (deposit.asset_id, deposit.units, deposit.destination) != (
            arrival.asset_id, arrival.units, entry.destination,
        ):  # fmt: skip
            raise PreconditionError("tx_id: another deposit has this transaction id and index")
        deposit.confirmations = max(deposit.confirmations, seen)
        if deposit.confirmations >= enough and not deposit.is_credited:
            self._credit(deposit)
        return deposit, known is not None

    def _new(self, arrival: Arrival, entry: Entry) -> MixinDeposit:
        made = MixinDeposit(
            deposit_id=object_id(arrival.tx_id, str(arrival.index), "DEPOSIT"),
            tx_id=arrival.tx_id, index=arrival.index, asset_id=arrival.asset_id,
            units=arrival.units, destination=entry.destination, tag=arrival.tag,
            sender=arrival.sender, receivers=entry.members, threshold=entry.threshold,
            confirmations=0, created_us=self._world.time_us(),
        )  # fmt: skip
        self._books.deposits[(arrival.tx_id, arrival.index)] = made
        return made

    def _credit(self, deposit: MixinDeposit) -> None:
        deposit.is_credited = True
        lock = self._safe.lock_for(deposit.receivers, 0, deposit.deposit_id)
        name = blake3(f"deposit/{deposit.deposit_id}".encode()).hex()
        held = Held(
            hash=name, index=0, asset_id=deposit.asset_id, units=deposit.units, mask=lock.mask,
            keys=lock.keys, receivers=deposit.receivers, threshold=deposit.threshold, extra="",
            senders=(), request_id=deposit.deposit_id, sequence=0,
            created_us=self._world.time_us(), deposit=deposit,
        )  # fmt: skip
        self._world.keep_output(held)
        if len(deposit.receivers) == 1:
            self._tell(held, deposit)

    def _tell(self, held: Held, deposit: MixinDeposit) -> None:
        user_id = deposit.receivers[0]
        self._world.tell(
            Snapshot(
                snapshot_id=object_id(f"{user_id}:{held.hash}"), user_id=user_id, opponent_id="",
                hash=held.hash, asset_id=held.asset_id, units=held.units, memo="",
                request_id=deposit.deposit_id, time_us=self._world.time_us(), deposit=deposit,
            )
        )  # fmt: skip

    def complete(self, withdrawal_id: str, tx_id: str) -> MixinWithdrawal:
        """The outside world has a withdrawal under ``tx_id``, now and for ever."""
        found = self._books.withdrawals.get(withdrawal_id)
        if found is None:
            raise PreconditionError("id: no such withdrawal")
        if not tx_id or found.tx_id not in {"", tx_id}:
            raise PreconditionError("tx_id: missing, or the withdrawal has another one")
        found.tx_id = tx_id
        return found


def _address(chain: CatalogChain, text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    if chain is BITCOIN:
        return "1" + to_base58(b"\x01" + digest)[:_LETTERS]
    if chain is TRON:
        return "T" + to_base58(b"\x01" + digest)[: _LETTERS + 1]
    return "0x" + digest[:20].hex()
