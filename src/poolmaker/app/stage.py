"""Where a told story stands, kept in memory: the story tells it again after a restart."""

from __future__ import annotations

from poolmaker.views.model import Act, Mode


class MemoryStage:
    """``views.ports.Stage``. Outside the sandbox there is never an act."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._act: Act | None = None

    def act(self) -> Act | None:
        """See ``Stage.act``."""
        return self._act

    def tell(self, act: Act) -> None:
        """See ``Stage.tell``."""
        if self._mode is Mode.SANDBOX:
            self._act = act
