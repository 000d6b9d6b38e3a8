"""What has to hold between settings. Pure: the answer is one sentence, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.settings.base import AmountSettings
from poolmaker.infra.settings.keys import key_faults
from poolmaker.infra.settings.model import Mode, PoolSettings, Settings
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.money import SCALE_MAX, parse_units

_LOOPBACK: Final = ("127.", "localhost", "[::1]")
_OPEN_SCHEMES: Final = frozenset({"http", "ws"})
_GAS_SCALE: Final = 18
_APPROVAL_DELAY_MIN_S: Final = 3_600
POOL_AMOUNTS: Final = (
    "first_join_min", "order_min", "order_max", "capacity", "holding_min", "nav_floor", "depth_min",
)  # fmt: skip
_STAY_MIN_S: Final = 60


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """A sentence about the setting at ``path``."""

    path: tuple[str | int, ...]
    sentence: str


def problems(settings: Settings) -> Iterator[SettingProblem]:
    """Everything that does not fit together, most basic first."""
    checks: tuple[Callable[[Settings], Iterable[SettingProblem]], ...] = (
        _duplicates,
        _assets_of_accounts,
        _accounts_of_pools,
        _markets_of_pools,
        _minimums_of_pools,
        _maximums_of_pools,
        _money,
        _read_only_pairs,
        _forms,
        _gas,
        _hufi,
        _mode,
        _keys,
        _approvals,
    )
    for check in checks:
        yield from check(settings)


def _duplicates(settings: Settings) -> Iterator[SettingProblem]:
    keyed = {
        "assets": [asset.code for asset in settings.assets],
        "venue_accounts": [account.id for account in settings.venue_accounts],
        "pools": [pool.id for pool in settings.pools],
        "forms": [form.name for form in settings.forms],
    }
    for name, ids in keyed.items():
        for value, count in Counter(ids).items():
            if count > 1:
                index = len(ids) - 1 - ids[::-1].index(value)
                sentence = f"{name} has {value!r} {count} times; keep one of them"
                yield SettingProblem((name, index), sentence)


def _assets_of_accounts(settings: Settings) -> Iterator[SettingProblem]:
    codes = {asset.code for asset in settings.assets}
    for index, account in enumerate(settings.venue_accounts):
        for symbol in account.symbols:
            for code in symbol.split("/"):
                if code not in codes:
                    sentence = f"the symbol {symbol} names the asset {code}, which is not in assets"
                    yield SettingProblem(("venue_accounts", index, "symbols"), sentence)


def _accounts_of_pools(settings: Settings) -> Iterator[SettingProblem]:
    symbols = {account.id: account.symbols for account in settings.venue_accounts}
    known = ", ".join(symbols) or "none"
    for index, pool in enumerate(settings.pools):
        if pool.account not in symbols:
            sentence = (
                f"the pool {pool.id} names the account {pool.account!r}, "
                f"which is not in venue_accounts (known: {known})"
            )
            yield SettingProblem(("pools", index, "account"), sentence)
        elif pool.symbol not in symbols[pool.account]:
            sentence = (
                f"the pool {pool.id} quotes {pool.symbol}, "
                f"which is not in the symbols of the account {pool.account}"
            )
            yield SettingProblem(("pools", index, "symbol"), sentence)


def _markets_of_pools(settings: Settings) -> Iterator[SettingProblem]:
    seen: dict[tuple[str, str], PoolSettings] = {}
    for index, pool in enumerate(settings.pools):
        first = seen.setdefault((pool.account, pool.symbol), pool)
        if first is not pool:
            sentence = (
                f"the pools {first.id} and {pool.id} both quote {pool.symbol} on the account "
                f"{pool.account}; one open pool per account and market is allowed"
            )
            yield SettingProblem(("pools", index, "symbol"), sentence)
        if pool.base == pool.quote:
            sentence = f"the pool {pool.id} quotes {pool.symbol}; two assets are needed"
            yield SettingProblem(("pools", index, "symbol"), sentence)


def _minimums_of_pools(settings: Settings) -> Iterator[SettingProblem]:
    """Bounds that hold each other up: without them dust could hold a pool, or empty it."""
    for index, pool in enumerate(settings.pools):
        for low, high in (
            ("nav_floor", "holding_min"),
            ("holding_min", "order_min"),
            ("order_min", "first_join_min"),
        ):
            if _units(getattr(pool, low)) > _units(getattr(pool, high)):
                sentence = f"{low} of the pool {pool.id} must not be above its {high}"
                yield SettingProblem(("pools", index, low), sentence)
        if settings.mode is Mode.SANDBOX:
            continue
        for name in ("depth_min", "holding_min"):
            if not _units(getattr(pool, name)):
                sentence = f"{name} of the pool {pool.id} must be above 0 outside the sandbox"
                yield SettingProblem(("pools", index, name), sentence)
        for name in ("stay_min_s", "cool_off_s"):
            if getattr(pool, name) < _STAY_MIN_S:
                sentence = (
                    f"{name} of the pool {pool.id} must be at least {_STAY_MIN_S} "
                    "outside the sandbox"
                )
                yield SettingProblem(("pools", index, name), sentence)


def _maximums_of_pools(settings: Settings) -> Iterator[SettingProblem]:
    for index, pool in enumerate(settings.pools):
        for most in ("order_max", "capacity"):
            bound = _units(getattr(pool, most))
            if bound and bound < _units(pool.first_join_min):
                sentence = (
                    f"{most} of the pool {pool.id} must be 0, for no bound, or at least its "
                    "first_join_min"
                )
                yield SettingProblem(("pools", index, most), sentence)


def _units(text: str) -> int:
    return parse_units(text, SCALE_MAX)


def _money(settings: Settings) -> Iterator[SettingProblem]:
    scales = {asset.code: asset.scale for asset in settings.assets}
    for path, money in _amounts(settings):
        scale = scales.get(money.asset)
        if scale is None:
            yield SettingProblem(path, f"the asset {money.asset} is not in assets; add it there")
        elif not _fits(money.amount, scale):
            sentence = f"{money.amount} {money.asset} has more than the asset's {scale} decimals"
            yield SettingProblem(path, sentence)


def _amounts(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], AmountSettings]]:
    for index, account in enumerate(settings.venue_accounts):
        for place, money in enumerate(account.fee_float):
            yield ("venue_accounts", index, "fee_float", place), money
    for place, money in enumerate(settings.payout.minimums):
        yield ("payout", "minimums", place), money
    for index, pool in enumerate(settings.pools):
        for name in POOL_AMOUNTS:
            money = AmountSettings(asset=pool.quote, amount=getattr(pool, name))
            yield ("pools", index, name), money
    for section, name, moneys in (
        ("payout", "fees", settings.payout.fees),
        ("treasury", "funding_fees", settings.treasury.funding_fees),
        ("treasury", "exit_fees", settings.treasury.exit_fees),
        ("rewards", "payout_min", settings.rewards.payout_min),
    ):
        for place, money in enumerate(moneys):
            yield (section, name, place), money


def _fits(text: str, scale: int) -> bool:
    try:
        parse_units(text, scale)
    except PreconditionError:
        return False
    return True


def _read_only_pairs(settings: Settings) -> Iterator[SettingProblem]:
    for index, account in enumerate(settings.venue_accounts):
        if (account.read_only_api_key is None) != (account.read_only_secret is None):
            sentence = (
                f"the account {account.id} has only one of read_only_api_key and read_only_secret; "
                "give both or none"
            )
            yield SettingProblem(("venue_accounts", index), sentence)


def _forms(settings: Settings) -> Iterator[SettingProblem]:
    scales = {asset.code: asset.scale for asset in settings.assets}
    of_asset: dict[str, str] = {}
    for index, form in enumerate(settings.forms):
        scale = scales.get(form.asset)
        if scale is None:
            sentence = f"the form {form.name} is of the asset {form.asset}, which is not in assets"
            yield SettingProblem(("forms", index, "asset"), sentence)
        elif form.decimals > scale:
            sentence = (
                f"the form {form.name} has {form.decimals} decimals, its asset {form.asset} only "
                f"{scale}; the scale of an asset is the largest of its forms"
            )
            yield SettingProblem(("forms", index, "decimals"), sentence)
        first = of_asset.setdefault(form.asset, form.name)
        if first != form.name:
            sentence = (
                f"the forms {first} and {form.name} are both of the asset {form.asset}; "
                "this version keeps one form of an asset"
            )
            yield SettingProblem(("forms", index, "asset"), sentence)


def _gas(settings: Settings) -> Iterator[SettingProblem]:
    if settings.evm is None:
        return
    code = settings.evm.gas_asset
    scale = next((asset.scale for asset in settings.assets if asset.code == code), None)
    if scale != _GAS_SCALE:
        sentence = (
            f"gas is paid in {code}, which must be in assets with a scale of {_GAS_SCALE}: "
            "its atomic unit is a wei"
        )
        yield SettingProblem(("evm", "gas_asset"), sentence)


def _hufi(settings: Settings) -> Iterator[SettingProblem]:
    hufi = settings.hufi
    if hufi is None:
        return
    accounts = {account.id: account for account in settings.venue_accounts}
    account = accounts.get(hufi.account)
    if account is None:
        sentence = f"the account {hufi.account!r} of hufi is not in venue_accounts"
        yield SettingProblem(("hufi", "account"), sentence)
    elif account.read_only_api_key is None:
        sentence = (
            f"HuFi is given the read-only key of the account {hufi.account}, which has none; "
            "add read_only_api_key and read_only_secret there"
        )
        yield SettingProblem(("hufi", "account"), sentence)
    if settings.evm is None:
        yield SettingProblem(("hufi",), "hufi needs evm: rewards are paid on a chain to its wallet")


def _addresses(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, account in enumerate(settings.venue_accounts):
        for name in ("rest_url", "ws_url", "ws_api_url"):
            yield ("venue_accounts", index, name), getattr(account, name)
    if settings.mixin is not None:
        yield ("mixin", "api_url"), settings.mixin.api_url
    if settings.evm is not None:
        yield ("evm", "rpc_url"), settings.evm.rpc_url
    if settings.hufi is not None:
        yield ("hufi", "oracle_url"), settings.hufi.oracle_url
        yield ("hufi", "launcher_url"), settings.hufi.launcher_url


def _mode(settings: Settings) -> Iterator[SettingProblem]:
    """A sandbox lives on this machine; beyond it nothing is said where others can change it."""
    for path, url in _addresses(settings):
        scheme, _, rest = url.partition("://")
        loopback = rest.startswith(_LOOPBACK)
        if settings.mode is Mode.LIVE and not loopback and scheme in _OPEN_SCHEMES:
            sentence = (
                f"{path[-1]} begins with {scheme}://, which others can read and change on the way; "
                f"in live mode use {scheme}s://"
            )
            yield SettingProblem(path, sentence)
        if settings.mode is Mode.SANDBOX and not loopback:
            sentence = (
                f"mode is sandbox, but {path[-1]} is not on loopback; mode and addresses must agree"
            )
            yield SettingProblem(path, sentence)


def _keys(settings: Settings) -> Iterator[SettingProblem]:
    for path, sentence in key_faults(settings):
        yield SettingProblem(path, sentence)


def _approvals(settings: Settings) -> Iterator[SettingProblem]:
    if settings.mode is not Mode.SANDBOX and settings.approvals.delay_s < _APPROVAL_DELAY_MIN_S:
        sentence = f"outside the sandbox an approval waits at least {_APPROVAL_DELAY_MIN_S} seconds"
        yield SettingProblem(("approvals", "delay_s"), sentence)
    if settings.approvals.valid_s <= settings.approvals.delay_s:
        sentence = "an approval must be valid for longer than a person who is alone has to wait"
        yield SettingProblem(("approvals", "valid_s"), sentence)
