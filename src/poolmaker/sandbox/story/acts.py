"""The acts, one function each, in the order of the story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.money import format_units, parse_units
from poolmaker.sandbox.story.model import (
    BASE,
    FILLS_MIN,
    LOCATION,
    POOL,
    QUOTE,
    VENUE_ACCOUNT,
    ActName,
    Evidence,
    Judge,
    Member,
    Person,
    StoryFailed,
)
from poolmaker.sandbox.story.processes import command_json
from poolmaker.sandbox.story.stage import Stage

SYMBOL: Final = f"{BASE}{QUOTE}"
SCALE: Final = 8
# Patience is longer than the whole story may take: a slow machine is told so at the end, not here.
STATE_US: Final = 120 * SECOND_US
FILLS_US: Final = 120 * SECOND_US
QUIET_US: Final = 30 * SECOND_US
LOOKS: Final = 5
LOOK_US: Final = SECOND_US // 2
OpenOrder = tuple[str, str, str]
"""Side, price and what is left of it."""


async def begin(stage: Stage) -> None:
    """Venue, configuration, platform, first book."""
    await stage.begin(ActName.BEGIN)
    await stage.open_venue()
    # What a designated market maker of a real venue pays: one hundredth of a per cent.
    await stage.world.terms(VENUE_ACCOUNT, maker_rate="0.0001")
    await stage.open_platform()
    await stage.show(force=True)
    stage.teller.end(f"page {stage.page}")


async def money(stage: Stage) -> tuple[Member, Member]:
    """The operator books what is his; the world pays in for the users; the operator credits it."""
    await stage.begin(ActName.MONEY, users=stage.users)
    for asset, amount in (await stage.world.balances(VENUE_ACCOUNT)).items():
        if asset in (BASE, QUOTE) and parse_units(amount, SCALE):
            body = _arrival(asset, amount, f"opening-{asset}")
            await stage.api.post("/treasury/operator-in", body)
    one, two = stage.plan.people
    members = (await _arrive(stage, one), await _arrive(stage, two))
    stage.told.users = len(members)
    stage.teller.end(", ".join(f"{m.person.name} {_sum(m.person)}" for m in members))
    return members


def _arrival(asset: str, amount: str, reference: str) -> dict[str, str]:
    return {"location": LOCATION, "asset": asset, "amount": amount, "reference": reference}


def _sum(person: Person) -> str:
    return f"{person.base} {BASE} + {person.quote} {QUOTE}"


async def _arrive(stage: Stage, person: Person) -> Member:
    user = await stage.api.post("/users", {"name": person.name})
    token = user["token"]
    if token is None:  # the answer that showed it was lost
        token = (await stage.api.post(f"/users/{user['user_id']}/tokens", {}))["token"]
    for asset, amount in ((BASE, person.base), (QUOTE, person.quote)):
        reference = f"tx-{person.name}-{asset}"
        await stage.world.deposit(VENUE_ACCOUNT, asset, amount, reference)
        body = _arrival(asset, amount, reference)
        await stage.api.post(f"/users/{user['user_id']}/deposits", body)
    return Member(person=person, user_id=user["user_id"], token=token)


async def join(stage: Stage, members: tuple[Member, Member]) -> tuple[Member, Member]:
    """Both open an order with everything they have and wait until it makes the market."""
    await stage.begin(ActName.JOIN, users=stage.users)
    one, two = [await _open(stage, member) for member in members]
    for member in (one, two):
        await _reaches(stage, member, "IN_MM")
    stage.teller.end()
    return one, two


async def _open(stage: Stage, member: Member) -> Member:
    person = member.person
    body = {"pool_id": POOL, "base": person.base, "quote": person.quote}
    order = await stage.api.post("/orders", body, member.token)
    return replace(member, order_id=order["order_id"])


async def _reaches(stage: Stage, member: Member, state: str) -> None:
    async def is_there() -> bool:
        order = await stage.order(member.order_id)
        step = order["waiting_for"].rpartition(":")[2]
        stage.teller.progress(" ".join(filter(None, (order["state"].lower(), step))))
        if order["state"] in ("REFUNDED", "EXPIRED") or (
            order["state"] == "CLOSED" and state != "CLOSED"
        ):
            raise StoryFailed(f"{member.person.name}'s order ended as {order['state']}")
        return bool(order["state"] == state)

    await stage.until(f"{member.person.name}'s order is {state}", is_there, STATE_US)


async def _fills_reach(stage: Stage, wanted: int) -> None:
    async def has_fills() -> bool:
        fills = await stage.fills()
        stage.told.fills = fills
        if "fills" in stage.told.facts:
            stage.told.facts["fills"] = str(fills)
            await stage.show()
        stage.teller.progress(f"{fills} fills")
        return fills >= wanted

    await stage.until(f"the pool has {wanted} fills", has_fills, FILLS_US)


async def quote(stage: Stage) -> None:
    """The pool quotes until it has been filled some times."""
    await stage.begin(ActName.QUOTE, fills="0")
    await _fills_reach(stage, stage.plan.crash_after_fills)
    stage.teller.end(f"{stage.told.fills} fills")


async def crash(stage: Stage, members: tuple[Member, Member]) -> None:
    """SIGKILL at a moment that the seed chose; the next process goes on from what is stored."""
    await stage.begin(ActName.CRASH)
    await stage.clock.sleep_us(stage.plan.crash_delay_us)
    before = await _books(stage)
    stage.platform.kill()
    await stage.platform.wait()
    await stage.open_platform()
    await stage.show(force=True)
    after = await _books(stage)
    if after["seq"] < before["seq"] or not after["ok"]:
        raise StoryFailed(f"books were lost: entry {before['seq']} before, {after['seq']} after")
    for member in members:
        await _reaches(stage, member, "IN_MM")
    await _fills_reach(stage, await stage.fills() + 1)
    stage.told.restart_survived = True
    stage.teller.end(f"entry {before['seq']} before, {after['seq']} after, and filled again")


async def _books(stage: Stage) -> Mapping[str, Any]:
    found: Mapping[str, Any] = await stage.api.get("/ledger/trial-balance")
    return found


async def pause(stage: Stage, member: Member) -> None:
    """One takes his money out of the market and brings it back."""
    await stage.begin(ActName.PAUSE, user=member.person.name)
    await stage.api.post(f"/orders/{member.order_id}/pause", {}, member.token)
    await _reaches(stage, member, "PAUSE")
    await stage.clock.sleep_us(stage.plan.pause_us)
    await stage.api.post(f"/orders/{member.order_id}/resume", {}, member.token)
    await _reaches(stage, member, "IN_MM")
    stage.teller.end()


async def leave(stage: Stage, member: Member) -> None:
    """The other leaves with his part of profit or loss and is paid out to his addresses."""
    await stage.begin(ActName.LEAVE, user=member.person.name)
    await _fills_reach(stage, FILLS_MIN)
    body = {"payout": [dict(destination) for destination in member.person.payout]}
    await stage.api.post(f"/orders/{member.order_id}/withdraw", body, member.token)
    await _reaches(stage, member, "CLOSED")
    order = await stage.order(member.order_id)
    paid = " + ".join(f"{one['amount']} {one['asset']}" for one in order["paid_out"])
    if not paid:
        raise StoryFailed(f"{member.person.name} left and was not paid")
    stage.teller.end(f"brought {_sum(member.person)}, was paid {paid}")


async def settle(stage: Stage) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Everybody else rests, so that neither side moves while both are read.

    Answers what is booked and what is reported, read while nothing moved.
    """
    await stage.begin(ActName.SETTLE)
    await stage.world.rest(resting=True)
    seen: list[tuple[Mapping[str, str], Mapping[str, str]]] = []

    async def is_quiet() -> bool:
        first = await stage.world.balances(VENUE_ACCOUNT)
        seq = (await _books(stage))["seq"]
        booked = await _booked(stage)
        again = (await _books(stage))["seq"]
        second = await stage.world.balances(VENUE_ACCOUNT)
        if (first, seq) != (second, again):
            seen.clear()
            return False
        reported = {asset: amount for asset, amount in second.items() if asset in booked}
        seen.append((booked, reported))
        # What is not equal may still be on its way: it is given its time, then judged as it is.
        return _same(booked, reported)

    try:
        await stage.until("what is booked is what is there", is_quiet, QUIET_US)
    except StoryFailed as problem:
        if not seen:
            raise
        stage.teller.complain(str(problem))
    stage.told.fills = await stage.fills()
    stage.teller.end(f"{stage.told.fills} fills")
    return seen[-1]


