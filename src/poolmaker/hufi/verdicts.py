"""Pure decisions of the HuFi client: ids, times, refusals, and what a payment is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from eth_utils.crypto import keccak

from poolmaker.business.campaigns.model import CampaignStatus, ObservedCampaign
from poolmaker.evm.abi import Undecodable, decoded, topic
from poolmaker.evm.model import ChainTransfer, RegisteredToken, TransactionReceipt
from poolmaker.hufi.model import (
    CampaignDays,
    HufiRefused,
    LaunchedCampaign,
    Payout,
    Period,
    Unattributed,
)
from poolmaker.hufi.rules import competitive_payout_id
from poolmaker.infra.foreign import NotReadable, read_json
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import DAY_US, SECOND_US
from poolmaker.kernel.errors import PreconditionError

SOURCE: Final = "hufi"
BULK_TRANSFER: Final = topic("BulkTransferV3(bytes32,address[],uint256[],bool,string,string)")
_BULK_TYPES: Final = ("address[]", "uint256[]", "bool", "string", "string")
_CAMPAIGN: Final = re.compile(r"hufi-([0-9]{1,10})-(0x[0-9a-f]{40})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S_MAX: Final = 86_400
_MS_US: Final = 1_000
_SERVER_ERROR: Final = 500
_STATUSES: Final[Mapping[str, CampaignStatus]] = {
    "active": CampaignStatus.ACTIVE,
    "to_cancel": CampaignStatus.ENDING,
    "cancelled": CampaignStatus.ENDED,
    "completed": CampaignStatus.ENDED,
}
_TARGETS: Final = (
    "daily_volume_target",
    "minimum_volume_required",
    "minimum_volume_target",
    "daily_balance_target",
    "minimum_balance_target",
)
_FINAL_WORDS: Final = (
    "Campaign cancelled",
    "Campaign already finished",
    "Campaign has reached the maximum number of participants",
    "Invalid manifest",
    "Exchange not supported",
    "Fund token not supported",
)
FINAL_CLOSINGS: Final = frozenset({"ended", "max_participants_reached"})


def campaign_id(chain_id: int, escrow: str) -> str:
    """The id of a campaign for ever."""
    return f"{SOURCE}-{chain_id}-{escrow.lower()}"


def place_of(campaign: str) -> tuple[int, str] | None:
    """(chain id, escrow) of a campaign of HuFi's, None for any other id."""
    found = _CAMPAIGN.fullmatch(campaign)
    return (int(found[1]), found[2]) if found else None


