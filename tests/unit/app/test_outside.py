"""What lies outside, plugged together."""

from __future__ import annotations

from typing import Any

import pytest

from poolmaker.app.outside import OutgoingFreeze
from poolmaker.app.payouts import Providers
from poolmaker.business.treasury.model import SendAbsent, SendAccepted, SendAnswer, SendRequest
from poolmaker.kernel.errors import Unavailable


class FakeWithdrawals:
    reason = ""

    async def why_frozen(self, tx: object) -> str:
        return self.reason


async def test_nothing_journalled_leaves_while_money_is_frozen_or_nobody_can_say() -> None:
    gate, withdrawals, tx = OutgoingFreeze(), FakeWithdrawals(), Any
    assert not await gate.may_send(tx)  # type: ignore[arg-type]
    gate.plug(withdrawals)  # type: ignore[arg-type]
    assert await gate.may_send(tx)  # type: ignore[arg-type]
    withdrawals.reason = "the keys are being changed"
    assert not await gate.may_send(tx)  # type: ignore[arg-type]


class FakeProvider:
    def __init__(self, name: str) -> None:
        self.name = name

    async def send(self, request: SendRequest) -> SendAnswer:
        return SendAccepted(self.name)

    async def find(self, request: SendRequest, since_us: int) -> SendAbsent:
        return SendAbsent()


def request(source: str) -> SendRequest:
    return SendRequest(
        source=source, reference="0" * 32, asset="USDT", units=1, network="n", address="a", tag=""
    )


async def test_each_place_has_its_own_sender_and_an_unknown_one_has_none() -> None:
    providers = Providers({"custody:venue:": FakeProvider("venue")})
    with pytest.raises(Unavailable, match="custody:mixin:usdt"):
        await providers.send(request("custody:mixin:usdt"))
    providers.plug("custody:mixin:", FakeProvider("mixin"))
    for head in ("venue", "mixin"):
        assert await providers.send(request(f"custody:{head}:x")) == SendAccepted(head)
        assert await providers.find(request(f"custody:{head}:x"), 0) == SendAbsent()
