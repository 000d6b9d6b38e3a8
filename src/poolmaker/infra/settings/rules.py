"""What has to hold between settings. Pure: the answer is one sentence, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.settings.model import AmountSettings, Mode, PoolSettings, Settings
from poolmaker.kernel.errors import CallerFault
from poolmaker.kernel.money import parse_units

_LOOPBACK: Final = ("127.", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence about the setting at ``path``."""

    path: tuple[str | int, ...]
    sentence: str


def problems(settings: Settings) -> Iterator[Problem]:
    """Everything that does not fit together, most basic first."""
    checks: tuple[Callable[[Settings], Iterable[Problem]], ...] = (
        _duplicates,
        _assets_of_accounts,
        _accounts_of_pools,
        _markets_of_pools,
        _money,
        _read_only_pairs,
        _mode,
    )
    for check in checks:
        yield from check(settings)


def _duplicates(settings: Settings) -> Iterator[Problem]:
    keyed = {
        "assets": [asset.code for asset in settings.assets],
        "venue_accounts": [account.id for account in settings.venue_accounts],
        "pools": [pool.id for pool in settings.pools],
    }
    for name, ids in keyed.items():
        for value, count in Counter(ids).items():
            if count > 1:
                index = len(ids) - 1 - ids[::-1].index(value)
                sentence = f"{name} has {value!r} {count} times; keep one of them"
                yield Problem((name, index), sentence)


def _assets_of_accounts(settings: Settings) -> Iterator[Problem]:
    codes = {asset.code for asset in settings.assets}
    for index, account in enumerate(settings.venue_accounts):
        for symbol in account.symbols:
            for code in symbol.split("/"):
                if code not in codes:
                    sentence = f"the symbol {symbol} names the asset {code}, which is not in assets"
                    yield Problem(("venue_accounts", index, "symbols"), sentence)


def _accounts_of_pools(settings: Settings) -> Iterator[Problem]:
    symbols = {account.id: account.symbols for account in settings.venue_accounts}
    known = ", ".join(symbols) or "none"
    for index, pool in enumerate(settings.pools):
        if pool.account not in symbols:
            sentence = (
                f"the pool {pool.id} names the account {pool.account!r}, "
                f"which is not in venue_accounts (known: {known})"
            )
            yield Problem(("pools", index, "account"), sentence)
        elif pool.symbol not in symbols[pool.account]:
            sentence = (
                f"the pool {pool.id} quotes {pool.symbol}, "
                f"which is not in the symbols of the account {pool.account}"
            )
            yield Problem(("pools", index, "symbol"), sentence)


def _markets_of_pools(settings: Settings) -> Iterator[Problem]:
    seen: dict[tuple[str, str], PoolSettings] = {}
    for index, pool in enumerate(settings.pools):
        first = seen.setdefault((pool.account, pool.symbol), pool)
        if first is not pool:
            sentence = (
                f"the pools {first.id} and {pool.id} both quote {pool.symbol} on the account "
                f"{pool.account}; one open pool per account and market is allowed"
            )
            yield Problem(("pools", index, "symbol"), sentence)
        if pool.base == pool.quote:
            sentence = f"the pool {pool.id} quotes {pool.symbol}; two assets are needed"
            yield Problem(("pools", index, "symbol"), sentence)


def _money(settings: Settings) -> Iterator[Problem]:
    scales = {asset.code: asset.scale for asset in settings.assets}
    for path, money in _amounts(settings):
        scale = scales.get(money.asset)
        if scale is None:
            yield Problem(path, f"the asset {money.asset} is not in assets; add it there")
        elif not _fits(money.amount, scale):
            sentence = f"{money.amount} {money.asset} has more than the asset's {scale} decimals"
            yield Problem(path, sentence)


def _amounts(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], AmountSettings]]:
    for index, account in enumerate(settings.venue_accounts):
        for place, money in enumerate(account.fee_float):
            yield ("venue_accounts", index, "fee_float", place), money
    for index, pool in enumerate(settings.pools):
        for name in ("first_join_min", "nav_floor"):
            money = AmountSettings(asset=pool.quote, amount=getattr(pool, name))
            yield ("pools", index, name), money
    for place, money in enumerate(settings.payout.fees):
        yield ("payout", "fees", place), money


def _fits(text: str, scale: int) -> bool:
    try:
        parse_units(text, scale)
    except CallerFault:
        return False
    return True


def _read_only_pairs(settings: Settings) -> Iterator[Problem]:
    for index, account in enumerate(settings.venue_accounts):
        if (account.read_only_api_key is None) != (account.read_only_secret is None):
            sentence = (
                f"the account {account.id} has only one of read_only_api_key and read_only_secret; "
                "give both or none"
            )
            yield Problem(("venue_accounts", index), sentence)


def _mode(settings: Settings) -> Iterator[Problem]:
    for index, account in enumerate(settings.venue_accounts):
        for name in ("rest_url", "ws_url", "ws_api_url"):
            host = getattr(account, name).partition("://")[2]
            loopback = host.startswith(_LOOPBACK)
            if settings.mode is Mode.SANDBOX and not loopback:
                sentence = (
                    f"mode is sandbox, but {name} is not on loopback; mode and addresses must agree"
                )
                yield Problem(("venue_accounts", index, name), sentence)
