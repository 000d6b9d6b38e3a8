"""Runs HuFi's scoring cases through the product's own rules."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from poolmaker.hufi import rules
from tests.vectors.result import Json, VectorResult

_TARGETS: Final = (
    "daily_volume_target",
    "minimum_volume_required",
    "minimum_volume_target",
    "daily_balance_target",
    "minimum_balance_target",
)


def run(document: Json) -> VectorResult:
    """Every case of the file."""
    result = VectorResult()
    for case in document["cases"]:
        result.judge(f"{case['id']} {case['name']}", case["expected"], outcome(case))
    return result


def outcome(case: Json) -> Json:
    """What our rules say of a case, in the words of the file."""
    terms, decimals = terms_of(case["manifest"]), case["fund"]["decimals"]
    daily = rules.daily_reward(terms, rules.double_to_decimal(case["fund"]["net"]), decimals)
    said: Json = {"daily_reward": plain(daily)}
    try:
        scores = rules.score_period(
            terms,
            [participant_of(terms, entry) for entry in case["participants"]],
            milliseconds(case["cycle"]["from"]),
            milliseconds(case["cycle"]["to"]),
        )
        said |= recorded(terms, scores)
        pool = rules.reward_pool(terms, scores, daily, decimals)
    except rules.ScoringFailed as failure:
        return said | {"error": str(failure)}
    paid = rules.rewards(terms, scores, pool, decimals)
    return said | {
        "reward_pool": plain(pool),
        "leaderboard_estimated_rewards": rules.estimated_rewards(terms, scores, pool, decimals),
        "payout_batches": batches(terms, scores, paid, case["cycle"]),
    }


def recorded(terms: rules.Terms, scores: rules.PeriodScores) -> Json:
    """The part that the recording oracle stores."""
    volume = terms.type.counts_volume
    meta = {"total_volume" if volume else "total_balance": scores.total}
    if terms.type.counts_heads:
        meta["total_score"] = scores.total_score
    total = "total_volume" if volume else "token_balance"
    return {
        "meta": meta,
        "participants_outcomes": [
            {"address": each.address, "score": each.score, total: each.total}
            for each in scores.outcomes
        ],
        "removed_participants": list(scores.removed),
    }


def batches(
    terms: rules.Terms,
    scores: rules.PeriodScores,
    paid: list[tuple[str, Decimal]],
    cycle: Json,
) -> list[Json]:
    """Payout batches; the file numbers the random batch ids of results files from zero."""
    competitive = terms.type is rules.CampaignType.COMPETITIVE_MARKET_MAKING
    payout_id = rules.competitive_payout_id(cycle["from"], cycle["to"])
    return [
        {
            "id": payout_id if competitive else f"00000000-0000-4000-8000-{number:012d}",
            "rewards": [{"address": who, "amount": plain(amount)} for who, amount in batch],
        }
        for number, batch in enumerate(rules.payout_batches(terms, scores, paid))
    ]


def terms_of(manifest: Json) -> rules.Terms:
    """The scoring terms of a manifest."""
    return rules.Terms(
        type=rules.CampaignType(manifest["type"]),
        subject=manifest.get("pair") or manifest["symbol"],
        start_ms=milliseconds(manifest["start_date"]),
        end_ms=milliseconds(manifest["end_date"]),
        target=next(manifest[name] for name in _TARGETS if name in manifest),
        distribution=tuple(manifest.get("rewards_distribution", ())),
        participants_max=manifest.get("max_participants"),
    )


def participant_of(terms: rules.Terms, entry: Json) -> rules.Participant:
    """A participant as the oracle's pass sees him."""
    balance = entry.get("balances", {}).get(terms.subject)
    return rules.Participant(
        address=entry["address"],
        deposit_address=entry["eth_deposit_address"],
        joined_ms=milliseconds(entry["joined_at"]),
        trades=tuple(trade_of(trade) for trade in entry["trades"]),
        balance=balance["total"] if balance else None,
        key_missing=entry.get("fault") == "no_api_key",
        access_refused=entry.get("fault") == "access",
    )


def trade_of(trade: Json) -> rules.ScoredTrade:
    """A trade of the file."""
    return rules.ScoredTrade(
        symbol=trade["symbol"],
        side=trade["side"],
        is_maker=trade["takerOrMaker"] == "maker",
        cost=trade["cost"],
        time_ms=trade["timestamp"],
    )


def milliseconds(text: str) -> int:
    """Milliseconds since the Unix epoch of an ISO instant."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def plain(value: Decimal) -> str:
    """A decimal without trailing zeros or exponent."""
    return format(value.normalize(), "f") if value else "0"
