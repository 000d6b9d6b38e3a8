"""What a payment is for: by the escrow's event and its results file, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.campaigns.model import CampaignStatus
from poolmaker.evm.abi import TRANSFER, topic_of
from poolmaker.evm.model import ChainTransfer, Log, RegisteredToken, TransactionReceipt
from poolmaker.hufi.api import read
from poolmaker.hufi.model import (
    CampaignDays,
    HufiRefused,
    LaunchedCampaign,
    Payout,
    Period,
    Unattributed,
)
from poolmaker.hufi.rules import competitive_payout_id
from poolmaker.hufi.verdicts import (
    BULK_TRANSFER,
    campaign_id,
    campaign_seen,
    day_problem,
    day_us_of,
    days_of,
    instant_us,
    is_final,
    payout_of,
    period_of,
    place_of,
)
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.money import Asset, AssetOnNetwork

WALLET, OTHER = "0x" + "0a" * 20, "0x" + "0b" * 20
ESCROW, TOKEN = "0x" + "0e" * 20, "0x" + "0c" * 20
BATCH = "7f1c2a3b-0000-4000-8000-000000000001"
FROM, TO = "2026-11-20T00:00:00.000Z", "2026-11-21T00:00:00.000Z"


def hashed(text: str) -> str:
    return "0x" + keccak(text=text).hex()


def log(address: str, topics: tuple[str, ...], data: bytes = b"") -> Log:
    return Log(address, topics, "0x" + data.hex(), 0, 9, "0x01", "0x02")


def moved(to: str, units: int, sender: str = ESCROW) -> Log:
    topics = (TRANSFER, topic_of(sender), topic_of(to))
    return log(TOKEN, topics, units.to_bytes(32, "big"))


def paid(parts: list[tuple[str, int]], batch: str = BATCH, escrow: str = ESCROW) -> Log:
    types = ["address[]", "uint256[]", "bool", "string", "string"]
    who, amounts = [one for one, _ in parts], [units for _, units in parts]
    data = encode(types, [who, amounts, True, "https://files/x.json", "ff"])
    return log(escrow, (BULK_TRANSFER, hashed(batch)), data)


def receipt(*logs: Log) -> TransactionReceipt:
    return TransactionReceipt("0x02", 9, "0x01", True, 0, logs)


def transfer(position: int = 0, units: int = 5) -> ChainTransfer:
    return ChainTransfer(
        chain_id=137, tx_hash="0x02", position=position, contract=TOKEN, sender=ESCROW,
        recipient=WALLET, units=units, block=9, at_us=1,
    )  # fmt: skip


def test_a_transfer_belongs_to_the_next_payout_of_its_escrow() -> None:
    """hufi invariant 3; failures 3.4.8."""
    logs = [
        moved(WALLET, 5),
        paid([(WALLET, 5)], "other", escrow=OTHER),
        paid([(OTHER, 3), (WALLET, 5)]),
        moved(WALLET, 5),
        paid([(WALLET, 5)], "second"),
    ]
    first = payout_of(receipt(*logs), transfer(0))
    assert first == Payout(hashed(BATCH), "https://files/x.json", "ff")
    second = payout_of(receipt(*logs), transfer(3))
    assert isinstance(second, Payout)
    assert second.payout_id == hashed("second")


@pytest.mark.parametrize(
    ("logs", "why"),
    [
        ([moved(WALLET, 5)], "nothing of a payout"),
        ([moved(WALLET, 5), paid([(WALLET, 5)], escrow=OTHER)], "nothing of a payout"),
        ([moved(WALLET, 5), paid([(WALLET, 6)])], "says 6, not 5"),
        ([moved(WALLET, 5), paid([(OTHER, 5)])], "0 times"),
        ([moved(WALLET, 5), paid([(WALLET, 5), (WALLET, 5)])], "2 times"),
        ([moved(WALLET, 5), log(ESCROW, (BULK_TRANSFER, "0x1"), b"x")], "cannot be read"),
        ([moved(WALLET, 5), log(ESCROW, (BULK_TRANSFER,), b"x")], "nothing of a payout"),
    ],
)
def test_a_transfer_without_its_own_payout_is_not_attributed(logs: list[Log], why: str) -> None:
    found = payout_of(receipt(*logs), transfer())
    assert isinstance(found, Unattributed)
    assert why in found.reason


def test_a_payout_whose_lists_differ_in_length_is_not_attributed() -> None:
    types = ["address[]", "uint256[]", "bool", "string", "string"]
    data = encode(types, [[WALLET], [5, 6], True, "https://files/x.json", "ff"])
    event = log(ESCROW, (BULK_TRANSFER, hashed(BATCH)), data)
    assert isinstance(payout_of(receipt(moved(WALLET, 5), event), transfer()), Unattributed)


def file(**changes: Any) -> bytes:
    batch = {"id": BATCH, "results": [{"address": WALLET.upper().replace("0X", "0x"), "score": 1}]}
    period = {"from": FROM, "to": TO, "participants_outcomes_batches": [batch]}
    good: dict[str, Any] = {"chain_id": 137, "address": ESCROW, "results": [period]}
    return json.dumps({**good, **changes}).encode()


def period_file(start: str, end: str) -> bytes:
    """A results file whose one period is this."""
    batch = {"id": BATCH, "results": [{"address": WALLET, "score": 1}]}
    return file(results=[{"from": start, "to": end, "participants_outcomes_batches": [batch]}])


def payout(payout_id: str = hashed(BATCH)) -> Payout:
    return Payout(payout_id, "https://files/x.json", "ff")


def test_the_batch_with_the_payouts_id_says_the_days() -> None:
    day = Period(instant_us(FROM), instant_us(TO))
    assert period_of(file(), payout(), transfer()) == day
    assert day.to_us - day.from_us == DAY_US


def test_a_period_that_is_paid_at_once_is_known_by_its_times() -> None:
    whole = payout(hashed(competitive_payout_id(FROM, TO)))
    found = period_of(file(), whole, transfer())
    assert found == Period(instant_us(FROM), instant_us(TO))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (file(results=[]), "0 periods"),
        (file(chain_id=1), "on 1"),
        (file(address=OTHER), OTHER),
        (file(results=json.loads(file())["results"] * 2), "2 periods"),
    ],
)
def test_a_file_that_does_not_say_it_is_not_believed(body: bytes, why: str) -> None:
    found = period_of(body, payout(), transfer())
    assert isinstance(found, Unattributed)
    assert why in found.reason


def test_a_batch_may_pay_others_beside_us() -> None:
    period = json.loads(file())["results"][0]
    results = period["participants_outcomes_batches"][0]["results"]
    for others in ([{"address": OTHER}, *results], [*results, {"address": OTHER}]):
        period["participants_outcomes_batches"][0]["results"] = others
        found = period_of(file(results=[period]), payout(), transfer())
        assert found == Period(instant_us(FROM), instant_us(TO))


def test_a_batch_in_which_we_are_not_is_not_ours() -> None:
    period = json.loads(file())["results"][0]
    period["participants_outcomes_batches"][0]["results"][0]["address"] = OTHER
    found = period_of(file(results=[period]), payout(), transfer())
    assert isinstance(found, Unattributed)


def launched(**changes: Any) -> LaunchedCampaign:
    good: dict[str, Any] = {
        "chain_id": 137, "address": "0xAb" + "0" * 38, "type": "MARKET_MAKING",
        "exchange_name": "mexc", "symbol": "HMT/USDT", "details": {"daily_volume_target": 1500.5},
        "start_date": FROM, "end_date": TO, "fund_amount": "123", "fund_token": TOKEN,
        "status": "active", "launcher": "0x1",
    }  # fmt: skip
    return read(json.dumps({**good, **changes}).encode(), LaunchedCampaign)


TETHER = RegisteredToken(AssetOnNetwork(Asset("USDT", 8), "usdt-polygon", 6), TOKEN)


def test_a_launched_campaign_is_told_in_our_words() -> None:
    seen = campaign_seen(launched(), TETHER, DAY_US)
    assert seen.id == "hufi-137-0xab" + "0" * 38
    assert (seen.form, seen.fund_units, seen.target) == ("usdt-polygon", 123, "1500.5")
    assert seen.status is CampaignStatus.ACTIVE
    assert campaign_seen(launched(status="to_cancel"), TETHER, 1).status is CampaignStatus.ENDING
    assert campaign_seen(launched(status="completed"), TETHER, 1).status is CampaignStatus.ENDED


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "new"},
        {"end_date": FROM},
        {"start_date": "2026-11-20"},
        {"start_date": "soon"},
        {"fund_amount": "1.5"},
        {"fund_amount": "-1"},
    ],
)
def test_a_launched_campaign_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PreconditionError):
        campaign_seen(launched(**changes), TETHER, DAY_US)


def test_a_campaigns_id_leads_back_to_its_escrow() -> None:
    assert place_of(campaign_id(137, "0xAB" + "0" * 38)) == (137, "0xab" + "0" * 38)
    for other in ("own-1", "hufi-137-0xAB" + "0" * 38, "hufi-x-0xab" + "0" * 38):
        assert place_of(other) is None


def test_a_day_is_the_worlds_unless_a_sandbox_says_otherwise() -> None:
    assert [day_us_of({"day_s": day_s}) for day_s in (1, 20)] == [1_000_000, 20_000_000]
    for odd in ({}, {"day_s": 0}, {"day_s": True}, {"day_s": "20"}, {"day_s": 86_401}):
        assert day_us_of(odd) == DAY_US


@pytest.mark.parametrize(
    ("status", "words", "final"),
    [
        (422, "Campaign cancelled", True),
        (422, "Campaign already finished", True),
        (422, "Campaign has reached the maximum number of participants. Total: 3", True),
        (422, "Campaign not found", False),
        (422, "Exchange API key not found", False),
        (422, "Provided API key can't be authorized on exchange. Missing: x", False),
        (422, "Joining the campaign is limited. Target is met.", False),
        (500, "Campaign cancelled", False),
        (503, "Error while checking exchange access", False),
    ],
)
def test_a_refusal_is_final_only_where_asking_again_cannot_help(
    status: int, words: str, final: bool
) -> None:
    assert is_final(HufiRefused(status, words)) is final


@given(
    start_us=st.integers(0, 4 * 10**15),
    length_us=st.integers(1, 40 * DAY_US),
    from_us=st.integers(-(10**14), 5 * 10**15),
    to_us=st.integers(-(10**14), 5 * 10**15),
    near=st.booleans(),
    is_cancelled=st.booleans(),
)
def test_found_43_only_the_days_of_a_campaign_are_days(
    start_us: int, length_us: int, from_us: int, to_us: int, near: bool, is_cancelled: bool
) -> None:
    """Found 43 by search: whatever a file says, no reward is shared over anything else."""
    days = CampaignDays(start_us, start_us + length_us, DAY_US)
    if near:
        from_us = start_us + from_us % (length_us + DAY_US) // DAY_US * DAY_US + from_us % 3 - 1
        to_us = from_us + DAY_US + to_us % 3 - 1
    period = Period(from_us, to_us)
    real = [(one, min(one + DAY_US, days.end_us)) for one in range(start_us, days.end_us, DAY_US)]
    if day_problem(period, days, is_cancelled=is_cancelled):
        assert (from_us, to_us) not in real
        return
    (day,) = [one for one in real if one[0] == from_us]
    assert to_us == day[1] or (is_cancelled and from_us < to_us < day[1])


@given(length_us=st.integers(1, 5 * DAY_US), early_us=st.integers(1, DAY_US))
def test_every_day_of_a_campaign_is_one_and_a_cancelled_one_may_end_early(
    length_us: int, early_us: int
) -> None:
    days = CampaignDays(7, 7 + length_us, DAY_US)
    for from_us in range(7, days.end_us, DAY_US):
        to_us = min(from_us + DAY_US, days.end_us)
        for is_cancelled in (False, True):
            assert not day_problem(Period(from_us, to_us), days, is_cancelled=is_cancelled)
        shorter = Period(from_us, to_us - early_us)
        assert day_problem(shorter, days, is_cancelled=False)
        is_left = shorter.to_us > from_us
        assert bool(day_problem(shorter, days, is_cancelled=True)) is not is_left


def test_found_43_dates_come_from_the_chain_and_a_short_day_only_in_the_sandbox() -> None:
    manifest = {"start_date": FROM, "end_date": TO, "day_s": 20}
    days = days_of(manifest, is_sandbox=False)
    assert isinstance(days, CampaignDays)
    assert days.day_us == DAY_US
    short = days_of(manifest, is_sandbox=True)
    assert isinstance(short, CampaignDays)
    assert short.day_us == 20_000_000
    odds: list[dict[str, object]] = [
        {}, {"start_date": TO, "end_date": FROM}, {"start_date": "x", "end_date": TO},
        {"start_date": FROM, "end_date": 5}, {"start_date": 5, "end_date": TO},
    ]  # fmt: skip
    for odd in odds:
        assert isinstance(days_of(odd, is_sandbox=True), Unattributed)
