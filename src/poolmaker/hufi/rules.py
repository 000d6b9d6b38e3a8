"""HuFi's daily scoring and rewards, digit for digit, as pure functions.

HuFi computes volumes and scores as IEEE doubles, summed in the order its exchange client yields
trades (newest first), and money as decimals of twenty significant digits rounded half up, cut to
the token's decimals. A double enters a decimal by its shortest decimal text. To be equal to the
last digit this module does the same; nothing of it ever reaches the ledger as a number.

Sources: the rules of the recording and reputation oracles as measured on running servers; the
vectors under ``tests/vectors`` were made by HuFi's own code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from typing import Final, assert_never

DAY_MS: Final = 86_400_000
BATCH_SIZE_MAX: Final = 99
SAFE_INTEGER_MAX: Final = 2**53 - 1
_MATH: Final = Context(prec=20, rounding=ROUND_HALF_UP)
_CUT: Final = Context(prec=60, rounding=ROUND_DOWN)
_MAKER_WEIGHT: Final = 1.0
_TAKER_BUY_WEIGHT: Final = 0.42
_TAKER_SELL_WEIGHT: Final = 0.1
_ZERO: Final = Decimal(0)


class CampaignType(StrEnum):
    """The five kinds of campaigns."""

    MARKET_MAKING = "MARKET_MAKING"
    """Share of weighted volume; the pool grows with raw volume up to a target."""
    COMPETITIVE_MARKET_MAKING = "COMPETITIVE_MARKET_MAKING"
    """Ranks by weighted volume share a fixed distribution."""
    THRESHOLD_MARKET_MAKING = "THRESHOLD_MARKET_MAKING"
    """Equal parts for everybody above a raw volume."""
    HOLDING = "HOLDING"
    """Share of balances; the pool grows with their sum up to a target."""
    THRESHOLD = "THRESHOLD"
    """Equal parts for everybody above a balance."""

    @property
    def counts_volume(self) -> bool:
        """Whether trades count, otherwise balances do."""
        return self not in (CampaignType.HOLDING, CampaignType.THRESHOLD)

    @property
    def counts_heads(self) -> bool:
        """Whether a score is one or nothing."""
        return self in (CampaignType.THRESHOLD, CampaignType.THRESHOLD_MARKET_MAKING)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a manifest says about scoring. ``subject`` is the pair or the symbol."""

    type: CampaignType
    subject: str
    start_ms: int
    end_ms: int
    target: float
    distribution: tuple[float, ...] = ()
    participants_max: int | None = None


@dataclass(frozen=True, slots=True)
class ScoredTrade:
    """A trade as the exchange client gives it. ``cost`` is in quote currency."""

    symbol: str
    side: str
    is_maker: bool
    cost: float
    time_ms: int


@dataclass(frozen=True, slots=True)
class Participant:
    """One wallet in one pass. ``balance`` is the total of the symbol, None where it has none.

    ``key_missing`` participants are not looked at; ``access_refused`` ones are left out after
    their deposit address was seen.
    """

    address: str
    deposit_address: str
    joined_ms: int
    trades: tuple[ScoredTrade, ...] = ()
    balance: float | None = None
    key_missing: bool = False
    access_refused: bool = False


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """What one participant reached in one period."""

    address: str
    score: float
    total: float


@dataclass(frozen=True, slots=True)
class PeriodScores:
    """All outcomes of a period and the wallets that a threshold campaign removes."""

    outcomes: tuple[ScoreOutcome, ...]
    total: float
    total_score: float
    removed: tuple[str, ...]


class ScoringFailed(ValueError):
    """HuFi's own pass fails with this message; nothing is recorded for the period."""


