"""Messages: strict, immutable, one canonical encoding; what the wings say to each other."""

from __future__ import annotations

import json
import subprocess
import sys
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.ledger import commands
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.market import Market
from poolmaker.kernel.money import Amount, Asset, Ratio
from poolmaker.messages import market as words
from poolmaker.messages.base import Envelope, Message, Money, Rate, decode, encode

UNIONS: dict[str, Any] = {
    "control": words.Control,
    "account": words.AccountEvent,
    "engine": words.EngineEvent,
    "command": commands.Command,
}
MEMBERS = [
    pytest.param(union, member, id=member.__name__)
    for union in UNIONS.values()
    for member in typing.get_args(union)
]


def examples(kind: Any) -> st.SearchStrategy[Any]:
    """Any message of a kind, from its own annotations."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = {one.name: examples(one.type) for one in msgspec.structs.fields(kind)}
        return st.builds(kind, **fields)
    if typing.get_origin(kind) is tuple:
        inner, _ = typing.get_args(kind)
        return st.lists(examples(inner), max_size=3).map(tuple)
    if hasattr(kind, "__supertype__"):
        return examples(kind.__supertype__)
    if kind is int:
        return st.integers(-(2**63), 2**63 - 1)
    return st.from_type(kind)


@pytest.mark.parametrize(("union", "member"), MEMBERS)
@given(data=st.data())
def test_what_is_encoded_decodes_to_itself_in_its_union(
    union: Any, member: Any, data: st.DataObject
) -> None:
    message = data.draw(examples(member))
    body = encode(message)
    assert decode(body, union) == message
    assert encode(decode(body, union)) == body
    assert decode(body, member) == message


@pytest.mark.parametrize(("union", "member"), MEMBERS)
@given(data=st.data())
def test_an_unknown_field_a_missing_one_and_a_wrong_type_are_refused(
    union: Any, member: Any, data: st.DataObject
) -> None:
    fields = json.loads(encode(data.draw(examples(member))))
    with pytest.raises(PreconditionError):
        decode(json.dumps({**fields, "surprise": 1}).encode(), union)
    required = [one.encode_name for one in msgspec.structs.fields(member) if one.required]
    for name in required:
        less = {key: value for key, value in fields.items() if key != name}
        with pytest.raises(PreconditionError):
            decode(json.dumps(less).encode(), union)
        if isinstance(fields[name], int):
            for wrong in (str(fields[name]), 1.5):
                with pytest.raises(PreconditionError):
                    decode(json.dumps({**fields, name: wrong}).encode(), union)


@pytest.mark.parametrize(("union", "member"), MEMBERS)
def test_every_member_is_frozen_strict_and_tagged_once(union: Any, member: Any) -> None:
    config = member.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields
    tags = [one.__struct_config__.tag for one in typing.get_args(union)]
    assert len(set(tags)) == len(tags)
    assert all(isinstance(tag, str) and tag for tag in tags)


def test_words_between_the_wings_carry_their_version() -> None:
    """The newest form has the bare name; an older one ends in its version."""
    for name in ("control", "account", "engine"):
        for member in typing.get_args(UNIONS[name]):
            bare, _, version = str(member.__struct_config__.tag).partition(".v")
            assert member.__name__ in (bare, f"{bare}V{version}")


OLD_BARRIER = (
    b'{"type":"Barrier.v1","account":"acc","barrier_id":"acc:7","facts_seq":3,"venue_time_us":9,'
    b'"prices":[{"pool":"p","mid":{"numerator":6,"denominator":1},"twap_60s":null,'
    b'"book_version":4,"price_time_us":8}],"at_risk":[{"pool":"p","base_units":1,"quote_units":0}]}'
)


def test_a_barrier_written_before_depth_prices_reads_as_one_without_them() -> None:
    old = decode(OLD_BARRIER, UNIONS["account"])
    assert isinstance(old, words.BarrierV1)
    assert encode(old) == OLD_BARRIER
    new = words.barrier_of(old)
    (price,), (risk,) = new.prices, new.at_risk
    assert price.mid == Rate(numerator=6, denominator=1)
    assert (price.twap_60s, price.bid_depth, price.ask_depth) == (None, None, None)
    assert (risk.unknown_orders, risk.base_units, risk.unpriced_fees) == (1, 1, 0)
    wanted = b'{"type":"BarrierWanted.v1","account":"acc","barrier_id":"acc:7"}'
    assert isinstance(decode(wanted, UNIONS["control"]), words.BarrierWantedV1)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_callers_fault(body: bytes) -> None:
    try:
        decode(body, words.StopQuoting)
    except PreconditionError:
        return
    assert json.loads(body)["type"] == "StopQuoting.v1"


def test_the_order_of_fields_that_were_given_does_not_matter() -> None:
    one = Money(asset="USDT", units=5)
    assert encode(one) == b'{"asset":"USDT","units":5}'
    assert encode(decode(b' {"units": 5,\n"asset": "USDT"}', Money)) == encode(one)


def test_a_number_of_38_digits_is_carried_exactly() -> None:
    for units in (10**38 - 1, -(10**38) + 1, 2**53 + 1, 2**64):
        money = Money(asset="X", units=units)
        assert decode(encode(money), Money) == money


def test_a_float_is_no_number_of_units() -> None:
    for text in (b"5.0", b"5e0", b'"5"', b"true", b"null"):
        with pytest.raises(PreconditionError):
            decode(b'{"asset":"USDT","units":%s}' % text, Money)


def test_an_encoding_is_the_same_in_every_process() -> None:
    code = (
        "from poolmaker.messages.base import *;"
        "print(encode(Envelope(stream='s',seq=1,key='k',body=b'x',occurred_at_us=1,"
        "recorded_at_us=2)).decode())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
    assert decode(outputs.pop().strip().encode(), Envelope).body == b"x"


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_money_and_amounts_say_the_same(units: int) -> None:
    asset = Asset("USDT", 6)
    amount = Amount(asset, units)
    assert Money.of(amount).amount(asset) == amount
    with pytest.raises(PreconditionError):
        Money.of(amount).amount(Asset("BTC", 8))


def test_rates_and_ratios_say_the_same_and_a_bad_rate_is_no_ratio() -> None:
    ratio = Ratio(3, 7)
    assert Rate.of(ratio).ratio == ratio
    with pytest.raises(PreconditionError):
        _ = Rate(numerator=0, denominator=1).ratio


def test_a_market_is_the_same_on_both_sides() -> None:
    market = Market("BTC/USDT", Asset("BTC", 8), Asset("USDT", 6), 10_000, 10)
    spec = words.MarketSpec.of(market)
    assert (spec.base_asset, spec.quote_asset) == (market.base, market.quote)


def test_the_three_streams_of_an_account_differ() -> None:
    account = VenueAccountId("a")
    names = {
        words.account_stream(account),
        words.control_stream(account),
        words.engine_stream(account),
    }
    assert names == {"account:a", "control:a", "engine:a"}


def test_messages_cannot_be_changed() -> None:
    message = words.StopQuoting(pool="p", reason="r")  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        message.reason = "other"  # type: ignore[misc]
    assert isinstance(message, Message)
