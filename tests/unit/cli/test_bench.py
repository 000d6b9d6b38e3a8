"""A figure that is missing or out of bounds is never reported as reached."""

from __future__ import annotations

import pytest

from poolmaker.cli.bench import holds
from poolmaker.cli.main import call


def test_a_figure_within_its_bound_holds() -> None:
    assert holds(5, {"min": 5})
    assert holds(5, {"max": 5})


def test_a_figure_beyond_its_bound_does_not_hold() -> None:
    assert not holds(4, {"min": 5})
    assert not holds(6, {"max": 5})


def test_an_absent_figure_does_not_hold() -> None:
    assert not holds(None, {"min": 0})


def test_a_part_that_nothing_measures_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["bench", "luck"]) == 2
    assert "choose one of" in capsys.readouterr().err
