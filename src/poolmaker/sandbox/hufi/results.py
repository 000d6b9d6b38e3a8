"""Recorded periods as results files and as payouts; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from poolmaker.hufi import rules
from poolmaker.sandbox.chain.options import CHAIN_ID
from poolmaker.sandbox.hufi.model import Batch, Campaign, Json, Recorded
from poolmaker.sandbox.hufi.texts import iso, number, plain


def gross_of(net_units: int, fees: tuple[int, ...]) -> int:
    """The largest amount of which escrow 6.0 leaves exactly ``net_units`` after its fees.

    It cuts every fee for itself and down, so at least the exact share is left of an amount, and
    one unit less leaves at most one less: going down from above, every amount is met.
    """
    gross = reserve_of(net_units, fees)
    while gross - sum(gross * fee // 100 for fee in fees) > net_units:
        gross -= 1
    return gross


def reserve_of(pool_units: int, fees: tuple[int, ...]) -> int:
    """What a pool needs at most when each of its parts is paid with fees."""
    return pool_units * 100 // (100 - sum(fees))


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """A results file: what it says, and its SHA-256 in hex."""

    body: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout: what leaves the escrow to whom, the oracles' fees included."""

    payout_id: str
    payments: tuple[tuple[str, int], ...]

    @property
    def units(self) -> int:
        """All of it."""
        return sum(units for _, units in self.payments)


def record(
    campaign: Campaign,
    scores: rules.PeriodScores,
    period: tuple[int, int],
    new_id: Callable[[], str],
) -> Recorded:
    """A period with what it pays.

    Raises ScoringFailed where HuFi's own pass does.
    """
    terms, decimals = campaign.terms, campaign.token.decimals
    pool = rules.reward_pool(terms, scores, campaign.daily_reward, decimals)
    paid = rules.rewards(terms, scores, pool, decimals)
    chunks = _chunks(scores.outcomes)
    payments = rules.payout_batches(terms, scores, paid)
    if terms.type is rules.CampaignType.COMPETITIVE_MARKET_MAKING:
        # All batches of a competitive period are paid in one, under an id of the period.
        one_id = rules.competitive_payout_id(iso(period[0]), iso(period[1]))
        parts = [tuple(payments[0]) if payments and not at else () for at in range(len(chunks))]
        ids = [(new_id(), one_id) for _ in chunks]
    else:
        parts = [tuple(part) for part in payments]
        ids = [(made, made) for made in (new_id() for _ in chunks)]
    batches = tuple(
        Batch(batch_id, payout_id, chunk, part)
        for (batch_id, payout_id), chunk, part in zip(ids, chunks, parts, strict=True)
    )
    return Recorded(period[0], period[1], pool, scores, batches)


def _chunks(
    outcomes: Sequence[rules.ScoreOutcome],
) -> list[tuple[rules.ScoreOutcome, ...]]:
    size = rules.BATCH_SIZE_MAX
    return [tuple(outcomes[at : at + size]) for at in range(0, len(outcomes), size)]


def results_file(campaign: Campaign) -> ResultsFile:
    """Everything recorded so far, as one cumulative file."""
    document = {
        "chain_id": CHAIN_ID,
        "address": campaign.address,
        "exchange": campaign.manifest.exchange,
        "symbol": campaign.terms.subject,
        "results": [_shown(campaign, one) for one in campaign.recorded],
    }
    body = msgspec.json.encode(document)
    return ResultsFile(body, hashlib.sha256(body).hexdigest())


def _shown(campaign: Campaign, one: Recorded) -> Json:
    terms = campaign.terms
    shown: Json = {
        "from": iso(one.from_ms), "to": iso(one.to_ms), "reserved_funds": plain(one.pool),
        "total_volume" if terms.type.counts_volume else "total_balance": number(one.scores.total),
    }  # fmt: skip
    if terms.type.counts_heads:
        shown["total_score"] = number(one.scores.total_score)
    shown["participants_outcomes_batches"] = [
        {"id": batch.batch_id, "results": [outcome(terms, each) for each in batch.outcomes]}
        for batch in one.batches
    ]
    return shown


def outcome(terms: rules.Terms, one: rules.ScoreOutcome) -> Json:
    """One participant's line of a results file."""
    total = "total_volume" if terms.type.counts_volume else "token_balance"
    return {"address": one.address, "score": number(one.score), total: number(one.total)}


def payouts(campaign: Campaign) -> list[Payout]:
    """Every payout of everything recorded, in the order in which they are made."""
    fees, decimals = campaign.escrow.fees, campaign.token.decimals
    return [
        Payout(
            batch.payout_id,
            tuple(
                (who, gross_of(int(amount.scaleb(decimals)), fees))
                for who, amount in batch.payments
            ),
        )
        for one in campaign.recorded
        for batch in one.batches
        if batch.payments
    ]


def reserved_units(campaign: Campaign) -> int:
    """What all recorded periods together need in reserve."""
    decimals, fees = campaign.token.decimals, campaign.escrow.fees
    return sum(reserve_of(int(one.pool.scaleb(decimals)), fees) for one in campaign.recorded)
