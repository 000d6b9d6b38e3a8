"""The acts, one function each, in the order of the story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.sandbox.story import people
from poolmaker.sandbox.story.config import GAS_PLACE
from poolmaker.sandbox.story.model import (
    BASE,
    DAY_S,
    DAYS,
    FILLS_MIN,
    GAS,
    LOCATION,
    QUOTE,
    REWARD,
    ActName,
    Member,
    StoryFailed,
)
from poolmaker.sandbox.story.patience import slowness
from poolmaker.sandbox.story.plan import OPERATORS_OWN
from poolmaker.sandbox.story.processes import command_json, judge_json
from poolmaker.sandbox.story.stage import Stage
from poolmaker.sandbox.story.sums import added, said

# Longer than the whole story takes on a quiet machine; on a busy one it lasts longer by itself.
PATIENCE_US: Final = 240 * SECOND_US
STARTS_IN_MS: Final = 8_000
CRASH_TAKES_MS: Final = 12_000
"""A restart takes some seconds, and the campaign is to be joined before it starts."""
GAS_GIVEN: Final = "10"
JUDGE_PATIENCE_S: Final = 30
_ENDED: Final = frozenset(
    {"DONE", "RETURNED", "DECLINED", "RELEASED", "DEBITED", "REFUSED", "CLOSED"}
)


async def begin(stage: Stage) -> None:
    """Worlds, configuration, platform, the operator's own money."""
    await stage.begin(ActName.BEGIN)
    await stage.open_worlds()
    # What a designated market maker of a real venue pays: one hundredth of a per cent.
    await stage.outside.terms(maker_rate="0.0001")
    gas = await stage.outside.give(stage.wallet, GAS, GAS_GIVEN)
    await stage.outside.mine()
    await stage.open_platform()
    await stage.show(force=True)
    for asset, amount in OPERATORS_OWN.items():
        await stage.outside.bring(asset, amount, f"opening-{asset}")
        await _bring(stage, LOCATION, asset, amount, f"opening-{asset}")
    place = f"custody:evm:{stage.wallet.lower()}:{GAS_PLACE}"
    await _bring(stage, place, GAS, GAS_GIVEN, gas)
    stage.teller.end(f"page {stage.page}")


async def _bring(stage: Stage, location: str, asset: str, amount: str, reference: str) -> None:
    body = {"location": location, "asset": asset, "amount": amount, "reference": reference}
    await stage.api.post("/treasury/operator-in", body)


async def deposit(stage: Stage) -> tuple[Member, Member]:
    """Two people open orders and pay by link: one at once, the other one asset after the other."""
    ada, bo, _ = stage.plan.people
    await stage.begin(ActName.DEPOSIT, users=f"{ada.name} and {bo.name}")
    one = await people.open_order(stage, await people.arrive(stage, ada))
    await people.pay(stage, one, BASE, QUOTE)
    two = await people.open_order(stage, await people.arrive(stage, bo))
    await people.pay(stage, two, BASE)
    await stage.clock.sleep_us(stage.plan.late_us)
    await people.pay(stage, two, QUOTE)
    for member in (one, two):
        await people.has_paid(stage, member)
    stage.teller.end(f"{ada.name} {people.brought(ada)}, {bo.name} {people.brought(bo)}")
    return one, two


async def stranger(stage: Stage) -> Member:
    """One types the memo by hand and mistypes it: nobody's money, so it goes back."""
    person = stage.plan.stranger
    await stage.begin(ActName.STRANGER, user=person.name)
    member = await people.open_order(stage, await people.arrive(stage, person))
    await people.pay_with_broken_memo(stage, member)
    await people.has_it_back(stage, member)
    stage.teller.end(f"{person.quote} {QUOTE} came and went back")
    return member


async def join(stage: Stage, members: tuple[Member, ...]) -> None:
    """What was paid travels to the exchange; both join the pool."""
    names = " and ".join(member.person.name for member in members)
    await stage.begin(ActName.JOIN, users=names)
    for member in members:
        await people.reaches(stage, member, "IN_MM")
    stage.teller.end()


