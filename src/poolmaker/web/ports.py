"""What the pages need. ``app.py`` plugs it with the same ports as the API's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from poolmaker.kernel.clock import Clock
from poolmaker.recon.ports import Attention
from poolmaker.views.model import WorldMode
from poolmaker.views.ports import DemoProgress, Live, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """Where the pages look. They are open only where the mode is sandbox."""

    mode: WorldMode
    clock: Clock
    reading: Reading
    live: Live
    attention: Attention
    stage: DemoProgress
    stopping: asyncio.Event
