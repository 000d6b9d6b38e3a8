"""Pure decisions of rewards: where they go, weights from shares, and the split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from poolmaker.business.ledger.accounts import custody_mixin
from poolmaker.business.ledger.model import LedgerTransaction
from poolmaker.business.rewards.model import (
    PPM,
    SHARE_SCALE,
    Allocation,
    AllocationPart,
    Reward,
    ShareChange,
    ShareWindow,
)
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import OrderId, PoolId, UserId, content_hash
from poolmaker.kernel.money import AssetOnNetwork, power_of_ten, split_units
from poolmaker.messages.base import encode

_ORDER: Final = "order:"
_SHARES: Final = ":shares"
_SHARE: Final = "share:"
_EVM: Final = "custody:evm:"
_MIXIN: Final = "custody:mixin:"


# ---------------------------------------------------------------------------------- the way


def form_of(location: str) -> str | None:
    """The form that stands at a wallet of ours or at Mixin; None at any other place."""
    if location.startswith((_EVM, _MIXIN)):
        return location.rpartition(":")[2]
    return None


def target_of(location: str) -> str:
    """Where a reward goes from ``location`` before users get it: itself when it is there."""
    form = form_of(location)
    return location if form is None else custody_mixin(form)


def step_of(form: AssetOnNetwork | None) -> int:
    """The smallest amount that can be paid of a form, in atomic units of its asset."""
    return power_of_ten(form.asset.scale - form.decimals) if form is not None else 1


# ------------------------------------------------------------------------------------- weights


def share_changes(transaction: LedgerTransaction) -> list[ShareChange]:
    """What a transaction changes in the shares of orders, one for each order and epoch."""
    units: dict[tuple[PoolId, int, OrderId], int] = defaultdict(int)
    for leg in transaction.legs:
        if not (leg.account.startswith(_ORDER) and leg.account.endswith(_SHARES)):
            continue
        ensure(leg.asset.startswith(_SHARE), f"{leg.account} holds {leg.asset}")
        pool, _, epoch = leg.asset.removeprefix(_SHARE).rpartition(":")
        order = OrderId(leg.account.removeprefix(_ORDER).removesuffix(_SHARES))
        # Shares are owed: their raw amounts are credits.
        units[PoolId(pool), int(epoch), order] -= leg.units
    return [
        ShareChange(
            seq=transaction.seq,
            at_us=transaction.at_us,
            pool=pool,
            epoch=epoch,
            order=order,
            units=change,
        )
        for (pool, epoch, order), change in units.items()
        if change
    ]


def in_one_unit(
    window: ShareWindow, opening: Mapping[tuple[int, OrderId], int], scales: Mapping[int, int]
) -> ShareWindow:
    """The window with all shares in units of 18 decimals, whatever the fineness of their epoch.

    ``opening`` is by epoch and order, ``scales`` the decimals of each epoch's shares: shares of an
    epoch from before fine shares have those of the quote asset, and count for as much.
    """
    finer = {epoch: power_of_ten(SHARE_SCALE - scale) for epoch, scale in scales.items()}
    held: dict[OrderId, int] = defaultdict(int)
    for (epoch, order), units in opening.items():
        held[order] += units * finer[epoch]
    changes = (replace(one, units=one.units * finer[one.epoch]) for one in window.changes)
    return replace(window, opening=dict(held), changes=tuple(changes))


def weights(window: ShareWindow) -> dict[OrderId, int]:
    """Of each order the integral of its shares over the window: share units times microseconds.

    Exact. All epochs count alike. Orders whose weight is zero are left out.
    """
    length_us = window.to_us - window.from_us
    found: dict[OrderId, int] = defaultdict(int)
    for order, units in window.opening.items():
        found[order] += units * length_us
    for change in window.changes:
        ensure(window.from_us <= change.at_us < window.to_us, "a change outside its window")
        found[change.order] += change.units * (window.to_us - change.at_us)
    ensure(all(weight >= 0 for weight in found.values()), "shares of an order fell below zero")
    return {order: weight for order, weight in sorted(found.items()) if weight}


# ---------------------------------------------------------------------------------- allocation


def dust_units(units: int, step: int) -> int:
    """What of ``units`` no payment can hold."""
    return units % step


def fee_units(units: int, fee_ppm: int, step: int) -> int:
    """The platform's part of ``units``, rounded down to what can be paid."""
    return units * fee_ppm // PPM // step * step


def allocate(
    reward: Reward,
    owners: Mapping[OrderId, UserId],
    found: Mapping[OrderId, int],
    fee_ppm: int,
    step: int,
    counted: tuple[int, int] | None = None,
) -> Allocation:
    """Split a reward: the fee first, the rest by weights with largest remainder, all in steps.

    ``found`` holds at least one weight, and ``owners`` every order in it. ``counted`` is the time
    that the weights are of, the reward's whole period where nothing is said.
    """
    from_us, to_us = counted or (reward.seen.from_us, reward.seen.to_us)
    payable = reward.seen.units - reward.dust_units
    ensure(payable > 0 and payable % step == 0, f"{reward.id}: {payable} is not payable")
    fee = fee_units(payable, fee_ppm, step)
    orders = sorted(found)
    steps = split_units((payable - fee) // step, [found[order] for order in orders])
    allocation = Allocation(
        reward=reward.id,
        key=reward.seen.key,
        campaign=reward.seen.campaign,
        pool=reward.pool,
        asset=reward.seen.asset,
        from_us=from_us,
        to_us=to_us,
        received_units=reward.seen.units,
        dust_units=reward.dust_units,
        fee_ppm=fee_ppm,
        fee_units=fee,
        step_units=step,
        parts=tuple(
            AllocationPart(order=order, user=owners[order], weight=found[order], units=count * step)
            for order, count in zip(orders, steps, strict=True)
        ),
    )
    ensure(is_whole(allocation), f"{reward.id}: the parts are not the whole")
    return allocation


def is_whole(allocation: Allocation) -> bool:
    """Whether dust, fee and users' parts are what was received, and every part can be paid."""
    whole = allocation.dust_units + allocation.fee_units + allocation.users_units
    payable = all(part.units % allocation.step_units == 0 for part in allocation.parts)
    return whole == allocation.received_units and payable


def digest_of(allocation: Allocation) -> str:
    """SHA-256 of the canonical bytes, hexadecimal: what ALLOCATE_REWARD carries."""
    return content_hash(encode(allocation)).hex()


def payable_units(available: int, waiting: int, step: int) -> int:
    """What of an available balance can be paid out beside payouts that wait for their hold."""
    return max(0, available - waiting) // step * step


def users_after(parts: Iterable[AllocationPart], user: str, limit: int) -> list[UserId]:
    """Users who got something, in their order, behind ``user``."""
    found = {part.user for part in parts if part.units and part.user > user}
    return sorted(found)[:limit]
