"""Values of the Mixin client: forms, what the network shows, what was asked to be paid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.kernel.money import power_of_ten
from poolmaker.mixin.codec.amounts import DECIMALS

NETWORK: Final = "mixin"
"""The network of transfers between users of Mixin; every other one is a chain's."""


class MixinRefused(PreconditionError):
    """The provider's own word: an error with its code. Nothing was done."""

    code = "mixin_refused"

    def __init__(self, error: int, description: str, extra: str = "") -> None:
        super().__init__(f"{error} {description} {extra}".strip())
        self.error = error


class NothingSent(Unavailable):
    """A payment could not be made now and no transaction of it is alive; ask again later."""

    code = "mixin_nothing_sent"


class Postponed(NothingSent):
    """The server does not take a payment now; ``needs_person`` where time alone may not help."""

    code = "mixin_postponed"

    def __init__(self, message: str, *, needs_person: bool) -> None:
        super().__init__(message)
        self.needs_person = needs_person


class RequestIdConflict(OutcomeUnknown):
    """A request id is bound to a transaction that is not ours: a person must look at it."""

    code = "mixin_conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class MixinForm:
    """A form of an asset as Mixin holds it.

    ``scale`` is the register's for ``asset``, ``decimals`` the token's on its chain. Mixin itself
    counts in units of 1e-8. ``mixin_chain_id`` and ``venue_network`` are empty where the form
    never leaves Mixin.
    """

    name: str
    asset: str
    scale: int
    decimals: int
    mixin_id: str
    mixin_chain_id: str = ""
    venue_network: str = ""

    def read(self, network_units: int) -> tuple[int, int]:
        """Units of the register, and the network's units that the register cannot hold."""
        if self.scale >= DECIMALS:
            return network_units * power_of_ten(self.scale - DECIMALS), 0
        return divmod(network_units, power_of_ten(DECIMALS - self.scale))

    def write(self, units: int) -> int | None:
        """The network's units of the register's, None when the network cannot hold them."""
        if self.scale <= DECIMALS:
            return units * power_of_ten(DECIMALS - self.scale)
        whole, rest = divmod(units, power_of_ten(self.scale - DECIMALS))
        return whole if not rest else None

    @property
    def chain_step(self) -> int:
        """The smallest amount of the network's units that the token's chain can hold."""
        return power_of_ten(max(0, DECIMALS - self.decimals))


@dataclass(frozen=True, slots=True)
class Keystore:
    """Who the bot is. The session's seed signs requests, the spend seed money."""

    app_id: str
    session_id: str
    session_seed: bytes
    spend_seed: bytes

    def __repr__(self) -> str:
        """Without the seeds."""
        return f"Keystore({self.app_id})"


# --------------------------------------------------------------------- what the network shows


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenOutput:
    """An output as the network lists it. ``taken_by`` is empty while it is unspent."""

    output_id: str
    transaction_hash: str
    output_index: int
    sequence: int
    asset_id: str
    units: int
    keys: tuple[bytes, ...]
    senders: tuple[str, ...]
    request_id: str
    extra: bytes
    created_us: int
    is_inscription: bool
    state: str
    taken_by: str

    @property
    def is_unspent(self) -> bool:
        """Whether the network would still let it be spent."""
        return self.state == "unspent"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSnapshot:
    """What a transaction did to us: from whom, or from which transaction of a chain.

    ``created_at`` is the API's own text, by which a list goes on.
    """

    opponent: str = ""
    deposit_hash: str = ""
    withdrawal_hash: str = ""
    transaction_hash: str = ""
    is_receipt: bool = True
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A transaction under its request id. ``state`` is unspent until it is signed, then spent."""

    request_id: str
    transaction_hash: str
    state: str
    views: tuple[bytes, ...]
    snapshot_id: str
    withdrawal_hash: str


@dataclass(frozen=True, slots=True)
class Fee:
    """What a withdrawal costs, in units of 1e-8 of an asset."""

    asset_id: str
    units: int


@dataclass(frozen=True, slots=True)
class LockWanted:
    """One-time keys that are asked for: of whom, for which output, under which name."""

    receiver: str
    index: int
    hint: str


@dataclass(frozen=True, slots=True)
class DepositAddress:
    """Where a form's chain is deposited to. ``tag`` is empty on chains without."""

    address: str
    tag: str


