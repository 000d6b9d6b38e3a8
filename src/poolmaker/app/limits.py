"""``api.ports.LoneLimits``: texts to units, over the limits that the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poolmaker.app.figures import AssetRegistry
from poolmaker.infra.approvals.alone import LoneAct, LoneActs
from poolmaker.infra.settings import AmountSettings, TreasurySettings
from poolmaker.kernel.money import parse_units
from poolmaker.views.model import AmountView


def limits_of(treasury: TreasurySettings, scales: AssetRegistry) -> dict[str, Mapping[str, int]]:
    """Every limit by its name, in atomic units per asset."""

    def units(amounts: Sequence[AmountSettings]) -> dict[str, int]:
        return {one.asset: parse_units(one.amount, scales.of(one.asset)) for one in amounts}

    return {
        "operator_out": units(treasury.operator_out_max),
        "bear_deficit": units(treasury.shortfall_max),
    }


class LimitCommands:
    def __init__(self, limits: LoneActs, scales: AssetRegistry) -> None:
        self._limits = limits
        self._scales = scales

    async def take(self, limit: str, money: AmountView, request_id: str, by: str) -> bool:
        return await self._limits.take(self._act(limit, money, request_id, by))

    async def settle(
        self, limit: str, money: AmountView, request_id: str, by: str, *, done: bool
    ) -> None:
        await self._limits.settle(self._act(limit, money, request_id, by), done=done)

    def _act(self, limit: str, money: AmountView, request_id: str, by: str) -> LoneAct:
        units = parse_units(money.amount, self._scales.of(money.asset))
        return LoneAct(limit=limit, asset=money.asset, units=units, request_id=request_id, by=by)
