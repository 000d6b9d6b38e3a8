"""Between Mixin, venue and chain: what goes over it, when it counts, what a reorg undoes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.chain.model import USDT as TOKEN
from poolmaker.sandbox.chain.rpc import Rpc
from poolmaker.sandbox.relay.model import Outcome, RelayNotice, RelaySide, Seen, TxId
from poolmaker.sandbox.relay.onchain import ChainWorld
from poolmaker.sandbox.relay.routes import BY_ASSET
from poolmaker.sandbox.relay.rules import counted, delay_us
from poolmaker.sandbox.relay.service import Relay
from tests.support.mixin import HUMAN, POLYGON, USDT
from tests.support.relay import TwoWorlds, two_worlds
from tests.support.worlds import RunningWorld, running_world

WALLET = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"
PAYER = 7
"""A wallet of the mnemonic that has tokens once the faucet gave them."""


@dataclass
class ThreeWorlds:
    """Venue and Mixin in this event loop, the chain as a process that mines each transaction."""

    both: TwoWorlds
    chain: RunningWorld

    def world(self, confirmations: int = 1) -> ChainWorld:
        """The chain as a relay reaches it."""
        session = self.both.venue.session
        rpc = Rpc(session, self.chain.ready["rpc"], "relay")
        return ChainWorld(rpc, session, self.chain.ready["admin"], confirmations)

    def relay(self, confirmations: int = 1, **more: Any) -> Relay:
        """A relay that remembers nothing."""
        return self.both.relay(chain=self.world(confirmations), **more)

    async def holds(self, asset: str, address: str = WALLET) -> int:
        """Smallest units of an address on the chain."""
        return int((await self.chain.admin("GET", f"/balances/{address}"))[asset])

    async def pays(self, address: str, amount: str, asset: str = "USDT") -> str:
        """A wallet pays on the chain; the transaction."""
        order = {"account": PAYER, "address": address, "asset": asset, "amount": amount}
        done = await self.chain.admin("POST", "/transfer", order)
        assert done["status"] == 200, done
        return str(done["tx_hash"])

    async def mine(self, blocks: int) -> None:
        """Make what is there older."""
        await self.chain.admin("POST", "/mine", {"blocks": blocks})

    async def reorg(self, depth: int) -> None:
        """Replace the newest blocks by empty ones."""
        await self.chain.admin("POST", "/reorg", {"depth": depth})

    async def deposited(self) -> list[list[str]]:
        """Amount and transaction of the bot's outputs in dollars."""
        outputs = await self.both.mixin.unspent()
        return [[one["amount"], one["deposit"]["deposit_hash"]] for one in outputs]

    def told(self) -> list[RelayNotice]:
        """What was told since this was asked last."""
        said = list(self.both.told)
        self.both.told.clear()
        return said


@pytest.fixture
async def all_three() -> AsyncIterator[ThreeWorlds]:
    async with two_worlds() as both, running_world("chain", "--block-ms", "0") as chain:
        found = ThreeWorlds(both, chain)
        await found.mine(3)
        payer = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
        for asset in ("USDT", "HMT"):
            order = {"address": payer, "asset": asset, "amount": "1000"}
            assert (await chain.admin("POST", "/faucet", order))["status"] == 200
        yield found


