"""A batch in the making: keys, order, times, what is written, streams that wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.ledger.codec import decode_command, encode_command, read_row, streams_of
from poolmaker.business.ledger.commands import SetAside
from poolmaker.business.ledger.model import (
    GENESIS_HASH,
    IncidentKind,
    LedgerHead,
    LedgerRefusal,
    PendingCommand,
    Posted,
    PostingRefused,
    RowAnswer,
    Unbookable,
)
from poolmaker.business.ledger.proposal import BatchBuilder, StoppedStreams, Unread, recalled_keys
from poolmaker.business.ledger.rules import LedgerState, books_of, image_of, in_order
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.market import Side
from poolmaker.messages.base import Money
from tests.support.ledger import (
    START_US,
    STREAM,
    Page,
    deposit,
    fee,
    fill,
    key,
    lock,
    pooled_page,
    reversal,
    usdt,
)

HEAD = LedgerHead(3, 10, GENESIS_HASH, START_US)


def _proposal(page: Page, stopped: StoppedStreams | None = None) -> BatchBuilder:
    proposal = BatchBuilder(page.books, HEAD, {}, stopped or StoppedStreams())
    proposal.assets_are_fresh = True
    return proposal


def test_ledger_time_never_stands_still_and_follows_the_clock() -> None:
    proposal = _proposal(Page())
    times = [
        proposal.take(encode_command(deposit(f"d{at}", usdt(5))), clock_us)
        for at, clock_us in enumerate((START_US - 9, START_US - 9, START_US + 100, START_US))
    ]
    assert [found.at_us - START_US for found in times if isinstance(found, Posted)] == [
        1,
        2,
        100,
        101,
    ]


def test_a_key_twice_in_one_batch_is_posted_once() -> None:
    proposal = _proposal(Page())
    first = proposal.take(encode_command(deposit("d", usdt(5))), START_US)
    again = proposal.take(encode_command(deposit("d", usdt(5))), START_US)
    other = proposal.take(encode_command(deposit("d", usdt(6))), START_US)
    assert isinstance(first, Posted)
    assert again == replace(first, already=True)
    assert other == PostingRefused(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
    batch = proposal.batch()
    assert batch is not None
    assert len(batch.postings) == len(batch.conflicts) == 1


def test_nothing_new_is_no_batch_but_a_row_is_always_answered() -> None:
    proposal = _proposal(Page())
    proposal.take(encode_command(deposit("d", usdt(5))), START_US)
    answers = proposal._answers
    asked = encode_command(deposit("d", usdt(5)))
    silent = BatchBuilder(LedgerState(), HEAD, answers, StoppedStreams())
    silent.take(asked, START_US)
    assert silent.batch() is None
    told = BatchBuilder(LedgerState(), HEAD, answers, StoppedStreams())
    told.take(replace(asked, row=7), START_US)
    batch = told.batch()
    assert batch is not None
    assert batch.rows == (RowAnswer(7, 11, None),)


def test_a_fact_that_waits_holds_what_is_behind_it_in_its_stream_and_nothing_else() -> None:
    page, stopped = pooled_page(), StoppedStreams()
    shib = fee("f5", Money(asset="SHIB", units=1), seq=5)
    said = [
        _proposal(page, stopped).take(encode_command(command), START_US)
        for command in (
            shib,
            fill("f6", Side.BUY, 1, 500, seq=6),
            fill("f4", Side.BUY, 1, 500, seq=4),
            deposit("d", usdt(5)),
        )
    ]
    assert [type(reply) for reply in said] == [Unbookable, Unbookable, Posted, Posted]
    page.books.assets["SHIB"] = page.books.assets["BTC"]
    for command in (shib, fill("f6", Side.BUY, 1, 500, seq=6)):
        assert isinstance(_proposal(page, stopped).take(encode_command(command), START_US), Posted)


STREAM_KEYS = st.sampled_from(
    ["fill:acc:X:1:1", "fee:acc:X:1:1", "fill:other:X:1:1", "lock:1", "x"]
)
BODIES = st.sampled_from(
    [b"", b"\xff", b"[]", b"{}", b'{"stream":7}', b'{"stream":"account:acc"}', b'{"stream":"s"}']
)


@given(st.lists(st.tuples(STREAM_KEYS, BODIES, st.integers(1, 9)), max_size=4), st.integers(1, 9))
def test_nothing_passes_a_row_of_its_stream_that_cannot_be_read(
    rows: list[tuple[str, bytes, int]], row: int
) -> None:
    """By its key or by what its body still says; one that says nothing may be of any stream."""
    page, stopped = pooled_page(), StoppedStreams()
    before = []
    for number, (name, body, at) in enumerate(rows):
        unread = PendingCommand(at, key(f"{name}:{number}"), body)
        stopped.hold(unread.key, Unread(at, streams_of(unread)))
        mine = name.startswith(("fill:acc", "fee:acc")) or b"account:acc" in body
        tells = name.startswith(("fill", "fee")) or body.startswith(b"{")
        if at < row and (mine or not tells):
            before.append(unread.key)
    asked = replace(encode_command(fill("f1", Side.BUY, 1, 500)), row=row)
    reply = _proposal(page, stopped).take(asked, START_US)
    assert isinstance(reply, Unbookable) == bool(before)
    aside = SetAside(
        key=key("a1"),
        aside=asked.command.key,
        digest="0" * 64,
        stream=STREAM,
        stream_seq=1,
        reason="r",
    )
    if before:
        refused = _proposal(page, stopped).take(encode_command(aside), START_US)
        assert refused == PostingRefused(LedgerRefusal.BEHIND_BARRIER)
    for name in before:
        first = SetAside(
            key=key(f"aside {name}"),
            aside=name,
            digest="0" * 64,
            stream="",
            stream_seq=0,
            reason="r",
        )
        assert isinstance(_proposal(page, stopped).take(encode_command(first), START_US), Posted)
    assert isinstance(_proposal(page, stopped).take(asked, START_US), Posted)


def test_an_asset_that_is_not_known_yet_is_asked_for_before_anything_is_decided() -> None:
    page = Page()
    proposal = BatchBuilder(page.books, HEAD, {}, StoppedStreams())
    for command in (
        deposit("d", Money(asset="SHIB", units=5)),
        lock("l", Money(asset="X", units=1)),
    ):
        assert proposal.take(encode_command(command), START_US) is None
    assert proposal.batch() is None


def test_a_deficit_and_a_place_that_falls_below_zero_are_incidents_once() -> None:
    page = Page()
    page.must(deposit("d1", usdt(5)), lock("l1", usdt(5)))
    proposal = _proposal(page)
    page.books.recalled = page.log
    proposal.take(encode_command(reversal("r1", "d1")), START_US)
    for at in (1, 2):
        proposal.take(encode_command(fee(f"f{at}", usdt(3), seq=at)), START_US)
    batch = proposal.batch()
    assert batch is not None
    assert [(found.kind, found.subject, found.key) for found in batch.incidents] == [
        (IncidentKind.DEFICIT, "deficit:user:alice:available USDT", "r1"),
        (IncidentKind.CUSTODY_BELOW_ZERO, "custody:venue:acc USDT", "f1"),
    ]


def test_the_books_are_rebuilt_exactly_from_their_image() -> None:
    page = pooled_page()
    image = image_of(page.books, HEAD)
    again = books_of(image)
    assert (again.balances, again.records, again.assets) == (
        page.books.balances,
        page.books.records,
        page.books.assets,
    )
    shuffled = replace(image, balances=image.balances[::-1], states=image.states[::-1])
    assert in_order(shuffled) == image


def test_the_transactions_that_reversals_name_are_fetched_beforehand() -> None:
    batch = [encode_command(deposit("d", usdt(5))), encode_command(reversal("r", "d"))]
    assert recalled_keys(batch) == ["d"]


def test_a_command_is_read_back_as_it_was_written() -> None:
    asked = encode_command(pooled := deposit("d", usdt(5)))
    assert decode_command(asked.body) == pooled
    assert read_row(PendingCommand(4, key("d"), asked.body)) == replace(asked, row=4)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        encode_command(deposit("x", usdt(5))).body,
        encode_command(deposit("d", usdt(5))).body + b" ",
    ],
)
def test_a_row_that_no_client_can_have_written_is_not_a_command(body: bytes) -> None:
    assert read_row(PendingCommand(4, key("d"), body)) is None


def test_what_is_not_a_command_is_not_encoded() -> None:
    with pytest.raises(PreconditionError):
        encode_command(usdt(5))  # type: ignore[arg-type]
