"""``python -m poolmaker.sandbox.chain``: the chain on its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvloop

from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.chain.options import ChainOptions
from poolmaker.sandbox.chain.server import serve


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m poolmaker.sandbox.chain")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--admin-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block-ms", type=int, default=1_000, help="0: a block per transaction")
    parser.add_argument("--packages", type=Path, help="folder of the node packages")
    return parser


def main() -> int:
    """Run until SIGTERM; 2 when the machine or the arguments do not allow it."""
    options = ChainOptions(**vars(_parser().parse_args()))
    try:
        uvloop.run(serve(options))
    except EnvironmentProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
