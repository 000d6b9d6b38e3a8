"""The command line is light: it answers before the rooms that do the work are loaded."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"aiohttp", "alembic", "asyncpg", "ccxt", "fastapi", "pydantic", "sqlalchemy", "uvicorn"}
PROGRAM = """
import json, sys
from poolmaker.cli.main import run
sys.argv = ["poolmaker", "--help"]
try:
    run()
except SystemExit as end:
    assert end.code in (0, None), end.code
print()
print(json.dumps(sorted(sys.modules)))
"""


def test_asking_for_help_loads_no_room_that_does_the_work() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    *shown, last = answer.stdout.splitlines()
    assert "demo" in "\n".join(shown)
    assert HEAVY.isdisjoint(json.loads(last))
