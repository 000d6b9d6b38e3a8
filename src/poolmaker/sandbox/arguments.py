"""How a world reads its command line: what is wrong with it is one sentence, never a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

import uvloop

from poolmaker.kernel.errors import EnvironmentProblem

Options = TypeVar("Options")

DONE = 0
USAGE = 2


class Arguments(argparse.ArgumentParser):
    """A parser of one world's arguments."""

    def error(self, message: str) -> NoReturn:
        """Raise EnvironmentProblem instead of ending the process."""
        raise EnvironmentProblem(f"{message}; see {self.prog} --help")


def run_world(
    read: Callable[[Sequence[str] | None], Options],
    serve: Callable[[Options], Coroutine[Any, Any, None]],
    arguments: Sequence[str] | None,
) -> int:
    """Read the options and run until SIGTERM; 2 when machine or arguments do not allow it."""
    try:
        uvloop.run(serve(read(arguments)))
    except EnvironmentProblem as problem:
        sys.stderr.write(f"poolmaker: {problem}\n")
        return USAGE
    return DONE
