"""What callers send. Amounts are texts; a JSON number is refused, so no float ever comes in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

AmountText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}(\.[0-9]{1,18})?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_\-]{0,31}$")]
AssetCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._\-]{0,31}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
Location = Annotated[str, StringConstraints(pattern=r"^custody:[a-z0-9:_.\-]{1,100}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,63}$")]
MixinId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Visible = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class UserWish(_Wish):
    """A user to make. The name is for people to read; it is unique.

    ``mixin_id`` is his user id at Mixin, where deposits come from and payouts go.
    """

    name: Name
    mixin_id: MixinId | None = None


class MoneyWish(_Wish):
    """An amount that arrived somewhere, under the outside world's own reference."""

    location: Location
    asset: AssetCode
    amount: AmountText
    reference: Reference


class PayoutWish(_Wish):
    """Where one asset of the payout goes."""

    asset: AssetCode
    network: Identifier
    address: Visible
    memo: Annotated[str, StringConstraints(pattern=r"^[ -~]{0,128}$")] = ""


class OrderWish(_Wish):
    """An order to open. ``user_id`` is only for the operator, who opens it for somebody.

    ``pay`` says where the money is: in the user's balance already, or still in his Mixin wallet,
    and then the answer has a payment link for each asset.
    """

    pool_id: Identifier
    base: AmountText
    quote: AmountText
    pay: Literal["balance", "mixin"] = "balance"
    user_id: Identifier | None = None


class WithdrawWish(_Wish):
    """Where the money of an order goes: one destination for each asset of its pool.

    None at all means the user's Mixin wallet.
    """

    payout: Annotated[list[PayoutWish], Field(max_length=2)]


class AvailableWish(_Wish):
    """Available money to be paid to its user's Mixin wallet; ``user_id`` only for the operator."""

    asset: AssetCode
    amount: AmountText
    user_id: Identifier | None = None


class ActWish(_Wish):
    """Where a told story stands. Times are microseconds since the Unix epoch."""

    number: Annotated[int, Field(ge=0, le=99)]
    of: Annotated[int, Field(ge=1, le=99)]
    name: Name
    facts: Annotated[dict[Name, str], Field(max_length=8)] = {}
    started_at_us: Annotated[int, Field(ge=0)]
    done: bool = False
