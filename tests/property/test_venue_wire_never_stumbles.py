"""Whatever parameters a call brings, it is answered or refused in the wire's own words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.kernel.clock import ManualClock
from poolmaker.sandbox.venue import dispatch, mexc
from poolmaker.sandbox.venue.calls import Access, VenueCall
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.invariants import audit
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.options import VenueOptions
from poolmaker.sandbox.venue.params import split_form, split_json
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.server import build_exchange

CALLS: Mapping[str, VenueCall] = {**dispatch.CALLS, **mexc.CALLS}
PLAUSIBLE = (
    "BTCUSDT", "ETHUSDT", "BUY", "SELL", "LIMIT", "LIMIT_MAKER", "MARKET", "GTC", "IOC", "FOK",
    "60000", "60001.00", "0.001", "0.5", "100", "1", "0", "1000", "USDT", "BTC", "ETH", "MATIC",
    "STOP_ON_FAILURE", "ALLOW_FAILURE", "1m", "1h", "60m", "true", "false", "FULL", "ACK", "MINI",
    "TRADING", "EXPIRE_BOTH", "NONE", "c1", "c2", "0x" + "1" * 40, '["BTCUSDT"]', "[]", "ONLY_NEW",
)  # fmt: skip
NASTY = ("", " ", "-1", "1e9", "null", "٣", "9" * 20, "9" * 40, "0.000000001", "[", '["A","A"]',
         "\x00", "x" * 300, "{}", "é", "1.", "IMMEDIATE_OR_CANCEL")  # fmt: skip
values = st.one_of(st.sampled_from(PLAUSIBLE), st.sampled_from(PLAUSIBLE), st.sampled_from(NASTY))


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    name = draw(st.sampled_from(sorted(CALLS)))
    call = CALLS[name]
    wanted = set(call.required) - set(draw(st.lists(st.sampled_from(sorted(call.required) or ["x"]),
                                                    max_size=1)))  # fmt: skip
    if call.optional:
        wanted |= set(draw(st.lists(st.sampled_from(sorted(call.optional)), max_size=5)))
    if draw(st.integers(0, 9)) == 0:
        wanted.add("unheardOf")
    given_values = {parameter: draw(values) for parameter in sorted(wanted)}
    if "symbol" in given_values and draw(st.integers(0, 3)):
        given_values["symbol"] = "BTCUSDT"
    return name, given_values


def fresh() -> Exchange:
    limits = LimitSettings(orders_per_10s=10**9, orders_per_day=10**9, weight_per_minute=10**9)
    return build_exchange(VenueOptions(limits=limits), ManualClock())


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), max_size=40))
def test_every_call_is_answered_or_refused_and_no_invariant_breaks(
    given_requests: list[tuple[str, dict[str, str]]],
) -> None:
    exchange = fresh()
    statuses: list[int] = []
    keys = [exchange.keys.find(f"key{number}") for number in (1, 2)]
    for number, (name, given_values) in enumerate(given_requests):
        call = CALLS[name]
        key = None if call.access is Access.PUBLIC else keys[number % 2]
        try:
            dispatch.admit(exchange, name, call, given_values)
            dispatch.admit_account(exchange, name, call, key, given_values)
            msgspec.json.encode(dispatch.run(exchange, call, key, given_values))
        except WireRefusal as refusal:
            msgspec.json.encode(refusal.body())
            msgspec.json.encode(mexc.body_of(refusal))
            statuses.append(refusal.status)
    assert all(400 <= status < 500 for status in statuses)
    found = audit(exchange.engine)
    assert found.ok, found.violations


@given(st.text())
def test_any_form_text_is_read_or_refused(text: str) -> None:
    codes: list[int] = []
    try:
        split_form(text)
    except WireRefusal as refusal:
        codes.append(refusal.code)
    assert codes in ([], [-1101])


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(
            st.text(),
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.none(),
        ),
    )
)
def test_any_json_parameters_become_text(params: dict[str, object]) -> None:
    raw = msgspec.json.decode(msgspec.json.encode(params), type=dict[str, msgspec.Raw])
    found = split_json(raw)
    assert set(found) == {name for name, value in params.items() if value is not None}
    assert all(found[name] == value for name, value in params.items() if isinstance(value, str))
