"""Holds the wallet's key and signs only what the gate lets through."""

from __future__ import annotations

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from poolmaker.evm.model import Fields, GatePolicy, GateRefused, Signed
from poolmaker.evm.rules import (
    cancel_problem,
    cancellation_problem,
    login_problem,
    replacement_problem,
    transaction_problem,
)
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PreconditionError


class Signer:
    """One wallet. Nothing reads its key, and there is no way around its gate."""

    def __init__(self, private_key: str, policy: GatePolicy) -> None:
        self._account = _account(private_key)
        self._policy = policy
        self.address = str(self._account.address).lower()

    def may_send(self, contract: str, recipient: str) -> bool:
        """Whether tokens of the contract may go to the address."""
        return recipient in self._policy.recipients.get(contract, frozenset())

    def sign_login(self, text: str) -> str:
        """The signature of HuFi's login text. Raises GateRefused for any other text."""
        _refuse(login_problem(text))
        signed = self._account.sign_message(encode_defunct(text=text))
        return "0x" + bytes(signed.signature).hex()

    def sign_transfer(self, fields: Fields) -> Signed:
        """Sign a transfer of a registered token to an address pinned for it.

        Raises GateRefused for anything else.
        """
        _refuse(transaction_problem(fields, self._policy))
        return self._sign(fields)

    def sign_replacement(self, fields: Fields, before: Fields, raw: bytes) -> Signed:
        """Sign the same transfer with the same nonce and more for gas than ``before`` pays.

        ``raw`` is what was signed for ``before``; signing gives the same bytes every time. Raises
        GateRefused for anything else, and when ``raw`` was not signed here.
        """
        _refuse(transaction_problem(fields, self._policy))
        _refuse(replacement_problem(fields, before))
        ours = self._sign(before).raw == raw
        _refuse("" if ours else "what is to be replaced was not signed here")
        return self._sign(fields)

    def sign_cancellation(self, fields: Fields, before: Fields, raw: bytes) -> Signed:
        """Sign nothing to ourselves with the nonce of ``before``, for more than that pays.

        ``raw`` is what was signed for ``before``. Raises GateRefused for anything else, and when
        ``raw`` was not signed here.
        """
        _refuse(cancellation_problem(fields, self.address, self._policy))
        _refuse(cancel_problem(fields, before))
        ours = self._sign(before).raw == raw
        _refuse("" if ours else "what is to be cancelled was not signed here")
        return self._sign(fields)

    def _sign(self, fields: Fields) -> Signed:
        wanted = {**fields, "to": to_checksum_address(fields["to"])}
        made = self._account.sign_transaction(wanted)
        return Signed("0x" + bytes(made.hash).hex(), bytes(made.raw_transaction))


def _account(private_key: str) -> LocalAccount:
    try:
        found: LocalAccount = Account.from_key(private_key)
    except (ValueError, TypeError):
        # The key must not be part of what is told.
        raise PreconditionError("wallet_private_key: expected 32 bytes in hex") from None
    return found


def wallet_of(private_key: str) -> str:
    """The address of a key, lower case."""
    return str(_account(private_key).address).lower()


def _refuse(problem: str) -> None:
    if problem:
        raise GateRefused(f"the signer does not sign this: {problem}")


def require_address(text: str, name: str) -> str:
    """An address in lower case. Raises CallerFault for anything else, a bad checksum included."""
    try:
        made = str(to_checksum_address(text))
    except (ValueError, TypeError):
        made = ""
    digits = text[2:] if text.startswith("0x") else ""
    is_plain = digits in {digits.lower(), digits.upper()}
    require(made and digits and (is_plain or text == made), f"{name}: {text!r} is no address")
    return made.lower()
