"""What the judge reads and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

EXACT: Final = Context(prec=100, traps=[Inexact])

MIXIN_DECIMALS: Final = 8
"""Of everything at Mixin; an asset without a form is counted in them."""

Units = Mapping[tuple[str, str], int]
"""(location, asset) -> atomic units of the asset."""


class Part(StrEnum):
    """What is asked of the places."""

    BALANCES = "balances"
    ORDERS = "orders"
    PAYOUTS = "payouts"


class NotReadable(Exception):
    """A side did not answer, or not in the form that it should."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry: raw units, a debit is positive."""

    account: str
    asset: str
    units: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of the log as it is stored."""

    seq: int
    key: str
    kind: str
    at_us: int
    body: bytes
    body_hash: bytes
    chain_hash: bytes
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger of one moment: head, register, raw balances, the whole log."""

    last_seq: int
    last_hash: bytes
    scales: Mapping[str, int]
    balances: Mapping[tuple[str, str], int]
    log: Sequence[Transaction]


@dataclass(frozen=True, slots=True)
class Form:
    """How the places outside hold an asset."""

    name: str
    asset: str
    decimals: int
    mixin_id: str
    evm_contract: str


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order by all ids that one side has for it."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Payout:
    """What an escrow paid to our wallet, attributed by the results file that the chain names.

    ``units`` are the token's; the window is [from, to) in microseconds. ``problem`` says why the
    payout cannot be attributed.
    """

    escrow: str
    token: str
    transaction_id: str
    units: int
    symbol: str = ""
    from_us: int = 0
    to_us: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RewardRow:
    """What the platform says a reward is; only the joins of it are used, every sum is made anew.

    ``joined_us`` and ``cancelled_us`` bound what counts of a campaign's days, 0 where nothing does.
    """

    reward: str
    campaign: str
    transaction_id: str
    joined_us: int = 0
    cancelled_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the configuration says about rewards: fee, and what a payout at Mixin can carry."""

    fee_ppm: int
    pools: Mapping[str, str]
    """Symbol -> pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that was read, taken together."""

    books: Books
    reported: Units
    places: frozenset[str]
    """The locations that were asked."""
    at_venue: Sequence[OpenOrder]
    known: frozenset[str]
    """Every id of an order that the books hold for living, before or after the venue was asked."""
    payouts: Sequence[Payout]
    rewards: Sequence[RewardRow]
    forms: Sequence[Form]
    terms: Terms
    unread: Mapping[Part, Sequence[str]] = field(default_factory=dict)
    """What could not be read, as sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the judge says. ``problems`` are sentences by flag.

    ``open_orders_unknown`` is None where a venue could not be asked.
    """

    trial_balance_ok: bool
    ledger_verify_ok: bool
    custody_ok: bool
    allocations_ok: bool
    open_orders_unknown: int | None
    custody: Mapping[str, Mapping[str, Mapping[str, str]]]
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Everything is true."""
        return self.open_orders_unknown == 0 and not any(self.problems.values())

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "trial_balance_ok": self.trial_balance_ok,
            "ledger_verify_ok": self.ledger_verify_ok,
            "allocations_ok": self.allocations_ok,
            "custody_ok": self.custody_ok,
            "open_orders_unknown": self.open_orders_unknown,
            "custody": self.custody,
            "problems": {flag: list(said) for flag, said in self.problems.items() if said},
        }


def units_of(text: str, scale: int) -> int:
    """Atomic units of a decimal text; NotReadable when it says more than the scale can hold."""
    try:
        value = Decimal(text).scaleb(scale, EXACT)
    except ArithmeticError:
        raise NotReadable(f"{text!r} is not an amount") from None
    if not value.is_finite() or value != int(value):
        raise NotReadable(f"{text!r} has more than {scale} decimals")
    return int(value)


def text_of(units: int, scale: int) -> str:
    """The exact decimal text of atomic units, without zeros at its end."""
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(scale + 1, "0")
    whole, fraction = (digits[:-scale], digits[-scale:].rstrip("0")) if scale else (digits, "")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def rescaled(units: int, decimals: int, scale: int) -> int:
    """Units of ``decimals`` as units of ``scale``; NotReadable where that is not exact."""
    value = Fraction(units) * Fraction(10) ** (scale - decimals)
    if value.denominator != 1:
        raise NotReadable(f"{units} units of {decimals} decimals do not fit {scale} decimals")
    return value.numerator
