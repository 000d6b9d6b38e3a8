"""What callers send. Amounts are texts; a JSON number is refused, so no float ever comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from poolmaker.api.access import Scope
from poolmaker.api.params import SEQ_MAX
from poolmaker.api.tokens import DAYS_MAX

AmountText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}(\.[0-9]{1,18})?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_\-]{0,31}$")]
AssetCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._\-]{0,31}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
Location = Annotated[str, StringConstraints(pattern=r"^custody:[a-z0-9:_.\-]{1,100}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,63}$")]
MixinAmount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}(\.[0-9]{1,8})?$")]
MixinId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Visible = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


Fact = Annotated[str, StringConstraints(max_length=200)]


KillScope = Annotated[
    str,
    StringConstraints(pattern=r"^(platform|(account|pool):[A-Za-z0-9][A-Za-z0-9._\-]{0,62})$"),
]
LatchId = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is the integer 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: _whole(value) for name, value in body.items()}


class OutcomeBody(_Body):
    """What became of a payout or transfer in doubt. What is ``sent`` names its transaction."""

    decision: Literal["sent", "again", "not_sent"]
    transaction_id: Visible | None = None
    taken: AmountText | None = None
    """What left, its fee included."""
    fee: AmountText | None = None


class UserBody(_Body):
    """A user to make. The name is for people to read; it is unique.

    ``mixin_id`` is their user id at Mixin, where deposits come from and payouts go.
    """

    name: Name
    mixin_id: MixinId


class WalletBody(_Body):
    """The Mixin user id that a user of before says is theirs."""

    mixin_id: MixinId


class KillBody(_Body):
    """A scope to kill, and why."""

    scope: KillScope
    reason: Sentence


class ReleaseBody(_Body):
    """A scope to release, and why.

    ``ids`` are the latches that were judged; without any it is all that hold the scope when this
    is read.
    """

    scope: KillScope
    reason: Sentence
    ids: Annotated[list[LatchId], Field(max_length=100)] = []


class ScopeBody(_Body):
    """A scope of the kill switch."""

    scope: KillScope


class LatchBody(_Body):
    """What a latch of an engine holds back, and why it may go."""

    subject: Visible
    reason: Sentence


class Nothing(_Body):
    """A request whose path says it all."""


Days = Annotated[int, Field(ge=1, le=DAYS_MAX)]
Scopes = Annotated[
    list[Annotated[Scope, Field(strict=False)]], Field(min_length=1, max_length=len(Scope))
]


class NewUserToken(_Body):
    """A token for a user: by default for 90 days, with all scopes that a user may have."""

    scopes: Scopes | None = None
    days: Days | None = None


class NewStaffToken(_Body):
    """A token for a person of the staff: a name of their own, and what they do."""

    name: Name
    role: Literal["viewer", "operator", "treasurer"]
    scopes: Scopes | None = None
    days: Days | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """What waits for a second person. Times are microseconds since 1970, 0 for not yet."""

    approval_id: str
    action: str
    subject: str
    body: Mapping[str, str]
    state: str
    requested_by: str
    requested_at_us: int
    approved_by: str
    approved_at_us: int


class MoneyBody(_Body):
    """An amount that arrived somewhere, under the outside world's own reference."""

    location: Location
    asset: AssetCode
    amount: AmountText
    reference: Reference


Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
IncidentName = Annotated[str, StringConstraints(pattern=r"^[a-z]+~[!-~]{1,180}$")]


class OwnMoneyRequest(_Body):
    """The operator's own money at a place, under a reference of its own."""

    location: Location
    asset: AssetCode
    amount: AmountText
    reference: Reference


class SettlementRequest(_Body):
    """What the platform's ``account`` has earned becomes the operator's equity."""

    account: Literal["fees", "dust"]
    asset: AssetCode
    amount: AmountText
    reference: Reference


class FloatRequest(_Body):
    """Equity becomes float for fees (``in``), or float equity (``out``)."""

    direction: Literal["in", "out"]
    asset: AssetCode
    amount: AmountText
    reference: Reference


