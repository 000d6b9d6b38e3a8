"""The one list of what needs a person: whole, bounded, closed by evidence or by name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.infra.attention import (
    MORE,
    AttentionItem,
    Remedy,
    and_more,
    closed_by_a_person,
)
from poolmaker.infra.database import Database, connection_of
from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import Unavailable
from poolmaker.recon.attention import AttentionList
from poolmaker.recon.listing import (
    SHOWN_PER_KIND,
    CloseAnswer,
    fingerprint,
    in_order,
    kind_of,
    page_of_kind,
    summary,
)

NAMES = st.text("abc", min_size=1, max_size=2)
ITEMS = st.lists(
    st.builds(
        AttentionItem,
        source=st.sampled_from(["ledger", "sagas"]),
        kind=st.sampled_from(["deficit", "parked", "junk"]),
        subject=st.text("abcdefgh", min_size=1, max_size=4),
        since_us=st.integers(0, 9),
        evidence=st.dictionaries(NAMES, NAMES, max_size=2),
        blocks=st.sampled_from([(), ("join",)]),
        count=st.integers(1, 1_000),
    ),
    max_size=40,
    unique_by=lambda item: item.id,
)


@settings(deadline=None)
@given(ITEMS)
def test_found_38_nothing_is_cut_from_the_list_without_being_counted(
    items: list[AttentionItem],
) -> None:
    page = summary(items, 7)
    assert page.total == sum(item.count for item in items) == sum(page.counts.values())
    shown = Counter(kind_of(item) for item in page.items)
    for kind in {kind_of(item) for item in items}:
        there = sum(kind_of(item) == kind for item in items)
        assert shown[kind] == min(SHOWN_PER_KIND, there)
    assert list(page.items) == [item for item in in_order(items) if item in page.items]
    assert [bool(item.blocks) for item in page.items] == sorted(
        (bool(item.blocks) for item in page.items), reverse=True
    )


@settings(deadline=None)
@given(ITEMS, st.integers(1, 5))
def test_found_38_every_item_of_a_kind_is_reached_by_its_cursor_exactly_once(
    items: list[AttentionItem], limit: int
) -> None:
    for kind in {kind_of(item) for item in items}:
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = page_of_kind(items, kind, after, limit, 7)
            assert len(page.items) <= limit
            seen += [item.id for item in page.items]
            after = page.next_after
        assert seen == sorted(item.id for item in items if kind_of(item) == kind)


@settings(deadline=None)
@given(ITEMS)
def test_other_evidence_is_another_fingerprint(items: list[AttentionItem]) -> None:
    said = {(i.id, i.since_us, i.count, tuple(sorted(i.evidence.items()))) for i in items}
    assert len({fingerprint(item) for item in items}) == len(said)


def test_what_a_source_does_not_list_one_by_one_is_one_item_with_a_count() -> None:
    shown = [_item("a"), _item("b")]
    assert and_more(shown, 2) == tuple(shown)
    *_, rest = and_more(shown, 9)
    assert (rest.subject, rest.count, rest.blocks) == (MORE, 7, shown[0].blocks)


def _item(subject: str, note: str = "n", *remedies: Remedy, blocks: bool = True) -> AttentionItem:
    return AttentionItem(
        source="ledger",
        kind="conflict",
        subject=subject,
        since_us=5,
        evidence={"note": note},
        blocks=("join",) if blocks else (),
        remedies=remedies,
    )


class Source:
    """A room that reports what a test says, or does not answer."""

    def __init__(self, *items: AttentionItem) -> None:
        self.items = list(items)
        self.away = False

    async def attention(self) -> Sequence[AttentionItem]:
        if self.away:
            raise Unavailable("no database")
        return self.items


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


def _list(
    database: Database, board: HealthBoard, clock: ManualClock, source: Source
) -> AttentionList:
    return AttentionList({"ledger": source}, database, board, clock)


async def test_found_38_health_is_red_while_something_waits_for_a_person_and_says_what(
    database: Database, clock: ManualClock
) -> None:
    board, source = HealthBoard(clock), Source()
    attention = _list(database, board, clock, source)
    await attention.report()
    assert board.ok()
    source.items = [_item("a", "who", blocks=False)]
    await attention.report()
    assert board.ok()
    assert board.parts()[0].sentence == "1 need a person: ledger:conflict:a (note who)"
    source.items.append(_item("b"))
    await attention.report()
    assert not board.ok()
    assert board.parts()[0].sentence.startswith("2 need a person: ledger:conflict:b")


async def test_found_38_a_source_that_cannot_be_read_is_on_the_list_itself(
    database: Database, clock: ManualClock
) -> None:
    board, source = HealthBoard(clock), Source(_item("a"))
    attention = _list(database, board, clock, source)
    source.away = True
    clock.advance(5)
    (item,) = await attention.open_items()
    assert (item.id, item.since_us) == ("recon:unread:ledger", 1_005)
    clock.advance(5)
    (item,) = await attention.open_items()
    assert (item.since_us, item.evidence["problem"]) == (1_005, "no database")
    source.away = False
    assert [item.subject for item in await attention.open_items()] == ["a"]


async def test_found_39_a_person_closes_what_evidence_cannot_and_new_evidence_opens_it_again(
    database: Database, clock: ManualClock
) -> None:
    closing = closed_by_a_person("ledger", "conflict", "a")
    source = Source(_item("a", "first", closing), _item("b"))
    attention = _list(database, HealthBoard(clock), clock, source)
    answer = await attention.close("ledger:conflict:b", "olga", "seen")
    assert answer is CloseAnswer.BY_EVIDENCE
    assert await attention.close("ledger:conflict:z", "olga", "seen") is CloseAnswer.UNKNOWN
    assert await attention.close("ledger:conflict:a", "olga", " seen ") is CloseAnswer.CLOSED
    assert [item.subject for item in await attention.open_items()] == ["b"]
    source.items[0] = _item("a", "second", closing)
    assert [item.subject for item in await attention.open_items()] == ["a", "b"]
    async with database.begin("look") as tx:
        rows = await connection_of(tx).fetch("SELECT * FROM infra.attention_closing")
        assert [(row["closed_by"], row["reason"], row["at_us"]) for row in rows] == [
            ("olga", "seen", 1_000)
        ]
    for hostile in (
        "UPDATE infra.attention_closing SET reason = 'x'",
        "DELETE FROM infra.attention_closing",
    ):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            async with database.begin("hostile") as tx:
                await connection_of(tx).execute(hostile)


async def test_two_persons_who_close_the_same_item_at_once_both_succeed(
    database: Database, clock: ManualClock
) -> None:
    source = Source(_item("a", "n", closed_by_a_person("ledger", "conflict", "a")))
    attention = _list(database, HealthBoard(clock), clock, source)
    answers = await asyncio.gather(
        attention.close("ledger:conflict:a", "olga", "seen"),
        attention.close("ledger:conflict:a", "ivan", "seen too"),
    )
    assert CloseAnswer.CLOSED in answers
    assert await attention.open_items() == ()
