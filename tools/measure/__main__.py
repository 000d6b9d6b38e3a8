"""``python -m tools.measure [--json] [--tree FOLDER]``: the figures of a checkout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tools.measure.figures import figures, pass_through_methods, ports, repeated_classes
from tools.measure.sources import read_sources


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--tree", type=Path, default=Path(), help="the checkout to measure")
    parser.add_argument("--list", action="store_true", help="also name what was counted")
    arguments = parser.parse_args()
    sources = list(read_sources(arguments.tree / "src" / "poolmaker"))
    counted = figures(sources, list(read_sources(arguments.tree / "tests")))
    if arguments.json:
        print(json.dumps(counted))
        return
    for name, value in counted.items():
        print(f"{value:>10}  {name}")
    if arguments.list:
        print("\n".join(f"twice: {name} {n}" for name, n in repeated_classes(sources).items()))
        print("\n".join(f"passes through: {where}" for where in pass_through_methods(sources)))
        for port in ports(sources):
            if len(port.implementations) <= 1:
                print(f"port: {port.path} {port.name} {', '.join(port.implementations)}")


if __name__ == "__main__":
    main()
