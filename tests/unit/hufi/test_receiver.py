"""Receiving: a reward only by evidence, everything else to the treasury, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from poolmaker.business.rewards.model import ObservedReward
from poolmaker.business.treasury.model import Arrival, Disposition
from poolmaker.evm.model import ChainTransfer, TransactionReceipt, WaitingTransfer
from poolmaker.hufi.model import FileRefused
from poolmaker.hufi.receiver import PATIENCE_US, Attributor, Receiver, ReceiverPorts
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import DAY_US, ManualClock
from poolmaker.kernel.errors import Unavailable
from poolmaker.lab.stores.base import ModelDatabase
from tests.unit.hufi.test_verdicts import (
    ESCROW,
    OTHER,
    TETHER,
    TOKEN,
    WALLET,
    file,
    moved,
    paid,
    period_file,
    receipt,
    transfer,
)


@dataclass
class Outside:
    """Chain, escrows, files, watcher and desks in one, as a test wants them."""

    clock: ManualClock = field(default_factory=ManualClock)
    escrows: set[str] = field(default_factory=lambda: {ESCROW})
    escrow_token: str = TOKEN
    receipts: TransactionReceipt | None = field(
        default_factory=lambda: receipt(moved(WALLET, 5), paid([(WALLET, 5)]))
    )
    body: bytes | Exception = field(default_factory=file)
    dates: dict[str, Any] = field(
        default_factory=lambda: {
            "start_date": "2026-11-18T00:00:00.000Z", "end_date": "2026-11-22T12:00:00.000Z",
        }
    )  # fmt: skip
    cancelled: bool = False
    disposition: Disposition = Disposition.SUSPENSE
    tail: tuple[ChainTransfer, ...] = ()
    open: list[ChainTransfer] = field(default_factory=lambda: [transfer()])
    due_us: int = 0
    outcomes: list[str] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen_us = self.clock.now_us()
        self.health = HealthBoard(self.clock)

    async def has(self, address: str) -> bool:
        return address in self.escrows

    async def token(self, address: str) -> str:
        return self.escrow_token

    async def manifest(self, address: str) -> dict[str, Any]:
        return self.dates

    async def is_cancelled(self, address: str) -> bool:
        return self.cancelled

    async def receipt(self, tx_hash: str) -> TransactionReceipt | None:
        return self.receipts

    async def fetch(self, url: str, digest: str) -> bytes:
        if isinstance(self.body, Exception):
            raise self.body
        return self.body

    async def look(self) -> int:
        return 0

    async def waiting(self, tx: Tx) -> Sequence[WaitingTransfer]:
        due = self.open if self.due_us <= self.clock.now_us() else []
        return [WaitingTransfer(one, self.seen_us, 0) for one in due]

    async def settle(self, tx: Tx, one: ChainTransfer, outcome: str, note: str = "") -> None:
        self.open.remove(one)
        self.outcomes.append(outcome)

    async def postpone(self, tx: Tx, one: ChainTransfer, due_us: int, note: str) -> None:
        self.due_us = due_us

    async def confirmed(self, tx: Tx, reward: ObservedReward) -> None:
        self.told.append(reward)

    async def observed(self, tx: Tx, reward: ObservedReward) -> None:
        self.told.append(reward)

    async def arrived(self, tx: Tx, arrival: Arrival) -> Disposition:
        if self.disposition is not Disposition.WAITING:
            self.told.append(arrival)
        return self.disposition

    def receiver(self) -> Receiver:
        here = cast("Any", self)
        ports = ReceiverPorts(
            transactions=ModelDatabase(), rewards=here, arrivals=here, clock=self.clock,
            health=self.health,
        )  # fmt: skip
        return Receiver(here, Attributor(here, here, here, [TETHER], is_sandbox=False), ports)


async def test_a_payout_with_all_its_evidence_is_a_reward_of_its_day() -> None:
    outside = Outside()
    for _ in range(2):
        await outside.receiver().look()
    (reward,) = outside.told
    assert isinstance(reward, ObservedReward)
    assert reward.key.count(":") == 3
    assert reward.key.startswith(f"137:{ESCROW}:0x")
    assert reward.key.endswith(WALLET)
    assert (reward.units, reward.asset, reward.is_final) == (500, "USDT", True)
    assert reward.to_us - reward.from_us == DAY_US
    assert outside.outcomes == ["reward"]


@pytest.mark.parametrize(
    "changes",
    [
        {"escrows": set()},
        {"escrow_token": OTHER},
        {"receipts": receipt(moved(WALLET, 5))},
        {"receipts": receipt(moved(WALLET, 5), paid([(WALLET, 4)]))},
        {"body": file(results=[])},
        {"body": FileRefused("its host is not in hufi.file_hosts")},
        {"body": b"nonsense"},
        {"dates": {}},
        {"dates": {"start_date": "2026-11-18T00:00:00.000Z", "end_date": 7}},
        {"body": period_file("1970-01-01T00:00:00.000Z", "2030-01-01T00:00:00.000Z")},
        {"body": period_file("2026-11-20T00:00:00.001Z", "2026-11-21T00:00:00.001Z")},
        {"body": period_file("2026-11-20T00:00:00.000Z", "2026-11-22T00:00:00.000Z")},
        {"body": period_file("2026-11-20T00:00:00.000Z", "2026-11-20T18:00:00.000Z")},
        {"body": period_file("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")},
        {"body": period_file("2026-11-17T00:00:00.000Z", "2026-11-18T00:00:00.000Z")},
    ],
)
async def test_what_lacks_a_piece_of_evidence_goes_to_the_treasury_once(
    changes: dict[str, Any],
) -> None:
    """hufi invariants 3 and 4."""
    outside = Outside(**changes)
    for _ in range(2):
        await outside.receiver().look()
    (arrival,) = outside.told
    assert isinstance(arrival, Arrival)
    assert (arrival.units, arrival.sender) == (500, ESCROW)
    assert arrival.reference == "137/0x02/0"
    assert outside.outcomes == ["suspense"]


async def test_found_43_a_cancelled_campaign_may_end_with_a_short_day_and_no_other() -> None:
    short = period_file("2026-11-20T00:00:00.000Z", "2026-11-20T18:00:00.000Z")
    outside = Outside(body=short, cancelled=True)
    await outside.receiver().look()
    assert outside.outcomes == ["reward"]
    long = period_file("2026-11-20T00:00:00.000Z", "2026-11-21T00:00:00.001Z")
    outside = Outside(body=long, cancelled=True)
    await outside.receiver().look()
    assert outside.outcomes == ["suspense"]


async def test_a_results_file_may_be_late_for_a_day_and_then_a_person_must_look() -> None:
    outside = Outside(body=Unavailable("the host of a results file answers HTTP 404"))
    await outside.receiver().look()
    assert outside.told == []
    assert not outside.health.ok()
    await outside.receiver().look()
    outside.clock.advance(PATIENCE_US // 2)
    outside.body = file()
    await outside.receiver().look()
    assert [type(one) for one in outside.told] == [ObservedReward]
    assert outside.health.ok()
    late = Outside(body=Unavailable("the host of a results file answers HTTP 404"))
    late.clock.advance(PATIENCE_US)
    await late.receiver().look()
    assert late.outcomes == ["suspense"]


async def test_a_chain_that_does_not_answer_is_waited_for_however_long_it_takes() -> None:
    outside = Outside(receipts=None)
    outside.clock.advance(10 * PATIENCE_US)
    await outside.receiver().look()
    assert outside.told == []
    assert outside.open


async def test_what_the_treasury_waits_for_is_asked_again() -> None:
    outside = Outside(escrows=set(), disposition=Disposition.WAITING)
    await outside.receiver().look()
    assert (outside.told, outside.outcomes) == ([], [])
    outside.disposition = Disposition.TRANSFER
    outside.clock.advance(DAY_US)
    await outside.receiver().look()
    assert outside.outcomes == ["transfer"]


async def test_what_may_vanish_is_shown_once_and_never_booked() -> None:
    outside = Outside(open=[], tail=(transfer(),))
    receiver = outside.receiver()
    for _ in range(3):
        await receiver.look()
    (shown,) = outside.told
    assert not shown.is_final
    assert outside.outcomes == []
    outside.tail = (transfer(1),)
    outside.receipts = receipt(moved(OTHER, 5), moved(WALLET, 5))
    await receiver.look()
    assert len(outside.told) == 1
