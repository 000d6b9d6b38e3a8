"""Health: the last word of every part, since when it is so."""

from __future__ import annotations

from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import ManualClock


def test_since_moves_only_when_ok_changes() -> None:
    clock = ManualClock(100)
    board = HealthBoard(clock)
    board.report("book", ok=True, sentence="fresh")
    clock.advance(5)
    board.report("book", ok=True, sentence="still fresh")
    (part,) = board.parts()
    assert (part.since_us, part.sentence) == (100, "still fresh")
    clock.advance(5)
    board.report("book", ok=False, sentence="stale")
    assert board.parts()[0].since_us == 110
    assert not board.ok()


def test_what_does_not_work_comes_first_and_can_be_forgotten() -> None:
    board = HealthBoard(ManualClock())
    board.report("a", ok=True, sentence="")
    board.report("z", ok=False, sentence="x" * 10_000)
    assert [part.component for part in board.parts()] == ["z", "a"]
    assert len(board.parts()[0].sentence) == 500
    board.forget("z")
    assert board.ok()
