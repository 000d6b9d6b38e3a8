"""Campaigns in PostgreSQL: ``business.campaign`` and its lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.campaigns.model import (
    Campaign,
    CampaignLine,
    CampaignStatus,
    JoinState,
    ObservedCampaign,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import PoolId

_ADD: Final = """
INSERT INTO business.campaign (
    campaign, source, kind, venue, market, start_us, end_us, day_us, form, fund_units, target,
    status, pool, state, joined_at_us, text, cancelled_us
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (campaign) DO NOTHING
"""
_SAVE: Final = """
UPDATE business.campaign
SET end_us = $2, fund_units = $3, target = $4, status = $5, pool = $6, state = $7,
    joined_at_us = $8, text = $9, cancelled_us = $10
WHERE campaign = $1
"""
_ADD_LINE: Final = """
INSERT INTO business.campaign_line (campaign, line, at_us, state, event, note)
SELECT $1, coalesce(max(line), 0) + 1, $2, $3, $4, $5
FROM business.campaign_line WHERE campaign = $1
"""
_LISTED: Final = """
SELECT * FROM business.campaign WHERE state = ANY($1) ORDER BY start_us DESC, campaign
"""
_ONE: Final = "SELECT * FROM business.campaign WHERE campaign = $1"
_TIMELINE: Final = """
SELECT at_us, state, event, note FROM business.campaign_line WHERE campaign = $1 ORDER BY line
"""


class PgCampaignStore:
    """``CampaignStore`` over PostgreSQL."""

    async def campaign(self, tx: Tx, campaign: str) -> Campaign | None:
        row = await connection_of(tx).fetchrow(_ONE, campaign)
        return _campaign(row) if row is not None else None

    async def lock(self, tx: Tx, campaign: str) -> Campaign | None:
        row = await connection_of(tx).fetchrow(f"{_ONE} FOR UPDATE", campaign)
        return _campaign(row) if row is not None else None

    async def add(self, tx: Tx, campaign: Campaign, line: CampaignLine) -> bool:
        seen = campaign.seen
        done = await connection_of(tx).execute(
            _ADD,
            seen.id,
            seen.source,
            seen.kind,
            seen.venue,
            seen.market,
            seen.start_us,
            seen.end_us,
            seen.day_us,
            seen.form,
            seen.fund_units,
            seen.target,
            seen.status,
            campaign.pool,
            campaign.state,
            campaign.joined_at_us,
            campaign.text,
            seen.cancelled_us,
        )
        if done != "INSERT 0 1":
            return False
        await _add_line(tx, campaign, line)
        return True

    async def save(self, tx: Tx, campaign: Campaign, line: CampaignLine | None) -> None:
        seen = campaign.seen
        await connection_of(tx).execute(
            _SAVE,
            seen.id,
            seen.end_us,
            seen.fund_units,
            seen.target,
            seen.status,
            campaign.pool,
            campaign.state,
            campaign.joined_at_us,
            campaign.text,
            seen.cancelled_us,
        )
        if line is not None:
            await _add_line(tx, campaign, line)

    async def listed(self, tx: Tx, states: Sequence[JoinState]) -> Sequence[Campaign]:
        rows = await connection_of(tx).fetch(_LISTED, [state.value for state in states])
        return [_campaign(row) for row in rows]

    async def timeline(self, tx: Tx, campaign: str) -> Sequence[CampaignLine]:
        rows = await connection_of(tx).fetch(_TIMELINE, campaign)
        return [
            CampaignLine(row["at_us"], JoinState(row["state"]), row["event"], row["note"])
            for row in rows
        ]


async def _add_line(tx: Tx, campaign: Campaign, line: CampaignLine) -> None:
    await connection_of(tx).execute(
        _ADD_LINE, campaign.id, line.at_us, line.state, line.event, line.note
    )


def _campaign(row: Record) -> Campaign:
    values = dict(row.items())
    ours = ("pool", "state", "joined_at_us", "text")
    seen = {name: value for name, value in values.items() if name not in ours}
    seen["id"], seen["status"] = seen.pop("campaign"), CampaignStatus(seen["status"])
    return Campaign(
        seen=ObservedCampaign(**seen),
        pool=PoolId(values["pool"]),
        state=JoinState(values["state"]),
        joined_at_us=values["joined_at_us"],
        text=values["text"],
    )
