"""Laws of chance: one seed, one sequence; forks do not depend on what was drawn."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.rng import Rng, system_rng

SEEDS = st.integers() | st.text(max_size=20)


def draws(rng: Rng) -> list[object]:
    return [
        rng.bits(80),
        rng.below(10),
        rng.between(-3, 3),
        rng.chance_ppm(500_000),
        rng.choice("abcdef"),
        rng.shuffled(range(10)),
        rng.exponential_us(4_000),
    ]


@given(SEEDS)
def test_one_seed_one_sequence(seed: int | str) -> None:
    assert draws(Rng(seed)) == draws(Rng(seed))


@given(SEEDS, st.integers(0, 20))
def test_a_fork_does_not_depend_on_past_draws(seed: int | str, count: int) -> None:
    drawn = Rng(seed)
    for _ in range(count):
        drawn.bits(8)
    assert draws(drawn.fork("a")) == draws(Rng(seed).fork("a"))
    assert draws(Rng(seed).fork("a")) != draws(Rng(seed).fork("b"))


@given(st.integers(), st.integers(1, 10**30), st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_draws_stay_within_their_bounds(seed: int, bound: int, low: int, width: int) -> None:
    rng = Rng(seed)
    assert 0 <= rng.below(bound) < bound
    assert low <= rng.between(low, low + width) <= low + width
    assert rng.exponential_us(bound) >= 1
    assert not rng.chance_ppm(0)
    assert rng.chance_ppm(1_000_000)


def test_nothing_is_drawn_from_nothing() -> None:
    with pytest.raises(PreconditionError):
        Rng(1).below(0)
    with pytest.raises(PreconditionError):
        Rng(1).choice([])


@given(st.integers(), st.lists(st.integers()))
def test_shuffling_keeps_every_item_and_leaves_the_list_alone(seed: int, items: list[int]) -> None:
    before = list(items)
    assert sorted(Rng(seed).shuffled(items)) == sorted(before)
    assert items == before


def test_a_seed_means_the_same_in_every_process() -> None:
    code = "from poolmaker.kernel.rng import Rng; print(Rng('s').fork('x').bits(64))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert outputs == {f"{Rng('s').fork('x').bits(64)}\n"}


def test_the_systems_chance_differs_each_time() -> None:
    assert system_rng().bits(64) != system_rng().bits(64)
