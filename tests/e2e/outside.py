"""What lies outside of the made-up platform: a campaign, its rewards, money on its way."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import PoolId, UserId, WithdrawalId
from poolmaker.views.model import (
    AllocationSeen,
    ArrivalSeen,
    CampaignSeen,
    CampaignWindow,
    DepositLeg,
    DepositSeen,
    Money,
    RewardSeen,
    ShareChange,
    Standing,
    Step,
    TransferSeen,
    WithdrawalSeen,
)

CAMPAIGN = "hufi-1338-0xabababababababababababababababababababab"
TX = "0x7a6f1c0000000000000000000000000000000000000000000000000000000000"
MIXIN_USER = "6a4a121d-9673-4a7e-a93e-cb9ca4bb83a2"


class Outside:
    """The part of the made-up platform that shows campaigns, rewards and movements."""

    def __init__(self) -> None:
        self.campaign_rows: list[CampaignSeen] = []
        self.reward_rows: list[RewardSeen] = []
        self.parts: dict[str, list[AllocationSeen]] = {}
        self.transfer_rows: list[TransferSeen] = []
        self.arrival_rows: list[ArrivalSeen] = []
        self.withdrawal_rows: list[WithdrawalSeen] = []

    def furnish_outside(self, now: int) -> None:
        """Day two of two: day one's reward is credited, day two's has just been seen."""
        day, start = 20 * SECOND_US, now - 31 * SECOND_US
        window = CampaignWindow(2, 2, start + day, start + 2 * day)
        standing = Standing("18432.55", "31200.40", Money("HMT", "29.538461538461538461"))
        self.campaign_rows = [
            CampaignSeen(
                CAMPAIGN, "hufi", "MARKET_MAKING", "mexc", "BTC/USDT", "btcusdt", "JOINED",
                "ACTIVE", start, start + 2 * day, day, window, Money("HMT", "100"),
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
                AllocationSeen(order, user, name, "1", Money("HMT", amount), name != "cy")
                for order, user, name, amount in parts
            ]
        }
        self.transfer_rows = [
            TransferSeen("tr_2", "custody:evm:0xabc:hmt-polygon", "custody:mixin:hmt-polygon",
                         Money("HMT", "48"), "SENT", TX, now - 2 * SECOND_US, ()),
            TransferSeen("tr_1", "custody:mixin:usdt-polygon", "custody:venue:main",
                         Money("USDT", "12000"), "DONE", TX, now - 50 * SECOND_US, ()),
        ]  # fmt: skip
        asked = (Step("REQUESTED", now - 9 * SECOND_US, "user"),)
        self.withdrawal_rows = [
            WithdrawalSeen("wd_1", "us_bo", "bo", Money("USDT", "2000"), "mixin", MIXIN_USER,
                           "SENT", "", "", asked),
            WithdrawalSeen("wd_0", "", "", Money("USDT", "75"), "mixin", MIXIN_USER,
                           "DONE", "", "", asked),
        ]  # fmt: skip
        self.arrival_rows = [
            ArrivalSeen("out-9", "custody:mixin:usdt-polygon", Money("USDT", "75"), "refund",
                        "done", MIXIN_USER, now - 20 * SECOND_US)
        ]  # fmt: skip

    @staticmethod
    def _reward(
        reward: str, state: str, from_us: int, to_us: int, fee: str, dust: str
    ) -> RewardSeen:
        return RewardSeen(
            reward, CAMPAIGN, state, Money("HMT", "47.999999900000000004"), Money("HMT", fee),
            Money("HMT", dust), Money("HMT", "47.04"), from_us, to_us, TX, (),
        )  # fmt: skip

    def awaited(self, now: int) -> DepositSeen:
        """Two legs, of which one is there."""
        link = "https://mixin.one/pay/app?asset=x&amount=0.05&trace=4c2e1a77"
        return DepositSeen(
            now + 800 * SECOND_US,
            (
                DepositLeg("BTC", "0.05", "4c2e1a77-0000", "memo", link, arrived=True),
                DepositLeg("USDT", "3000", "9b1d02f4-0000", "memo", link, arrived=False),
            ),
        )

    async def campaigns(self, after: int, limit: int) -> Sequence[CampaignSeen]:
        return self.campaign_rows[after : after + limit]

    async def rewards(self, after: int, limit: int) -> Sequence[RewardSeen]:
        return self.reward_rows[after : after + limit]

    async def allocations(self, reward_id: str) -> Sequence[AllocationSeen] | None:
        return self.parts.get(reward_id)

    async def shares(self, pool_id: PoolId, from_us: int, to_us: int) -> Sequence[ShareChange]:
        return ()

    async def transfers(self, after: int, limit: int) -> Sequence[TransferSeen]:
        return self.transfer_rows[after : after + limit]

    async def arrivals(self, after: int, limit: int) -> Sequence[ArrivalSeen]:
        return self.arrival_rows[after : after + limit]

    async def withdrawal(self, withdrawal_id: WithdrawalId) -> WithdrawalSeen | None:
        rows = self.withdrawal_rows
        return next((row for row in rows if row.withdrawal_id == withdrawal_id), None)

    async def withdrawal_owner(self, withdrawal_id: WithdrawalId) -> str | None:
        found = await self.withdrawal(withdrawal_id)
        return found.user_id if found is not None else None

    async def withdrawals(
        self, user_id: UserId | None, before: str, limit: int
    ) -> Sequence[WithdrawalSeen]:
        mine = [row for row in self.withdrawal_rows if user_id in (None, row.user_id)]
        return [row for row in mine if not before or row.withdrawal_id < before][:limit]
