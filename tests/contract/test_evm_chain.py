"""The chain client on a real node (anvil) and PostgreSQL: finality, reorganisations, sending on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from eth_account import Account

from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendCompleted,
    SendFailed,
    SendPostponed,
    SendRefused,
    SendRequest,
    SendUnderWay,
)
from poolmaker.evm._store import PgPinStore
from poolmaker.evm.model import ChainTransfer, PaymentAction
from poolmaker.evm.rpc import Rpc
from poolmaker.evm.rules import GWEI
from poolmaker.evm.service import AddressAllowlist, Evm, EvmPorts
from poolmaker.infra.database import Database
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import MINUTE_US, ManualClock
from poolmaker.kernel.errors import (
    EnvironmentProblem,
    InvariantBroken,
    PreconditionError,
    Unavailable,
)
from tests.support.chain import ChainStage, on_stage, usdt_of
from tests.support.worlds import RunningWorld, running_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain() -> AsyncIterator[RunningWorld]:
    """One chain for all; every test has a wallet and a database of its own."""
    async with running_world("chain", "--block-ms", "0") as running:
        yield running


@pytest.fixture
async def stage(chain: RunningWorld, database: Database) -> AsyncIterator[ChainStage]:
    async with on_stage(chain, database) as one:
        await one.chain.admin("DELETE", "/faults")
        await one.mine(130)
        yield one


async def stored(stage: ChainStage, evm: Evm) -> list[ChainTransfer]:
    async with stage.database.begin("test") as tx:
        return [one.transfer for one in await evm.watcher.waiting(tx)]


def asked(stage: ChainStage, units: int = 250_000_000, **changes: Any) -> SendRequest:
    values: dict[str, Any] = {
        "source": stage.location, "reference": "a" * 32, "asset": "USDT", "units": units,
        "network": "evm", "address": stage.mixin, "tag": "",
    }  # fmt: skip
    return SendRequest(**{**values, **changes})


async def test_a_transfer_is_seen_in_the_tail_and_stored_once_when_it_is_final(
    stage: ChainStage,
) -> None:
    """evm invariants 1, 2 and 3; failures W4."""
    evm = await stage.open()
    assert await evm.watcher.look() == 0
    sent = await stage.give("USDT", "12.5")
    await stage.give("HMT", "7")
    assert await evm.watcher.look() == 0
    assert [one.tx_hash for one in evm.watcher.tail] == [sent]
    assert await stored(stage, evm) == []
    await stage.mine()
    assert await evm.watcher.look() == 1
    assert await evm.watcher.look() == 0
    found = await stored(stage, await stage.open())
    assert [(one.tx_hash, one.position, one.units) for one in found] == [(sent, 0, 12_500_000)]
    assert found[0].contract == stage.chain.ready["contracts"]["usdt"].lower()
    assert evm.watcher.tail == ()
    assert (await evm.balances()).units == {"usdt-test": 1_250_000_000}


async def test_a_transfer_that_a_reorganisation_took_away_leaves_nothing_behind(
    stage: ChainStage,
) -> None:
    evm = await stage.open()
    await evm.watcher.look()
    await stage.give("USDT", "3")
    await evm.watcher.look()
    assert len(evm.watcher.tail) == 1
    await stage.chain.admin("POST", "/reorg", {"depth": 1})
    await evm.watcher.look()
    assert list(evm.watcher.tail) == []
    await stage.mine()
    assert await evm.watcher.look() == 0


async def test_a_node_that_answers_too_little_is_believed_only_until_the_next_look(
    stage: ChainStage,
) -> None:
    """An empty answer near the head costs nothing: final blocks are read once more."""
    evm = await stage.open()
    await evm.watcher.look()
    await stage.give("USDT", "3")
    await stage.mine()
    whole = evm.chain.transfers_to

    async def blind(*_: Any) -> list[ChainTransfer]:
        return []

    evm.chain.transfers_to = blind  # type: ignore[assignment,method-assign]
    assert await evm.watcher.look() == 0
    evm.chain.transfers_to = whole  # type: ignore[method-assign]
    await stage.mine(10)
    assert await evm.watcher.look() == 1


async def test_ranges_that_the_node_refuses_are_halved_until_it_answers(stage: ChainStage) -> None:
    evm = await stage.open()
    await evm.watcher.look()
    await stage.give("USDT", "3")
    await stage.mine(300)
    faults = {"endpoint": "eth_getBlockByNumber", "effect": "error"}
    await stage.chain.admin("POST", "/faults", {**faults, "count": 1})
    with pytest.raises(Unavailable):
        await evm.watcher.look()
    spans: list[int] = []
    logs = evm.chain.logs

    async def narrow(query: Any, first: int, last: Any) -> Any:
        spans.append(last.number - first + 1)
        if spans[-1] > 100:
            await evm.chain.rpc.call("eth_unknown")
        return await logs(query, first, last)

    evm.chain.logs = narrow  # type: ignore[method-assign]
    assert await evm.watcher.look() == 1
    assert max(spans) > 100 >= min(spans)


async def test_a_final_block_that_is_another_one_stops_the_cursor(stage: ChainStage) -> None:
    evm = await stage.open()
    point = await stage.chain.admin("POST", "/snapshot", {})
    await stage.mine(80)
    await evm.watcher.look()
    await stage.chain.admin("POST", "/revert", {"id": point["id"]})
    await stage.give("ETH", "1")
    await stage.mine(90)
    with pytest.raises(InvariantBroken, match="is not"):
        await evm.watcher.look()


async def test_a_number_of_confirmations_stands_in_for_the_nodes_word(stage: ChainStage) -> None:
    stage.more["finality_blocks"] = 3
    evm = await stage.open()
    await evm.watcher.look()
    await stage.give("USDT", "3")
    await stage.mine(2)
    assert await evm.watcher.look() == 0
    await stage.mine(1)
    assert await evm.watcher.look() == 1


async def test_a_node_of_another_chain_is_refused_at_the_start(stage: ChainStage) -> None:
    stage.more["chain_id"] = 137
    with pytest.raises(EnvironmentProblem, match="serves chain 1338"):
        await stage.open()


async def test_a_pinned_address_never_changes_without_a_persons_word(stage: ChainStage) -> None:
    """evm invariant 6."""
    other = "0x" + "cd" * 20
    await stage.open()
    with pytest.raises(EnvironmentProblem, match="is pinned to"):
        await stage.open(other)
    ports = EvmPorts(session=stage.session, transactions=stage.database, clock=stage.clock)
    token = usdt_of(stage.chain.ready["contracts"]["usdt"])[0]
    pins = AddressAllowlist(PgPinStore(), 1338, ports)
    with pytest.raises(PreconditionError):
        await pins.change(token, other, stage.mixin, "ann")
    await pins.change(token, stage.mixin, other, "ann")
    evm = await stage.open(other)
    await stage.give("USDT", "3")
    assert isinstance(await evm.payer.send(asked(stage)), SendRefused)


async def test_tokens_are_sent_on_once_and_told_when_a_final_block_holds_them(
    stage: ChainStage,
) -> None:
    """evm invariant 5; failures 3.4.4."""
    evm = await stage.open()
    await stage.give("USDT", "3")
    poor = await evm.payer.send(asked(stage))
    assert isinstance(poor, SendPostponed)
    assert poor.needs_person
    assert "for gas" in poor.reason
    await stage.give("ETH", "1")
    request = asked(stage)
    assert await evm.payer.find(request, 0) == SendAbsent()
    accepted = await evm.payer.send(request)
    assert isinstance(accepted, SendAccepted)
    assert await (await stage.open()).payer.send(request) == accepted
    await stage.until_paid(2_500_000)
    assert isinstance(await evm.payer.find(request, 0), SendUnderWay)
    await stage.mine()
    done = await (await stage.open()).payer.find(request, 0)
    assert isinstance(done, SendCompleted)
    assert (done.units, done.fee_units) == (250_000_000, 0)
    assert done.other_fee is not None
    assert done.other_fee.asset == "ETH"
    spent = 10**18 - await stage.balance("ETH")
    assert done.other_fee.units == spent
    assert await evm.payer.find(request, 0) == done
    await stage.until_paid(2_500_000)
    with pytest.raises(InvariantBroken, match="signed"):
        await evm.payer.send(asked(stage, 100_000_000))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"units": 250_000_001}, "decimals"),
        ({"units": 0}, "more than nothing"),
        ({"address": "0x" + "cd" * 20}, "not pinned"),
        ({"address": "mixin"}, "no address"),
        ({"network": "POLYGON"}, "network"),
        ({"tag": "memo"}, "tag"),
        ({"asset": "HMT"}, "HMT is not"),
        ({"units": 10**15}, "refuses the transfer"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_nothing_is_signed(
    stage: ChainStage, changes: dict[str, Any], why: str
) -> None:
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "3")
    answer = await evm.payer.send(asked(stage, **changes))
    assert isinstance(answer, SendRefused)
    assert why in answer.reason
    assert await evm.payer.find(asked(stage, **changes), 0) == SendAbsent()


async def test_a_broadcast_without_an_answer_goes_out_again_with_the_same_bytes(
    stage: ChainStage,
) -> None:
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "3")
    fault = {"endpoint": "eth_sendRawTransaction", "effect": "reset", "when": "before"}
    await stage.chain.admin("POST", "/faults", {**fault, "count": 1})
    assert isinstance(await evm.payer.send(asked(stage)), SendAccepted)
    assert await stage.balance("USDT", stage.mixin) == 0
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    await stage.until_paid(2_500_000)
    await stage.chain.admin("POST", "/reorg", {"depth": 1})
    assert await stage.balance("USDT", stage.mixin) == 0
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    await stage.mine()
    assert isinstance(await evm.payer.find(asked(stage), 0), SendCompleted)
    await stage.until_paid(2_500_000)


class Door:
    is_open = False

    async def may_send(self, tx: Tx) -> bool:
        return self.is_open


async def test_what_is_signed_stays_where_it_is_while_outgoing_money_is_frozen(
    stage: ChainStage,
) -> None:
    door = Door()
    stage.gate = door
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "3")
    lost = {"endpoint": "eth_sendRawTransaction", "effect": "reset", "when": "before", "count": 1}
    await stage.chain.admin("POST", "/faults", lost)
    await evm.payer.send(asked(stage))
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    await stage.mine()
    assert await stage.balance("USDT", stage.mixin) == 0
    door.is_open = True
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    await stage.until_paid(2_500_000)


async def test_what_is_stuck_is_replaced_under_its_nonce_for_more_gas_and_pays_once(
    stage: ChainStage,
) -> None:
    clock = ManualClock()
    stage.clock = clock
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "6")
    lost = {"endpoint": "eth_sendRawTransaction", "effect": "reset", "when": "before", "count": 2}
    await stage.chain.admin("POST", "/faults", lost)
    first = await evm.payer.send(asked(stage))
    clock.advance(10 * MINUTE_US)
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    async with stage.database.transaction() as connection:
        rows = await connection.fetch("SELECT * FROM evm.attempt ORDER BY number")
    assert [row["number"] for row in rows] == [1, 2]
    assert rows[1]["max_fee_wei"] * 100 > rows[0]["max_fee_wei"] * 112
    await stage.mine()
    done = await evm.payer.find(asked(stage), 0)
    assert isinstance(done, SendCompleted)
    assert done.transaction_id == rows[1]["tx_hash"]
    assert isinstance(first, SendAccepted)
    assert done.provider_id == first.provider_id
    second = asked(stage, reference="b" * 32)
    assert isinstance(await evm.payer.send(second), SendAccepted)
    await stage.until_paid(5_000_000)


# ------------------------------------------------------- found 15: another program uses the wallet


async def _use_nonce(stage: ChainStage, nonce: int) -> None:
    """Another program with the same key sends nothing to itself."""
    fields = {
        "type": 2, "chainId": 1338, "nonce": nonce, "to": stage.wallet, "value": 0, "gas": 21_000,
        "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**10,
    }  # fmt: skip
    raw = Account.from_key(stage.key).sign_transaction(fields).raw_transaction
    rpc = Rpc(stage.session, stage.chain.ready["rpc"])
    await rpc.call("eth_sendRawTransaction", "0x" + bytes(raw).hex())


async def test_found_15_nonces_that_another_program_used_stop_no_payment_restart_included(
    stage: ChainStage,
) -> None:
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "20")
    for number, used in enumerate(((), (1, 2), (), (5,))):
        if used:
            for nonce in used:
                await _use_nonce(stage, nonce)
            await stage.mine()
            evm = await stage.open()
        request = asked(stage, reference=f"{number:032x}")
        assert isinstance(await evm.payer.send(request), SendAccepted)
        await stage.until_paid((number + 1) * 2_500_000)
    await stage.mine()
    for number in range(4):
        done = await evm.payer.find(asked(stage, reference=f"{number:032x}"), 0)
        assert isinstance(done, SendCompleted)
    incidents = [one for one in await evm.payer.attention() if one.kind == "nonce_used_elsewhere"]
    assert [one.evidence["note"].split()[0] for one in incidents] == ["1", "2"]
    assert [one.remedies[0].action for one in incidents] == ["close", "close"]


async def test_found_15_a_payment_whose_nonce_was_taken_is_signed_anew_and_others_go_on(
    stage: ChainStage,
) -> None:
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "6")
    lost = {"endpoint": "eth_sendRawTransaction", "effect": "reset", "when": "before", "count": 1}
    await stage.chain.admin("POST", "/faults", lost)
    first, second = asked(stage), asked(stage, reference="b" * 32)
    await evm.payer.send(first)
    await _use_nonce(stage, 0)
    await stage.mine()
    evm = await stage.open()
    assert isinstance(await evm.payer.find(first, 0), SendUnderWay)
    assert isinstance(await evm.payer.send(second), SendAccepted)
    await stage.until_paid(5_000_000)
    await stage.mine()
    done = [await (await stage.open()).payer.find(one, 0) for one in (first, second)]
    assert [type(one) for one in done] == [SendCompleted, SendCompleted]
    await stage.until_paid(5_000_000)
    (incident,) = [one for one in await evm.payer.attention() if one.kind == "nonce_used_elsewhere"]
    assert incident.evidence["note"].startswith("nonce 0 was used by 0x")


async def test_a_nonce_that_only_a_newer_block_has_used_is_not_left_out(stage: ChainStage) -> None:
    """That block may vanish. Once it is final the payment goes out under the next nonce."""
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "3")
    await _use_nonce(stage, 0)
    accepted = await evm.payer.send(asked(stage))
    assert isinstance(accepted, SendAccepted)
    assert accepted.provider_id.endswith("/0")
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    await stage.mine()
    under_way = await evm.payer.find(asked(stage), 0)
    assert isinstance(under_way, SendUnderWay)
    assert under_way.provider_id.endswith("/1")
    await stage.until_paid(2_500_000)
    await stage.mine()
    assert isinstance(await evm.payer.find(asked(stage), 0), SendCompleted)


async def test_what_was_signed_is_followed_after_its_address_was_pinned_anew(
    stage: ChainStage,
) -> None:
    """It may be on its way: absent would mean that it can be paid again, to the new address."""
    evm = await stage.open()
    await stage.give("ETH", "1")
    await stage.give("USDT", "3")
    await evm.payer.send(asked(stage))
    await stage.until_paid(2_500_000)
    other = "0x" + "cd" * 20
    ports = EvmPorts(session=stage.session, transactions=stage.database, clock=stage.clock)
    pins = AddressAllowlist(PgPinStore(), 1338, ports)
    await pins.change(evm.tokens[0], stage.mixin, other, "ann")
    evm = await stage.open(other)
    assert isinstance(await evm.payer.find(asked(stage), 0), SendUnderWay)
    assert await evm.payer.act(asked(stage).reference, PaymentAction.RETRY) == "not_pinned"
    await stage.mine()
    assert isinstance(await evm.payer.find(asked(stage), 0), SendCompleted)


# ------------------------------------------------------ found 16: pools that want more of a tip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dear_chain() -> AsyncIterator[RunningWorld]:
    """A chain whose pools take no tip below 25 gwei, as Polygon's, and whose node advises less."""
    async with running_world("chain", "--block-ms", "0", "--tip-min-gwei", "25") as world:
        yield world


