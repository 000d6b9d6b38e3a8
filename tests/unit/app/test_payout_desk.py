"""Available money is paid to its user's own wallet and to nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolmaker.api.ports import ActionRefused, NewPayout
from poolmaker.app.commands import PayoutCommands
from poolmaker.app.figures import AssetRegistry
from poolmaker.business.user_orders.model import PayoutDestination, User
from poolmaker.business.withdrawals.model import Requested, WithdrawAnswer
from poolmaker.infra.settings.outside import FormSettings
from poolmaker.kernel.ids import UserId, WithdrawalId
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Money as UnitMoney
from poolmaker.views.model import AmountView, WithdrawalView

WALLET = "7766b24c-1a03-4c3a-83a3-b4358266875d"
HMT = FormSettings(name="hmt", asset="HMT", decimals=18, mixin_id=WALLET)
SEEN = WithdrawalView(
    withdrawal_id="wd_1",
    user_id="us_a",
    user_name="ada",
    money=AmountView("HMT", "1"),
    network="mixin",
    address=WALLET,
    state="REQUESTED",
    transaction_id="",
    reason="",
    steps=(),
)


@dataclass
class FakeRooms:
    mixin_id: str = WALLET
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def user(self, user: UserId) -> User | None:
        return User(user, "ada", 0, self.mixin_id)

    async def withdraw(
        self, user: UserId, source: str, money: UnitMoney, destination: PayoutDestination, key: str
    ) -> WithdrawAnswer:
        self.asked.append(
            (user, source, money.units, destination.network, destination.address, key)
        )
        return Requested(WithdrawalId("wd_1"))

    async def withdrawal(self, withdrawal: WithdrawalId) -> WithdrawalView:
        return SEEN


def desk(rooms: FakeRooms) -> PayoutCommands:
    scales = AssetRegistry({"HMT": Asset("HMT", 18), "BTC": Asset("BTC", 8)})
    return PayoutCommands(rooms, rooms, rooms, scales, {"HMT": HMT})  # type: ignore[arg-type]


def payout(asset: str, amount: str) -> NewPayout:
    return NewPayout("rq_1", UserId("us_a"), AmountView(asset, amount))


async def test_it_goes_to_the_users_own_wallet_from_where_mixin_holds_it() -> None:
    rooms = FakeRooms()
    assert await desk(rooms).request(payout("HMT", "1.00000001")) == SEEN
    assert rooms.asked == [
        ("us_a", "custody:mixin:hmt", 1_000_000_010_000_000_000, "mixin", WALLET, "rq_1")
    ]


async def test_more_decimals_than_mixin_keeps_are_refused_not_cut() -> None:
    rooms = FakeRooms()
    refused = await desk(rooms).request(payout("HMT", "1.000000001"))
    assert refused == ActionRefused("bad_amount", {"asset": "HMT", "scale": "8"})
    assert rooms.asked == []


async def test_without_a_wallet_or_a_form_nothing_leaves() -> None:
    rooms = FakeRooms()
    assert await desk(rooms).request(payout("BTC", "1")) == ActionRefused("no_mixin")
    rooms.mixin_id = ""
    assert await desk(rooms).request(payout("HMT", "1")) == ActionRefused("no_mixin")
    assert rooms.asked == []
