"""Manifests: what is accepted and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from poolmaker.hufi import rules
from poolmaker.hufi.rules import CampaignType
from poolmaker.sandbox.hufi.model import Json, Manifest
from poolmaker.sandbox.hufi.options import EXCHANGE
from poolmaker.sandbox.hufi.texts import milliseconds

PAIR: Final = re.compile(r"[\dA-Z]{2,10}/[\dA-Z]{3,10}")
SYMBOL: Final = re.compile(r"[\dA-Z]{2,10}")
TARGETS: Final[Mapping[CampaignType, str]] = {
    CampaignType.MARKET_MAKING: "daily_volume_target",
    CampaignType.COMPETITIVE_MARKET_MAKING: "minimum_volume_required",
    CampaignType.THRESHOLD_MARKET_MAKING: "minimum_volume_target",
    CampaignType.HOLDING: "daily_balance_target",
    CampaignType.THRESHOLD: "minimum_balance_target",
}


class InvalidManifest(ValueError):
    """A campaign that HuFi does not serve; the message is what a join answers."""


def _refuse_unless(condition: object, why: str) -> None:
    if not condition:
        raise InvalidManifest(why)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _instant(document: Mapping[str, Any], name: str) -> int:
    try:
        return milliseconds(str(document.get(name)))
    except ValueError:
        raise InvalidManifest(f'Invalid manifest: "{name}" must be a valid date') from None


def _subject(document: Mapping[str, Any], kind: CampaignType) -> str:
    name, pattern = ("pair", PAIR) if kind.counts_volume else ("symbol", SYMBOL)
    text = document.get(name)
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        raise InvalidManifest(f'Invalid manifest: "{name}" has the wrong form')
    return text


def _details(document: Mapping[str, Any], kind: CampaignType) -> Json:
    target = TARGETS[kind]
    value: Any = document.get(target)
    _refuse_unless(_is_number(value) and value > 0, f'Invalid manifest: "{target}" is required')
    details: Json = {target: value}
    if kind is CampaignType.COMPETITIVE_MARKET_MAKING:
        shares: Any = document.get("rewards_distribution")
        good = isinstance(shares, list) and shares and all(_is_number(one) for one in shares)
        _refuse_unless(
            good and min(shares) > 0 and sum(shares) <= 100,
            'Invalid manifest: "rewards_distribution" must be percents of at most 100',
        )
        details["rewards_distribution"] = shares
    if kind.counts_heads:
        heads = document.get("max_participants")
        is_optional = kind is CampaignType.THRESHOLD and heads is None
        good = isinstance(heads, int) and not isinstance(heads, bool) and heads > 0
        _refuse_unless(
            good or is_optional, 'Invalid manifest: "max_participants" must be a positive integer'
        )
        if heads is not None:
            details["max_participants"] = heads
    return details


def _day_ms(document: Mapping[str, Any]) -> int:
    """The length of a day: a sandbox may shorten it in the manifest."""
    day_s = document.get("day_s")
    if day_s is None:
        return rules.DAY_MS
    good = isinstance(day_s, int) and not isinstance(day_s, bool)
    _refuse_unless(good and 0 < day_s <= 86_400, 'Invalid manifest: "day_s" must be 1 to 86400')
    return int(day_s) * 1_000


def _kind(document: Mapping[str, Any]) -> CampaignType:
    try:
        return CampaignType(str(document.get("type")))
    except ValueError:
        raise InvalidManifest('Invalid manifest: "type" is not known') from None


def parse_manifest(text: str) -> Manifest:
    """The manifest in an escrow's text.

    Raises InvalidManifest with the reason.
    """
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise InvalidManifest("Invalid manifest: not JSON") from None
    _refuse_unless(isinstance(document, dict), "Invalid manifest: not an object")
    kind = _kind(document)
    exchange = document.get("exchange")
    _refuse_unless(exchange == EXCHANGE, f"Exchange not supported: {exchange}")
    start, end = _instant(document, "start_date"), _instant(document, "end_date")
    _refuse_unless(end > start, "Invalid manifest: it ends before it starts")
    details = _details(document, kind)
    shares, heads = details.get("rewards_distribution"), details.get("max_participants")
    target = details[TARGETS[kind]]
    terms = rules.Terms(
        type=kind, subject=_subject(document, kind), start_ms=start, end_ms=end,
        target=float(str(target)),
        distribution=tuple(shares) if isinstance(shares, list) else (),
        participants_max=heads if isinstance(heads, int) else None,
    )  # fmt: skip
    return Manifest(terms, EXCHANGE, _day_ms(document), details, str(document["end_date"]))
