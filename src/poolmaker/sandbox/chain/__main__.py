"""``python -m poolmaker.sandbox.chain``: the chain on its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from poolmaker.sandbox.arguments import Arguments, run_world
from poolmaker.sandbox.chain.options import FINALITY_BLOCKS, ChainOptions
from poolmaker.sandbox.chain.server import serve


def _parser() -> Arguments:
    parser = Arguments(prog="poolmaker sandbox chain")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--admin-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block-ms", type=int, default=1_000, help="0: a block per transaction")
    parser.add_argument(
        "--finality-blocks",
        type=int,
        default=FINALITY_BLOCKS,
        metavar="N",
        choices=range(2, FINALITY_BLOCKS + 1, 2),
        help=f"what stands on a final block: even, 2 to {FINALITY_BLOCKS}",
    )
    parser.add_argument("--tip-min-gwei", type=int, default=0, help="the least tip that is taken")
    parser.add_argument("--packages", type=Path, help="folder of the node packages")
    return parser


def _options(arguments: Sequence[str] | None) -> ChainOptions:
    return ChainOptions(**vars(_parser().parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 2 when the machine or the arguments do not allow it."""
    return run_world(_options, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
