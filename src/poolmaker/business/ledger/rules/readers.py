"""What can be read from the books: trial balance, claims, net asset value, statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from poolmaker.business.ledger.accounts import (
    Normal,
    custody_venue,
    deficit,
    normal_of,
    pool_capital,
)
from poolmaker.business.ledger.model import LedgerTransaction, Leg
from poolmaker.business.ledger.rules.books import LedgerState, PoolRecord
from poolmaker.business.ledger.rules.shares import Holding
from poolmaker.kernel.ids import CommandKey, PoolId, VenueAccountId
from poolmaker.kernel.money import Ratio


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One asset: everything held, everything owed; ``difference`` is 0 or the books are broken."""

    asset: str
    held_units: int
    owed_units: int

    @property
    def difference(self) -> int:
        """Held minus owed."""
        return self.held_units - self.owed_units


def trial_rows(balances: Iterable[Leg]) -> list[TrialRow]:
    """The trial balance of raw balances, by asset."""
    held: defaultdict[str, int] = defaultdict(int)
    owed: defaultdict[str, int] = defaultdict(int)
    for leg in balances:
        side = held if normal_of(leg.account) is Normal.HELD else owed
        side[leg.asset] += leg.units
    return [TrialRow(asset, held[asset], -owed[asset]) for asset in sorted({*held, *owed})]


def trial_balance(books: LedgerState) -> list[TrialRow]:
    """Per asset Σ held, Σ owed and their difference (ledger invariant 1)."""
    return trial_rows(Leg(*place, units) for place, units in books.balances.items())


@dataclass(frozen=True, slots=True)
class Cover:
    """One asset at a venue account: what is there and what pools and exits own of it."""

    asset: str
    custody_units: int
    claims_units: int


def covers(books: LedgerState, account: VenueAccountId) -> list[Cover]:
    """Custody against claims at a venue account (ledger invariant 9), for every asset there."""
    pools = (books.find(PoolRecord, name) for name in books.pools_at(account))
    traded = {asset for pool in pools if pool for asset in (pool.base, pool.quote)}
    custody = custody_venue(account)
    traded |= {asset for place, asset in books.balances if place == custody}
    return [
        Cover(asset, books.balance(custody, asset), books.claims_at(account, asset))
        for asset in sorted(traded)
    ]


def net_asset_value(books: LedgerState, name: PoolId, price: Ratio) -> int:
    """What a pool's holders own in quote units at ``price``, rounded down, deficits deducted."""
    pool = books.find(PoolRecord, name)
    if pool is None:
        return 0
    account = pool_capital(name)

    def net(asset: str) -> int:
        return books.balance(account, asset) - books.balance(deficit(account), asset)

    return Holding(net(pool.base), net(pool.quote)).value(price)


def users_surplus(books: LedgerState) -> dict[str, int]:
    """Per asset, held minus what is owed to others than the operator (ledger invariant 8).

    A deficit is no money: it does not count as held.
    """
    surplus: defaultdict[str, int] = defaultdict(int)
    for (account, asset), raw in books.balances.items():
        if not account.startswith(("platform:", "deficit:")):
            surplus[asset] += raw
    return dict(surplus)


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One change of one account in normal units: growth is positive."""

    seq: int
    at_us: int
    key: CommandKey
    kind: str
    account: str
    asset: str
    units: int


def statement(
    transactions: Iterable[LedgerTransaction], accounts: frozenset[str]
) -> Iterator[StatementRow]:
    """The rows of a statement over ``accounts``, in the order of the log."""
    for transaction in transactions:
        for leg in transaction.legs:
            if leg.account in accounts:
                units = leg.units if normal_of(leg.account) is Normal.HELD else -leg.units
                yield StatementRow(
                    seq=transaction.seq,
                    at_us=transaction.at_us,
                    key=transaction.key,
                    kind=transaction.kind,
                    account=leg.account,
                    asset=leg.asset,
                    units=units,
                )
