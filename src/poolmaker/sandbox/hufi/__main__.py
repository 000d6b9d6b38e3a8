"""``python -m poolmaker.sandbox.hufi``: HuFi on its own, beside a sandbox chain and venue."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from poolmaker.sandbox.arguments import Arguments, run_world
from poolmaker.sandbox.hufi.options import HufiOptions
from poolmaker.sandbox.hufi.server import serve


def _parser() -> Arguments:
    parser = Arguments(prog="poolmaker sandbox hufi")
    parser.add_argument("--chain", dest="chain_rpc", required=True, help="RPC of the chain")
    parser.add_argument("--venue", dest="venue_rest", required=True, help="REST of the venue")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--launcher-port", type=int, help="default: the one after --port")
    parser.add_argument("--files-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--admin-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs-every-s", type=int, default=5, help="0: only when told to")
    parser.add_argument("--access-s", type=int, default=600, help="life of an access token")
    parser.add_argument("--refresh-s", type=int, default=3_600, help="life of a refresh token")
    parser.add_argument("--limits-holding-join", action="store_true")
    return parser


def _options(arguments: Sequence[str] | None) -> HufiOptions:
    return HufiOptions(**vars(_parser().parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 2 when the machine or the arguments do not allow it."""
    return run_world(_options, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
