"""Campaign days on the sandbox venue, paid by the real escrows, read by web3.py alone."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from poolmaker.hufi import rules
from poolmaker.sandbox.chain.packages import node_packages
from tests.support import programs
from tests.support.hufi import Participant, Worlds, running_worlds

WEB3 = ("web3==8.0.0",)
pytestmark = pytest.mark.timeout(400)  # the first run makes an environment for web3.py
DECIMALS = {"USDT": 6, "HMT": 18}
DAY_S = 24
CAMPAIGNS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "MARKET_MAKING", "pair": "HMT/USDT", "daily_volume_target": 100}, "USDT", "97.3"),
    (
        {
            "type": "COMPETITIVE_MARKET_MAKING", "pair": "HMT/USDT",
            "minimum_volume_required": 1, "rewards_distribution": [60, 30.5],
        },
        "USDT", "50",
    ),
    (
        {
            "type": "THRESHOLD_MARKET_MAKING", "pair": "HMT/USDT", "minimum_volume_target": 1,
            "max_participants": 3,
        },
        "HMT", "1000.000000000000000001",
    ),
    ({"type": "HOLDING", "symbol": "HMT", "daily_balance_target": 4_000_000}, "HMT", "333"),
    (
        {"type": "THRESHOLD", "symbol": "HMT", "minimum_balance_target": 1_000_000},
        "USDT", "20",
    ),
]  # fmt: skip


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


async def seen_by_ccxt(
    one: Participant, kind: rules.CampaignType, joined_ms: int
) -> rules.Participant:
    """What HuFi's own client library gives for this account."""
    trades = await one.exchange.fetch_my_trades("HMT/USDT")
    balance = (await one.exchange.fetch_balance())["HMT"]["total"]
    address = await one.exchange.fetch_deposit_address("ETH")
    return rules.Participant(
        address=one.address,
        deposit_address=address["address"],
        joined_ms=joined_ms,
        trades=tuple(
            rules.ScoredTrade(
                each["symbol"], each["side"], each["takerOrMaker"] == "maker", each["cost"],
                each["timestamp"],
            )
            for each in reversed(trades)
        ),
        balance=balance,
    )  # fmt: skip


async def expected(worlds: Worlds, made: dict[str, Any], symbol: str, amount: str) -> Any:
    """Rewards in smallest units by ``hufi.rules`` over what ccxt says."""
    manifest, decimals = made["manifest"], DECIMALS[symbol]
    kind = rules.CampaignType(manifest["type"])
    terms = rules.Terms(
        type=kind,
        subject=manifest.get("pair") or manifest["symbol"],
        start_ms=milliseconds(manifest["start_date"]),
        end_ms=milliseconds(manifest["end_date"]),
        target=float(
            next(manifest[name] for name in manifest if "_target" in name or "_req" in name)
        ),
        distribution=tuple(manifest.get("rewards_distribution", ())),
        participants_max=manifest.get("max_participants"),
    )
    people = []
    for one in worlds.people:
        status = await one.ask(
            "POST", "/campaigns/check-join-status", {"chain_id": 1338, "address": made["address"]}
        )
        people.append(await seen_by_ccxt(one, kind, milliseconds(status.body["joined_at"])))
    scores = rules.score_period(terms, people, terms.start_ms, terms.end_ms)
    net = rules.net_fund(Decimal(amount), 4, decimals)
    daily = rules.daily_reward(terms, net, decimals, DAY_S * 1_000)
    pool = rules.reward_pool(terms, scores, daily, decimals)
    paid = rules.rewards(terms, scores, pool, decimals)
    return {address: int(part.scaleb(decimals)) for address, part in paid}


async def read_with_web3(worlds: Worlds, escrows: list[str]) -> dict[str, Any]:
    python = await programs.environment_with(*WEB3)
    modules = await node_packages()
    asked = {
        "rpc": worlds.chain.ready["rpc"],
        "abis": str(modules / "@human-protocol" / "core" / "abis"),
        "factory": worlds.chain.ready["contracts"]["escrow_factory"],
        "escrows": escrows,
    }
    output = await programs.run_program(
        python, "chain/read_payouts.py", worlds.venue, json.dumps(asked)
    )
    found: dict[str, Any] = json.loads(output)
    return found


