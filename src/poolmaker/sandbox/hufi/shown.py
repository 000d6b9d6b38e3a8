"""How both servers show what they know."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.hufi import rules
from poolmaker.sandbox.chain.options import CHAIN_ID
from poolmaker.sandbox.hufi.model import (
    STATUS_ON_CHAIN,
    Campaign,
    ExchangeKey,
    Json,
    Preferences,
    User,
)
from poolmaker.sandbox.hufi.texts import iso, number, plain

__all__ = [
    "campaign", "iso", "joined", "key", "leaderboard", "number", "plain", "preferences", "user",
]  # fmt: skip


def key(one: ExchangeKey) -> Json:
    """A key without its secret."""
    made: Json = {
        "exchange_name": one.exchange, "api_key": one.key, "is_valid": not one.missing,
        "missing_permissions": list(one.missing),
    }  # fmt: skip
    if one.extras is not None:
        made["extras"] = one.extras
    return made


def preferences(wish: Preferences) -> Json:
    """What a user wants done without asking."""
    return {
        "campaigns_autojoin": {
            "enabled": wish.enabled, "exchanges": wish.exchanges,
            "campaign_types": wish.campaign_types, "tokens": wish.tokens,
        },
        "notifications": {"campaigns_autojoin": wish.notifies},
        "telegram_user_id": None,
    }  # fmt: skip


def user(one: User) -> Json:
    """A participant to himself."""
    return {
        "id": one.user_id, "evm_address": one.address, "preferences": preferences(one.preferences),
    }  # fmt: skip


def _common(one: Campaign) -> Json:
    return {
        "chain_id": CHAIN_ID, "address": one.address, "type": one.terms.type,
        "exchange_name": one.manifest.exchange, "symbol": one.terms.subject,
        "details": one.manifest.details, "start_date": iso(one.terms.start_ms),
        "end_date": iso(one.terms.end_ms),
    }  # fmt: skip


def joined(one: Campaign) -> Json:
    """A campaign as the recording oracle lists it: amounts are numbers of tokens."""
    return {
        **_common(one),
        "fund_amount": number(float(one.fund)),
        "fund_amount_net": number(float(one.net_fund)),
        "fund_token": one.token.symbol,
        "status": one.status,
        "processing_status": one.processing,
        "cancellation_requested_at": one.escrow.cancel_requested_ms,
    }


def campaign(one: Campaign) -> Json:
    """A campaign as the launcher lists it: amounts are texts of smallest units."""
    state = one.escrow
    return {
        **_common(one),
        "fund_amount": str(state.fund_units),
        "fund_token": one.token.address,
        "fund_token_symbol": one.token.symbol,
        "fund_token_decimals": one.token.decimals,
        "status": STATUS_ON_CHAIN[state.status],
        "launcher": state.launcher,
        "exchange_oracle": state.oracles[0],
        "recording_oracle": state.oracles[1],
        "reputation_oracle": state.oracles[2],
        "balance": str(state.balance_units),
        "amount_paid": str(state.paid_units),
        "intermediate_results_url": state.intermediate_url or None,
        "final_results_url": state.final_url or None,
        "created_at": state.created_ms,
        "cancellation_requested_at": state.cancel_requested_ms,
        "finalized_at": state.finalized_ms,
    }


def leaderboard(one: Campaign, wallets: Sequence[str], now_ms: int) -> Json:
    """Scores of the running day as last refreshed; after the end those of the last period."""
    outcomes: dict[str, rules.ScoreOutcome] = {}
    estimates: dict[str, float] = {}
    updated_ms, total, decimals = now_ms, 0.0, one.token.decimals
    interim, last = one.interim, one.recorded[-1] if one.recorded else None
    is_over = one.next_period() is None
    scores = pool = None
    if is_over and last is not None:
        scores, pool, updated_ms = last.scores, last.pool, last.to_ms
    elif interim is not None:
        scores, pool, updated_ms = interim.scores, interim.pool, interim.time_us // 1_000
    if scores is not None and pool is not None:
        outcomes = {each.address: each for each in scores.outcomes}
        estimates = rules.estimated_rewards(one.terms, scores, pool, decimals)
        total = scores.total
    rows = [_row(one, address, outcomes.get(address), estimates) for address in wallets]
    rows.sort(key=lambda row: -float(str(row["score"])))
    return {"data": rows, "total": number(total), "updated_at": iso(updated_ms)}


def _row(
    one: Campaign, address: str, outcome: rules.ScoreOutcome | None, estimates: dict[str, float]
) -> Json:
    net = estimates.get(address, 0.0)
    return {
        "address": address,
        "score": number(outcome.score if outcome else 0.0),
        "result": number(outcome.total if outcome else 0.0),
        "estimated_reward": number(net),
        "estimated_reward_gross": number(net * 100 / (100 - one.fee_percent)),
    }
