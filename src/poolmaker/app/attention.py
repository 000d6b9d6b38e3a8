"""Every source of the one list of what needs a person, plugged into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from poolmaker.app.business import Business
from poolmaker.app.safety import EngineWatch
from poolmaker.bus.attention import BusAttention
from poolmaker.bus.service import open_bus
from poolmaker.business.ledger.attention import LedgerAttention
from poolmaker.business.treasury.attention import CustodyAttention
from poolmaker.business.treasury.service.netting import NET
from poolmaker.business.user_orders.model import EXIT, FUND, ExitState, FundState
from poolmaker.business.withdrawals.attention import FreezeAttention
from poolmaker.infra.attention import AttentionSource
from poolmaker.infra.database import Database
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.machine import MachineWatch
from poolmaker.infra.sagas.attention import SagaAttention
from poolmaker.infra.sagas.service import open_sagas
from poolmaker.kernel.clock import Clock
from poolmaker.mixin.attention import MixinAttention
from poolmaker.mixin.service import Mixin
from poolmaker.recon.attention import AttentionList

STEADY: Final = frozenset(
    {NET, f"{FUND}:{FundState.AWAITING_DEPOSITS}", f"{EXIT}:{ExitState.STAYING}"}
)
"""Sagas that wait for their user or for a time that was agreed; they are never late."""


@dataclass(frozen=True, slots=True)
class AttentionRooms:
    """Who reports what needs a person."""

    business: Business
    engines: EngineWatch
    mixin: Mixin | None
    chain: AttentionSource | None
    machine: MachineWatch | None
    approvals: AttentionSource
    text: Callable[[str, int], str]
    """Units of an asset as an exact decimal."""


def open_attention(
    database: Database, parts: AttentionRooms, health: HealthReporter, clock: Clock
) -> AttentionList:
    """The list over all rooms of this process."""
    business, rooms = parts.business, parts.business.rooms
    sources: dict[str, AttentionSource] = {
        "ledger": LedgerAttention(database),
        "sagas": SagaAttention(database, open_sagas(), clock, steady=STEADY),
        "bus": BusAttention(database, open_bus(), clock),
        "pools": rooms.pools,
        "treasury": rooms.treasury,
        "custody": CustodyAttention(rooms.custody, parts.text),
        "transfers": rooms.carrier,
        "withdrawals": rooms.withdrawals,
        "freeze": FreezeAttention(rooms.withdrawals),
        "rewards": business.rewards,
        "campaigns": business.campaigns,
        "engines": parts.engines,
        "approvals": parts.approvals,
    }
    if parts.mixin is not None:
        walker = parts.mixin.walker
        sources["mixin"] = MixinAttention(database, lambda: walker.problem, clock)
        sources["unlisted"] = parts.mixin.unlisted
    if parts.chain is not None:
        sources["chain"] = parts.chain
    if parts.machine is not None:
        sources["machine"] = parts.machine
    return AttentionList(sources, database, health, clock)
