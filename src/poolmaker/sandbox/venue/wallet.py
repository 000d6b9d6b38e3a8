"""Money in and out of the venue: deposit addresses, deposits, withdrawals and their histories.

A withdrawal takes its whole ``amount`` from the account at once, fee included; the outside world
receives ``amount`` minus the fee. It is processing (4) until its seeded delay is over, or until
the outside world settles it where settlement is by hand, and then completed (6).
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.catalog import ASSETS, Network
from poolmaker.sandbox.venue.engine import Engine
from poolmaker.sandbox.venue.model import Account, AccountId

HISTORY_MAX: Final = 5_000
PROCESSING: Final = 4
COMPLETED: Final = 6
CREDITED: Final = 1
TxPlace = tuple[str, int]
"""A transaction and the number of a transfer in it."""

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a withdrawal goes, and the client's own id of it."""

    network: Network
    address: str
    tag: str
    order_id: str | None


@dataclass(slots=True, eq=False, kw_only=True)
class VenueWithdrawal:
    """Value on its way out; ``units`` is what was taken, the fee included."""

    withdrawal_id: str
    account: Account
    asset: str
    network: str
    address: str
    tag: str
    units: int
    fee_units: int
    order_id: str | None
    applied_us: int
    due_us: int
    tx_id: str
    status: int = PROCESSING
    completed_us: int = 0

    @property
    def sent_units(self) -> int:
        """What the receiver gets."""
        return self.units - self.fee_units


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VenueDeposit:
    """Value that came in."""

    deposit_id: str
    account: Account
    asset: str
    network: str
    address: str
    units: int
    tx_id: str
    time_us: int


@dataclass(frozen=True, slots=True)
class WithdrawalDelay:
    """How long a withdrawal is processed; ``by_hand`` leaves it to the outside world."""

    low_us: int = 1 * SECOND_US
    high_us: int = 5 * SECOND_US
    by_hand: bool = False


@dataclass(slots=True)
class _Books:
    deposits: deque[VenueDeposit] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    withdrawals: deque[VenueWithdrawal] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))


class VenueWallet:
    """Deposits and withdrawals of all accounts."""

    def __init__(self, engine: Engine, rng: Rng, delay: WithdrawalDelay) -> None:
        self._engine = engine
        self._rng = rng
        self._delay = delay
        self._books: dict[AccountId, _Books] = {}
        self._by_tx: dict[TxPlace, VenueDeposit] = {}
        self._pending: list[VenueWithdrawal] = []
        self._by_address: dict[str, tuple[Account, str, str]] = {}

    def _of(self, account: Account) -> _Books:
        return self._books.setdefault(account.account_id, _Books())

    # In

    def address(self, account: Account, asset: str, network: Network) -> str:
        """The account's address for ``asset`` on ``network``: always the same one."""
        digest = hashlib.sha256(f"{account.account_id}/{network.name}".encode()).hexdigest()
        if network.name == "BTC":
            number, text = int(digest[:40], 16), ""
            while len(text) < 33:
                number, rest = divmod(number, 58)
                text += _BASE58[rest]
            address = "1" + text
        else:
            address = "0x" + digest[:40]
        self._by_address[f"{asset}@{address.lower()}"] = (account, asset, network.name)
        return address

    def owner_of(self, asset: str, address: str) -> tuple[Account, str] | None:
        """Whose address this is, and on which network."""
        found = self._by_address.get(f"{asset}@{address.lower()}")
        return None if found is None else (found[0], found[2])

    def addresses(self) -> list[tuple[str, str, str]]:
        """Asset, network and address, in lower case, of everything that was given out."""
        return [
            (asset, network, key.partition("@")[2])
            for key, (_, asset, network) in self._by_address.items()
        ]

    def same_deposit(self, tx_id: str, index: int) -> VenueDeposit | None:
        """The deposit that already came with this transfer of a transaction."""
        return self._by_tx.get((tx_id, index))

    def deposit(
        self, account: Account, asset: str, network: Network, units: int, place: TxPlace,
        time_us: int,
    ) -> VenueDeposit:  # fmt: skip
        """Credit what the outside world has paid in; the same ``place`` is credited once."""
        known = self._by_tx.get(place)
        if known is not None:
            return known
        made = VenueDeposit(
            deposit_id=str(len(self._by_tx) + 1_000_000),
            account=account, asset=asset, network=network.name,
            address=self.address(account, asset, network), units=units, tx_id=place[0],
            time_us=time_us,
        )  # fmt: skip
        self._engine.deposit(account, asset, units, time_us)
        self._of(account).deposits.append(made)
        self._by_tx[place] = made
        return made

    def deposits(self, account: Account) -> list[VenueDeposit]:
        """The account's deposits, newest first."""
        return list(reversed(self._of(account).deposits))

    # Out

    def apply(
        self, account: Account, asset: str, units: int, receiver: Receiver, time_us: int
    ) -> VenueWithdrawal | None:
        """Take ``units`` out of the account; None when they are not free."""
        if self._engine.withdraw(account, asset, units, time_us) is not None:
            return None
        made = VenueWithdrawal(
            withdrawal_id=f"{self._rng.bits(128):032x}",
            account=account, asset=asset, network=receiver.network.name,
            address=receiver.address, tag=receiver.tag, units=units,
            fee_units=receiver.network.withdraw_fee_units, order_id=receiver.order_id,
            applied_us=time_us,
            due_us=time_us + self._rng.between(self._delay.low_us, self._delay.high_us),
            tx_id=f"0x{self._rng.bits(256):064x}",
        )  # fmt: skip
        self._of(account).withdrawals.append(made)
        self._pending.append(made)
        return made

    def with_order_id(self, account: Account, order_id: str) -> VenueWithdrawal | None:
        """The account's withdrawal under that client id."""
        return next((w for w in self._of(account).withdrawals if w.order_id == order_id), None)

    def withdrawals(self, account: Account) -> list[VenueWithdrawal]:
        """The account's withdrawals, newest first."""
        return list(reversed(self._of(account).withdrawals))

    def pending(self) -> list[VenueWithdrawal]:
        """All withdrawals that are still being processed."""
        return list(self._pending)

    def find(self, withdrawal_id: str) -> VenueWithdrawal | None:
        """A withdrawal by the venue's id."""
        for books in self._books.values():
            for one in books.withdrawals:
                if one.withdrawal_id == withdrawal_id:
                    return one
        return None

    def complete(self, withdrawal: VenueWithdrawal, time_us: int, tx_id: str | None = None) -> None:
        """The outside world has received it."""
        if withdrawal.status == COMPLETED:
            return
        withdrawal.status = COMPLETED
        withdrawal.completed_us = time_us
        withdrawal.tx_id = tx_id or withdrawal.tx_id
        self._pending.remove(withdrawal)

    def settle_due(self, time_us: int) -> None:
        """Complete what its delay has released; nothing where settlement is by hand."""
        if self._delay.by_hand:
            return
        for withdrawal in [one for one in self._pending if one.due_us <= time_us]:
            self.complete(withdrawal, time_us)


def known_network(asset: str, network: str | None) -> Network | None:
    """The network of a listed asset, its default one when none is named."""
    spec = ASSETS.get(asset)
    return None if spec is None else spec.network(network)
