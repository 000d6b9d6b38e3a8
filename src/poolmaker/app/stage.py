"""Where a told story stands, kept in memory: the story tells it again after a restart."""

from __future__ import annotations

from poolmaker.views.model import Act, WorldMode


class MemoryStage:
    """``views.ports.Stage``. Outside the sandbox there is never an act."""

    def __init__(self, mode: WorldMode) -> None:
        self._mode = mode
        self._act: Act | None = None

    def act(self) -> Act | None:
        return self._act

    def tell(self, act: Act) -> None:
        if self._mode is WorldMode.SANDBOX:
            self._act = act
