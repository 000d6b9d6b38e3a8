"""Runs every test by search again and again with new seeds, for a stated time.

``python -m tools.fuzz --minutes 60`` prints a line for each seed and ends with 1 when one failed.
The same seed again (``--seed N --minutes 0``) shows the same examples.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import MINUTE_US, SECOND_US

SEED_MAX = 2**31


def main() -> int:
    """Search until the time is over, at least once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument(
        "--seed", type=int, default=None, help="the first seed; by chance if absent"
    )
    arguments = parser.parse_args()
    first = secrets.randbelow(SEED_MAX) if arguments.seed is None else arguments.seed
    clock = SystemClock()
    until_us = clock.monotonic_us() + int(arguments.minutes * MINUTE_US)
    seed, failed = first, list[int]()
    while seed == first or clock.monotonic_us() < until_us:
        began_us = clock.monotonic_us()
        code, last = _search(seed)
        failed += [seed] if code else []
        took_s = (clock.monotonic_us() - began_us) // SECOND_US
        print(f"seed {seed}: {last} ({took_s} s)", flush=True)
        seed += 1
    print(f"{seed - first} seeds, failed: {failed or 'none'}")
    return 1 if failed else 0


def _search(seed: int) -> tuple[int, str]:
    """Exit code and last line of one run; a failing run is printed whole."""
    options = ["-q", "-n", "2", "-p", "no:cacheprovider", "-m", "hypothesis and not long"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--hypothesis-seed={seed}", "tests"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    if done.returncode:
        print(done.stdout, done.stderr, flush=True)
    return done.returncode, lines[-1]


if __name__ == "__main__":
    sys.exit(main())
