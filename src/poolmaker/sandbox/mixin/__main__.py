"""``python -m poolmaker.sandbox.mixin``: Mixin on its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from poolmaker.sandbox.arguments import Arguments, run_world
from poolmaker.sandbox.mixin.options import USERS, MixinOptions
from poolmaker.sandbox.mixin.server import serve


def _options(arguments: Sequence[str] | None) -> MixinOptions:
    parser = Arguments(prog="poolmaker sandbox mixin")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--admin-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--finality-ms", type=int, default=0)
    return MixinOptions(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 2 when the machine or the arguments do not allow it."""
    return run_world(_options, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
