"""The arithmetic of the soak, and what it reads of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak import Soak, disk_mb, percentile, private_mb, processes, slope_per_min
from poolmaker.cli.bench import FOLDER
from poolmaker.kernel.clock import MINUTE_US, SECOND_US


@given(
    grows=st.floats(-50, 50), base=st.floats(0, 1_000), count=st.integers(3, 60),
)  # fmt: skip
def test_a_straight_line_has_its_own_slope(grows: float, base: float, count: int) -> None:
    line = [(at * 10 * SECOND_US, base + grows * at / 6) for at in range(count)]
    assert slope_per_min(line) == pytest.approx(grows, abs=1e-6)


def test_too_few_looks_have_no_slope_and_no_page_no_percentile() -> None:
    assert slope_per_min([(0, 1.0), (MINUTE_US, 9.0)]) == 0
    assert percentile([], 99) == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_a_percentile_is_one_of_the_values_and_exceeded_by_at_most_its_rest(
    values: list[float],
) -> None:
    found = percentile(values, 99)
    assert found in values
    assert sum(value > found for value in values) <= len(values) * 0.01


def test_a_process_below_ours_is_found_with_its_memory(tmp_path: Path) -> None:
    code = "import sys; block = bytearray(30 << 20); print('made', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in processes(os.getpid(), tmp_path)
        assert private_mb(child.pid) > 30
    finally:
        child.communicate()
    assert private_mb(child.pid) == 0


def test_the_write_ahead_log_is_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "pg_wal" / "summaries").mkdir(parents=True)
    (tmp_path / "base" / "1").write_bytes(bytes(3 << 20))
    (tmp_path / "pg_wal" / "summaries" / "2").write_bytes(bytes(2 << 20))
    assert disk_mb(tmp_path) == (3.0, 2.0)


def test_every_bound_of_the_soak_has_its_figure(tmp_path: Path) -> None:
    bounds = tomllib.loads((FOLDER / "figures.toml").read_text("utf-8"))["soak"]
    made = {*Soak(tmp_path, 1, os.getpid()).figures(), "idle_statements_per_s"}
    assert made == set(bounds)
