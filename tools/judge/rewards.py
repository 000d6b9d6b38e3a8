"""Every reward made anew from the chain, the results file and the exported shares. Pure.

Of what a campaign paid for [from, to) first comes off what the place of payment cannot hold
(dust), then the platform's fee, both cut to whole steps of that place; the rest belongs to orders
by share units times microseconds within [from, to) while we take part, split by largest remainder
in the same steps, ties to the smaller order id.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tools.judge.model import (
    Books,
    Form,
    NotReadable,
    Payout,
    RewardRow,
    Seen,
    Transaction,
    rescaled,
)

PPM: Final = 1_000_000
_ORDER: Final = "order:"
_SHARES: Final = ":shares"
MIXIN_DECIMALS: Final = 8
SHARE_DECIMALS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A reward taken apart, atomic units of its asset."""

    dust: int
    fee: int
    parts: Mapping[str, int]


def split(units: int, step: int, fee_ppm: int, weights: Mapping[str, int]) -> Split:
    """What becomes of ``units``; ``weights`` holds at least one that is above zero."""
    payable = units // step * step
    fee = payable * fee_ppm // PPM // step * step
    count, whole = (payable - fee) // step, sum(weights.values())
    floors = {order: count * weight // whole for order, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda one: (-(count * weights[one] % whole), one))
    for order in by_remainder[: count - sum(floors.values())]:
        floors[order] += 1
    parts = {order: steps * step for order, steps in floors.items() if steps}
    return Split(dust=units - payable, fee=fee, parts=parts)


def weights_of(books: Books, pool: str, from_us: int, to_us: int) -> dict[str, int]:
    """Share units times microseconds of every order of a pool within [from, to).

    Shares of an epoch may be coarser than those of another: all are counted in 18 decimals.
    """
    found: defaultdict[str, int] = defaultdict(int)
    for transaction in books.log:
        span = to_us - max(from_us, transaction.at_us)
        if span <= 0:
            continue
        for leg in transaction.legs:
            is_order = leg.account.startswith(_ORDER) and leg.account.endswith(_SHARES)
            if is_order and leg.asset.startswith(f"share:{pool}:"):
                order = leg.account.removeprefix(_ORDER).removesuffix(_SHARES)
                finer = 10 ** (SHARE_DECIMALS - books.scales[leg.asset])
                found[order] -= (
                    leg.units * finer * span
                )  # Shares are owed: what is there is a credit.
    return {order: weight for order, weight in sorted(found.items()) if weight}


def _bodies(log: Sequence[Transaction], kind: str) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in log if one.kind == kind]


def allocation_problems(seen: Seen) -> Iterator[str]:
    """Where what was paid, received, allocated and credited is not the same."""
    rewards = {row.transaction_id.lower(): row for row in seen.rewards}
    received = _bodies(seen.books.log, "RECEIVE_REWARD")
    yield from _not_received(seen, received)
    done: set[str] = set()
    for payout in seen.payouts:
        row = rewards.get(payout.transaction_id.lower())
        form = _form_of(seen.forms, payout.token)
        if payout.problem:
            yield f"payout {payout.transaction_id}: {payout.problem}"
        elif form is None:
            continue  # A token that is not registered is nobody's.
        elif row is None:
            yield f"payout {payout.transaction_id} is no reward in the books"
        else:
            done.add(row.reward)
            for problem in _reward_problems(seen, payout, row, form):
                yield f"reward {row.reward}: {problem}"
    for kind in ("ALLOCATE_REWARD", "CREDIT_REWARD"):
        for reward in sorted({str(body["reward"]) for body in _bodies(seen.books.log, kind)}):
            if reward not in done:
                yield f"reward {reward}: {kind} without a payout on the chain"


def _form_of(forms: Sequence[Form], token: str) -> Form | None:
    return next((one for one in forms if one.evm_contract.lower() == token.lower()), None)


def _not_received(seen: Seen, received: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Per campaign and amount: what the chain paid is what was booked, not more and not less."""
    paid: Counter[tuple[str, str, int]] = Counter()
    for payout in seen.payouts:
        form = _form_of(seen.forms, payout.token)
        if form is not None:
            scale = seen.books.scales.get(form.asset, form.decimals)
            paid[payout.escrow.lower(), form.asset, _fits(payout, form, scale)] += 1
    for body in received:
        escrow = _escrow_of(str(body["campaign"]), seen.payouts)
        wanted = escrow, str(body["money"]["asset"]), int(body["money"]["units"])
        if paid[wanted] <= 0:
            yield f"{body['campaign']}: {wanted[2]} units of {wanted[1]} booked and not paid"
        paid[wanted] -= 1
    for (escrow, asset, units), count in paid.items():
        if count > 0:
            yield f"{escrow}: {units} units of {asset} paid and not booked"


def _fits(payout: Payout, form: Form, scale: int) -> int:
    try:
        return rescaled(payout.units, form.decimals, scale)
    except NotReadable:
        return -1


def _escrow_of(campaign: str, payouts: Sequence[Payout]) -> str:
    """The escrow's address stands in the campaign's id."""
    found = {one.escrow.lower() for one in payouts if one.escrow.lower() in campaign.lower()}
    return found.pop() if len(found) == 1 else campaign


def _reward_problems(seen: Seen, payout: Payout, row: RewardRow, form: Form) -> Iterator[str]:
    pool = seen.terms.pools.get(payout.symbol)
    if pool is None:
        yield f"no pool makes {payout.symbol}"
        return
    scale = seen.books.scales[form.asset]
    units = rescaled(payout.units, form.decimals, scale)
    step = 10 ** max(0, scale - min(form.decimals, MIXIN_DECIMALS))
    if units < step:
        return  # All of it is dust.
    from_us = max(payout.from_us, row.joined_us)
    to_us = min(payout.to_us, row.cancelled_us or payout.to_us)
    weights = weights_of(seen.books, pool, from_us, to_us)
    if not weights:
        yield "nobody had shares in its window"
        return
    wanted = split(units, step, seen.terms.fee_ppm, weights)
    log, reward = seen.books.log, row.reward
    allocated = [one for one in _bodies(log, "ALLOCATE_REWARD") if one["reward"] == reward]
    if len(allocated) != 1:
        yield f"allocated {len(allocated)} times"
        return
    fee, users = int(allocated[0]["fee"]["units"]), int(allocated[0]["users"]["units"])
    if fee != wanted.fee:
        yield f"the fee is {fee}, not {wanted.fee}"
    if users != sum(wanted.parts.values()) or fee + users + wanted.dust != units:
        yield f"dust, fee and users' parts are not the {units} received"
    yield from _credit_problems(log, reward, wanted)


def _credit_problems(log: Sequence[Transaction], reward: str, wanted: Split) -> Iterator[str]:
    credited: defaultdict[str, int] = defaultdict(int)
    for body in _bodies(log, "CREDIT_REWARD"):
        if body["reward"] == reward:
            credited[str(body["order"])] += int(body["money"]["units"])
    for order in sorted({*credited, *wanted.parts}):
        if credited.get(order, 0) != wanted.parts.get(order, 0):
            yield f"{order} was credited {credited.get(order, 0)}, not {wanted.parts.get(order, 0)}"
