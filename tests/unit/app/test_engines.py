"""The last look of a create, after it was signed: kill latches and the lease of this process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from poolmaker.app.engines import DeskPorts, open_desks
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.leases import NoLease
from poolmaker.infra.settings.model import VenueAccountSettings
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.rng import Rng
from poolmaker.market.execution.model import CreateReply, RequestRefused
from tests.unit.market.makers import create

NOWHERE = "127.0.0.1:9"
"""Whatever is sent there has no answer."""


class Lease(NoLease):
    def __init__(self, *, holds: bool) -> None:
        self._holds = holds

    def holds(self, margin_us: int = 0) -> bool:
        return self._holds


class Switch:
    def __init__(self, reason: str) -> None:
        self.reason = reason

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:
        return self.reason


async def sent(*, holds: bool, killed: str) -> CreateReply:
    """What becomes of a create at the connector of an engine of the platform."""
    account = VenueAccountSettings.model_validate(
        {
            "id": "main", "api_key": "key", "secret": "secret", "rest_url": f"http://{NOWHERE}",
            "ws_url": f"ws://{NOWHERE}", "ws_api_url": f"ws://{NOWHERE}",
        }
    )  # fmt: skip
    settings: Any = SimpleNamespace(venue_accounts=[account])
    nothing: Any = None
    ports = DeskPorts(
        transactions=nothing, bus=nothing, clock=SystemClock(), ids=nothing, rng=Rng(1),
        lease=Lease(holds=holds), kill=Switch(killed), wake=nothing,
    )  # fmt: skip
    (desk,) = open_desks(settings, {}, ports).values()
    try:
        return await desk.venue.venue.create(create())
    finally:
        await desk.venue.close()


async def test_a_signed_create_does_not_leave_without_the_lease() -> None:
    """It was decided and signed while the lease held; another process may work by now."""
    reply = await sent(holds=False, killed="")
    assert isinstance(reply, RequestRefused)
    assert reply.text == "not sent: this process no longer holds its lease"


async def test_a_signed_create_does_not_leave_while_a_kill_latch_holds() -> None:
    reply = await sent(holds=True, killed="account:main")
    assert isinstance(reply, RequestRefused)
    assert reply.text == "not sent: killed: account:main"


async def test_a_signed_create_leaves_where_nothing_bars_it() -> None:
    with pytest.raises(OutcomeUnknown):
        await sent(holds=True, killed="")