@dataclass(frozen=True, slots=True)
class MixinUser:
    """What everybody may know of a user. Only who has a Safe can be paid."""

    user_id: str
    name: str
    identity_number: str
    has_safe: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What the network says is unspent of a form, in units of the register.

    ``unbooked_units`` of it are outputs that nobody has judged yet. ``sequence`` is that of the
    newest output that was counted.
    """

    units: int
    unbooked_units: int
    sequence: int


# ------------------------------------------------------------------------- what is kept


class OutputStatus(StrEnum):
    """What became of an output's arrival; the second half is the treasury's word."""

    OWN = "own"
    """Change, or what we joined: it never left."""
    INSCRIPTION = "inscription"
    """Not money; it is neither counted nor spent."""
    UNKNOWN_ASSET = "unknown_asset"
    """No form is configured for it; it waits for one. Only older versions kept such outputs."""
    UNEXPLAINED = "unexplained"
    """Neither sender nor chain is known yet; it is asked again."""
    WAITING = "waiting"
    """The treasury wants to be asked again."""
    DUST = "dust"
    """Less than the smallest unit of its asset in the register; nobody is told."""
    DEPOSIT = "deposit"
    TRANSFER = "transfer"
    REFUND = "refund"
    SUSPENSE = "suspense"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutput:
    """An output with what became of it."""

    seen: SeenOutput
    form: str
    fate: OutputStatus
    dust_units: int = 0
    opponent: str = ""
    deposit_hash: str = ""
    ask_us: int = 0
    asks: int = 0


@dataclass(frozen=True, slots=True)
class OwnOutput:
    """An unspent output of ours, as it is chosen and signed for."""

    output_id: str
    transaction_hash: str
    output_index: int
    units: int
    keys: tuple[bytes, ...]
    is_unspent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """What a sender has paid of an asset without a form, counted and not kept one by one.

    ``sender`` is empty for what came from a chain or from several. Units are the network's, of
    what is still here. ``returning_units`` are under way to ``return_to``, as the return number
    ``returns``; ``reason`` says why the last one was refused.
    """

    asset_id: str
    sender: str
    payments: int
    units: int
    first_us: int
    last_us: int
    returns: int = 0
    returning_units: int = 0
    returned_us: int = 0
    return_to: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedStuck:
    """What of an unlisted asset does not go back by itself, all rows of the asset together.

    ``reason`` is one of those for which returns were refused. ``total``: how many assets there are.
    """

    asset_id: str
    payments: int
    units: int
    first_us: int
    reason: str
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnOrder:
    """What a person decided: exactly ``units`` of what ``sender`` paid go to ``receiver``.

    ``sender`` is empty for what came from a chain or from several. Units are the network's. It is
    the ``number``-th return of that sender's payments: each is decided anew.
    """

    asset_id: str
    sender: str
    receiver: str
    units: int
    number: int


class ReturnRefusal(StrEnum):
    """Why nothing goes back now."""

    NOTHING = "nothing_to_return"
    """Nothing of that sender is here."""
    CONFIGURED = "asset_configured"
    """The asset has a form now: what came of it is booked as any other payment."""
    FROZEN = "frozen"
    UNDER_WAY = "return_under_way"
    """Of each asset one return goes at a time."""
    DIFFERS = "return_differs"
    """The oldest payments of the sender do not hold exactly what was stated."""


@dataclass(frozen=True, slots=True)
class ReturnRefused:
    """``payable_units``: what one payment can give back now, where the stated amount differs."""

    reason: ReturnRefusal
    payable_units: int = 0


class MixinPaymentState(StrEnum):
    """Where a payment stands."""

    OPEN = "open"
    COMPLETED = "completed"
    REFUSED = "refused"
    """By the provider's own word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixinPayment:
    """What was asked to be paid. Amounts are in units of the register."""

    request_id: str
    reference: str
    form: str
    asset: str
    units: int
    network: str
    address: str
    tag: str
    created_us: int
    state: MixinPaymentState = MixinPaymentState.OPEN
    attempt: int = 0
    transaction_id: str = ""
    fee_units: int = 0
    other_fee_asset: str = ""
    other_fee_units: int = 0
    reason: str = ""


class TransactionRole(StrEnum):
    """What a transaction is for."""

    MAIN = "main"
    """It pays."""
    FEE = "fee"
    """It pays the fee of a withdrawal in another asset."""
    JOIN = "join"
    """It makes one output of many, so that a payment fits."""
    VOID = "void"
    """It spends the inputs of a transaction that must never be taken any more."""


class TransactionStage(StrEnum):
    """How far a transaction has come."""

    BUILT = "built"
    """Journalled, its inputs reserved; never signed."""
    SIGNED = "signed"
    """The signed bytes are journalled; they may have been sent."""
    TAKEN = "taken"
    """The network has them."""
    SPENT = "spent"
    """Final."""
    DEAD = "dead"
    """Never signed, or an input of it was spent by another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journalled:
    """A transaction in the journal. Amounts are in the network's units."""

    request_id: str
    payment: str
    attempt: int
    role: TransactionRole
    asset_id: str
    hash: str
    unsigned: bytes
    signed: bytes | None = None
    received_units: int = 0
    fee_units: int = 0
    change_index: int | None = None
    change_units: int = 0
    stage: TransactionStage = TransactionStage.BUILT


@dataclass(frozen=True, slots=True)
class MixinIncident:
    """Something that a person should look at."""

    kind: str
    subject: str
    note: str
    at_us: int
