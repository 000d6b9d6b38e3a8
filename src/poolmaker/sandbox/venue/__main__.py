"""``python -m poolmaker.sandbox.venue``: the venue on its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from poolmaker.sandbox.arguments import Arguments, run_world
from poolmaker.sandbox.venue.limits import LimitSettings
from poolmaker.sandbox.venue.model import Retention
from poolmaker.sandbox.venue.options import (
    Flow,
    VenueOptions,
    parse_balances,
    parse_retention,
)
from poolmaker.sandbox.venue.server import serve


def _parser() -> Arguments:
    parser = Arguments(prog="poolmaker sandbox venue")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--admin-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flow", type=Flow, choices=list(Flow), default=Flow.SEEDED)
    parser.add_argument("--recording", type=Path, help="recorded frames to play, ndjson.gz")
    parser.add_argument("--initial", help="balances of every account: USDT=1000,BTC=0.5")
    parser.add_argument("--initial-1", dest="initial_first", help="balances of the first account")
    parser.add_argument("--orders-per-10s", type=int, default=100)
    parser.add_argument("--orders-per-day", type=int, default=200_000)
    parser.add_argument("--weight-per-minute", type=int, default=6_000)
    parser.add_argument(
        "--keep-fills", type=int, default=Retention().fills,
        help="fills remembered for each account and symbol",
    )  # fmt: skip
    parser.add_argument("--withdrawals-by-hand", action="store_true")
    return parser


def _options(arguments: argparse.Namespace) -> VenueOptions:
    limits = LimitSettings(
        weight_per_minute=arguments.weight_per_minute,
        orders_per_10s=arguments.orders_per_10s,
        orders_per_day=arguments.orders_per_day,
    )
    options = VenueOptions(
        port=arguments.port, admin_port=arguments.admin_port, seed=arguments.seed,
        flow=arguments.flow, recording=arguments.recording, limits=limits,
        withdrawals_by_hand=arguments.withdrawals_by_hand,
        initial_first=_balances(arguments.initial_first),
        retention=parse_retention(arguments.keep_fills),
    )  # fmt: skip
    initial = _balances(arguments.initial)
    return options if initial is None else replace(options, initial=initial)


def _balances(text: str | None) -> dict[str, int] | None:
    return None if text is None else parse_balances(text)


def _read(arguments: Sequence[str] | None) -> VenueOptions:
    return _options(_parser().parse_args(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 2 when the machine or the arguments do not allow it."""
    return run_world(_read, serve, arguments)


if __name__ == "__main__":
    sys.exit(main())