async def campaign(stage: Stage) -> Mapping[str, Any]:
    """HuFi offers a campaign for the pool's market; the platform takes part before it starts."""
    await stage.begin(ActName.CAMPAIGN)
    early_ms = CRASH_TAKES_MS if stage.crash.is_ahead else 0
    starts_in_ms = round((STARTS_IN_MS + early_ms) * slowness())
    start_us = stage.clock.now_us() + starts_in_ms * 1_000
    escrow = await stage.outside.launch(DAYS, start_us)
    found: dict[str, Any] = {}

    async def is_joined() -> bool:
        rows = await stage.api.get("/campaigns")
        mine = (row for row in rows if escrow.lower() in row["campaign_id"].lower())
        found.update(next(mine, {}))
        stage.teller.progress(str(found.get("state", "not seen yet")).lower())
        return bool(found.get("joined_at_us"))

    await stage.until("the campaign is joined", is_joined, PATIENCE_US)
    early_us = found["start_us"] - found["joined_at_us"]
    if early_us < 0:
        raise StoryFailed("the campaign was joined after its start")
    stage.teller.end(f"joined {early_us // SECOND_US} s before its first day")
    return found


async def day_one(stage: Stage, offered: Mapping[str, Any]) -> Member:
    """The pool quotes and is filled; one more pays in while the day runs."""
    cy = stage.plan.people[2]
    await stage.begin(ActName.DAY_ONE, user=cy.name, fills="0")

    async def is_day() -> bool:
        return stage.clock.now_us() >= int(offered["start_us"])

    await stage.until("the campaign's first day begins", is_day, PATIENCE_US)
    member = await people.open_order(stage, await people.arrive(stage, cy))
    await people.pay(stage, member, BASE, QUOTE)
    await people.has_paid(stage, member)
    await _fills_reach(stage, await stage.fills() + 5)
    stage.teller.end(f"{stage.told.fills} fills, {cy.name} {people.brought(cy)}")
    return member


async def _fills_reach(stage: Stage, wanted: int) -> None:
    async def has_fills() -> bool:
        stage.told.fills = await stage.fills()
        if "fills" in stage.told.facts:
            stage.told.facts["fills"] = str(stage.told.fills)
            await stage.show()
        stage.teller.progress(f"{stage.told.fills} fills")
        return stage.told.fills >= wanted

    await stage.until(f"the pool has {wanted} fills", has_fills, PATIENCE_US)


async def pause(stage: Stage, member: Member) -> None:
    """One takes his money out of the market and brings it back."""
    await stage.begin(ActName.PAUSE, user=member.person.name)
    await stage.api.post(f"/orders/{member.order_id}/pause", {}, member.token)
    await people.reaches(stage, member, "PAUSE")
    await stage.clock.sleep_us(stage.plan.pause_us)
    await stage.api.post(f"/orders/{member.order_id}/resume", {}, member.token)
    await people.reaches(stage, member, "IN_MM")
    stage.teller.end()


async def reward(
    stage: Stage, act: ActName, offered: Mapping[str, Any], *, day: int, **facts: str
) -> Mapping[str, Any]:
    """A day's reward arrives on the chain, goes to Mixin, and everybody gets his part."""
    await stage.begin(act, **facts)
    from_us = offered["start_us"] + (day - 1) * DAY_S * SECOND_US
    found: dict[str, Any] = {}

    async def is_credited() -> bool:
        rows = await stage.api.get("/rewards")
        mine = (
            row
            for row in rows
            if row["campaign_id"] == offered["campaign_id"] and row["from_us"] == from_us
        )
        found.update(next(mine, {}))
        state = str(found.get("state", "not paid yet")).upper()
        stage.teller.progress(state.lower())
        return state in ("CREDITED", "DONE")

    await stage.until(f"the reward of day {day} is credited", is_credited, PATIENCE_US)
    parts = await stage.api.get(f"/rewards/{found['reward_id']}/allocations")
    shared = ", ".join(f"{part['user_name']} {said(added([part['amount']]))}" for part in parts)
    stage.teller.end(f"{said(added([found['received']]))}: {shared}")
    return found


