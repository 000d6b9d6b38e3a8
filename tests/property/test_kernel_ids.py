"""Laws of ids: unique, sorted by time, reversible where a connector must encode them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.clock import ManualClock, next_ledger_time
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import (
    Ids,
    SagaId,
    content_hash,
    fact_key,
    request_key,
    request_uuid,
    require_slug,
)
from poolmaker.kernel.rng import Rng

NAMES = st.text("abcdefgh_0123456789", min_size=1, max_size=30)


@given(st.integers(0, 2**31), st.lists(st.integers(1_000, 10**12), min_size=1, max_size=40))
def test_ids_of_later_milliseconds_sort_later(seed: int, steps: list[int]) -> None:
    clock = ManualClock()
    ids = Ids(clock, Rng(seed))
    made, intents = [], []
    for step in steps:
        made.append(ids.saga())
        intents.append(ids.intent())
        clock.advance(step)
    assert made == sorted(made)
    assert intents == sorted(intents)
    assert len(set(made)) == len(made)


def test_ids_of_one_instant_are_unique() -> None:
    ids = Ids(ManualClock(), Rng(1))
    makers = (ids.user, ids.order, ids.withdrawal, ids.saga, ids.correlation, ids.intent)
    made = [str(make()) for make in makers for _ in range(5_000)]
    assert len(set(made)) == len(made)


def test_ids_have_their_prefix_and_128_bits() -> None:
    ids = Ids(ManualClock(), Rng(1))
    for text, prefix in (
        (ids.user(), "us"),
        (ids.order(), "uo"),
        (ids.withdrawal(), "wd"),
        (ids.saga(), "sg"),
        (ids.correlation(), "co"),
    ):
        assert re.fullmatch(rf"{prefix}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}", text)
    intent = ids.intent()
    assert re.fullmatch("[0-9a-f]{32}", intent)
    assert f"{int(intent, 16):032x}" == intent


def test_the_same_seed_and_time_give_the_same_ids() -> None:
    assert Ids(ManualClock(), Rng(7)).intent() == Ids(ManualClock(), Rng(7)).intent()
    assert Ids(ManualClock(), Rng(7)).intent() != Ids(ManualClock(), Rng(8)).intent()


@given(NAMES, NAMES, st.integers(0, 50), st.integers(0, 50))
def test_a_request_key_is_a_function_of_saga_step_and_attempt(
    saga: str, step: str, one: int, two: int
) -> None:
    key = request_key(SagaId(saga), step, one)
    assert key == request_key(SagaId(saga), step, one)
    assert (key == request_key(SagaId(saga), step, two)) == (one == two)
    with pytest.raises(PreconditionError):
        request_key(SagaId(saga), step, -1)


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_two_requests_never_share_a_provider_id(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    a = request_uuid(SagaId(one[0]), one[1])
    b = request_uuid(SagaId(other[0]), other[1])
    assert (a == b) == (one == other)


def test_the_provider_id_never_changes_between_versions() -> None:
    # A payment that was sent by an older version must be found by a newer one.
    assert str(request_uuid(SagaId("sg_1"), "pay")) == "c8cdb3e4-3b3f-5935-ad79-8c6569d1b5d6"


@pytest.mark.parametrize("parts", [(), ("",), ("a", "")])
def test_a_fact_key_has_no_empty_part(parts: tuple[str, ...]) -> None:
    with pytest.raises(PreconditionError):
        fact_key(*parts)


def test_a_fact_key_joins_its_parts_and_no_two_lists_of_parts_share_one() -> None:
    assert fact_key("fill", "acc", "BTC/USDT", "17") == "fill:acc:BTC/USDT:17"
    assert fact_key("a:b", "c") != fact_key("a", "b:c")


@given(st.lists(st.text(min_size=1), min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_two_facts_share_a_key_only_when_they_are_one_fact(
    one: list[str], other: list[str]
) -> None:
    assert (fact_key(*one) == fact_key(*other)) == (one == other)


def test_a_step_has_no_colon_because_a_sagas_id_may() -> None:
    for bad in ("", "a:b"):
        with pytest.raises(PreconditionError):
            request_key(SagaId("s"), bad, 0)
        with pytest.raises(PreconditionError):
            request_uuid(SagaId("s"), bad)


@pytest.mark.parametrize("bad", ["", "A", "-a", "_a", "a b", "a\n", "é", "a" * 64, "a:b"])
def test_a_slug_is_plain(bad: str) -> None:
    with pytest.raises(PreconditionError):
        require_slug(bad, "name")


def test_the_content_hash_is_sha256() -> None:
    assert content_hash(b"").hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")


@given(st.lists(st.integers(0, 10**18), min_size=1))
def test_ledger_time_strictly_increases_and_never_lags_the_clock(clock: list[int]) -> None:
    at = 0
    for now in clock:
        after = next_ledger_time(at, now)
        assert after > at
        assert after >= now
        assert after in (now, at + 1)
        at = after


@given(st.integers(0, 2**47 * 1000), st.integers(0, 2**32))
def test_an_id_says_in_which_millisecond_it_was_made(now_us: int, seed: int) -> None:
    ids = Ids(ManualClock(now_us), Rng(seed))
    assert 0 <= ids.made_us(ids.correlation()) - now_us < 1000
