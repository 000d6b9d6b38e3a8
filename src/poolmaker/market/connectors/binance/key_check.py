"""What a venue says of a read-only key: of which account it is, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import VenueUnavailable
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.execution.model import VenueRefusal
from poolmaker.market.execution.throttle import Throttle

READING: Final = frozenset({"enableReading", "enableFixReadOnly"})
"""Every other right that is given makes a key one that does more than read."""
_RIGHTS: Final = ("enable", "permits")
_NOT_OUR_FAULT: Final = frozenset({VenueRefusal.RATE_LIMITED, VenueRefusal.CLOCK})
_RESTRICTIONS: Final = "sapiGetAccountApiRestrictions"
_ADDRESS: Final = "sapiGetCapitalDepositAddress"
_ACCOUNT: Final = "privateGetAccount"
_TRADES: Final = "privateGetMyTrades"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnlyKeyCheck:
    """Asks with the key itself, and with the one that trades. Nothing is concluded from silence.

    ``deposit`` is the (asset, network) whose deposit address must exist, ``market`` one whose
    trades must be readable, both by the venue's names.
    """

    trading: Transport
    key: str
    secret: str = field(repr=False)
    clock: Clock
    deposit: tuple[str, str] = ("ETH", "ETH")
    market: str = "ETHUSDT"

    async def problem(self) -> str:
        """Why the key must not be given away, empty when it is the account's and only reads.

        Raises VenueUnavailable when the venue does not say.
        """
        config = replace(self.trading.config, key=self.key, secret=self.secret)
        reading = Transport(config, Throttle(self.clock, ()))
        reading.set_clock_difference(self.trading.clock_difference_ms)
        try:
            return (
                await self._rights(reading)
                or await self._other_account(reading)
                or await self._unreadable(reading)
            )
        except _Refused as refused:
            return str(refused)
        finally:
            await reading.close()

    async def _rights(self, reading: Transport) -> str:
        said = await self._ask(reading, _RESTRICTIONS, {}, "what it may do")
        if said.get("enableReading") is not True:
            return "the venue says that the key may not read"
        given = sorted(
            name
            for name, value in said.items()
            if name.startswith(_RIGHTS) and name not in READING and value is not False
        )
        if given:
            return f"the key may do more than read: {', '.join(given)}"
        if said.get("ipRestrict") is not False:
            return "the key is bound to addresses, from which HuFi does not ask"
        return ""

    async def _other_account(self, reading: Transport) -> str:
        """The same account by its number, and by its own deposit address."""
        theirs = await self._ask(reading, _ACCOUNT, {}, "its balances")
        ours = await self._ask(self.trading, _ACCOUNT, {}, "the trading key's balances")
        numbers = theirs.get("uid"), ours.get("uid")
        if None not in numbers and numbers[0] != numbers[1]:
            return "the key is of another account than the one that trades"
        coin, network = self.deposit
        asked = {"coin": coin, "network": network}
        what = f"a deposit address of {coin}"
        mine = (await self._ask(self.trading, _ADDRESS, asked, what)).get("address")
        its = (await self._ask(reading, _ADDRESS, asked, what)).get("address")
        if not isinstance(its, str) or not its:
            return f"the account has no deposit address of {coin} on {network}"
        return "" if its == mine else "the key is of another account than the one that trades"

    async def _unreadable(self, reading: Transport) -> str:
        trades = await self._send(reading, _TRADES, {"symbol": self.market, "limit": 1}, "trades")
        return "" if isinstance(trades, list) else "the key cannot read the account's trades"

    async def _ask(
        self, transport: Transport, method: str, params: Mapping[str, Any], what: str
    ) -> Mapping[str, Any]:
        said = await self._send(transport, method, params, what)
        if not isinstance(said, dict):
            raise VenueUnavailable(f"{what}: the venue answered something else than was asked")
        return said

    async def _send(
        self, transport: Transport, method: str, params: Mapping[str, Any], what: str
    ) -> Any:
        try:
            return await transport.send(method, params)
        except NoAnswer as problem:
            raise VenueUnavailable(f"{what}: {problem}") from problem
        except VenueRefused as refused:
            if refused.refusal in _NOT_OUR_FAULT:
                raise VenueUnavailable(f"{what}: {refused}") from refused
            raise _Refused(f"the venue refuses {what}: {refused}") from refused


class _Refused(Exception):
    """The venue's own word against the key."""
