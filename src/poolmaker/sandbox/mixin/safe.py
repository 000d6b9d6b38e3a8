"""The kernel's rules over the world: one-time keys, requests, transactions, what they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.encoding import Malformed, from_hex
from poolmaker.mixin.codec.ids import FEE_RECEIVER, check_uuid, object_id
from poolmaker.mixin.codec.keys import blake3_scalar, ghost_keys, view_scalar
from poolmaker.mixin.codec.transactions import Output, Transaction
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.catalog import Asset
from poolmaker.sandbox.mixin.model import (
    Held,
    MixinPerson,
    MixinWithdrawal,
    OutputState,
    Request,
    Snapshot,
)
from poolmaker.sandbox.mixin.world import Locks, MixinNetwork

BATCH_MAX: Final = 256
RECEIVERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class SentTransaction:
    """A request id and the bytes sent with it."""

    request_id: str
    raw: str


class Safe:
    """Moves value. Every public call either does all that it says or raises a Refusal first."""

    def __init__(self, world: MixinNetwork, finality_us: int = 0) -> None:
        self._world = world
        self._books = world.books
        self._finality_us = finality_us
        self._signed: list[tuple[int, Request]] = []

    # One-time keys

    def lock_for(self, receivers: Sequence[str], index: int, hint: str) -> Locks:
        """One-time keys of output ``index``; the same hint and index give the same keys."""
        names = tuple(receivers)
        if not 1 <= len(names) <= RECEIVERS_MAX or len(set(names)) != len(names):
            raise refusals.bad_field("receivers")
        if not 0 <= index < codec.OUTPUTS_MAX:
            raise refusals.bad_field("index")
        owners = [self._world.person(name).keys for name in names]
        known = self._books.locks.get((hint, index))
        if known is not None:
            if sorted(known.receivers) != sorted(names):
                raise refusals.bad_field("hint", "used for other receivers")
            return known
        scalar = blake3_scalar(f"{hint}/{index}".encode(), self._world.server_seed)
        made = ghost_keys(scalar, owners, index)
        lock = Locks(names, index, made.keys, made.mask)
        self._books.locks[(hint, index)] = lock
        self._books.locks_by_mask[made.mask] = lock
        return lock

    # Requests

    def request(self, person: MixinPerson, batch: Sequence[SentTransaction]) -> list[Request]:
        """Check transactions and bind their request ids; an id that exists answers as it is."""
        if not 1 <= len(batch) <= BATCH_MAX:
            raise refusals.bad_field("requests")
        fresh = [self._judge(person, one) for one in batch]
        named = {made.hash: made.request_id for made in fresh}
        for made in fresh:
            bound = self._books.by_hash.get(made.hash, made)
            if made.request_id not in {bound.request_id} & {named[made.hash]}:
                raise refusals.paid_already()
            self._check_fee(made, fresh)
        for made in fresh:
            self._books.requests.setdefault(made.request_id, made)
            self._books.by_hash.setdefault(made.hash, made)
        return fresh

    def _judge(self, person: MixinPerson, sent: SentTransaction) -> Request:
        try:
            check_uuid(sent.request_id)
        except Malformed:
            raise refusals.bad_field("request_id") from None
        known = self._books.requests.get(sent.request_id)
        if known is not None:
            if known.person is not person:
                raise refusals.forbidden()
            return known
        tx = self._read(sent.raw)
        asset = self._world.asset_by_kernel_id(tx.asset.hex())
        name = codec.transaction_hash(tx).hex()
        spent = [self._input(person, asset, place, name) for place in places(tx)]
        if sum(one.units for one in spent) != sum(one.units for one in tx.outputs):
            raise refusals.bad_field("raw", "inputs and outputs are not equal")
        for number, output in enumerate(tx.outputs):
            self._check_output(number, output, asset, name)
        views = tuple(view_scalar(one.mask, person.view, one.index).hex() for one in spent)
        return Request(
            request_id=sent.request_id, person=person, tx=tx, hash=name, asset_id=asset.asset_id,
            raw=sent.raw, views=views, created_us=self._world.time_us(),
        )  # fmt: skip

    @staticmethod
    def _read(raw: str) -> Transaction:
        try:
            tx = codec.decode(from_hex(raw))
            codec.check_rules(tx)
        except Malformed as problem:
            raise refusals.bad_field("raw", str(problem)) from None
        return tx

    def _input(self, person: MixinPerson, asset: Asset, place: tuple[str, int], name: str) -> Held:
        held = self._books.outputs.get(place)
        if held is None or held.receivers != (person.user_id,) or held.threshold != 1:
            raise refusals.bad_output()
        if held.asset_id != asset.asset_id:
            raise refusals.bad_field("raw", "an input of another asset")
        if not held.is_unspent and held.signed_by != name:
            raise refusals.locked() if held.state is OutputState.SIGNED else refusals.bad_output()
        return held

    def _check_output(self, number: int, output: Output, asset: Asset, name: str) -> None:
        if output.withdrawal is not None:
            if not asset.chain.address.fullmatch(output.withdrawal.address):
                raise refusals.bad_address()
            return
        lock = self._books.locks_by_mask.get(output.mask)
        if lock is not None:
            if lock.index != number or lock.keys != output.keys:
                raise refusals.bad_field("raw", "keys that were made for another output")
            if output.threshold > len(lock.receivers):
                raise refusals.bad_field("raw", "more signatures than receivers")
        for key in output.keys:
            if self._books.used_keys.get(key, name) != name:
                raise refusals.bad_field("raw", "a one-time key of another transaction")

    def _check_fee(self, made: Request, batch: Sequence[Request]) -> None:
        """A withdrawal pays its fee itself, or by another transaction that refers to it."""
        if made.state is not OutputState.UNSPENT or made.tx.outputs[0].withdrawal is None:
            return
        asset = self._world.asset(made.asset_id)
        if asset.suspended:
            raise refusals.suspended(asset.suspended)
        fees = asset.fees
        if not fees or self._paid(made) >= fees.get(made.asset_id, 1 << 300):
            return
        for other in batch:
            refers = bytes.fromhex(made.hash) in other.tx.references
            if refers and self._paid(other) >= fees.get(other.asset_id, 1 << 300):
                return
        raise refusals.fee_too_small()

    def _paid(self, made: Request) -> int:
        locks = self._books.locks_by_mask
        return sum(
            output.units
            for output in made.tx.outputs
            if output.mask in locks and locks[output.mask].receivers == (FEE_RECEIVER,)
        )

    # Transactions

    def submit(self, person: MixinPerson, batch: Sequence[SentTransaction]) -> list[Request]:
        """Take signed transactions, all or none; one that was taken before answers as it is."""
        if not 1 <= len(batch) <= BATCH_MAX:
            raise refusals.bad_field("requests")
        pairs = [(self._known(person, one), self._read(one.raw)) for one in batch]
        open_pairs = [(made, tx) for made, tx in pairs if self._is_open(made, tx)]
        taken: set[tuple[str, int]] = set()
        for made, tx in open_pairs:
            self._check_signed(made, tx, taken)
            self._check_fee(made, [one for one, _ in pairs])
        for (made, _), one in zip(pairs, batch, strict=True):
            if made.state is OutputState.UNSPENT:
                self._take(made, one.raw)
        return [made for made, _ in pairs]

    def _known(self, person: MixinPerson, sent: SentTransaction) -> Request:
        made = self._books.requests.get(sent.request_id)
        if made is None:
            raise refusals.not_found()
        if made.person is not person:
            raise refusals.forbidden()
        return made

    @staticmethod
    def _is_open(made: Request, tx: Transaction) -> bool:
        if codec.transaction_hash(tx).hex() != made.hash:
            raise refusals.paid_already()
        return made.state is OutputState.UNSPENT

    def _check_signed(self, made: Request, tx: Transaction, taken: set[tuple[str, int]]) -> None:
        asset = self._world.asset(made.asset_id)
        spent = [self._input(made.person, asset, place, made.hash) for place in places(tx)]
        if not codec.are_signatures_valid(tx, [(one.keys, one.threshold) for one in spent]):
            raise refusals.bad_field("raw", "a signature is missing or wrong")
        if taken & {one.place for one in spent}:
            raise refusals.locked()
        taken.update(one.place for one in spent)
        for number, output in enumerate(tx.outputs):
            self._check_output(number, output, asset, made.hash)

    def _take(self, made: Request, raw: str) -> None:
        now_us = self._world.time_us()
        made.raw, made.state, made.updated_us = raw, OutputState.SIGNED, now_us
        for place in places(made.tx):
            held = self._books.outputs[place]
            held.state, held.signed_by, held.signed_us = OutputState.SIGNED, made.hash, now_us
        for output in made.tx.outputs:
            for key in output.keys:
                self._books.used_keys[key] = made.hash
        self._signed.append((now_us + self._finality_us, made))

    def settle(self) -> None:
        """Finish what was signed long enough ago: spend its inputs, make its outputs."""
        now_us = self._world.clock.now_us() if self._finality_us else 1 << 62
        while self._signed and self._signed[0][0] <= now_us:
            self._finish(self._signed.pop(0)[1])

    def _finish(self, made: Request) -> None:
        now_us = self._world.time_us()
        for place in places(made.tx):
            held = self._books.outputs[place]
            held.state, held.spent_us = OutputState.SPENT, now_us
        made.state, made.snapshot_us, made.updated_us = OutputState.SPENT, now_us, now_us
        for number, output in enumerate(made.tx.outputs):
            if output.withdrawal is not None:
                self._leave(made, output)
            else:
                self._arrive(made, number, output)
        self._tell(made)

    def _leave(self, made: Request, output: Output) -> None:
        where = output.withdrawal or codec.Destination("")
        made.withdrawal = MixinWithdrawal(
            withdrawal_id=object_id(made.hash, "WITHDRAWAL"), user_id=made.person.user_id,
            request_id=made.request_id, hash=made.hash, asset_id=made.asset_id,
            units=output.units, destination=where.address, tag=where.tag,
            created_us=self._world.time_us(),
        )  # fmt: skip
        self._books.withdrawals[made.withdrawal.withdrawal_id] = made.withdrawal

    def _arrive(self, made: Request, number: int, output: Output) -> None:
        lock = self._books.locks_by_mask.get(output.mask)
        self._world.keep_output(
            Held(
                hash=made.hash, index=number, asset_id=made.asset_id, units=output.units,
                mask=output.mask, keys=output.keys, receivers=lock.receivers if lock else (),
                threshold=output.threshold, extra=made.tx.extra.hex(),
                senders=(made.person.user_id,), request_id=made.request_id, sequence=0,
                created_us=self._world.time_us(),
            )
        )  # fmt: skip

    def _tell(self, made: Request) -> None:
        """Snapshots: one for the payer's payments, one for his withdrawal, one per receiver."""
        payer, gained = made.person.user_id, self._gained(made)
        if made.withdrawal is not None:
            self._snapshot(made, payer, -made.withdrawal.units, "", "withdrawal")
        total = sum(gained.values())
        if total:
            opponent = next(iter(gained)) if len(gained) == 1 else ""
            made.snapshot_id = self._snapshot(made, payer, -total, opponent, "").snapshot_id
        for receiver, units in gained.items():
            if receiver:
                self._snapshot(made, receiver, units, payer, "")

    def _gained(self, made: Request) -> dict[str, int]:
        found: dict[str, int] = {}
        for output in made.tx.outputs:
            lock = self._books.locks_by_mask.get(output.mask)
            names = lock.receivers if lock else ()
            if output.withdrawal is None and names != (made.person.user_id,):
                name = names[0] if len(names) == 1 else ""
                found[name] = found.get(name, 0) + output.units
        return found

    def _snapshot(
        self, made: Request, user_id: str, units: int, opponent: str, kind: str
    ) -> Snapshot:
        found = Snapshot(
            snapshot_id=object_id(f"{user_id}:{made.hash}", kind), user_id=user_id,
            opponent_id=opponent, hash=made.hash, asset_id=made.asset_id, units=units,
            memo=made.tx.extra.hex(), request_id=made.request_id, time_us=self._world.time_us(),
            withdrawal=made.withdrawal if kind else None,
        )  # fmt: skip
        self._world.tell(found)
        return found


def places(tx: Transaction) -> list[tuple[str, int]]:
    """Which outputs a transaction spends."""
    return [(one.hash.hex(), one.index) for one in tx.inputs]
