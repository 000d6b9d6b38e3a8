"""A wallet whose key another program has too: every payment is paid once, and none waits for ever.

By search over what the other program sends, drops and gets mined, reorganisations, nodes that lag,
broadcasts that nobody gets, and ends of the process at every step.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendFailed,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.evm.chain import Chain
from poolmaker.evm.gas import transfer_data
from poolmaker.evm.model import EvmPayment, GatePolicy, PaymentAction, RegisteredToken
from poolmaker.evm.payer import TransactionSender, TransactionSenderSettings
from poolmaker.evm.signer import Signer
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.money import Asset, AssetOnNetwork
from tests.support.nonce_chain import (
    KEY,
    MIXIN,
    TOKEN,
    WALLET,
    Crash,
    Fuse,
    FusedDatabase,
    MemoryJournal,
    NonceNode,
)

USDT, POL = Asset("USDT", 6), Asset("POL", 18)
PAYMENTS = 3
ROUNDS_MAX = 12
Step = tuple[str, int]


@dataclass
class Wallet:
    """The chain, the journal, and a payer that is made anew whenever the process has ended."""

    fuse: Fuse = field(default_factory=Fuse)

    def __post_init__(self) -> None:
        self.node = NonceNode(fuse=self.fuse)
        self.database = FusedDatabase(self.fuse)
        self.journal = MemoryJournal()
        self.clock = ManualClock()
        self.payer = self.fresh()

    def fresh(self) -> TransactionSender:
        policy = GatePolicy(137, {TOKEN: frozenset({MIXIN})}, 300_000, 10**12)
        return TransactionSender(
            Chain(self.node, 137),
            Signer(KEY, policy),
            [RegisteredToken(AssetOnNetwork(USDT, "usdt-test", 6), TOKEN)],
            cast("Any", self.journal),
            self.database,
            self.clock,
            TransactionSenderSettings(POL, 10**12, 180_000_000),
        )

    # ------------------------------------------------------------------------------ what is done

    def send(self, number: int) -> SendAnswer | None:
        answer: SendAnswer | None = self._run(self.payer.send(request(number)))
        return answer

    def find(self, number: int) -> SendStatus | None:
        status: SendStatus | None = self._run(self.payer.find(request(number), 0))
        return status

    def _run(self, work: Any) -> Any:
        try:
            return asyncio.run(work)
        except Crash:
            self.payer = self.fresh()
        except (Unavailable, OutcomeUnknown):
            pass
        return None

    def do(self, step: Step) -> None:
        what, number = step
        match what:
            case "send":
                self.send(number % PAYMENTS)
            case "find":
                self.find(number % PAYMENTS)
            case "foreign":
                self.node.foreign(number % 3)
            case "drop":
                self.node.drop_foreign()
            case "mine":
                self.node.mine(number)
            case "reorganise":
                self.node.reorganise(1 + number // 2 % 3, forgets=number % 2 == 0)
            case "finalise":
                self.node.finalise(number % 3)
            case "lag":
                self.node.lags = [0] * (number % 8) + [1 + number % 4]
            case "lose":
                self.node.loses = [True]
            case _:
                self.fuse.left = 1 + number

    # ------------------------------------------------------------------------------ what is true

    def payments(self) -> list[EvmPayment]:
        return asyncio.run(self._payments())

    async def _payments(self) -> list[EvmPayment]:
        found = []
        async with self.database.begin("test") as tx:
            for number in range(PAYMENTS):
                payment = await self.journal.find(tx, request(number).reference)
                found += [payment] if payment is not None else []
        return found

    def paid(self) -> list[int]:
        """Units that blocks of the chain have moved, one for each transaction."""
        made = (one for block in self.node.now.blocks for one in block.made)
        return [one.units for one in made if one.units]

    def voids(self) -> None:
        """What was signed under a nonce that a payment has no more can never be taken."""
        final = self.node.now.blocks[: self.node.now.final + 1]
        used = {one.nonce: one.hash for block in final for one in block.made}
        for payment in self.payments():
            attempts = asyncio.run(self._attempts(payment))
            for made in (one for some in self.node.pool.values() for one in some):
                if made.hash in attempts and made.nonce != payment.nonce:
                    assert made.nonce in used
                    assert used[made.nonce] not in attempts

    async def _attempts(self, payment: EvmPayment) -> set[str]:
        async with self.database.begin("test") as tx:
            attempts = await self.journal.attempts(tx, payment.reference)
        return {one.tx_hash for one in attempts}

    def calm(self) -> None:
        """All troubles end; the other program has given up."""
        self.fuse.left, self.node.lags, self.node.loses = 0, [], []
        self.node.drop_foreign()


def request(number: int) -> SendRequest:
    return SendRequest(
        source=f"custody:evm:{WALLET}:usdt-test",
        reference=f"{number:032x}",
        asset="USDT",
        units=1_000 + number,
        network="evm",
        address=MIXIN,
        tag="",
    )


troubles = st.sampled_from(["foreign", "drop", "reorganise", "lag", "lose", "crash"])
words = st.sampled_from(["send", "find", "mine", "finalise"]) | troubles
stories = st.lists(st.tuples(words, st.integers(0, 23)), max_size=25)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(stories)
def test_every_payment_is_paid_once_whatever_another_program_does_with_the_key(
    story: list[Step],
) -> None:
    wallet = Wallet()
    for step in story:
        wallet.do(step)
        paid = wallet.paid()
        assert len(paid) == len(set(paid))
        wallet.voids()
    wallet.calm()
    for _ in range(ROUNDS_MAX):
        for number in range(PAYMENTS):
            if isinstance(wallet.find(number), SendAbsent):
                assert isinstance(wallet.send(number), SendAccepted)
        wallet.node.mine(0)
        wallet.node.finalise(0)
    states = [wallet.find(number) for number in range(PAYMENTS)]
    assert [type(one) for one in states] == [SendCompleted] * PAYMENTS
    assert sorted(wallet.paid()) == [1_000 + number for number in range(PAYMENTS)]
    moved = sum(len(asyncio.run(wallet._attempts(one))) > 1 for one in wallet.payments())
    event(f"{moved} signed more than once")


def test_a_foreign_transaction_that_is_dropped_leaves_no_hole() -> None:
    wallet = Wallet()
    wallet.node.foreign(0)
    assert isinstance(wallet.send(0), SendAccepted)
    wallet.node.drop_foreign()
    wallet.node.mine(0)
    wallet.node.finalise(0)
    assert isinstance(wallet.find(0), SendCompleted)
    assert [one.nonce for one in wallet.payments()] == [0]


def _displaced(**foreign: Any) -> Wallet:
    """Payment 0 was signed under nonce 0, which a final block holds for another transaction."""
    wallet = Wallet()
    wallet.node.loses = [True]
    wallet.send(0)
    wallet.node.foreign(0, **foreign)
    wallet.node.mine(0)
    return wallet


def test_a_payment_is_signed_anew_only_once_the_other_transaction_is_final() -> None:
    wallet = _displaced()
    assert isinstance(wallet.find(0), SendUnderWay)
    assert [one.nonce for one in wallet.payments()] == [0]
    wallet.node.finalise(0)
    for _ in range(3):
        assert isinstance(wallet.find(0), SendUnderWay)
    assert [one.nonce for one in wallet.payments()] == [1]
    wallet.node.mine(0)
    wallet.node.finalise(0)
    assert isinstance(wallet.find(0), SendCompleted)
    assert wallet.paid() == [1_000]
    (incident,) = asyncio.run(wallet.payer.attention())
    assert incident.evidence["note"].startswith("nonce 0 was used by 0x")


def test_what_may_be_the_payment_itself_is_never_signed_once_more() -> None:
    """A journal that was restored from before it was signed meets its own transaction."""
    wallet = _displaced(data=transfer_data(MIXIN, 1_000), to=TOKEN)
    wallet.node.finalise(0)
    for _ in range(3):
        assert wallet.find(0) == SendAbsent()
        assert isinstance(wallet.send(0), SendAccepted)
    assert [one.nonce for one in wallet.payments()] == [0]
    items = asyncio.run(wallet.payer.attention())
    (incident,) = (one for one in items if one.kind == "nonce_used_elsewhere")
    assert "pays the same" in incident.evidence["note"]
    wallet.node.mine(0)
    assert wallet.paid() == [1_000]


def test_without_the_state_that_proves_it_a_person_decides() -> None:
    wallet = _displaced()
    for _ in range(20):
        wallet.node.mine(0)
    wallet.node.finalise(0)
    wallet.node.states_kept = 5
    assert wallet.find(0) == SendAbsent()
    assert wallet.find(0) == SendAbsent()
    (incident,) = asyncio.run(wallet.payer.attention())
    assert "does not show by what" in incident.evidence["note"]
    assert [one.nonce for one in wallet.payments()] == [0]
    wallet.node.states_kept = 1_000
    assert isinstance(wallet.find(0), SendUnderWay)
    assert [one.nonce for one in wallet.payments()] == [1]


def test_what_a_person_has_cancelled_is_not_signed_anew() -> None:
    wallet = _displaced()
    with contextlib.suppress(OutcomeUnknown):
        asyncio.run(wallet.payer.act(request(0).reference, PaymentAction.CANCEL))
    wallet.node.finalise(0)
    failed = wallet.find(0)
    assert isinstance(failed, SendFailed)
    assert failed.other_fee is None
    assert wallet.paid() == []


@pytest.mark.parametrize("number", range(20))
def test_a_process_that_ends_while_it_signs_anew_signs_once(number: int) -> None:
    wallet = _displaced()
    wallet.node.finalise(0)
    wallet.fuse.left = number
    wallet.find(0)
    wallet.calm()
    for _ in range(2):
        wallet.find(0)
        wallet.node.mine(0)
        wallet.node.finalise(0)
    assert isinstance(wallet.find(0), SendCompleted)
    assert wallet.paid() == [1_000]
    assert [one.nonce for one in wallet.payments()] == [1]
