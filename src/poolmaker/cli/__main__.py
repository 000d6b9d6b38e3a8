"""``python -m poolmaker.cli``: the same as the command ``poolmaker``."""

from __future__ import annotations

from poolmaker.cli.main import run

run()
