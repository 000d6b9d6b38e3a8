"""What the machine under the platform does: its clock and the room on its disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.infra.clock import SteadyClock
from poolmaker.infra.health import HealthReporter
from poolmaker.kernel.clock import SECOND_US

ROOM_MIN_BYTES: Final = 256 << 20
"""Below this a person is asked to make room; the database itself says when there is none."""
_LOOK_US: Final = SECOND_US
_RESTART: Final = Remedy(action="restart", command="poolmaker up")


class MachineWatch:
    """Tells of a clock that jumped and of a disk that fills.

    ``data`` is the database's folder, None where that is on another machine. The clock itself
    refuses the jump (see ``SteadyClock``); nothing waits for a person.
    """

    def __init__(self, clock: SteadyClock, data: Path | None, health: HealthReporter) -> None:
        self._clock = clock
        self._data = data
        self._health = health
        self._jumped_us: int | None = None
        self._full_us: int | None = None
        self._off_us = 0
        self._free_bytes = 0

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            self.look()
            await self._clock.sleep_us(_LOOK_US)

    def look(self) -> None:
        """Read clock and disk, and tell health."""
        now_us, self._off_us = self._clock.now_us(), self._clock.off_us
        self._jumped_us = (self._jumped_us or now_us) if self._off_us else None
        self._health.report("clock", ok=not self._off_us, sentence=_clock_sentence(self._off_us))
        if self._data is None:
            return
        self._free_bytes = _free_bytes(self._data)
        is_low = self._free_bytes < ROOM_MIN_BYTES
        self._full_us = (self._full_us or now_us) if is_low else None
        room = f"{self._free_bytes >> 20} MB are free for {self._data}"
        sentence = f"only {room}; make room on that disk" if is_low else room
        self._health.report("disk", ok=not is_low, sentence=sentence)

    async def attention(self) -> Sequence[AttentionItem]:
        items = []
        if self._jumped_us is not None:
            items.append(
                AttentionItem(
                    source="machine",
                    kind="clock_jump",
                    subject="clock",
                    since_us=self._jumped_us,
                    evidence={"ahead_s": str(self._off_us // SECOND_US)},
                    remedies=(_RESTART,),
                )
            )
        if self._full_us is not None:
            items.append(
                AttentionItem(
                    source="machine",
                    kind="disk_full",
                    subject=str(self._data),
                    since_us=self._full_us,
                    evidence={"free_mb": str(self._free_bytes >> 20)},
                )
            )
        return items


def _free_bytes(path: Path) -> int:
    """Room for the database on its disk; the nearest folder that is there stands for it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(os.fspath(path)).free


def _clock_sentence(off_us: int) -> str:
    if not off_us:
        return "agrees with the time that has passed"
    word = "forward" if off_us > 0 else "back"
    seconds = abs(off_us) // SECOND_US
    return (
        f"the machine's clock was set {word} by {seconds} s while running; that is not followed. "
        "Set it right, or restart the platform to accept it"
    )
