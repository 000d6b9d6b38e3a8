"""The admin port: the launcher's own hand, jobs at once, faults, and what HuFi knows."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PreconditionError
from poolmaker.sandbox.chain.admin import units_of
from poolmaker.sandbox.chain.model import token_called
from poolmaker.sandbox.hufi import shown
from poolmaker.sandbox.hufi.jobs import Job, Jobs
from poolmaker.sandbox.hufi.texts import iso
from poolmaker.sandbox.hufi.world import HufiWorld
from poolmaker.sandbox.serving import Body, FaultyCalls, guarded, read


class CampaignOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Launch a campaign.

    A manifest without dates starts ``starts_in_ms`` from now (the past is allowed) and runs for
    ``days`` of its ``day_s``.
    """

    manifest: dict[str, Any]
    token: str
    amount: str
    days: int = 1
    starts_in_ms: int = 0


class HufiAdmin:
    """Serves the admin port."""

    def __init__(self, world: HufiWorld, jobs: Jobs, faults: list[FaultyCalls]) -> None:
        self._world = world
        self._jobs = jobs
        self._faults = faults

    def app(self) -> web.Application:
        """All its calls; ``/faults`` are of the oracle, ``/launcher/faults`` of the launcher."""
        app = web.Application()
        app.router.add_routes(
            [
                web.post("/campaigns", guarded(self._launch)),
                web.post("/campaigns/{address}/cancel", guarded(self._cancel)),
                web.post("/jobs/{job}", guarded(self._run)),
                web.get("/state", guarded(self._state)),
                *self._faults[0].routes(),
            ]
        )
        launcher = web.Application()
        launcher.router.add_routes(self._faults[1].routes())
        app.add_subapp("/launcher", launcher)
        return app

    async def _launch(self, request: web.Request) -> Body:
        order = await read(request, CampaignOrder)
        token = token_called(order.token)
        if token is None:
            raise PreconditionError(f"token: {order.token} is not known")
        require(0 < order.days <= 100, "days: 1 to 100")
        manifest = dict(order.manifest)
        if "start_date" not in manifest:
            day_ms = int(manifest.get("day_s", 86_400)) * 1_000
            start_ms = self._world.now_ms() + order.starts_in_ms
            manifest["start_date"] = iso(start_ms)
            manifest["end_date"] = iso(start_ms + order.days * day_ms)
        text = msgspec.json.encode(manifest).decode()
        units = units_of(order.amount, token.decimals)
        address, sent = await self._world.escrows.create(token, units, text)
        return {"address": address, "tx_hash": sent, "manifest": manifest}

    async def _cancel(self, request: web.Request) -> Body:
        address = request.match_info["address"]
        return {"tx_hash": await self._world.escrows.request_cancellation(address)}

    async def _run(self, request: web.Request) -> Body:
        name = request.match_info["job"]
        if name == "all":
            await self._jobs.run_all()
        else:
            require(name in list(Job), f"job: expected all or one of {', '.join(Job)}")
            await self._jobs.run(Job(name))
        return {"ran": name}

    async def _state(self, _request: web.Request) -> Body:
        users = {user.user_id: user.address for user in self._world.users.values()}
        return {
            "events": list(self._world.events),
            "users": list(users.values()),
            "campaigns": [
                {
                    **shown.campaign(one),
                    "processing_status": one.processing,
                    "participants": [users[user_id] for user_id in one.joined_ms],
                    "recorded": [
                        {"from": iso(each.from_ms), "to": iso(each.to_ms),
                         "pool": shown.plain(each.pool)}
                        for each in one.recorded
                    ],
                }
                for one in self._world.campaigns.values()
            ],
        }  # fmt: skip
