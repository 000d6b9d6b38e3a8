"""The chart: names of accounts and what their names mean.

Held accounts say where value is and are debit-normal (raw balance zero or positive); owed
accounts say whose it is and are credit-normal. A raw amount is positive for a debit, so the raw
amounts of every transaction sum to zero per asset.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import OrderId, PoolId, UserId, VenueAccountId, WithdrawalId


class Normal(StrEnum):
    """Which sign is a normal balance."""

    HELD = "held"
    """Debit-normal: where value is."""
    OWED = "owed"
    """Credit-normal: whose value it is."""


EQUITY: Final = "platform:equity"
FEES: Final = "platform:fees"
FEE_FLOAT: Final = "platform:fee_float"
DUST: Final = "platform:dust"

_VENUE: Final = "custody:venue:"


def custody_venue(account: VenueAccountId) -> str:
    """What we hold at a venue account."""
    return f"{_VENUE}{account}"


def venue_account_of(location: str) -> VenueAccountId | None:
    """The venue account whose custody ``location`` names, None for any other place."""
    name = location.removeprefix(_VENUE)
    return VenueAccountId(name) if location.startswith(_VENUE) and name else None


def custody_mixin(form: str) -> str:
    """What we hold at Mixin of one form of an asset."""
    return f"custody:mixin:{form}"


def custody_evm(wallet: str, form: str) -> str:
    """What one of our wallets on an EVM chain holds of one form of an asset."""
    return f"custody:evm:{wallet}:{form}"


def transit(transfer: str) -> str:
    """Left one place of ours and not yet seen at the other."""
    return f"transit:{transfer}"


def user_available(user: UserId) -> str:
    """Free to lock or withdraw."""
    return f"user:{user}:available"


def order_locked(order: OrderId) -> str:
    """Reserved for one user order."""
    return f"order:{order}:locked"


def order_shares(order: OrderId) -> str:
    """Shares of a pool that an order holds."""
    return f"order:{order}:shares"


def pool_capital(pool: PoolId) -> str:
    """Owned by the pool's share holders together."""
    return f"pool:{pool}:capital"


def pool_issued(pool: PoolId) -> str:
    """Counterpart of all shares of the pool; held side."""
    return f"pool:{pool}:issued"


def share_asset(pool: PoolId, epoch: int) -> str:
    """Code of the share asset of one epoch of a pool."""
    return f"share:{pool}:{epoch}"


def exit_account(exit_id: str) -> str:
    """A leaver's fraction between the barrier and its last evidence."""
    return f"exit:{exit_id}"


def withdrawal_held(withdrawal: WithdrawalId) -> str:
    """On its way out."""
    return f"withdrawal:{withdrawal}:held"


def rewards_unallocated(campaign: str) -> str:
    """Rewards of a campaign that were received and belong to nobody yet."""
    return f"rewards:{campaign}:unallocated"


def rewards_allocated(campaign: str) -> str:
    """Rewards of a campaign whose owners are named and not credited yet."""
    return f"rewards:{campaign}:allocated"


def suspense(source: str) -> str:
    """What nobody can be credited for yet."""
    return f"suspense:{source}"


def deficit(cause: str) -> str:
    """What a fact took beyond what was there: a named receivable."""
    return f"deficit:{cause}"


def suspense_of_pool(pool: PoolId) -> str:
    """What belongs to holders of a pool who are no longer there."""
    return suspense(f"pool:{pool}")


def suspense_of_venue(account: VenueAccountId) -> str:
    """What happened at a venue account to an order that belongs to no pool."""
    return suspense(f"venue:{account}")


_HELD_HEADS: Final = frozenset({"custody", "transit", "deficit"})
_OWED_HEADS: Final = frozenset(
    {"user", "order", "exit", "withdrawal", "rewards", "platform", "suspense"}
)


_MAY_GO_BELOW: Final = ("custody:", "transit:", "platform:", "suspense:")


def may_go_below(account: str) -> bool:
    """Whether facts may push it below zero; the database judges by the same four prefixes."""
    return account.startswith(_MAY_GO_BELOW)


def is_custody(account: str) -> bool:
    """Whether it says where we hold value."""
    return account.startswith("custody:") and len(account) > len("custody:")


def without_deficit(account: str) -> str:
    """The account that a deficit stands for; any other account itself."""
    return account.removeprefix("deficit:")


def normal_of(account: str) -> Normal:
    """Which side an account is on, by its name; raises CallerFault for a name outside the chart."""
    head, _, rest = account.partition(":")
    require(rest, f"account: {account!r} is not in the chart")
    if head == "pool":
        return Normal.HELD if account.endswith(":issued") else Normal.OWED
    require(head in _HELD_HEADS | _OWED_HEADS, f"account: {account!r} is not in the chart")
    return Normal.HELD if head in _HELD_HEADS else Normal.OWED
