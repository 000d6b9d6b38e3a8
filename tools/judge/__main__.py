"""``python -m tools.judge --config FILE --database URL``: are the books true.

Prints one JSON object; 0 when everything holds, 1 when something does not, 2 for wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.judge.config import read_config
from tools.judge.model import NotReadable
from tools.judge.reading import judged


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="judge", description="Are the books true?")
    parser.add_argument("--config", type=Path, required=True, help="the platform's configuration")
    parser.add_argument("--database", required=True, help="as printed by `poolmaker db url`")
    parser.add_argument(
        "--patience-s", type=int, default=20, help="how long money may still be on its way"
    )
    parser.add_argument("--json", action="store_true", help="on one line")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge once."""
    asked = _parser().parse_args(arguments)
    try:
        config = read_config(asked.config)
        verdict = asyncio.run(judged(config, asked.database, asked.patience_s))
    except NotReadable as problem:
        sys.stderr.write(f"judge: {problem}\n")
        return 2
    document = verdict.document()
    sys.stdout.write(json.dumps(document, indent=None if asked.json else 2) + "\n")
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