class ReversalRequest(_Body):
    """The ledger entry to undo, and why."""

    seq: Annotated[int, Field(ge=1, le=SEQ_MAX)]
    reason: Reason


class IncidentRequest(_Body):
    """An open custody incident by its name."""

    incident: IncidentName


class BearRequest(_Body):
    """The open shortfall that the operator's equity bears, and why."""

    incident: IncidentName
    reason: Reason


class UnlistedReturnRequest(_Body):
    """Whom at Mixin to pay what came in an asset without a form, and why.

    ``sender`` and ``amount`` are what the list shows; without a sender it came from a chain.
    """

    asset_id: MixinId
    sender: MixinId | Literal[""] = ""
    receiver: MixinId
    amount: MixinAmount
    reason: Reason


class PayoutBody(_Body):
    """Where one asset of the payout goes."""

    asset: AssetCode
    network: Identifier
    address: Visible
    memo: Annotated[str, StringConstraints(pattern=r"^[ -~]{0,128}$")] = ""


class OrderBody(_Body):
    """An order to open. ``user_id`` is only for the operator, who opens it for somebody.

    ``pay`` says where the money is: in the user's balance already, or still in his Mixin wallet,
    and then the answer has a payment link for each asset. With ``least_shares`` the order joins
    whole for so many shares or more, or waits.
    """

    pool_id: Identifier
    base: AmountText
    quote: AmountText
    least_shares: AmountText | None = None
    pay: Literal["balance", "mixin"] = "balance"
    user_id: Identifier | None = None


class WithdrawBody(_Body):
    """Money of an order goes to its user's own wallet, so nothing needs to be named.

    ``payout`` may repeat that wallet for each asset of the pool; anything else is refused.
    """

    payout: Annotated[list[PayoutBody], Field(max_length=2)] = []


class AvailableBody(_Body):
    """Available money to be paid to its user's Mixin wallet; ``user_id`` only for the operator."""

    asset: AssetCode
    amount: AmountText
    user_id: Identifier | None = None


class ActBody(_Body):
    """Where a told story stands. Times are microseconds since the Unix epoch."""

    number: Annotated[int, Field(ge=0, le=99)]
    of: Annotated[int, Field(ge=1, le=99)]
    name: Name
    facts: Annotated[
        dict[Name, Fact], Field(max_length=8, json_schema_extra={"additionalProperties": False})
    ] = {}
    started_at_us: Annotated[int, Field(ge=0, le=2**53)]
    done: bool = False


# ------------------------------------------------------------------- what needs a person


KeptReason = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,120}$", max_length=120)]
ItemId = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,300}$", max_length=300)]
Account = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,20}:[!-~]{1,150}$", max_length=180)]


class ReasonBody(_Body):
    """Why, in words that are kept."""

    reason: KeptReason


class CloseBody(ReasonBody):
    """An item of the list to close, by its id."""

    id: ItemId


class StreamBody(_Body):
    """An event at which a consumer of a stream has stopped."""

    consumer: Visible
    stream: Visible
    seq: Annotated[int, Field(ge=1, le=SEQ_MAX)]


class SkipBody(StreamBody):
    """An event to leave out, and why."""

    reason: KeptReason


class BearBody(ReasonBody):
    """What is missing on an account, to be borne by platform equity."""

    account: Account
    asset: AssetCode
    amount: AmountText


class AsideBody(ReasonBody):
    """The key of a fact that cannot be booked."""

    key: ItemId


class RefundBody(ReasonBody):
    """Money in suspense, by its source, to be paid back to its sender."""

    source: Visible


class ResolveBody(ReasonBody):
    """Money in suspense, and whose it is: ``user:<id>``, ``pool:<id>`` or ``platform``."""

    source: Visible
    to: Annotated[
        str,
        StringConstraints(
            pattern=r"^(user:[A-Za-z0-9_\-]{1,63}|pool:[A-Za-z0-9_\-]{1,63}|platform)$"
        ),
    ]
    asset: AssetCode
    amount: AmountText


class AssignBody(ReasonBody):
    """The pool whose share holders a reward belongs to."""

    pool_id: Identifier