def instant_us(text: str) -> int:
    """Microseconds of an ISO instant with its zone. Raises CallerFault for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    require(at is not None and at.tzinfo is not None, f"instant: {text[:40]!r} is none")
    return (at - _EPOCH) // timedelta(microseconds=1) if at is not None else 0


def campaign_seen(one: LaunchedCampaign, token: RegisteredToken, day_us: int) -> ObservedCampaign:
    """What the launcher lists, in our words. Raises CallerFault for what makes no sense."""
    status = _STATUSES.get(one.status)
    start_us, end_us = instant_us(one.start_date), instant_us(one.end_date)
    require(status is not None, f"status: {one.status!r} is not known")
    require(start_us < end_us, "end_date: expected after start_date")
    require(one.fund_amount.isascii() and one.fund_amount.isdigit(), "fund_amount: expected units")
    return ObservedCampaign(
        id=campaign_id(one.chain_id, one.address),
        source=SOURCE,
        kind=one.type,
        venue=one.exchange_name,
        market=one.symbol,
        start_us=start_us,
        end_us=end_us,
        day_us=day_us,
        form=token.form.name,
        fund_units=int(one.fund_amount),
        target=_target(one.details),
        status=status or CampaignStatus.ENDED,
        cancelled_us=max(0, one.cancellation_requested_at or 0) * _MS_US,
    )


def _target(details: Mapping[str, msgspec.Raw]) -> str:
    found = (bytes(details[name]).decode() for name in _TARGETS if name in details)
    return next(found, "")


def day_us_of(document: Mapping[str, object]) -> int:
    """The length of a day that a sandbox's manifest names, the world's day where it names none."""
    day_s = document.get("day_s")
    good = type(day_s) is int and 0 < day_s <= _DAY_S_MAX
    return day_s * SECOND_US if good and isinstance(day_s, int) else DAY_US


def is_final(refused: HufiRefused) -> bool:
    """Whether asking again can only give the same answer."""
    return refused.status < _SERVER_ERROR and refused.words.startswith(_FINAL_WORDS)


# ------------------------------------------------------------------------------ attribution


def payout_of(receipt: TransactionReceipt, transfer: ChainTransfer) -> Payout | Unattributed:
    """The event that stands for a transfer from an escrow: the next one after it by that escrow.

    It has to name us once, with exactly what came.
    """
    events = (
        log
        for log in receipt.logs[transfer.position + 1 :]
        if log.address == transfer.sender and log.topics[:1] == (BULK_TRANSFER,)
    )
    event = next(events, None)
    if event is None or len(event.topics) != 2:  # noqa: PLR2004 - the id is its only topic
        return Unattributed("its sender says nothing of a payout")
    try:
        recipients, amounts, _, url, digest = decoded(_BULK_TYPES, event.data)
    except Undecodable as problem:
        return Unattributed(f"its payout cannot be read: {problem}")
    ours = [at for at, who in enumerate(recipients) if str(who).lower() == transfer.recipient]
    if len(ours) != 1 or len(recipients) != len(amounts):
        return Unattributed(f"its payout names us {len(ours)} times")
    if amounts[ours[0]] != transfer.units:
        return Unattributed(f"its payout says {amounts[ours[0]]}, not {transfer.units}")
    return Payout(event.topics[1], str(url), str(digest))


class _Outcome(msgspec.Struct):
    address: str


class _Batch(msgspec.Struct):
    id: str
    results: list[_Outcome]


class _Result(msgspec.Struct, rename={"start": "from", "end": "to"}):
    start: str
    end: str
    participants_outcomes_batches: list[_Batch]


class _File(msgspec.Struct):
    chain_id: int
    address: str
    results: list[_Result]


def period_of(body: bytes, payout: Payout, transfer: ChainTransfer) -> Period | Unattributed:
    """The days that a payout is for, by the results file that it names.

    A payout is one of the file's batches, or, where a period is paid at once, its ``from/to``.
    """
    try:
        file: _File = read_json(body, _File)
    except NotReadable as problem:
        return Unattributed(f"its results file cannot be read: {problem}")
    if (file.chain_id, file.address.lower()) != (transfer.chain_id, transfer.sender):
        return Unattributed(f"its results file is that of {file.address} on {file.chain_id}")
    meant = [one for one in file.results if _names(one, payout.payout_id, transfer.recipient)]
    if len(meant) != 1:
        return Unattributed(f"its results file knows {len(meant)} periods of this payout")
    start_us, end_us = instant_us(meant[0].start), instant_us(meant[0].end)
    if start_us >= end_us:
        return Unattributed("its period ends before it begins")
    return Period(start_us, end_us)


def _names(one: _Result, payout_id: str, wallet: str) -> bool:
    whole = _hash(competitive_payout_id(one.start, one.end)) == payout_id
    batches = [
        batch
        for batch in one.participants_outcomes_batches
        if whole or _hash(batch.id) == payout_id
    ]
    return any(who.address.lower() == wallet for batch in batches for who in batch.results)


def _hash(text: str) -> str:
    return "0x" + keccak(text=text).hex()


# ------------------------------------------------------------------------------ the days


def days_of(manifest: Mapping[str, object], *, is_sandbox: bool) -> CampaignDays | Unattributed:
    """The days of a campaign, by the manifest that stands on the chain.

    A day's length of its own is honoured in the sandbox alone.
    """
    start, end = manifest.get("start_date"), manifest.get("end_date")
    if not isinstance(start, str) or not isinstance(end, str):
        return Unattributed("its campaign's dates do not stand on the chain")
    try:
        start_us, end_us = instant_us(start), instant_us(end)
    except PreconditionError as fault:
        return Unattributed(f"its campaign's dates cannot be read: {fault}")
    if start_us >= end_us:
        return Unattributed("its campaign ends before it begins")
    return CampaignDays(start_us, end_us, day_us_of(manifest) if is_sandbox else DAY_US)


def day_problem(period: Period, days: CampaignDays, *, is_cancelled: bool) -> str:
    """Why a period is no day of the campaign, empty when it is one.

    Days are counted from the campaign's start and cut by its end; the last day of a cancelled
    campaign may be shorter.
    """
    since_us = period.from_us - days.start_us
    if since_us < 0 or period.from_us >= days.end_us or since_us % days.day_us:
        return "its period does not begin with a day of the campaign"
    ends_us = min(period.from_us + days.day_us, days.end_us)
    if period.to_us == ends_us or (is_cancelled and period.from_us < period.to_us < ends_us):
        return ""
    return "its period does not end with the campaign's day"
