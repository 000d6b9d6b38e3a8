"""Values of the chain client. Addresses and hashes are lower case with 0x."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from poolmaker.kernel.errors import PoolmakerError
from poolmaker.kernel.money import AssetOnNetwork


class GateRefused(PoolmakerError):
    """The signer does not sign this. Nothing was signed."""

    code = "gate_refused"


GAS: Final = "gas"
"""The form of a chain's own coin in the names of custody accounts."""


@dataclass(frozen=True, slots=True)
class RegisteredToken:
    """A registered token: how the chain holds an asset, and its contract."""

    form: AssetOnNetwork
    contract: str


@dataclass(frozen=True, slots=True)
class BlockHead:
    """A block by its number and its hash."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a contract. ``index`` counts inside the block and is no identity."""

    address: str
    topics: tuple[str, ...]
    data: str
    index: int
    block: int
    block_hash: str
    tx_hash: str


@dataclass(frozen=True, slots=True)
class TransactionReceipt:
    """What became of a transaction in one block; its logs in the order of the transaction."""

    tx_hash: str
    block: int
    block_hash: str
    succeeded: bool
    gas_wei: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTransfer:
    """Tokens that a contract says have come to our wallet; ``units`` are the token's own.

    ``position`` is the place of its log inside its transaction.
    """

    chain_id: int
    tx_hash: str
    position: int
    contract: str
    sender: str
    recipient: str
    units: int
    block: int
    at_us: int

    @property
    def reference(self) -> str:
        """Its identity out there."""
        return f"{self.chain_id}/{self.tx_hash}/{self.position}"


@dataclass(frozen=True, slots=True)
class WaitingTransfer:
    """A final transfer that nobody has judged yet; how often it was tried, and when first seen."""

    transfer: ChainTransfer
    seen_us: int
    tries: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to ``head`` is read. Nothing at or before ``started_block`` ever was."""

    started_block: int
    head: BlockHead


class EvmPaymentState(StrEnum):
    """Where a payment is."""

    SIGNED = "signed"
    """Journaled; it may be anywhere between this machine and a block."""
    COMPLETED = "completed"
    """A final block holds it and the tokens moved."""
    FAILED = "failed"
    """A final block holds it and the tokens did not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvmPayment:
    """A payment by its reference. ``units`` are the token's own, ``taken`` what has really left."""

    reference: str
    chain_id: int
    wallet: str
    nonce: int
    contract: str
    recipient: str
    units: int
    made_us: int
    state: EvmPaymentState
    tx_hash: str = ""
    block: int = 0
    taken: int = 0
    gas_wei: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A transaction that was signed for a payment; ``number`` counts from 1."""

    number: int
    tx_hash: str
    raw: bytes
    max_fee_wei: int
    tip_wei: int
    gas: int
    signed_us: int
    refusal: str = ""
    """What the node last said when it did not take it; empty once it did or said nothing."""
    cancels: bool = False
    """It moves nothing and uses the nonce."""


@dataclass(frozen=True, slots=True)
class NonceUse:
    """The transaction by which a final block has used a nonce of a wallet."""

    tx_hash: str
    to: str
    data: str
    block: int


@dataclass(frozen=True, slots=True)
class WalletIncident:
    """What happened to a wallet that this platform has not done."""

    id: int
    kind: str
    note: str
    at_us: int


class PaymentAction(StrEnum):
    """What a person wants of a payment that no block takes."""

    RETRY = "retry"
    """Sign it anew at what the chain asks now."""
    CANCEL = "cancel"
    """Use its nonce for nothing, so that it can never be paid."""


@dataclass(frozen=True, slots=True)
class GasBid:
    """What is offered for gas: at most ``max_fee_wei`` for a unit, ``tip_wei`` of it the tip."""

    max_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction."""

    tx_hash: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What the signer may sign: to whom each contract's tokens may go, and bounds of gas."""

    chain_id: int
    recipients: Mapping[str, frozenset[str]]
    gas_max: int
    fee_max_wei: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the wallet has at a final block: atomic units of assets by form, and wei for gas."""

    head: BlockHead
    units: Mapping[str, int]
    gas_wei: int


Fields = Mapping[str, Any]
"""A transaction to be signed, by the names of the wire."""
