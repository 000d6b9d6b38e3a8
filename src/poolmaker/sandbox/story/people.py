"""What people do: arrive, open an order, pay from a wallet, wait, look into the wallet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.sandbox.story.model import BASE, POOL, QUOTE, DemoPerson, Member, StoryFailed
from poolmaker.sandbox.story.plan import broken
from poolmaker.sandbox.story.stage import Stage
from poolmaker.sandbox.story.sums import less, said

PATIENCE_US: Final = 240 * SECOND_US
_LOST: Final = frozenset({"REFUNDED", "EXPIRED", "CLOSED"})


def brought(person: DemoPerson) -> str:
    """What somebody brings, in words."""
    return f"{person.base} {BASE} + {person.quote} {QUOTE}"


async def arrive(stage: Stage, person: DemoPerson) -> Member:
    """The operator makes a user of somebody with a Mixin wallet."""
    mixin_id = stage.outside.mixin_id(person.wallet)
    user = await stage.api.post("/users", {"name": person.name, "mixin_id": mixin_id})
    token = user["token"]
    if token is None:  # the answer that showed it was lost
        token = (await stage.api.post(f"/users/{user['user_id']}/tokens", {}))["token"]
    return Member(
        person=person,
        user_id=user["user_id"],
        mixin_id=mixin_id,
        token=token,
        wallet=await stage.outside.wallet(person.wallet),
    )


async def open_order(stage: Stage, member: Member) -> Member:
    """An order that will be paid from the wallet."""
    person = member.person
    body = {"pool_id": POOL, "base": person.base, "quote": person.quote, "pay": "mixin"}
    order = await stage.api.post("/orders", body, member.token)
    return replace(member, order_id=order["order_id"])


async def _legs(stage: Stage, member: Member) -> dict[str, Mapping[str, Any]]:
    deposit = (await stage.order(member.order_id))["deposit"]
    if deposit is None:
        raise StoryFailed(f"{member.person.name}'s order asks for no payment")
    return {leg["asset"]: leg for leg in deposit["legs"]}


async def pay(stage: Stage, member: Member, *assets: str) -> None:
    """Open the payment links of these assets in the wallet."""
    legs = await _legs(stage, member)
    for asset in assets:
        await stage.outside.pay(member.person.wallet, legs[asset]["link"])


async def pay_with_broken_memo(stage: Stage, member: Member) -> None:
    """Pay the quote leg by hand, with one letter of its memo wrong."""
    leg = (await _legs(stage, member))[QUOTE]
    await stage.outside.pay_by_hand(
        member.person.wallet, QUOTE, member.person.quote, broken(leg["memo"])
    )


async def has_paid(stage: Stage, member: Member) -> None:
    """Wait until every payment of an order has been credited."""

    async def has_arrived() -> bool:
        order = await stage.order(member.order_id)
        _refuse_lost(member, order["state"])
        legs = (order["deposit"] or {"legs": ()})["legs"]
        count = sum(1 for leg in legs if leg["arrived"])
        stage.teller.progress(f"{member.person.name}: {count} of {len(legs)} payments")
        return order["state"] != "CREATED" or (bool(legs) and count == len(legs))

    await stage.until(f"{member.person.name}'s payments arrived", has_arrived, PATIENCE_US)


async def reaches(stage: Stage, member: Member, state: str) -> None:
    """Wait until an order is in a state."""

    async def is_there() -> bool:
        order = await stage.order(member.order_id)
        step = order["waiting_for"].rpartition(":")[2]
        words = (member.person.name, order["state"].lower(), step)
        stage.teller.progress(" ".join(filter(None, words)))
        if order["state"] != state:
            _refuse_lost(member, order["state"])
        return bool(order["state"] == state)

    await stage.until(f"{member.person.name}'s order is {state}", is_there, PATIENCE_US)


def _refuse_lost(member: Member, state: str) -> None:
    if state in _LOST:
        raise StoryFailed(f"{member.person.name}'s order ended as {state}")


async def has_it_back(stage: Stage, member: Member) -> None:
    """Wait until what was paid came and the wallet holds what it held before."""

    async def is_back() -> bool:
        rows = await stage.api.get("/arrivals")
        sent = [row for row in rows if row["sender"] == member.mixin_id]
        stage.teller.progress("came" if sent else "on its way")
        return bool(sent) and await _gained(stage, member) == {}

    await stage.until(f"{member.person.name} has the money back", is_back, PATIENCE_US)


async def has_received(stage: Stage, member: Member, paid: Mapping[str, str]) -> None:
    """Wait until the wallet holds what it held, less what was brought, and what was paid.

    Only the assets that were brought or paid count: rewards come to the wallet by themselves.
    """
    person = member.person
    named = {*paid, BASE, QUOTE}
    wanted = less(dict(paid), {BASE: person.base, QUOTE: person.quote})

    async def is_there() -> bool:
        gained = await _gained(stage, member)
        stage.teller.progress(f"{person.name}'s wallet: {said(gained)}")
        return {asset: text for asset, text in gained.items() if asset in named} == wanted

    await stage.until(f"{person.name} has {said(dict(paid))} in the wallet", is_there, PATIENCE_US)


async def _gained(stage: Stage, member: Member) -> Mapping[str, str]:
    return less(await stage.outside.wallet(member.person.wallet), member.wallet)
