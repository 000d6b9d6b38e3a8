"""The form of keys and addresses: what could never work is refused before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from eth_utils.address import is_checksum_formatted_address, to_checksum_address
from pydantic import SecretStr

from poolmaker.infra.settings.model import Settings, VenueAccountSettings

Path = tuple[str | int, ...]
Fault = tuple[Path, str]

_HEX_32: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_PLAIN_HEX_32: Final = re.compile(r"[0-9a-fA-F]{64}")
_VISIBLE: Final = re.compile(r"[!-~]{1,512}")
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_POSTGRES: Final = frozenset({"postgresql", "postgres"})
_PEM: Final = "-----BEGIN "


def key_faults(settings: Settings) -> Iterator[Fault]:
    """Every key, address and URL whose form is wrong; no sentence shows a secret."""
    yield from _database(settings)
    for index, account in enumerate(settings.venue_accounts):
        for name, sentence in _venue_keys(account):
            yield ("venue_accounts", index, name), sentence
    yield from _mixin(settings)
    yield from _wallet(settings)
    yield from _addresses(settings)


def _database(settings: Settings) -> Iterator[Fault]:
    if settings.database_url is None:
        return
    try:
        url = urlsplit(settings.database_url.get_secret_value())
        named = url.scheme in _POSTGRES and not url.fragment
    except ValueError:
        named = False
    if not named:
        yield ("database_url",), "expected postgresql://user:password@host:port/database"


def _venue_keys(account: VenueAccountSettings) -> Iterator[tuple[str, str]]:
    pairs = {"api_key": "secret", "read_only_api_key": "read_only_secret"}
    for key_name, secret_name in pairs.items():
        key, secret = _text(getattr(account, key_name)), _text(getattr(account, secret_name))
        if key is not None and _VISIBLE.fullmatch(key) is None:
            yield key_name, "a key has visible characters and no spaces"
        if secret is None or secret.startswith(_PEM):
            continue
        if _VISIBLE.fullmatch(secret) is None:
            yield secret_name, "a secret has visible characters and no spaces, or is a key in PEM"
        if key == secret:
            yield secret_name, f"{key_name} and {secret_name} are the same text"


def _mixin(settings: Settings) -> Iterator[Fault]:
    if settings.mixin is None:
        return
    for name in ("session_private_key", "server_public_key", "spend_private_key"):
        if _PLAIN_HEX_32.fullmatch(_text(getattr(settings.mixin, name)) or "") is None:
            yield ("mixin", name), "a key of the keystore has 64 hexadecimal digits"
    if settings.mixin.session_private_key == settings.mixin.spend_private_key:
        yield ("mixin", "spend_private_key"), "it is the session's key; take the spend key"


def _wallet(settings: Settings) -> Iterator[Fault]:
    if settings.evm is None:
        return
    key = _text(settings.evm.wallet_private_key) or ""
    if _HEX_32.fullmatch(key) is None:
        sentence = "a wallet's key has 64 hexadecimal digits, with or without 0x"
        yield ("evm", "wallet_private_key"), sentence
    elif not 0 < int(key, 16) < _CURVE_ORDER:
        yield ("evm", "wallet_private_key"), "the number is no key of the curve secp256k1"


def _addresses(settings: Settings) -> Iterator[Fault]:
    named: list[tuple[Path, str | None]] = [
        (("forms", index, "evm_contract"), form.evm_contract)
        for index, form in enumerate(settings.forms)
    ]
    if settings.hufi is not None:
        named.append((("hufi", "escrow_factory"), settings.hufi.escrow_factory))
    for path, address in named:
        if address is None:
            continue
        if int(address, 16) == 0:
            yield path, "it is the zero address"
        elif is_checksum_formatted_address(address) and to_checksum_address(address) != address:
            yield path, "its letters do not fit its checksum; copy the address again"


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
