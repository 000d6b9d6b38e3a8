"""Runs the tests of each module on its mutants and says which of them no test sees."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, settings

from tools.mutation.finder import MutantFinder
from tools.mutation.mutants import Mutant, mutants_of

MUTANTS_MAX = 600
CPU_S = 5
"""What the tests of one mutant may use of a processor; how busy the machine is does not count."""
WALL_S = 900
"""After so long a mutant waits for something that never comes, however busy the machine is."""
_PRELOADED = (
    "aiohttp.web",
    "alembic.command",
    "anyio.pytest_plugin",
    "asyncpg",
    "hypothesis.stateful",
    "msgspec",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "sqlalchemy.ext.asyncio",
    "structlog",
    "xdist.plugin",
)
"""What tests import that is no part of the platform; importing it again would use the seconds."""
_OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-o",
    "timeout=0",
    "--assert=plain",
    "--hypothesis-profile=mutants",
    "-m",
    "not long",
)


class UnfitTestsError(Exception):
    """The tests of a module cannot judge its mutants."""


@dataclass(frozen=True, slots=True)
class Target:
    """A module and the tests that must see a mistake in it; they use well under CPU_S."""

    module: str
    tests: tuple[str, ...]


class Verdict(StrEnum):
    """What the tests did with a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed_out"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True, order=True)
class Tried:
    """One mutant and what became of it."""

    module: str
    function: str
    change: str
    verdict: Verdict

    @property
    def name(self) -> tuple[str, str, str]:
        """What ``docs/mutants.md`` knows it by."""
        return self.module, self.function, self.change


def chosen(targets: Sequence[Target], limit: int = MUTANTS_MAX) -> list[tuple[Target, Mutant]]:
    """At most ``limit`` mutants, a module after the other; each has the same chance.

    Which ones is a matter of a hash of what they change: new code displaces a few of the others
    and never puts one that was not tried before in their place.
    """
    every = [(target, one) for target in targets for one in mutants_of(_source(target.module))]
    ranked = sorted(every, key=lambda pair: pair[1].rank(pair[0].module))[:limit]
    return sorted(ranked, key=lambda pair: targets.index(pair[0]))


def run(
    picked: Sequence[tuple[Target, Mutant]],
    workers: int = 2,
    seen: Callable[[Tried], object] = lambda _: None,
) -> list[Tried]:
    """Try these mutants and show each to ``seen``.

    Raises UnfitTestsError when the tests of a module do not pass without any mistake.
    """
    server = get_context("forkserver")
    server.set_forkserver_preload(list(_PRELOADED))
    for target in dict.fromkeys(target for target, _ in picked):
        if _outcome(server, target, "") is not Verdict.SURVIVED:
            raise UnfitTestsError(f"{target.module}: its tests fail or take over {CPU_S} s")
    with TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(workers) as pool:

        def tried(one: tuple[int, tuple[Target, Mutant]]) -> Tried:
            found = _tried(server, Path(folder), one[0], *one[1])
            seen(found)
            return found

        return list(pool.map(tried, enumerate(picked)))


def _tried(
    server: ForkServerContext, folder: Path, number: int, target: Target, mutant: Mutant
) -> Tried:
    file = folder / f"mutant_{number}.py"
    file.write_text(mutant.source, encoding="utf-8")
    verdict = _outcome(server, target, str(file))
    return Tried(target.module, mutant.function, mutant.change, verdict)


def _outcome(server: ForkServerContext, target: Target, file: str) -> Verdict:
    """Run the tests in a process of their own, which has what is slow to import already."""
    process = server.Process(target=_test, args=(target.module, file, target.tests))
    process.start()
    process.join(WALL_S)
    if process.is_alive():
        process.kill()
        process.join()
    if process.exitcode in {-signal.SIGXCPU, -signal.SIGKILL}:
        return Verdict.TIMED_OUT
    return Verdict.SURVIVED if process.exitcode == 0 else Verdict.KILLED


def _test(module: str, file: str, tests: Sequence[str]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    if file:
        sys.meta_path.insert(0, MutantFinder(module, file))
    # The same examples in every run, and none is made smaller: that a test fails is enough.
    settings.register_profile(
        "mutants",
        deadline=None,
        max_examples=50,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
    )
    gc.freeze()
    os._exit(int(pytest.main([*_OPTIONS, *tests])))


def _source(module: str) -> str:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return Path(spec.origin).read_text(encoding="utf-8")
