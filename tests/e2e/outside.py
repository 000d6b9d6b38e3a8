"""What lies outside of the made-up platform: a campaign, its rewards, money on its way."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import PoolId, UserId, WithdrawalId
from poolmaker.views.model import (
    AllocationView,
    AmountView,
    ArrivalView,
    CampaignStandingView,
    CampaignView,
    CampaignWindow,
    DepositLegView,
    DepositView,
    RewardView,
    ShareChangeView,
    Step,
    TransferView,
    WithdrawalView,
)

CAMPAIGN = "hufi-1338-0xabababababababababababababababababababab"
TX = "0x7a6f1c0000000000000000000000000000000000000000000000000000000000"
MIXIN_USER = "6a4a121d-9673-4a7e-a93e-cb9ca4bb83a2"


class Outside:
    """The part of the made-up platform that shows campaigns, rewards and movements."""

    def __init__(self) -> None:
        self.campaign_rows: list[CampaignView] = []
        self.reward_rows: list[RewardView] = []
        self.parts: dict[str, list[AllocationView]] = {}
        self.transfer_rows: list[TransferView] = []
        self.arrival_rows: list[ArrivalView] = []
        self.withdrawal_rows: list[WithdrawalView] = []

    def furnish_outside(self, now: int) -> None:
        """Day two of two: day one's reward is credited, day two's has just been seen."""
        day, start = 20 * SECOND_US, now - 31 * SECOND_US
        window = CampaignWindow(2, 2, start + day, start + 2 * day)
        standing = CampaignStandingView(
            "18432.55", "31200.40", AmountView("HMT", "29.538461538461538461")
        )
        self.campaign_rows = [
            CampaignView(
                CAMPAIGN, "hufi", "MARKET_MAKING", "mexc", "BTC/USDT", "btcusdt", "JOINED",
                "ACTIVE", start, start + 2 * day, day, window, AmountView("HMT", "100"),
                start - 5 * SECOND_US, "", standing,
            )
        ]  # fmt: skip
        self.reward_rows = [
            self._reward("rw_2", "CONFIRMED", start + day, start + 2 * day, "0", "0"),
            self._reward(
                "rw_1", "CREDITED", start, start + day, "0.9599999", "0.000000000000000004"
            ),
        ]
        parts = (("uo_ada", "us_ada", "ada", "31.2"), ("uo_bo", "us_bo", "bo", "10.44"),
                 ("uo_cy", "us_cy", "cy", "5.4"))  # fmt: skip
        self.parts = {
            "rw_1": [
                AllocationView(order, user, name, "1", AmountView("HMT", amount), name != "cy")
                for order, user, name, amount in parts
            ]
        }
        self.transfer_rows = [
            TransferView("tr_2", "custody:evm:0xabc:hmt-polygon", "custody:mixin:hmt-polygon",
                         AmountView("HMT", "48"), "SENT", TX, now - 2 * SECOND_US, ()),
            TransferView("tr_1", "custody:mixin:usdt-polygon", "custody:venue:main",
                         AmountView("USDT", "12000"), "DONE", TX, now - 50 * SECOND_US, ()),
        ]  # fmt: skip
        asked = (Step("REQUESTED", now - 9 * SECOND_US, "user"),)
        self.withdrawal_rows = [
            WithdrawalView("wd_1", "us_bo", "bo", AmountView("USDT", "2000"), "mixin", MIXIN_USER,
                           "SENT", "", "", asked),
            WithdrawalView("wd_0", "", "", AmountView("USDT", "75"), "mixin", MIXIN_USER,
                           "DONE", "", "", asked),
        ]  # fmt: skip
        self.arrival_rows = [
            ArrivalView("out-9", "custody:mixin:usdt-polygon", AmountView("USDT", "75"), "refund",
                        "done", MIXIN_USER, now - 20 * SECOND_US)
        ]  # fmt: skip

    @staticmethod
    def _reward(
        reward: str, state: str, from_us: int, to_us: int, fee: str, dust: str
    ) -> RewardView:
        return RewardView(
            reward, CAMPAIGN, state, AmountView("HMT", "47.999999900000000004"),
            AmountView("HMT", fee),
            AmountView("HMT", dust), AmountView("HMT", "47.04"), from_us, to_us, TX, (),
        )  # fmt: skip

    def awaited(self, now: int) -> DepositView:
        """Two legs, of which one is there."""
        link = "https://mixin.one/pay/app?asset=x&amount=0.05&trace=4c2e1a77"
        return DepositView(
            now + 800 * SECOND_US,
            (
                DepositLegView("BTC", "0.05", "4c2e1a77-0000", "memo", link, arrived=True),
                DepositLegView("USDT", "3000", "9b1d02f4-0000", "memo", link, arrived=False),
            ),
        )

    async def campaigns(self, after: int, limit: int) -> Sequence[CampaignView]:
        return self.campaign_rows[after : after + limit]

    async def rewards(self, after: int, limit: int) -> Sequence[RewardView]:
        return self.reward_rows[after : after + limit]

    async def allocations(self, reward_id: str) -> Sequence[AllocationView] | None:
        return self.parts.get(reward_id)

    async def shares(self, pool_id: PoolId, from_us: int, to_us: int) -> Sequence[ShareChangeView]:
        return ()

    async def transfers(self, after: int, limit: int) -> Sequence[TransferView]:
        return self.transfer_rows[after : after + limit]

    async def arrivals(self, after: int, limit: int) -> Sequence[ArrivalView]:
        return self.arrival_rows[after : after + limit]

    async def withdrawal(self, withdrawal_id: WithdrawalId) -> WithdrawalView | None:
        rows = self.withdrawal_rows
        return next((row for row in rows if row.withdrawal_id == withdrawal_id), None)

    async def withdrawal_owner(self, withdrawal_id: WithdrawalId) -> str | None:
        found = await self.withdrawal(withdrawal_id)
        return found.user_id if found is not None else None

    async def withdrawals(
        self, user_id: UserId | None, before: str, limit: int
    ) -> Sequence[WithdrawalView]:
        mine = [row for row in self.withdrawal_rows if user_id in (None, row.user_id)]
        return [row for row in mine if not before or row.withdrawal_id < before][:limit]
