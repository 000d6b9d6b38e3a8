"""The signer's gate: what it signs, and everything else that it does not. evm invariant 4."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from poolmaker.evm.abi import call_data
from poolmaker.evm.model import GatePolicy, GateRefused
from poolmaker.evm.signer import Signer, require_address
from poolmaker.kernel.errors import PreconditionError

KEY = "0x" + "11" * 32
TOKEN, OTHER_TOKEN = "0x" + "aa" * 20, "0x" + "bb" * 20
PINNED, STRANGER = "0x" + "cd" * 20, "0x" + "ef" * 20
POLICY = GatePolicy(137, {TOKEN: frozenset({PINNED})}, 300_000, 500 * 10**9)


def transfer(to: str = PINNED, units: int = 5) -> str:
    return call_data("transfer(address,uint256)", to, units)


def fields(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "type": 2, "chainId": 137, "nonce": 7, "to": TOKEN, "value": 0, "data": transfer(),
        "gas": 90_000, "maxFeePerGas": 60 * 10**9, "maxPriorityFeePerGas": 30 * 10**9,
    }  # fmt: skip
    return {**good, **changes}


def test_the_login_text_is_signed_as_the_wallet() -> None:
    signer = Signer(KEY, POLICY)
    for nonce in ("signup", "0123456789abcdef" * 2):
        text = '{"nonce":"' + nonce + '"}'
        signature = signer.sign_login(text)
        assert len(signature) == 132
        owner = Account.recover_message(encode_defunct(text=text), signature=signature)
        assert owner.lower() == signer.address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "signup",
        '{"nonce": "signup"}',
        '{"nonce":"signup"} ',
        '{"nonce":"signup"}\n',
        '{"nonce":"SIGNUP"}',
        '{"nonce":"' + "0" * 31 + '"}',
        '{"nonce":"' + "0" * 33 + '"}',
        '{"nonce":"' + "A" * 32 + '"}',
        '{"nonce":"signup","nonce":"signup"}',
        '{"nonce":"signup","to":"me"}',
        '{"nonce":null}',
        '["signup"]',
        "I agree to send everything to 0xabc",
        "\x19\x01" + "0" * 64,
    ],
)
def test_any_other_text_is_not_signed(text: str) -> None:
    with pytest.raises(GateRefused):
        Signer(KEY, POLICY).sign_login(text)


def test_a_transfer_of_a_registered_token_to_its_pinned_address_is_signed() -> None:
    signer = Signer(KEY, POLICY)
    signed = signer.sign_transfer(fields())
    assert Account.recover_transaction(signed.raw).lower() == signer.address
    assert signer.sign_transfer(fields()) == signed


@pytest.mark.parametrize(
    "changes",
    [
        {"to": OTHER_TOKEN},
        {"to": PINNED},
        {"to": None},
        {"value": 1},
        {"chainId": 1},
        {"type": 0},
        {"nonce": -1},
        {"nonce": "7"},
        {"gas": 300_001},
        {"maxFeePerGas": 501 * 10**9},
        {"maxPriorityFeePerGas": 61 * 10**9},
        {"data": transfer(STRANGER)},
        {"data": transfer(units=0)},
        {"data": "0x"},
        {"data": transfer()[:-2]},
        {"data": transfer() + "00"},
        {"data": transfer().replace("0000cdcd", "0001cdcd", 1)},
        {"data": call_data("approve(address,uint256)", PINNED, 5)},
        {"data": call_data("transferFrom(address,address,uint256)", PINNED, PINNED, 5)},
        {"accessList": []},
        {"gasPrice": 1},
    ],
)
def test_any_other_transaction_is_not_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(GateRefused):
        Signer(KEY, POLICY).sign_transfer(fields(**changes))


def test_a_field_that_is_missing_is_not_guessed() -> None:
    for name in fields():
        with pytest.raises(GateRefused):
            Signer(KEY, POLICY).sign_transfer(
                {key: value for key, value in fields().items() if key != name}
            )


HIGHER = {"maxFeePerGas": 70 * 10**9, "maxPriorityFeePerGas": 40 * 10**9}


def test_the_same_transfer_under_its_nonce_for_more_gas_replaces_it() -> None:
    signer = Signer(KEY, POLICY)
    before = signer.sign_transfer(fields())
    after = signer.sign_replacement(fields(**HIGHER), fields(), before.raw)
    assert after.tx_hash != before.tx_hash
    still_more = fields(maxFeePerGas=80 * 10**9, maxPriorityFeePerGas=41 * 10**9)
    assert signer.sign_replacement(still_more, fields(**HIGHER), after.raw).raw != after.raw


@pytest.mark.parametrize(
    "changes",
    [
        {**HIGHER, "nonce": 8},
        {**HIGHER, "data": transfer(units=6)},
        {**HIGHER, "data": transfer(STRANGER)},
        {**HIGHER, "gas": 90_001},
        {**HIGHER, "maxFeePerGas": 60 * 10**9},
        {**HIGHER, "maxPriorityFeePerGas": 30 * 10**9},
        {**HIGHER, "maxFeePerGas": 501 * 10**9},
    ],
)
def test_anything_else_replaces_nothing(changes: dict[str, Any]) -> None:
    signer = Signer(KEY, POLICY)
    before = signer.sign_transfer(fields())
    with pytest.raises(GateRefused):
        signer.sign_replacement(fields(**changes), fields(), before.raw)


def test_what_was_not_signed_here_is_not_replaced() -> None:
    signer = Signer(KEY, POLICY)
    foreign = Signer("0x" + "22" * 32, POLICY).sign_transfer(fields())
    other = signer.sign_transfer(fields(nonce=8))
    for raw in (foreign.raw, other.raw, b"", b"nonsense"):
        with pytest.raises(GateRefused):
            signer.sign_replacement(fields(**HIGHER), fields(), raw)
    with pytest.raises(GateRefused):
        signer.sign_replacement(fields(**HIGHER), {"nonce": 7}, other.raw)


@pytest.mark.parametrize("key", ["", "0x", "0x" + "11" * 31, "zz" * 32, "0x" + "00" * 32])
def test_a_key_that_is_none_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(PreconditionError) as refused:
        Signer(key, POLICY)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "0x", "cd" * 20, "0x" + "cd" * 19, "0xCd" + "cd" * 19, "mixin", "0x" + "zz" * 20]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(PreconditionError):
        require_address(text, "address")


def test_an_address_is_taken_plain_or_with_its_checksum() -> None:
    checked = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert require_address(checked, "address") == checked.lower()
    assert require_address(checked.lower(), "address") == checked.lower()


def cancelling(wallet: str, **changes: Any) -> dict[str, Any]:
    nothing = {"to": wallet, "data": "0x", "gas": 30_000, "maxFeePerGas": 70 * 10**9}
    return fields(**{**nothing, "maxPriorityFeePerGas": 40 * 10**9, **changes})


def test_found_16_a_transfer_is_cancelled_by_nothing_to_ourselves_under_its_nonce() -> None:
    signer = Signer(KEY, POLICY)
    raw = signer.sign_transfer(fields()).raw
    signed = signer.sign_cancellation(cancelling(signer.address), fields(), raw)
    assert Account.recover_transaction(signed.raw).lower() == signer.address


@pytest.mark.parametrize(
    "changes",
    [
        {"to": TOKEN},
        {"to": STRANGER},
        {"value": 1},
        {"data": transfer()},
        {"nonce": 8},
        {"chainId": 1},
        {"type": 0},
        {"gas": 300_001},
        {"gas": "30000"},
        {"maxFeePerGas": 501 * 10**9},
        {"maxFeePerGas": 60 * 10**9},
        {"maxPriorityFeePerGas": 30 * 10**9},
        {"gasPrice": 1},
    ],
)
def test_found_16_nothing_else_is_signed_as_a_cancellation(changes: dict[str, Any]) -> None:
    signer = Signer(KEY, POLICY)
    raw = signer.sign_transfer(fields()).raw
    with pytest.raises(GateRefused):
        signer.sign_cancellation(cancelling(signer.address, **changes), fields(), raw)


def test_found_16_only_what_was_signed_here_is_cancelled() -> None:
    signer = Signer(KEY, POLICY)
    with pytest.raises(GateRefused):
        signer.sign_cancellation(cancelling(signer.address), fields(), b"else")