@pytest.fixture
async def dear(dear_chain: RunningWorld, database: Database) -> AsyncIterator[ChainStage]:
    async with on_stage(dear_chain, database) as found:
        await found.mine(130)
        await found.give("ETH", "1")
        await found.give("USDT", "6")
        yield found


async def _attempts(stage: ChainStage) -> list[Any]:
    async with stage.database.transaction() as connection:
        return list(await connection.fetch("SELECT * FROM evm.attempt ORDER BY number"))


async def test_found_16_the_tip_that_a_refusal_demands_is_bid_at_once_and_once(
    dear: ChainStage,
) -> None:
    evm = await dear.open()
    assert isinstance(await evm.payer.send(asked(dear)), SendAccepted)
    (first,) = await _attempts(dear)
    assert "minimum needed 25000000000" in first["refusal"]
    assert first["tip_wei"] < 25 * GWEI
    await evm.payer.find(asked(dear), 0)
    await dear.until_paid(2_500_000)
    rows = await _attempts(dear)
    assert [row["tip_wei"] for row in rows[1:]] == [25 * GWEI]
    await dear.mine()
    assert isinstance(await evm.payer.find(asked(dear), 0), SendCompleted)
    assert await evm.payer.attention() == []


async def test_found_16_a_minimum_tip_that_is_set_is_bid_from_the_first(dear: ChainStage) -> None:
    dear.more["tip_min_gwei"] = 26
    evm = await dear.open()
    await evm.payer.send(asked(dear))
    await dear.until_paid(2_500_000)
    (only,) = await _attempts(dear)
    assert (only["tip_wei"], only["refusal"]) == (26 * GWEI, "")


