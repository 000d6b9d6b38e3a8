"""The tests of the money modules see small mistakes in them (issue "From outside", deliver 3)."""

from __future__ import annotations

import pytest

from tools.mutation.mutants import mutants_of
from tools.mutation.run import MUTANTS_MAX, Verdict, chosen, run
from tools.mutation.survivors import explained, judged
from tools.mutation.targets import TARGETS

SOURCE = """
def paid(have: int, want: int) -> int:
    if have < want:
        record(have)
        return -have
    return min(have, want) + 1
"""


def test_a_mutant_has_one_mistake_and_names_it() -> None:
    found = {one.change for one in mutants_of(SOURCE)}
    assert "have < want => (have <= want)" in found
    assert "min => max" in found
    assert "record(have) => pass" in found
    assert "1 => 2" in found
    assert "min(have, want) + 1 => (min(have, want) - 1)" in found
    assert len({one.source for one in mutants_of(SOURCE)}) == len(mutants_of(SOURCE))


def test_what_can_never_run_is_left_alone() -> None:
    assert mutants_of("def ended(a: Never) -> None:\n    assert_never(a)\n") == []


def test_mistakes_that_read_the_same_have_different_names() -> None:
    found = mutants_of("def both(a: int, b: int) -> bool:\n    return a < 1 and b < 1\n")
    assert {"1 => 2", "1 => 2 #2"} <= {one.change for one in found}
    assert len({(one.function, one.change) for one in found}) == len(found)


def test_what_is_tried_is_bounded_and_does_not_change_from_run_to_run() -> None:
    first, again = chosen(TARGETS), chosen(TARGETS)
    assert first == again
    assert 0 < len(first) <= MUTANTS_MAX
    assert {target.module for target, _ in first} == {target.module for target in TARGETS}


@pytest.mark.long
@pytest.mark.timeout(5_400)
def test_no_mutant_survives_without_a_reason_in_the_docs() -> None:
    tried = run(chosen(TARGETS))
    assert judged(tried).unexplained == ()
    killed = {one.name for one in tried if one.verdict is not Verdict.SURVIVED}
    assert not killed & explained().keys(), "the page names mutants that are killed"
