"""Campaign sync: what the launcher offers, held against the chain, told to the desk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from poolmaker.business.campaigns.model import ObservedCampaign
from poolmaker.evm.model import RegisteredToken
from poolmaker.hufi.api import LauncherApi
from poolmaker.hufi.escrows import Escrows
from poolmaker.hufi.model import LaunchedCampaign
from poolmaker.hufi.ports import CampaignRegistry
from poolmaker.hufi.verdicts import campaign_seen, day_us_of
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.errors import PreconditionError

_LOG: Final = get_logger("hufi")


class CampaignSync:
    """Tells every campaign that is new or has changed since this process last told it.

    Left out, each with a line in the log: escrows that the factory did not make, tokens that are
    not registered, and rows that make no sense.
    """

    def __init__(
        self,
        launcher: LauncherApi,
        escrows: Escrows,
        tokens: Sequence[RegisteredToken],
        chains: Sequence[int],
        desk: CampaignRegistry,
        transactions: Transactions,
        *,
        is_sandbox: bool,
    ) -> None:
        self._launcher = launcher
        self._escrows = escrows
        self._tokens = {one.contract: one for one in tokens}
        self._chains = tuple(chains)
        self._desk = desk
        self._transactions = transactions
        self._is_sandbox = is_sandbox
        self._told: dict[str, ObservedCampaign] = {}
        self._days_us: dict[str, int] = {}
        self._left_out: dict[str, str] = {}

    def knows(self, campaign: str) -> bool:
        """Whether the desk was told of a campaign by this process."""
        return campaign in self._told

    async def look(self) -> int:
        """Ask for every page of every chain; how many campaigns were told. Raises Unavailable."""
        told = 0
        for chain_id in self._chains:
            for row in await self._launcher.campaigns(chain_id):
                told += await self._tell(row)
        return told

    async def _tell(self, row: LaunchedCampaign) -> bool:
        seen = await self._seen(row)
        if isinstance(seen, str):
            self._leave_out(row.address, seen)
            return False
        if self._told.get(seen.id) == seen:
            return False
        async with self._transactions.begin("hufi.seen") as tx:
            await self._desk.seen(tx, seen)
        self._told[seen.id] = seen
        return True

    async def _seen(self, row: LaunchedCampaign) -> ObservedCampaign | str:
        """The campaign in our words, or why it is left out."""
        token = self._tokens.get(row.fund_token.lower())
        if token is None:
            return f"its token {row.fund_token} is not registered"
        try:
            seen = campaign_seen(row, token, DAY_US)
        except PreconditionError as fault:
            return str(fault)
        escrow = row.address.lower()
        if not await self._escrows.has(escrow):
            return "the factory did not make its escrow"
        if await self._escrows.token(escrow) != token.contract:
            return "its escrow holds another token than the launcher says"
        if not self._is_sandbox:
            return seen
        return replace(seen, day_us=await self._day_us(escrow))

    async def _day_us(self, escrow: str) -> int:
        if escrow not in self._days_us:
            self._days_us[escrow] = day_us_of(await self._escrows.manifest(escrow))
        return self._days_us[escrow]

    def _leave_out(self, address: str, reason: str) -> None:
        if self._left_out.get(address) != reason:
            self._left_out[address] = reason
            _LOG.info("campaign_left_out", escrow=address, reason=reason)
