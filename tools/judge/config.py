"""The platform's configuration file as the judge reads it: places, keys, terms."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.judge.model import Form, NotReadable, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A venue account with its read-only key."""

    id: str
    rest_url: str
    key: str
    secret: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """The bot at Mixin and the session that may read."""

    api_url: str
    app_id: str
    session_id: str
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The wallet on the chain. ``factory`` makes the escrows that may pay it."""

    rpc_url: str
    key: str
    gas_asset: str
    factory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that is read."""

    accounts: Sequence[Account]
    forms: Sequence[Form]
    bot: Bot | None
    wallet: Wallet | None
    terms: Terms


def read_config(path: Path) -> Config:
    """The configuration; NotReadable where it is not one."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NotReadable(f"{path} cannot be read: {error}") from None
    try:
        return _config(raw)
    except KeyError as missing:
        raise NotReadable(f"{path} does not say {missing}") from None


def _config(raw: Mapping[str, Any]) -> Config:
    pools = {str(pool["symbol"]): str(pool["id"]) for pool in raw.get("pools", ())}
    terms = Terms(fee_ppm=int(raw.get("rewards", {}).get("fee_ppm", 0)), pools=pools)
    return Config(
        accounts=[_account(one) for one in raw.get("venue_accounts", ())],
        forms=[_form(one) for one in raw.get("forms", ())],
        bot=_bot(raw["mixin"]) if "mixin" in raw else None,
        wallet=_wallet(raw["evm"], raw.get("hufi", {})) if "evm" in raw else None,
        terms=terms,
    )


def _account(raw: Mapping[str, Any]) -> Account:
    return Account(
        id=raw["id"],
        rest_url=raw["rest_url"].rstrip("/"),
        key=raw["read_only_api_key"],
        secret=raw["read_only_secret"],
        symbols=tuple(str(symbol).replace("/", "") for symbol in raw["symbols"]),
    )


def _form(raw: Mapping[str, Any]) -> Form:
    return Form(
        name=raw["name"],
        asset=raw["asset"],
        decimals=int(raw["decimals"]),
        mixin_id=raw.get("mixin_id", ""),
        evm_contract=raw.get("evm_contract", ""),
    )


def _bot(raw: Mapping[str, Any]) -> Bot:
    return Bot(
        api_url=raw["api_url"].rstrip("/"),
        app_id=raw["app_id"],
        session_id=raw["session_id"],
        seed=raw["session_private_key"],
    )


def _wallet(raw: Mapping[str, Any], hufi: Mapping[str, Any]) -> Wallet:
    return Wallet(
        rpc_url=raw["rpc_url"],
        key=raw["wallet_private_key"],
        gas_asset=raw.get("gas_asset", "ETH"),
        factory=hufi.get("escrow_factory", ""),
    )
