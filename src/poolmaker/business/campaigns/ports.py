"""What campaigns need: their store, and the pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.campaigns.model import Campaign, CampaignLine, JoinState
from poolmaker.business.pools.model import Pool
from poolmaker.infra.transactions import Tx


class CampaignStore(Protocol):
    """Rows of campaigns with their stories, in the caller's transaction."""

    async def campaign(self, tx: Tx, campaign: str) -> Campaign | None:
        """One campaign, or None."""
        ...

    async def lock(self, tx: Tx, campaign: str) -> Campaign | None:
        """One campaign, locked until the transaction ends, or None."""
        ...

    async def add(self, tx: Tx, campaign: Campaign, line: CampaignLine) -> bool:
        """Insert a campaign; False when its id is there already (then nothing changed)."""
        ...

    async def save(self, tx: Tx, campaign: Campaign, line: CampaignLine | None) -> None:
        """Overwrite a campaign that this transaction has locked; a line joins its story."""
        ...

    async def listed(self, tx: Tx, states: Sequence[JoinState]) -> Sequence[Campaign]:
        """Campaigns in these states, newest start first."""
        ...

    async def timeline(self, tx: Tx, campaign: str) -> Sequence[CampaignLine]:
        """The story of a campaign, oldest first."""
        ...


class Pools(Protocol):
    """Which pools there are; the room of pools."""

    async def pools(self, tx: Tx) -> Sequence[Pool]:
        """Every pool, by id."""
        ...
