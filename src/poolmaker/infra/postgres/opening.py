"""Which PostgreSQL the platform uses."""

from __future__ import annotations

from pathlib import Path

from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.external import ExternalCluster
from poolmaker.infra.postgres.model import PostgresServer, Progress
from poolmaker.kernel.clock import Clock


async def open_postgres(
    home: Path, clock: Clock, *, url: str | None = None, on_progress: Progress | None = None
) -> PostgresServer:
    """The operator's server when ``url`` names one, else our own in ``home``.

    Raises EnvironmentProblem when it cannot be used. Call ``stop`` when done with it.
    """
    if url:
        return await ExternalCluster.open(url, clock, on_progress=on_progress)
    return await Cluster.start(home, clock, on_progress=on_progress)