def ceil_days(start_ms: int, end_ms: int, day_ms: int = DAY_MS) -> int:
    """Days of a campaign; a started day counts whole. Only a sandbox has another ``day_ms``."""
    return -((start_ms - end_ms) // day_ms)


def net_fund(fund: Decimal, fee_percent: int, decimals: int) -> Decimal:
    """What a campaign can pay after the oracles' fees, cut to the token's decimals."""
    kept = _MATH.multiply(fund, Decimal(100 - fee_percent))
    return cut(_MATH.divide(kept, Decimal(100)), decimals)


def cut(value: Decimal, decimals: int) -> Decimal:
    """``value`` without the digits that the token cannot hold."""
    return value.quantize(Decimal(1).scaleb(-decimals), context=_CUT)


def double_to_decimal(value: float) -> Decimal:
    """The decimal of a double's shortest text."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def daily_reward(terms: Terms, net: Decimal, decimals: int, day_ms: int = DAY_MS) -> Decimal:
    """The most that one day can pay: net fund by started days, cut to the token's decimals."""
    days = Decimal(ceil_days(terms.start_ms, terms.end_ms, day_ms))
    return cut(_MATH.divide(net, days), decimals)


def weight(trade: ScoredTrade) -> float:
    """Weight of a trade's cost in the score: anything not flagged maker is a taker."""
    if trade.is_maker:
        return _MAKER_WEIGHT
    return _TAKER_BUY_WEIGHT if trade.side == "buy" else _TAKER_SELL_WEIGHT


def volume_and_score(
    trades: Sequence[ScoredTrade], subject: str, since_ms: int, until_ms: int
) -> tuple[float, float]:
    """Raw volume and weighted score of the trades in [since, until), summed newest first."""
    volume = score = 0.0
    for trade in sorted(trades, key=lambda item: -item.time_ms):
        if trade.symbol == subject and since_ms <= trade.time_ms < until_ms:
            volume += trade.cost
            score += weight(trade) * trade.cost
    return volume, score


def score_participant(
    terms: Terms, participant: Participant, from_ms: int, until_ms: int
) -> ScoreOutcome:
    """Score of one participant for the period [from, until)."""
    if terms.type.counts_volume:
        since = max(from_ms, participant.joined_ms)
        total, score = volume_and_score(participant.trades, terms.subject, since, until_ms)
    else:
        total = score = participant.balance or 0.0
    if terms.type.counts_heads:
        score = 1.0 if total >= terms.target else 0.0
    return ScoreOutcome(participant.address, score, total)


def counted(participants: Sequence[Participant]) -> list[Participant]:
    """Who is scored: a deposit address counts once, a refused key still occupies its address."""
    seen: set[str] = set()
    kept: list[Participant] = []
    for participant in participants:
        if participant.key_missing or participant.deposit_address in seen:
            continue
        seen.add(participant.deposit_address)
        if not participant.access_refused:
            kept.append(participant)
    return kept


def score_period(
    terms: Terms, participants: Sequence[Participant], from_ms: int, until_ms: int
) -> PeriodScores:
    """Scores of one period.

    Raises ScoringFailed when the total is no longer a safe integer, as HuFi does.
    """
    outcomes: list[ScoreOutcome] = []
    total = total_score = 0.0
    removed: list[str] = []
    for participant in counted(participants):
        outcome = score_participant(terms, participant, from_ms, until_ms)
        outcomes.append(outcome)
        total += outcome.total
        total_score += outcome.score
        if total >= SAFE_INTEGER_MAX:
            raise ScoringFailed("Participants total value number overflow")
        if terms.type is CampaignType.THRESHOLD and terms.participants_max and not outcome.score:
            removed.append(outcome.address)
    return PeriodScores(tuple(outcomes), total, total_score, tuple(removed))


def reward_pool(terms: Terms, scores: PeriodScores, daily: Decimal, decimals: int) -> Decimal:
    """What the day pays: the daily reward by the ratio reached, cut to the token's decimals.

    Raises ScoringFailed when more are eligible than a threshold campaign allows.
    """
    match terms.type:
        case CampaignType.MARKET_MAKING | CampaignType.HOLDING:
            reached = double_to_decimal(scores.total / terms.target)
        case CampaignType.COMPETITIVE_MARKET_MAKING:
            reached = Decimal(any(is_ranked(terms, outcome) for outcome in scores.outcomes))
        case CampaignType.THRESHOLD | CampaignType.THRESHOLD_MARKET_MAKING:
            reached = _heads_ratio(terms, scores)
        case _:
            assert_never(terms.type)
    return cut(_MATH.multiply(daily, min(reached, Decimal(1))), decimals)


def _heads_ratio(terms: Terms, scores: PeriodScores) -> Decimal:
    eligible = sum(1 for outcome in scores.outcomes if outcome.score)
    allowed = terms.participants_max or 1
    if terms.participants_max and eligible > allowed:
        raise ScoringFailed(
            f"Unexpected number of eligible participants: {eligible}, max allowed: {allowed}"
        )
    return double_to_decimal(eligible / allowed)


def is_ranked(terms: Terms, outcome: ScoreOutcome) -> bool:
    """Whether an outcome takes part in a competitive ranking."""
    return outcome.score > 0 and outcome.total >= terms.target


def rewards(
    terms: Terms, scores: PeriodScores, pool: Decimal, decimals: int
) -> list[tuple[str, Decimal]]:
    """Every paid wallet with its amount; parts below the token's smallest unit are not paid."""
    if terms.type is CampaignType.COMPETITIVE_MARKET_MAKING:
        parts = _ranked_rewards(terms, scores, pool, decimals)
    else:
        parts = [(who, cut(part, decimals)) for who, part in uncut_shares(scores, pool)]
    return [(address, amount) for address, amount in parts if amount > _ZERO]


def uncut_shares(scores: PeriodScores, pool: Decimal) -> list[tuple[str, Decimal]]:
    """Every wallet's part of the pool before it is cut to the token's decimals.

    The leaderboard shows these as doubles.
    """
    parts = [double_to_decimal(outcome.score) for outcome in scores.outcomes]
    whole = _ZERO
    for part in parts:
        whole = _MATH.add(whole, part)
    return [
        (outcome.address, _MATH.multiply(pool, _MATH.divide(part, whole)) if whole else _ZERO)
        for outcome, part in zip(scores.outcomes, parts, strict=True)
    ]


def _ranked_rewards(
    terms: Terms, scores: PeriodScores, pool: Decimal, decimals: int
) -> list[tuple[str, Decimal]]:
    ranked = sorted(
        (outcome for outcome in scores.outcomes if is_ranked(terms, outcome)),
        key=lambda outcome: -outcome.score,
    )
    slots = sorted((double_to_decimal(part) for part in terms.distribution), reverse=True)
    paid: list[tuple[str, Decimal]] = []
    place = 0
    while place < len(ranked):
        tied = [outcome for outcome in ranked if outcome.score == ranked[place].score]
        percent = sum(slots[place : place + len(tied)], _ZERO)
        amount = _MATH.multiply(pool, _MATH.divide(percent, Decimal(100)))
        each = cut(_MATH.divide(amount, Decimal(len(tied))), decimals)
        paid.extend((outcome.address, each) for outcome in tied)
        place += len(tied)
    return paid


def estimated_rewards(
    terms: Terms, scores: PeriodScores, pool: Decimal, decimals: int
) -> dict[str, float]:
    """What the leaderboard shows for every scored wallet, as doubles."""
    if terms.type is CampaignType.COMPETITIVE_MARKET_MAKING:
        shown = rewards(terms, scores, pool, decimals)
    else:
        shown = uncut_shares(scores, pool)
    return {outcome.address: 0.0 for outcome in scores.outcomes} | {
        address: float(part) for address, part in shown
    }


def competitive_payout_id(from_iso: str, until_iso: str) -> str:
    """Id of the one payout of a competitive period."""
    return hashlib.sha256(f"{from_iso}/{until_iso}".encode()).hexdigest()


def payout_batches(
    terms: Terms, scores: PeriodScores, paid: Sequence[tuple[str, Decimal]]
) -> list[list[tuple[str, Decimal]]]:
    """Payments by batches of at most 99 recorded outcomes; a competitive period pays in one."""
    if terms.type is CampaignType.COMPETITIVE_MARKET_MAKING:
        return [list(paid)] if scores.outcomes else []
    amounts: Mapping[str, Decimal] = dict(paid)
    addresses = [outcome.address for outcome in scores.outcomes]
    return [
        [(a, amounts[a]) for a in addresses[start : start + BATCH_SIZE_MAX] if a in amounts]
        for start in range(0, len(addresses), BATCH_SIZE_MAX)
    ]