async def test_mixin_withdrawals_reach_a_wallet_under_the_chains_own_hash(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariants 1 to 3: tokens of two scales and the coin; completed when it counts."""
    both = all_three.both
    before = await all_three.holds("ETH")
    for asset, amount in ((USDT, "7.25"), (HUMAN, "3.00000001"), (POLYGON, "0.5")):
        await both.leave_mixin(WALLET, amount, asset)
    clock = ManualClock()
    relay = all_three.relay(3, clock=clock)
    await relay.step()
    assert await all_three.holds("USDT") == 7_250_000
    assert [one["state"] for one in await both.mixin_withdrawals()] == ["pending"] * 3
    await all_three.mine(2)
    for _ in range(2):
        clock.advance(SECOND_US)
        await relay.step()
    held = [await all_three.holds(asset) for asset in ("USDT", "HMT", "ETH")]
    assert held == [7_250_000, 3_00000001 * 10**10, before + 5 * 10**17]
    shown = await both.mixin_withdrawals()
    carried = (await all_three.chain.admin("GET", "/transfers"))["transfers"]
    assert {one["tx_id"] for one in shown} == {one["tx_hash"] for one in carried}
    assert [one["state"] for one in shown] == ["completed"] * 3
    assert {(one.outcome, one.leaves) for one in all_three.told()} == {
        (Outcome.ARRIVED, RelaySide.MIXIN)
    }


async def test_a_withdrawal_between_the_sides_is_one_transaction_on_the_chain(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariants 2 and 5: leaving, chain and receiver name the same transaction."""
    both, clock = all_three.both, ManualClock()
    relay = all_three.relay(clock=clock)
    address, entry = await both.venue_address(), await both.mixin_address()
    await both.leave_mixin(address, "7.5")
    name = await both.leave_venue(entry, "20.000003")
    for _ in range(2):
        await relay.step()
        clock.advance(SECOND_US)
    (left,) = await both.mixin_withdrawals()
    (came,) = await both.venue_deposits()
    assert (came["txId"], came["amount"], came["network"]) == (left["tx_id"], "7.5", "MATIC")
    (row,) = await both.venue_withdrawals()
    assert (row["id"], row["status"]) == (name, 6)
    assert await all_three.deposited() == [["19.900003", row["tx_id"]]]
    receipt = await all_three.chain.admin("GET", "/transfers")
    assert {one["tx_hash"] for one in receipt["transfers"]} == {left["tx_id"], row["tx_id"]}
    assert await all_three.holds("USDT", address) == 7_500_000
    assert len(all_three.told()) == 4


async def test_a_transfer_to_a_deposit_address_counts_when_it_is_final_and_once(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariant 5, over a restart of the relay too."""
    entry, relay = await all_three.both.mixin_address(), all_three.relay(0)
    sent = await all_three.pays(entry, "12.5")
    await all_three.mine(63)
    await relay.step()
    assert await all_three.deposited() == []
    await all_three.mine(1)
    await relay.step()
    assert await all_three.deposited() == [["12.5", sent]]
    (told,) = all_three.told()
    assert (told.outcome, told.leaves, told.tx_id, told.amount) == (
        Outcome.ARRIVED, RelaySide.CHAIN, sent, "12.50000000",
    )  # fmt: skip
    for again in (relay, all_three.relay(0)):
        await again.step()
    assert await all_three.deposited() == [["12.5", sent]]
    assert all_three.told() == []


async def test_what_a_reorg_removes_before_it_counts_credits_nothing(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariant 5: also when the relay had seen it and it was on its way."""
    entry = await all_three.both.mixin_address()
    clock = ManualClock()
    relay = all_three.relay(1, clock=clock, mean_us=SECOND_US)
    gone = await all_three.pays(entry, "12.5")
    await relay.step()
    await all_three.reorg(1)
    clock.advance(2 * SECOND_US)
    await relay.step()
    assert await all_three.deposited() == []
    back = await all_three.pays(entry, "3")
    await relay.step()
    clock.advance(2 * SECOND_US)
    await relay.step()
    assert back != gone
    assert await all_three.deposited() == [["3", back]]
    assert len(all_three.told()) == 1


async def test_a_withdrawal_that_a_reorg_removes_is_sent_again_and_arrives_once(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariants 1 to 3: nothing was completed, and the same transaction is used again."""
    both, clock = all_three.both, ManualClock()
    relay = all_three.relay(3, clock=clock)
    await both.leave_mixin(WALLET, "7")
    await both.leave_mixin(WALLET, "1")
    await relay.step()
    first = [one["tx_hash"] for one in await _carried(all_three)]
    await all_three.reorg(2)
    assert await all_three.holds("USDT") == 0
    clock.advance(SECOND_US)
    await relay.step()
    assert [one["tx_hash"] for one in await _carried(all_three)] == first
    await all_three.mine(3)
    # Another relay that knows of nothing finds the same transfers.
    await all_three.relay(3).step()
    assert await all_three.holds("USDT") == 8_000_000
    assert {one["tx_id"] for one in await both.mixin_withdrawals()} == set(first)


async def test_a_transaction_whose_nonce_a_reorg_freed_for_another_is_signed_anew(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariant 1: of two equal transfers one is lost, its nonce taken; both arrive once."""
    order = {"account": 18, "address": WALLET, "asset": "USDT", "amount": "1", "key": "a"}
    await all_three.chain.admin("POST", "/transfers", order)
    await all_three.reorg(1)
    sent: list[dict[str, Any]] = []
    # Asked as long as no block holds one of them, as the relay asks.
    for _ in range(20):
        sent = [
            await all_three.chain.admin("POST", "/transfers", {**order, "key": key})
            for key in ("b", "a")
        ]
        if all(one["block"] is not None for one in sent):
            break
        await all_three.mine(1)
    assert len({one["tx_hash"] for one in sent}) == 2
    assert await all_three.holds("USDT") == 2_000_000
    for one in sent:
        found = await all_three.chain.admin("POST", "/transfers", {**order, "key": one["key"]})
        assert found == one
    refused = await all_three.chain.admin("POST", "/transfers", {**order, "amount": "2"})
    assert (refused["status"], "another transfer" in refused["error"]) == (400, True)


async def _carried(all_three: ThreeWorlds) -> list[dict[str, Any]]:
    return list((await all_three.chain.admin("GET", "/transfers"))["transfers"])


async def test_an_amount_finer_than_the_token_stays_pending_and_is_named(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariant 4: nothing is cut off a withdrawal."""
    await all_three.both.leave_mixin(WALLET)
    await all_three.relay().step()
    (told,) = all_three.told()
    assert (told.outcome, "6 decimals" in told.why) == (Outcome.LEFT_PENDING, True)
    assert await all_three.holds("USDT") == 0


async def test_coins_and_fine_tokens_come_to_mixin_in_its_own_units(
    all_three: ThreeWorlds,
) -> None:
    """Relay invariant 5: what is below 1e-8 is named, and no deposit of nothing is made."""
    entry, relay = await all_three.both.mixin_address(), all_three.relay()
    await all_three.pays(entry, "0.25", "ETH")
    await all_three.pays(entry, "1.000000019", "HMT")
    await all_three.pays(entry, "0.000000001", "HMT")
    await relay.step()
    mixin = all_three.both.mixin
    assert [await mixin.balance(asset) for asset in (POLYGON, HUMAN)] == [25_000_000, 1_00000001]
    said = sorted((one.asset, one.outcome, one.amount) for one in all_three.told())
    assert said == [
        ("HMT", "arrived", "1.00000001"), ("HMT", "dust", "0.00000000"),
        ("HMT", "dust", "0.00000000"), ("POL", "arrived", "0.25000000"),
    ]  # fmt: skip
    await all_three.relay().step()
    assert len((await mixin.admin("GET", "/invariants"))["violations"]) == 0
    assert await mixin.balance(HUMAN) == 1_00000001


async def test_a_chain_that_is_silent_is_told_of_once_and_the_rest_is_carried(
    all_three: ThreeWorlds,
) -> None:
    both, session = all_three.both, all_three.both.venue.session
    nowhere = ChainWorld(
        Rpc(session, "http://127.0.0.1:1", "relay"), session, "http://127.0.0.1:1", 1
    )
    await both.leave_mixin(WALLET, "1")
    order = {"user": "1", "asset": "c6d0c728-2624-429b-8e0d-d9d19b6592fa", "amount": "0.1"}
    address = await both.venue_address("BTC", "BTC")
    await both.mixin.admin("POST", "/withdraw", {**order, "destination": address})
    clock = ManualClock()
    relay = both.relay(chain=nowhere, clock=clock)
    for _ in range(2):
        await relay.step()
        clock.advance(2 * SECOND_US)
    assert [one["coin"] for one in await both.venue_deposits()] == ["BTC"]
    silent = [one for one in both.told if one.outcome is Outcome.UNAVAILABLE]
    assert [one.leaves for one in silent] == [RelaySide.CHAIN, RelaySide.MIXIN]


async def test_two_transfers_of_one_transaction_are_two_deposits(all_three: ThreeWorlds) -> None:
    """Relay invariant 5: a transaction may pay several deposit addresses."""
    both = all_three.both
    route = BY_ASSET[USDT]
    address, entry = await both.venue_address(), await both.mixin_address()

    class Bulk(ChainWorld):
        async def transfers(self, first: int, last: int, places: object) -> list[Seen]:
            block_hash = await self.block_hash(0)
            assert block_hash is not None
            return [
                Seen(
                    route=route, units=1_000_000 + index, address=where, sender=WALLET,
                    tx_id=TxId("0xb0"), index=index, block=0, block_hash=block_hash,
                )
                for index, where in enumerate((address, address, entry, entry))
            ]  # fmt: skip

    session = both.venue.session
    rpc = Rpc(session, all_three.chain.ready["rpc"], "relay")
    chain = Bulk(rpc, session, all_three.chain.ready["admin"], 1)
    for _ in range(2):
        await both.relay(chain=chain).step()
    came = [[one["amount"], one["txId"]] for one in await both.venue_deposits()]
    assert sorted(came) == [["1", "0xb0"], ["1.000001", "0xb0"]]
    assert await all_three.deposited() == [["1.000002", "0xb0"], ["1.000003", "0xb0"]]


def test_units_of_a_chain_are_counted_down_and_the_rest_is_known() -> None:
    assert counted(1_000_001, TOKEN.decimals) == (1_00000100, 0)
    assert counted(10**18 + 7, 18) == (1_00000000, 7)
    assert counted(9_999_999_999, 18) == (0, 9_999_999_999)


def test_a_transfer_on_the_chain_has_its_own_delay() -> None:
    drawn = {delay_us(Rng(1), side, "0xaa/0", 500_000) for side in RelaySide}
    assert len(drawn) == 3
