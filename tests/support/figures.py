"""What users are shown, read over the world of business."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from poolmaker.app.figures import AssetRegistry
from poolmaker.app.people import UserDirectory, UserDirectoryPorts
from poolmaker.app.reading import PlatformReading
from poolmaker.business.ledger.accounts import Normal, normal_of
from poolmaker.business.ledger.history import LedgerHistory
from poolmaker.business.ledger.model import Flow, LedgerHead, LedgerTransaction, Leg
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey, OrderId
from poolmaker.kernel.money import Ratio
from tests.support.business import BNB, BTC, PRICE, USDT, World

MID = PRICE.ratio
_LOG_MAX = 10_000


class ModelHistory:
    """The parts of ``LedgerHistory`` that orders need, summed from the log itself."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def _log(self, tx: Tx) -> list[LedgerTransaction]:
        return await self._world.ledger.read(tx, 0, _LOG_MAX)

    async def head(self, tx: Tx) -> LedgerHead:
        return self._world.stores.writer.head

    async def balances(self, tx: Tx) -> list[Leg]:
        sums: defaultdict[tuple[str, str], int] = defaultdict(int)
        for one in await self._log(tx):
            for leg in one.legs:
                sums[leg.account, leg.asset] += leg.units
        return [Leg(*place, units) for place, units in sorted(sums.items()) if units]

    async def flows(self, tx: Tx, accounts: Sequence[str]) -> list[Flow]:
        sums: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        for one in await self._log(tx):
            for leg in one.legs:
                if leg.account in accounts:
                    sign = 1 if normal_of(leg.account) is Normal.HELD else -1
                    sums[leg.account, one.kind, leg.asset] += sign * leg.units
        return [Flow(*place, units) for place, units in sorted(sums.items())]

    async def seq_of(self, tx: Tx, key: CommandKey) -> int:
        return next((one.seq for one in await self._log(tx) if one.key == key), 0)


class _Elsewhere:
    """What the figures of an order need of rooms that these worlds have not got."""

    def __init__(self, mid: Ratio | None) -> None:
        self._mid = mid

    def mid(self, _pool: object) -> Ratio | None:
        return self._mid

    def fills_booked(self, _pool: object) -> int:
        return 0

    async def credited(self, _orders: Sequence[OrderId]) -> Mapping[OrderId, Mapping[str, int]]:
        return {}

    async def deposit(self, _order: object) -> None:
        return None


def reading_of(
    world: World, history: LedgerHistory | ModelHistory, mid: Ratio | None = MID
) -> PlatformReading:
    """The platform's reading over a world; everything is valued at ``mid``."""
    elsewhere = _Elsewhere(mid)
    people = UserDirectory(
        UserDirectoryPorts(
            transactions=world.stores.transactions,
            orders=world.orders,
            withdrawals=world.withdrawals,
            history=history,  # type: ignore[arg-type]
        )
    )
    ports = SimpleNamespace(
        transactions=world.stores.transactions,
        history=history,
        pools=world.pools,
        people=people,
        live=elsewhere,
        money=elsewhere,
    )
    scales = AssetRegistry({asset.code: asset for asset in (BTC, USDT, BNB)})
    return PlatformReading(ports, scales)  # type: ignore[arg-type]
