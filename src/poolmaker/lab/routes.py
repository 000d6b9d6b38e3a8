"""Ways between places of ours, as a simulated world or a test lays them."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.business.treasury.model import Route


class FixedRoutes:
    """``Routes`` that never change."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def routes(self) -> Sequence[Route]:
        return self._routes
