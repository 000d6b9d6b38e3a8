"""What the relay sees: withdrawals and transfers that wait, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from poolmaker.sandbox.relay.routes import RelayRoute

WithdrawalId = NewType("WithdrawalId", str)
TxId = NewType("TxId", str)
Place = tuple[str, str]
"""Mixin's id of an asset, and an address for it in lower case."""


class RelaySide(StrEnum):
    """Where something leaves."""

    VENUE = "venue"
    """A withdrawal from the venue."""
    MIXIN = "mixin"
    """A withdrawal from Mixin."""
    CHAIN = "chain"
    """A transfer on the chain to a deposit address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A pending withdrawal; ``units`` (1e-8) is what the receiver gets, fees excluded.

    ``route`` is None when the relay knows no way for ``asset``.
    """

    side: RelaySide
    withdrawal_id: WithdrawalId
    asset: str
    route: RelayRoute | None
    units: int
    address: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """What a side is to credit; (``tx_id``, ``index``) is its identity, ``units`` are 1e-8."""

    route: RelayRoute
    units: int
    address: str
    tx_id: TxId
    index: int = 0
    tag: str = ""
    sender: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPayment:
    """A withdrawal on the chain; ``block`` is None while no block holds it."""

    tx_id: TxId
    block: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A transfer that a block holds; ``units`` are the chain's smallest.

    ``index`` is the position of its log in its transaction, 0 for the chain's own coin.
    """

    route: RelayRoute
    units: int
    address: str
    sender: str
    tx_id: TxId
    index: int
    block: int
    block_hash: str

    @property
    def name(self) -> str:
        """Its identity, which a reorganisation does not change."""
        return f"{self.tx_id}/{self.index}"

    @property
    def place(self) -> Place:
        """Where it goes."""
        return self.route.asset_id, self.address.lower()


class Outcome(StrEnum):
    """What a line of the relay's log tells."""

    ARRIVED = "arrived"
    """Both sides show the transaction id."""
    LEFT_PENDING = "left_pending"
    """A side refused it; it is offered again later."""
    DUST = "dust"
    """A side counts in larger units: what is below them stays where it arrived."""
    UNAVAILABLE = "unavailable"
    """A side did not answer; the same is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayNotice:
    """One line of the relay's log; ``amount`` is decimal text."""

    outcome: Outcome
    leaves: RelaySide
    withdrawal_id: str = ""
    tx_id: str = ""
    asset: str = ""
    amount: str = ""
    address: str = ""
    why: str = ""
