"""Many seeds at once, and proof that planted defects are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.lab.defects import Defect
from poolmaker.lab.world import WorldReport, run_world

DEFECT_SEEDS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class SwarmReport:
    """``figures`` are the published numbers, ``context`` is what they were made of.

    ``found_at`` names, for each planted defect, the first seed that found it, None for none.
    """

    figures: dict[str, float]
    context: dict[str, object]
    failures: tuple[WorldReport, ...]
    found_at: dict[str, int | None]

    @property
    def ok(self) -> bool:
        """No seed found anything wrong, and every planted defect was found."""
        return not self.failures and all(seed is not None for seed in self.found_at.values())


def run_swarm(seeds: Iterable[int], clock: Clock, workers: int = 1) -> SwarmReport:
    """Run every seed in memory, then each planted defect until a seed finds it."""
    started_us = clock.monotonic_us()
    reports = _run_all(list(seeds), workers)
    took_us = max(1, clock.monotonic_us() - started_us)
    found_at = {defect.value: _first_that_finds(defect) for defect in Defect}
    caught = sum(seed is not None for seed in found_at.values())
    failures = tuple(report for report in reports if report.violations)
    virtual_s = sum(report.virtual_s for report in reports)
    return SwarmReport(
        figures={
            "violations": sum(len(report.violations) for report in reports),
            "virtual_s_per_s_model_store": round(virtual_s * SECOND_US / took_us, 1),
            "mutations_caught_share": caught / len(found_at),
        },
        context=_context(reports, failures, found_at),
        failures=failures,
        found_at=found_at,
    )


def _run_all(seeds: Sequence[int], workers: int) -> list[WorldReport]:
    if workers <= 1:
        return [run_world(seed) for seed in seeds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run_world, seeds))


def _first_that_finds(defect: Defect) -> int | None:
    for seed in range(DEFECT_SEEDS_MAX):
        if run_world(seed, defect=defect).violations:
            return seed
    return None


def _context(
    reports: Sequence[WorldReport],
    failures: Sequence[WorldReport],
    found_at: dict[str, int | None],
) -> dict[str, object]:
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
    return {
        "seeds": len(reports),
        "seeds_with_violations": [report.seed for report in failures],
        "crashes": sum(report.crashes for report in reports),
        "transactions": sum(report.transactions for report in reports),
        "virtual_hours": round(sum(report.virtual_s for report in reports) / 3_600, 1),
        "defects_found_at_seed": found_at,
        "counts": dict(sorted(counts.items())),
    }
