"""Composition root: the only place that knows every room.

``load`` gives a room by name so that the command line starts fast: nothing heavy is imported
until a command needs it.

Invariants
1. A process listens, verifies its books and holds its leases before anything acts on the world.
2. A part that nothing works without ends the process when it ends; the next start goes on.
3. Secrets are read here and handed on; nothing of them is logged or shown.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def load(room: str) -> ModuleType:
    """The module ``poolmaker.<room>``, imported now."""
    return importlib.import_module(f"poolmaker.{room}")


async def up(settings: Any) -> None:
    """Run the platform in this process until SIGTERM or SIGINT; see ``app.platform.up``."""
    await load("app.platform").up(settings)