async def test_found_16_what_no_pool_took_is_not_raised_and_has_a_way_out(dear: ChainStage) -> None:
    clock = ManualClock()
    dear.clock, dear.more["gas_price_max_gwei"] = clock, 20
    evm = await dear.open()
    await evm.payer.send(asked(dear))
    for _ in range(5):
        clock.advance(10 * MINUTE_US)
        assert isinstance(await evm.payer.find(asked(dear), 0), SendUnderWay)
    assert len(await _attempts(dear)) == 1
    (item,) = await evm.payer.attention()
    assert item.kind == "payment_refused"
    assert "minimum needed" in item.evidence["refusal"]
    assert [one.action for one in item.remedies] == ["retry", "cancel"]
    reference = item.subject
    assert await evm.payer.act(reference, PaymentAction.CANCEL) == "gas_at_its_cap"
    assert await evm.payer.act("f" * 32, PaymentAction.RETRY) == "unknown_payment"
    dear.more["gas_price_max_gwei"] = 500
    evm = await dear.open()
    assert await evm.payer.act(reference, PaymentAction.CANCEL) == ""
    rows = await _attempts(dear)
    assert [row["cancels"] for row in rows] == [False, True]
    assert rows[1]["tip_wei"] == 25 * GWEI
    await dear.mine()
    failed = await evm.payer.find(asked(dear), 0)
    assert isinstance(failed, SendFailed)
    assert failed.other_fee is not None
    assert failed.other_fee.units == 10**18 - await dear.balance("ETH")
    assert await dear.balance("USDT", dear.mixin) == 0
    assert await evm.payer.attention() == []
    again = asked(dear, reference="b" * 32)
    await evm.payer.send(again)
    await evm.payer.find(again, 0)
    await dear.until_paid(2_500_000)


async def test_found_16_a_payment_is_retried_by_a_person_once_there_is_room(
    dear: ChainStage,
) -> None:
    dear.more["gas_price_max_gwei"] = 20
    evm = await dear.open()
    await evm.payer.send(asked(dear))
    dear.more["gas_price_max_gwei"] = 500
    evm = await dear.open()
    assert await evm.payer.act(asked(dear).reference, PaymentAction.RETRY) == ""
    await dear.until_paid(2_500_000)