async def _booked(stage: Stage) -> dict[str, str]:
    lines = await stage.api.get("/custody")
    return {line["asset"]: line["ledger"] for line in lines if line["location"] == LOCATION}


def _same(booked: Mapping[str, str], reported: Mapping[str, str]) -> bool:
    return all(
        parse_units(amount, SCALE) == parse_units(reported.get(asset, "0"), SCALE)
        for asset, amount in booked.items()
    )


async def judge(
    stage: Stage, custody: tuple[Mapping[str, str], Mapping[str, str]], judge: Judge
) -> None:
    """Books, proof, custody, orders: each read where it is, compared by the judge."""
    await stage.begin(ActName.JUDGE)
    booked, reported = custody
    at_venue, in_books = await _open_orders(stage)
    evidence = Evidence(
        trial_balance=await _books(stage),
        verification=await command_json(
            ["ledger", "verify", "--json", "--config", str(stage.config)]
        ),
        booked={LOCATION: booked},
        reported={LOCATION: reported},
        orders_at_venue=tuple(at_venue.elements()),
        orders_in_books=tuple(in_books.elements()),
    )
    market = await stage.market()
    stage.told.orders_placed = market["orders_placed"] if market else 0
    stage.told.verdict = judge(evidence)
    stage.teller.end()


async def _open_orders(stage: Stage) -> tuple[Counter[OpenOrder], Counter[OpenOrder]]:
    """Open orders as the venue and as the books have them.

    Quotes are replaced while one is read after the other, so the books are read before and after;
    an order that neither reading knows counts as unknown only if the next look finds one, too.
    """
    looks = 0
    while True:
        looks += 1
        before = await _own_orders(stage)
        at_venue = Counter(
            (row["side"], _plain(row["price"]), _left(row["origQty"], row["executedQty"]))
            for row in await stage.world.open_orders(SYMBOL)
        )
        in_books = before | await _own_orders(stage)
        if looks == LOOKS or not at_venue - in_books:
            return at_venue, in_books
        await stage.clock.sleep_us(LOOK_US)


async def _own_orders(stage: Stage) -> Counter[OpenOrder]:
    market = await stage.market()
    return Counter(
        (row["side"], _plain(row["price"]), _plain(row["remaining"]))
        for row in (market["own"] if market else ())
    )


def _plain(text: str) -> str:
    return format_units(parse_units(text, SCALE), SCALE)


def _left(whole: str, done: str) -> str:
    return format_units(parse_units(whole, SCALE) - parse_units(done, SCALE), SCALE)
