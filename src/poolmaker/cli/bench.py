"""Measures: figures of one part against their bounds, with the yardstick's fingerprint beside."""

from __future__ import annotations

import hashlib
import os
import platform
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from poolmaker import app
from poolmaker.cli.context import Json
from poolmaker.cli.output import CHECK_FAILED, show, table
from poolmaker.kernel.errors import EnvironmentProblem

FOLDER: Final = Path(__file__).parents[3] / "benchmarks"
RUNNERS: Final = {
    "execution": "market.connectors.binance.bench",
    "venue": "sandbox.venue.bench",
}
"""Table of ``figures.toml`` to the module whose ``figures()`` measures it."""


def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(RUNNERS)}.")],
    as_json: Json = False,
) -> None:
    """Measure one part; exit code 1 when a bound is missed or a figure is absent."""
    if name not in RUNNERS:
        raise EnvironmentProblem(f"nothing measures {name!r}; choose one of {', '.join(RUNNERS)}")
    bounds = _bounds(name)
    figures: dict[str, Any] = app.load("cli.running").run(app.load(RUNNERS[name]).figures())
    missed = [figure for figure, bound in bounds.items() if not holds(figures.get(figure), bound)]
    show(as_json, {"figures": figures, "context": _context(missed)}, _table(bounds))
    if missed:
        raise typer.Exit(CHECK_FAILED)


def holds(value: Any, bound: Mapping[str, Any]) -> bool:
    """Whether a figure is there and within its bound."""
    if value is None:
        return False
    low, high = bound.get("min"), bound.get("max")
    return (low is None or value >= low) and (high is None or value <= high)


def _bounds(name: str) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads((FOLDER / "figures.toml").read_text("utf-8"))
    except OSError:
        raise EnvironmentProblem(
            f"the bounds are not at {FOLDER}; run this command from a checkout of the source"
        ) from None
    found: dict[str, dict[str, Any]] = tables[name]
    return found


def _context(missed: list[str]) -> dict[str, Any]:
    yardstick = (FOLDER / "yardstick.py").read_bytes()
    return {
        "yardstick_sha256": hashlib.sha256(yardstick).hexdigest(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "missed": missed,
    }


def _table(bounds: Mapping[str, Mapping[str, Any]]) -> Any:
    def people(value: dict[str, Any]) -> None:
        rows = [
            (figure, value["figures"].get(figure, "absent"), _words(bound))
            for figure, bound in bounds.items()
        ]
        table(("figure", "measured", "bound"), rows)

    return people


def _words(bound: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {limit}" for name, limit in bound.items())
