"""``python -m tools.mutation [--json] [--only MODULE]``: exit 1 when a survivor has no reason."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

from tools.mutation.run import MUTANTS_MAX, Tried, Verdict, chosen, run
from tools.mutation.survivors import judged
from tools.mutation.targets import TARGETS


def main() -> int:
    """Run, print, say whether every survivor is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", default="", help="only modules whose name contains this")
    parser.add_argument("--limit", type=int, default=MUTANTS_MAX, help="at most so many mutants")
    parser.add_argument("--workers", type=int, default=2, help="tests that run at a time")
    arguments = parser.parse_args()
    picked = chosen(TARGETS, arguments.limit)
    picked = [one for one in picked if arguments.only in one[0].module]
    tried = run(picked, arguments.workers, _show)
    found = judged(tried)
    counts = Counter(one.verdict.value for one in tried)
    if arguments.json:
        unexplained = [list(one.name) for one in found.unexplained]
        print(json.dumps({"mutants": len(tried), **counts, "unexplained": unexplained}))
    else:
        for one in found.unexplained:
            print(f"| `{one.module}` | `{one.function}` | `{one.change}` | |")
        print(f"{len(tried)} mutants: {dict(counts)}, {len(found.unexplained)} without a reason")
    return 1 if found.unexplained else 0


def _show(one: Tried) -> None:
    """One more is tried: survivors can be looked into while the others run."""
    if one.verdict is not Verdict.KILLED:
        sys.stderr.write(f"{one.verdict}: {one.module} {one.function}: {one.change}\n")


if __name__ == "__main__":
    sys.exit(main())
