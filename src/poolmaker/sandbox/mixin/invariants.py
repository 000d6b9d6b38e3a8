"""The world's promises, recounted from its records."""

from __future__ import annotations

from collections import Counter
from typing import Any

from poolmaker.mixin.codec.amounts import to_text
from poolmaker.sandbox.mixin.model import OutputState
from poolmaker.sandbox.mixin.safe import places
from poolmaker.sandbox.mixin.world import MixinNetwork


def audit(world: MixinNetwork) -> dict[str, Any]:
    """What is violated, and per asset what came in, lies here and left."""
    came, lies, left = _sums(world)
    violations = [
        f"{asset_id}: came {came[asset_id]}, lies {lies[asset_id]}, left {left[asset_id]}"
        for asset_id in came | lies | left
        if came[asset_id] != lies[asset_id] + left[asset_id]
    ]
    violations += _double_spends(world) + _snapshot_gaps(world) + _sequence_gaps(world)
    return {
        "ok": not violations,
        "violations": violations,
        "assets": {
            asset_id: {
                "symbol": world.assets[asset_id].symbol,
                "deposited": to_text(came[asset_id]),
                "held": to_text(lies[asset_id]),
                "withdrawn": to_text(left[asset_id]),
            }
            for asset_id in came
        },
        "outputs": len(world.books.outputs),
        "requests": len(world.books.requests),
    }


def _sums(world: MixinNetwork) -> tuple[Counter[str], Counter[str], Counter[str]]:
    came: Counter[str] = Counter()
    lies: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for deposit in world.books.deposits.values():
        came[deposit.asset_id] += deposit.units if deposit.is_credited else 0
    for held in world.books.outputs.values():
        # A signed input still lies here: its transaction's outputs are not made yet.
        lies[held.asset_id] += 0 if held.state is OutputState.SPENT else held.units
    for withdrawal in world.books.withdrawals.values():
        left[withdrawal.asset_id] += withdrawal.units
    return came, lies, left


def _double_spends(world: MixinNetwork) -> list[str]:
    spenders: Counter[tuple[str, int]] = Counter()
    for request in {id(one): one for one in world.books.requests.values()}.values():
        if request.state is not OutputState.UNSPENT:
            spenders.update(places(request.tx))
    return [f"{place}: spent {count} times" for place, count in spenders.items() if count > 1]


def _snapshot_gaps(world: MixinNetwork) -> list[str]:
    """A user's snapshots add up to what he holds; what is signed away is not yet told."""
    found = []
    for person in world.people.values():
        told: Counter[str] = Counter()
        for snapshot in world.books.snapshots.get(person.user_id, ()):
            told[snapshot.asset_id] += snapshot.units
        holds: Counter[str] = Counter()
        for held in world.outputs_of(person.members_hash, 1, 0):
            holds[held.asset_id] += 0 if held.state is OutputState.SPENT else held.units
        found += [
            f"{person.name}: {asset_id} told {told[asset_id]}, holds {holds[asset_id]}"
            for asset_id in told | holds
            if told[asset_id] != holds[asset_id]
        ]
    return found


def _sequence_gaps(world: MixinNetwork) -> list[str]:
    numbers = sorted(held.sequence for held in world.books.outputs.values())
    return [] if numbers == list(range(1, len(numbers) + 1)) else ["sequence: not without gaps"]