async def leave(stage: Stage, member: Member) -> Member:
    """One leaves with everything and has it in his Mixin wallet."""
    await stage.begin(ActName.LEAVE, user=member.person.name)
    await stage.api.post(f"/orders/{member.order_id}/withdraw", {"payout": []}, member.token)
    await people.reaches(stage, member, "CLOSED")
    paid = added((await stage.order(member.order_id))["paid_out"])
    if not paid:
        raise StoryFailed(f"{member.person.name} left and was not paid")
    await people.has_received(stage, member, paid)
    brought = people.brought(member.person)
    stage.teller.end(f"brought {brought}, has {said(paid)} in the wallet")
    return replace(member, left=paid)


async def day_two(stage: Stage, late: Member, offered: Mapping[str, Any]) -> None:
    """The last one joins, the pool quotes on until the campaign's days are over."""
    await stage.begin(ActName.DAY_TWO, fills=str(stage.told.fills))
    await people.reaches(stage, late, "IN_MM")
    await _fills_reach(stage, FILLS_MIN)

    async def is_over() -> bool:
        stage.told.fills = await stage.fills()
        stage.teller.progress(f"{stage.told.fills} fills")
        return stage.clock.now_us() >= int(offered["end_us"])

    await stage.until("the campaign's days are over", is_over, PATIENCE_US)
    stage.teller.end(f"{stage.told.fills} fills")


async def later_rewards(stage: Stage, member: Member, rewards: list[Mapping[str, Any]]) -> None:
    """Who has left gets his parts of rewards to his wallet, those that came later included."""
    parts = [
        part["amount"]
        for one in rewards
        for part in await stage.api.get(f"/rewards/{one['reward_id']}/allocations")
        if part["order_id"] == member.order_id
    ]
    if len(parts) != len(rewards):
        raise StoryFailed(f"{member.person.name} has {len(parts)} parts of {len(rewards)} rewards")
    await people.has_received(stage, member, {**member.left, **added(parts)})


async def settle(stage: Stage) -> None:
    """Everybody else rests, and what is on its way lands."""
    await stage.begin(ActName.SETTLE)
    await stage.crash.survived()
    await stage.outside.rest(resting=True)

    async def is_quiet() -> bool:
        rows = await stage.api.get("/transfers") + await stage.api.get("/withdrawals")
        moving = [row for row in rows if row["state"].upper() not in _ENDED]
        stage.teller.progress(f"{len(moving)} on the way")
        return not moving

    await stage.until("nothing is on its way", is_quiet, PATIENCE_US)
    await count(stage)
    stage.teller.end(f"{stage.told.fills} fills")


async def count(stage: Stage) -> None:
    """What the API says came out."""
    told = stage.told
    told.fills = await stage.fills()
    told.users = len(await stage.api.get("/users"))
    markets = await stage.api.get("/market/live")
    told.orders_placed = sum(market["orders_placed"] for market in markets)
    arrivals = await stage.api.get("/arrivals")
    told.deposits = added(
        row["money"] for row in arrivals if row["disposition"].lower() == "deposit"
    )
    rewards = await stage.api.get("/rewards")
    told.rewards_received = added(row["received"] for row in rewards)
    told.rewards_allocated = added(row[name] for row in rewards for name in ("fee", "users"))
    paid = await stage.api.get("/withdrawals")
    done = [row for row in paid if row["state"].upper() in ("DONE", "DEBITED")]
    told.withdrawn = added(row["money"] for row in done if row["user_id"])
    told.refunded = added(row["money"] for row in done if not row["user_id"])
    for name, sums in (
        ("deposits", told.deposits), ("rewards", told.rewards_received),
        ("payouts", told.withdrawn), ("refunds", told.refunded),
    ):  # fmt: skip
        if not sums:
            raise StoryFailed(f"there are no {name} where there should be some")
    if REWARD not in told.withdrawn:
        raise StoryFailed("no reward reached a wallet")


async def judge(stage: Stage) -> None:
    """Books, proof, custody, allocations, orders: by a program that knows nothing of us."""
    await stage.begin(ActName.JUDGE)
    found = await command_json(["db", "url", "--json", "--config", str(stage.config)])
    patience_s = round(JUDGE_PATIENCE_S * slowness())
    stage.told.verdict = await judge_json(stage.config, found["url"], patience_s)
    for flag, problems in stage.told.verdict.get("problems", {}).items():
        for problem in problems[:5]:
            stage.teller.complain(f"{flag}: {problem}")
    stage.teller.end()
