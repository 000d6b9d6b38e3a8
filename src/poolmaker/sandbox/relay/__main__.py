"""``python -m poolmaker.sandbox.relay``: the chains between a sandbox venue and a sandbox Mixin."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from poolmaker.sandbox.arguments import Arguments, run_world
from poolmaker.sandbox.relay.options import RelayOptions
from poolmaker.sandbox.relay.server import serve


def _options(arguments: Sequence[str] | None) -> RelayOptions:
    parser = Arguments(prog="poolmaker sandbox relay")
    parser.add_argument(
        "--venue-admin", required=True, help="of a venue started with --withdrawals-by-hand"
    )
    parser.add_argument("--mixin-admin", required=True, help="admin address of the Mixin")
    parser.add_argument("--chain", dest="chain_rpc", help="RPC of the chain, where there is one")
    parser.add_argument("--chain-admin", help="admin address of the chain")
    parser.add_argument(
        "--confirmations", type=int, default=0,
        help="blocks that make a transfer on the chain count; 0 waits until it is final",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--delay-ms", type=int, default=500, help="mean time of a transfer")
    return RelayOptions(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 2 when the machine or the arguments do not allow it."""
    return run_world(_options, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
