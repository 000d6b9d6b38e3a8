"""The campaign launcher's wire: campaigns, exchanges and figures for everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from poolmaker.hufi.rules import CampaignType
from poolmaker.kernel.errors import Unavailable
from poolmaker.sandbox.chain.options import CHAIN_ID
from poolmaker.sandbox.hufi import shown
from poolmaker.sandbox.hufi.calls import Answer, Asked, HttpRoute, route
from poolmaker.sandbox.hufi.fields import Fields
from poolmaker.sandbox.hufi.model import STATUS_ON_CHAIN, Campaign, Status
from poolmaker.sandbox.hufi.options import EXCHANGE, EXCHANGES
from poolmaker.sandbox.hufi.refusals import HufiRefusal
from poolmaker.sandbox.hufi.world import HufiWorld

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 1_000


class LauncherApi:
    """Everything that anybody asks the launcher. There is no login."""

    def __init__(self, world: HufiWorld) -> None:
        self._world = world

    def routes(self) -> list[HttpRoute]:
        """All its routes."""
        return [
            route("GET", "/campaigns", self._list),
            route("GET", "/campaigns/{campaign}", self._one),
            route("GET", "/campaigns/{campaign}/daily-paid-amounts", self._paid),
            route("GET", "/exchanges", self._exchanges),
            route("GET", "/exchanges/{exchange}/trading-pairs", self._pairs),
            route("GET", "/exchanges/{exchange}/currencies", self._currencies),
            route("GET", "/stats/campaigns", self._counts),
            route("GET", "/web3/oracle-fees", self._fees),
            route("GET", "/health/ping", self._ping),
        ]

    async def _list(self, asked: Asked) -> Answer:
        fields = asked.questions()
        chain_id = fields.chain_id()
        limit = fields.count("limit", LIMIT_DEFAULT, LIMIT_MAX)
        skip = fields.count("skip", 0, LIMIT_MAX)
        statuses = fields.choices("status", list(Status))
        kinds = fields.choices("type", list(CampaignType))
        exchanges = fields.choices("exchange", EXCHANGES)
        launcher = fields.address("launcher") if "launcher" in asked.query else None
        fields.done()
        found = [
            one
            for one in self._world.campaigns.values()
            if chain_id == CHAIN_ID
            and (not statuses or STATUS_ON_CHAIN[one.escrow.status] in statuses)
            and (not kinds or one.terms.type in kinds)
            and (not exchanges or one.manifest.exchange in exchanges)
            and launcher in {None, one.escrow.launcher}
        ]
        found.reverse()
        results = [shown.campaign(one) for one in found[skip : skip + limit]]
        return 200, {"has_more": len(found) > skip + limit, "results": results}

    def _named(self, asked: Asked) -> Campaign:
        chain, _, address = asked.path["campaign"].partition("-")
        fields = Fields({"chain_id": chain, "address": address})
        chain_id, found = fields.chain_id(), fields.address()
        fields.done()
        campaign = self._world.campaigns.get(found) if chain_id == CHAIN_ID else None
        if campaign is None:
            raise HufiRefusal(404, "Campaign not found")
        return campaign

    async def _one(self, asked: Asked) -> Answer:
        one = self._named(asked)
        fees = one.escrow.fees
        return 200, {
            **shown.campaign(one),
            "exchange_oracle_fee_percent": fees[0], "recording_oracle_fee_percent": fees[1],
            "reputation_oracle_fee_percent": fees[2],
            "reserved_funds": str(one.escrow.reserved_units),
        }  # fmt: skip

    async def _paid(self, asked: Asked) -> Answer:
        by_day: dict[str, int] = {}
        for payment in self._named(asked).escrow.payments:
            day = f"{datetime.fromtimestamp(payment.time_ms // 1_000, UTC):%Y-%m-%d}"
            by_day[day] = by_day.get(day, 0) + payment.units
        results = [{"date": day, "amount": str(units)} for day, units in sorted(by_day.items())]
        return 200, {"results": results}

    async def _exchanges(self, _asked: Asked) -> Answer:
        return 200, [{"name": EXCHANGE, "display_name": "MEXC", "type": "cex", "enabled": True}]

    async def _markets(self, asked: Asked) -> list[tuple[str, str]]:
        if asked.path["exchange"] != EXCHANGE:
            fields = asked.places()
            fields.blame("exchange_name", f"must be one of the following values: {EXCHANGE}")
            fields.done()
        try:
            return await self._world.exchange.markets()
        except Unavailable:
            raise HufiRefusal(503, "Error while checking exchange access") from None

    async def _pairs(self, asked: Asked) -> Answer:
        return 200, [f"{base}/{quote}" for base, quote in await self._markets(asked)]

    async def _currencies(self, asked: Asked) -> Answer:
        markets = await self._markets(asked)
        return 200, sorted({name for market in markets for name in market})

    async def _counts(self, asked: Asked) -> Answer:
        fields = asked.questions()
        chain_id = fields.chain_id()
        fields.done()
        campaigns = self._world.campaigns.values() if chain_id == CHAIN_ID else []
        statuses = [STATUS_ON_CHAIN[one.escrow.status] for one in campaigns]
        return 200, {f"n_{one}": statuses.count(one) for one in Status}

    async def _fees(self, asked: Asked) -> Answer:
        fields = asked.questions()
        fields.chain_id()
        fields.done()
        exchange, recording, reputation = await self._world.escrows.oracle_fees()
        return 200, {
            "exchange_oracle_fee": exchange, "recording_oracle_fee": recording,
            "reputation_oracle_fee": reputation,
        }  # fmt: skip

    async def _ping(self, _asked: Asked) -> Answer:
        return 200, {"app_name": "poolmaker-sandbox-launcher", "status": "ok"}
