"""Pure decisions of the client: units, fees, choices, request ids, arrivals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.treasury.model import SendRequest
from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin import rules
from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.ids import FEE_RECEIVER, ghost_hint
from poolmaker.mixin.codec.keys import GhostKeys, pair_from_seed, public_key, seed_scalar
from poolmaker.mixin.model import (
    Fee,
    KeptOutput,
    MixinForm,
    OutputStatus,
    OwnOutput,
    SeenOutput,
)
from poolmaker.mixin.rules import NeedsConsolidation, NotEnough, Unpayable

APP = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
USER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
ASSET = "218bc6f4-7927-3f8e-8568-3a3725b74361"
GAS = "43d61dcd-e413-450d-80b8-101d5e903357"
FORM = MixinForm(
    name="usdt", asset="USDT", scale=8, decimals=6, mixin_id=ASSET, venue_network="MATIC"
)
GAS_FORM = MixinForm(name="eth", asset="ETH", scale=18, decimals=18, mixin_id=GAS)
PLAIN = SendRequest(
    source="custody:mixin:usdt", reference="0f5b3f2e6f0c5d529b7e5b6ad8c1f3a4", asset="USDT",
    units=500_000_000, network="MATIC", address="0x86fa049857e0209aa7d9e616f7eb3b3b78ecfdb0",
    tag="",
)  # fmt: skip


def _point(number: int) -> bytes:
    return public_key(seed_scalar(number.to_bytes(32, "big")))


def _lock(number: int) -> GhostKeys:
    return GhostKeys(_point(number), (_point(number + 1_000),))


def _plan(request: SendRequest = PLAIN, form: MixinForm = FORM) -> rules.PayableRequest:
    return rules.plan(rules.payment_of(request, form, 1), form)


def _output(number: int, units: int) -> OwnOutput:
    return OwnOutput(f"o{number}", f"{number:064x}", 0, units, (_point(number),))


@given(st.integers(0, 10**30), st.integers(0, 18))
def test_reading_and_writing_a_form_loses_nothing(units: int, scale: int) -> None:
    form = replace(FORM, scale=scale, decimals=0)
    whole, dust = form.read(units)
    back = form.write(whole)
    assert back is not None
    assert back + dust == units


def test_an_amount_finer_than_the_network_does_not_fit_and_is_not_cut() -> None:
    assert GAS_FORM.write(10**10) == 1
    assert GAS_FORM.write(10**10 + 1) is None


def test_a_request_id_is_the_reference_itself_failure_l9() -> None:
    """Failure row L9: deterministic uuids; another attempt has another, as deterministic."""
    name = rules.request_id_of(PLAIN.reference)
    assert name == "0f5b3f2e-6f0c-5d52-9b7e-5b6ad8c1f3a4"
    assert rules.attempt_id(name, 0) == name
    assert rules.attempt_id(name, 1) == rules.attempt_id(name, 1) != rules.attempt_id(name, 2)
    for wrong in ("", "0f5b", PLAIN.reference.upper(), "g" * 32):
        with pytest.raises(PreconditionError):
            rules.request_id_of(wrong)


@given(st.integers(1, 10**12), st.integers(0, 10**9))
def test_what_is_received_and_the_fee_are_exactly_what_is_paid(units: int, fee: int) -> None:
    plan = _plan(replace(PLAIN, units=units * 100))
    try:
        cost = rules.cost(plan, [Fee(ASSET, fee)], [FORM])
    except Unpayable:
        assert fee > plan.units - 100
        return
    assert cost.received + cost.same == plan.units
    assert cost.received % 100 == 0, "the chain holds six decimals"
    assert fee <= cost.same < fee + 100


def test_a_fee_in_the_asset_itself_is_preferred_to_one_in_another() -> None:
    fees = [Fee(GAS, 5), Fee(ASSET, 100)]
    assert rules.cost(_plan(), fees, [FORM, GAS_FORM]).same == 100
    other = rules.cost(_plan(), fees[:1], [FORM, GAS_FORM])
    assert (other.received, other.other, other.other_form) == (500_000_000, 5, GAS_FORM)
    with pytest.raises(Unpayable, match="no form"):
        rules.cost(_plan(), fees[:1], [FORM])


def test_no_fee_is_no_output_because_nothing_cannot_be_paid() -> None:
    cost = rules.cost(_plan(), [Fee(ASSET, 0)], [FORM])
    (draft,) = rules.drafts(_plan(), cost, [_lock(1)])
    assert [one.units for one in draft.outputs] == [500_000_000]


def test_a_withdrawal_leaves_first_pays_its_fee_second_and_takes_its_change_last() -> None:
    plan = _plan()
    cost = rules.cost(plan, [Fee(ASSET, 10_000_000)], [FORM])
    wanted = rules.locks_wanted(plan, cost, APP)
    assert [(one.receiver, one.index) for one in wanted] == [(FEE_RECEIVER, 1), (APP, 2)]
    assert wanted[0].hint == ghost_hint(plan.request_id, 1)
    (draft,) = rules.drafts(plan, cost, [_lock(1), _lock(2)])
    picked = rules.choose([_output(1, 600_000_000)], [], 600_000_000, draft)
    tx = rules.finish(draft, picked)
    assert [one.units for one in tx.outputs] == [490_000_000, 10_000_000, 100_000_000]
    assert tx.kind is codec.TransactionKind.WITHDRAWAL


def test_a_fee_in_another_asset_is_a_second_transaction_with_ids_of_its_own() -> None:
    plan = _plan()
    cost = rules.cost(plan, [Fee(GAS, 7)], [FORM, GAS_FORM])
    wanted = rules.locks_wanted(plan, cost, APP)
    assert [(one.receiver, one.index) for one in wanted] == [(APP, 1), (FEE_RECEIVER, 0), (APP, 1)]
    main, fee = rules.drafts(plan, cost, [_lock(1), _lock(2), _lock(3)])
    assert (main.need, fee.need) == (500_000_000, 7)
    assert main.request_id != fee.request_id
    assert fee.asset_id == GAS


@pytest.mark.parametrize(
    "change",
    [
        {"units": 0}, {"units": 1}, {"asset": "EUR"}, {"network": "ETH"}, {"address": ""},
        {"address": "x" * 257}, {"network": "mixin"}, {"network": "mixin", "address": USER[:-1]},
        {"network": "mixin", "address": USER, "tag": "ü" * 129},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_a_reason(change: dict[str, object]) -> None:
    with pytest.raises(Unpayable, match=r"\w"):
        _plan(replace(PLAIN, **change))  # type: ignore[arg-type]


def _draft(need: int) -> rules.TransactionDraft:
    plan = _plan(replace(PLAIN, network="mixin", address=USER, units=need))
    return rules.drafts(plan, rules.Cost(need), [_lock(1), _lock(2)])[0]


def test_the_oldest_outputs_pay_else_the_largest_else_they_are_joined_first() -> None:
    small = [_output(n, 1) for n in range(1, 400)]
    large = [_output(500, 1_000), *small]
    assert rules.choose(small[:255], large[:255], 1_399, _draft(3)).picked == tuple(small[:3])
    found = rules.choose(small[:255], large[:255], 1_399, _draft(1_100))
    assert found.picked[0].units == 1_000
    assert found.change_units == 0
    with pytest.raises(NeedsConsolidation):
        rules.choose(small[:255], large[:255], 1_399, _draft(1_300))
    with pytest.raises(NotEnough):
        rules.choose(small[:255], large[:255], 1_399, _draft(1_400))


def test_a_signature_is_refused_with_a_key_that_the_output_does_not_name() -> None:
    owner = pair_from_seed(bytes(range(64)))
    draft = _draft(5)
    picked = rules.choose([_output(1, 5)], [], 5, draft)
    payment = rules.payment_of(PLAIN, FORM, 1)
    row = rules.journalled(draft, rules.finish(draft, picked), payment, 0)
    with pytest.raises(PreconditionError, match="not among"):
        rules.signed(row, [owner.view], bytes(32), picked.picked)


def _seen(**changes: object) -> SeenOutput:
    plain = SeenOutput(
        output_id="o", transaction_hash="h", output_index=0, sequence=1, asset_id=ASSET, units=5,
        keys=(), senders=(USER,), request_id="r", extra=b"\xff\xfe", created_us=7,
        is_inscription=False, state="unspent", taken_by="",
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_change_is_ours_and_a_strangers_output_that_names_us_too_is_not() -> None:
    assert rules.is_ours(_seen(senders=(APP,)), APP)
    assert not rules.is_ours(_seen(senders=(APP, USER)), APP)
    assert not rules.is_ours(_seen(senders=()), APP)


@pytest.mark.parametrize(
    ("seen", "form", "ours", "fate"),
    [
        (_seen(is_inscription=True), FORM, True, OutputStatus.INSCRIPTION),
        (_seen(), FORM, True, OutputStatus.OWN),
        (_seen(), None, False, OutputStatus.UNKNOWN_ASSET),
        (_seen(), FORM, False, OutputStatus.WAITING),
    ],
)
def test_what_an_output_is_before_the_treasury_is_asked(
    seen: SeenOutput, form: MixinForm | None, ours: bool, fate: OutputStatus
) -> None:
    assert rules.first_fate(seen, form, ours=ours) is fate


def test_an_arrival_carries_its_memo_as_raw_bytes_however_malformed_failure_l2() -> None:
    """Failure row L2: a memo that nobody can read is no reason to lose or swallow a payment."""
    kept = KeptOutput(seen=_seen(), form="usdt", fate=OutputStatus.WAITING, opponent=USER)
    found = rules.arrival(kept, FORM)
    assert found is not None
    assert (found.memo, found.reference, found.trace, found.sender) == (b"\xff\xfe", "o", "r", USER)


def test_questions_come_more_and_more_rarely_and_never_stop() -> None:
    one, waits = KeptOutput(seen=_seen(), form="usdt", fate=OutputStatus.WAITING), []
    for _ in range(9):
        one = rules.ask_again(one, 0)
        waits.append(one.ask_us)
    assert waits == sorted(waits)
    assert waits[-1] == rules.ASK_MAX_US


@given(st.integers(-(10**6), 10**10))
def test_found_54_a_code_that_nobody_knows_never_ends_a_payment(error: int) -> None:
    meaning = rules.meaning_of(error)
    assert meaning is rules.MEANINGS.get(error, rules.RefusalMeaning.PERSON)
    if error not in rules.MEANINGS:
        assert meaning is rules.RefusalMeaning.PERSON


def test_found_54_only_what_is_about_the_payment_itself_is_final() -> None:
    final = {code for code, one in rules.MEANINGS.items() if one is rules.RefusalMeaning.FINAL}
    assert final == {10002, 10404, 20120, 20127, 20131, 20134, 20150, 30102}
    waits = {code for code, one in rules.MEANINGS.items() if one is rules.RefusalMeaning.WAIT}
    assert waits >= {20137, 30100, 30103, 10104}
