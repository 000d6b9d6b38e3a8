"""``python -m tests.vectors hufi|mixin FILE [--json]``: exit 0 only when no case failed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.vectors import hufi, mixin
from tests.vectors.result import Json, VectorResult

RUNNERS: Final[Mapping[str, Callable[[Json], VectorResult]]] = {
    "hufi": hufi.run,
    "mixin": mixin.run,
}


def main(arguments: list[str]) -> int:
    """Run one file and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors")
    parser.add_argument("form", choices=sorted(RUNNERS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    result = RUNNERS[options.form](json.loads(options.file.read_text()))
    said = msgspec.to_builtins(result)
    sys.stdout.write(json.dumps(said, indent=None if options.json else 2) + "\n")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