async def test_five_kinds_of_campaigns_pay_two_traders_to_the_last_digit() -> None:
    async with running_worlds() as worlds:
        launched = []
        for manifest, token, amount in CAMPAIGNS:
            made = await worlds.launch({**manifest, "day_s": DAY_S}, amount, token=token)
            launched.append((made, token, amount))
            for one in worlds.people:
                assert (await one.join(made["address"])).status == 200
        await worlds.trade(1_000, 0.0203)
        await worlds.trade(512.3, 0.02117)
        await worlds.trade(700.1, 0.02009, maker=1, taker=0)
        await worlds.run("refresh_icp_cache")
        last = milliseconds(launched[-1][0]["manifest"]["end_date"])
        while datetime.now(UTC).timestamp() * 1_000 < last:
            await asyncio.sleep(0.2)
        await worlds.run()
        answers = await read_with_web3(worlds, [made["address"] for made, _, _ in launched])
        state = await worlds.hufi.admin("GET", "/state")
        assert state["events"] == []
        for made, token, amount in launched:
            answer, rewards = answers[made["address"]], await expected(worlds, made, token, amount)
            people = {one.address for one in worlds.people}
            assert rewards, made
            assert {k: v for k, v in answer["received"].items() if k in people} == rewards
            day = [made["manifest"]["start_date"], made["manifest"]["end_date"]]
            assert [payout["day"] for payout in answer["payouts"]] == [day]
            assert (answer["status"], answer["left"]) == ("Complete", 0)
            fund = int(Decimal(amount).scaleb(DECIMALS[token]))
            assert sum(answer["received"].values()) == fund


async def test_a_cancelled_campaign_pays_the_day_so_far_and_returns_the_rest() -> None:
    async with running_worlds() as worlds:
        manifest = {"type": "MARKET_MAKING", "pair": "HMT/USDT", "daily_volume_target": 100}
        made = await worlds.launch(manifest, "700", days=7)
        unused = await worlds.launch(manifest, "10", starts_in_ms=3_600_000)
        for one in worlds.people:
            assert (await one.join(made["address"])).status == 200
        await worlds.trade(1_000, 0.0203)
        await asyncio.sleep(1.1)
        for address in (made["address"], unused["address"]):
            await worlds.hufi.admin("POST", f"/campaigns/{address}/cancel")
        await worlds.run("sync_campaign_statuses")
        refused = await worlds.people[0].join(unused["address"])
        assert (refused.status, refused.body["message"]) == (422, "Campaign cancelled")
        await worlds.run()
        answers = await read_with_web3(worlds, [made["address"], unused["address"]])
        answer, people = answers[made["address"]], [one.address for one in worlds.people]
        # 20.3 of 100 in volume is 20.3 % of a day's 96, by weights 1 and 0.42, both legs counted.
        pool = 38_976_000
        assert sum(answer["received"][one] for one in people) in {pool, pool - 1}
        assert (answer["status"], answer["left"]) == ("Cancelled", 0)
        assert sum(answer["received"].values()) == 700_000_000
        assert answer["received"][answer["launcher"]] > 650_000_000
        whole = answers[unused["address"]]
        assert (whole["status"], whole["payouts"]) == ("Cancelled", [])
        assert whole["received"] == {whole["launcher"]: 10_000_000}


async def test_a_payout_that_a_reorganisation_dropped_is_paid_once_more_and_only_once() -> None:
    async with running_worlds() as worlds:
        manifest = {
            "type": "MARKET_MAKING", "pair": "HMT/USDT", "daily_volume_target": 10, "day_s": 5,
        }  # fmt: skip
        made = await worlds.launch(manifest, "20", days=20)
        for one in worlds.people:
            assert (await one.join(made["address"])).status == 200
        await worlds.trade(1_000, 0.0203)
        while (await worlds.campaign(made["address"]))["amount_paid"] == "0":
            await asyncio.sleep(0.5)
            await worlds.run()
        before = (await read_with_web3(worlds, [made["address"]]))[made["address"]]
        assert len(before["payouts"]) == 1
        await worlds.chain.admin("POST", "/reorg", {"depth": 1})
        gone = (await read_with_web3(worlds, [made["address"]]))[made["address"]]
        assert gone["payouts"] == []
        await worlds.run("payout")
        after = (await read_with_web3(worlds, [made["address"]]))[made["address"]]
        assert after == before
        # A day's 0.96 of two traders, both legs counted, the seller as maker.
        assert sum(after["received"][one.address] for one in worlds.people) in {960_000, 959_999}
