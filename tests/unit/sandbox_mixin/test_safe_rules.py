"""Transactions: the kernel's rules, idempotent request ids, and nothing made or lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.amounts import UNIT
from poolmaker.mixin.codec.ids import fee_request_id, ghost_hint
from poolmaker.mixin.codec.keys import seed_scalar
from tests.support.mixin import (
    ADDRESS,
    CASHIER,
    ETHER,
    ETHER_USDT,
    USDT,
    LocalMixin,
    Part,
    fresh_id,
    local_mixin,
)


@pytest.fixture
async def mixin() -> AsyncIterator[LocalMixin]:
    async with local_mixin() as found:
        await found.fund("10")
        await found.fund("5")
        yield found
        assert (await found.admin("GET", "/invariants"))["violations"] == []


def alice(mixin: LocalMixin) -> str:
    return mixin.users[0]["app_id"]


def code_of(said: object) -> int:
    assert isinstance(said, dict), said
    return int(said["error"]["code"])


async def test_value_moves_to_its_receiver_and_the_change_comes_back(mixin: LocalMixin) -> None:
    part = await mixin.part([(alice(mixin), "4"), (mixin.users[1]["app_id"], "0.00000001")])
    (sent,) = await mixin.send(part)
    assert sent["state"] == "signed"
    assert sent["transaction_hash"] == codec.transaction_hash(part.tx).hex()
    assert await mixin.balance() == 11 * UNIT - 1
    found = await mixin.call("GET", f"/safe/transactions/{part.request_id}")
    assert (found["state"], found["raw_transaction"]) == ("spent", sent["raw_transaction"])
    by_hash = await mixin.call("GET", f"/safe/transactions/{sent['transaction_hash']}")
    assert by_hash["request_id"] == part.request_id


async def test_a_request_id_is_bound_to_its_first_transaction_for_ever(mixin: LocalMixin) -> None:
    """Sandbox Mixin invariant 3."""
    first = await mixin.part([(alice(mixin), "1")])
    (bound,) = await mixin.verify(first)
    other = replace(await mixin.part([(alice(mixin), "2")]), request_id=first.request_id)
    (again,) = await mixin.verify(other)
    assert again["transaction_hash"] == bound["transaction_hash"]
    assert again["raw_transaction"] == bound["raw_transaction"]
    forged = {"request_id": first.request_id, "raw": codec.encode_unsigned(other.tx).hex()}
    assert code_of(await mixin.call("POST", "/safe/transactions", [forged])) == 20125
    sent = await mixin.send(first)
    assert await mixin.send(first) == [{**sent[0], **_final(await mixin.verify(first))}]
    assert code_of(await mixin.verify(replace(first, request_id=fresh_id()))) == 20125


def _final(said: object) -> dict[str, object]:
    assert isinstance(said, list)
    found: dict[str, object] = said[0]
    return found


async def test_sums_must_be_equal(mixin: LocalMixin) -> None:
    part = await mixin.part([(alice(mixin), "1")])
    more = replace(part.tx.outputs[0], units=part.tx.outputs[0].units + 1)
    changed = replace(part.tx, outputs=(more, *part.tx.outputs[1:]))
    assert code_of(await mixin.verify(replace(part, tx=changed))) == 10002


async def test_outputs_of_others_cannot_be_spent(mixin: LocalMixin) -> None:
    theirs = await mixin.call("GET", f"/safe/outputs?asset={USDT}", store=mixin.users[0])
    unspent = [one for one in theirs if one["state"] == "unspent"]
    part = await mixin.part([(mixin.bot["app_id"], "1")], spent=unspent[:1])
    assert code_of(await mixin.verify(part)) == 10106


async def test_a_spent_output_is_gone(mixin: LocalMixin) -> None:
    """Sandbox Mixin invariant 2."""
    held = await mixin.unspent()
    first, second = [await mixin.part([(alice(mixin), "1")], spent=held) for _ in range(2)]
    late = await mixin.signed(second)
    await mixin.send(first)
    assert code_of(await mixin.call("POST", "/safe/transactions", late)) == 10106
    third = await mixin.part([(alice(mixin), "1")], spent=held)
    assert code_of(await mixin.verify(third)) == 10106


async def test_a_batch_is_taken_whole_or_not_at_all(mixin: LocalMixin) -> None:
    """Sandbox Mixin invariant 5."""
    one, two = await mixin.unspent()
    good = await mixin.part([(alice(mixin), "1")], spent=[one])
    same = await mixin.part([(alice(mixin), "2")], spent=[one])
    ready = await mixin.signed(good, same)
    assert code_of(await mixin.call("POST", "/safe/transactions", ready)) == 10105
    fine = await mixin.part([(alice(mixin), "1")], spent=[two])
    ready = await mixin.signed(good, fine)
    ready[1]["raw"] = ready[1]["raw"][:-2] + ("00" if ready[1]["raw"][-2:] != "00" else "01")
    assert code_of(await mixin.call("POST", "/safe/transactions", ready)) == 10002
    assert await mixin.balance() == 15 * UNIT


async def test_every_input_needs_its_owners_signature(mixin: LocalMixin) -> None:
    part = await mixin.part([(alice(mixin), "1")])
    (bound,) = await mixin.verify(part)
    views = list(map(bytes.fromhex, bound["views"]))
    wrong = codec.sign(part.tx, views, seed_scalar(bytes(32)))
    own = seed_scalar(bytes.fromhex(mixin.bot["spend_private_key"]))
    right = codec.sign(part.tx, views, own)
    for tx in (
        part.tx,
        wrong,
        replace(right, signatures=right.signatures[:1]),
        replace(right, signatures=right.signatures[::-1]),
    ):
        body = [{"request_id": part.request_id, "raw": codec.encode(tx).hex()}]
        assert code_of(await mixin.call("POST", "/safe/transactions", body)) == 10002
    assert await mixin.balance() == 15 * UNIT


async def test_one_time_keys_belong_to_one_place_of_one_transaction(mixin: LocalMixin) -> None:
    part = await mixin.part([(alice(mixin), "1")])
    swapped = replace(part.tx, outputs=part.tx.outputs[::-1])
    assert code_of(await mixin.verify(replace(part, tx=swapped))) == 10002
    await mixin.send(part)
    held = await mixin.unspent()
    again = await mixin.part([(alice(mixin), "1")], spent=held)
    first = replace(again.tx.outputs[0], keys=part.tx.outputs[0].keys, mask=part.tx.outputs[0].mask)
    reused = replace(again.tx, outputs=(first, *again.tx.outputs[1:]))
    assert code_of(await mixin.verify(Part(fresh_id(), reused, again.input_keys))) == 10002


async def test_a_hint_gives_the_same_keys_again_and_to_nobody_else(mixin: LocalMixin) -> None:
    hint = ghost_hint(fresh_id(), 0)
    first = await mixin.lock(alice(mixin), 0, hint)
    assert await mixin.lock(alice(mixin), 0, hint) == first
    assert await mixin.lock(alice(mixin), 1, hint) != first
    body = [{"receivers": [mixin.bot["app_id"]], "index": 0, "hint": hint}]
    assert code_of(await mixin.call("POST", "/safe/keys", body)) == 10002
    wrapped = {"keys": [{"receivers": [alice(mixin)], "index": 0, "hint": hint}], "senders": []}
    assert (await mixin.call("POST", "/safe/keys", wrapped))[0]["mask"] == first.mask.hex()


async def test_a_withdrawal_pays_its_fee_in_its_own_asset(mixin: LocalMixin) -> None:
    leaving = codec.withdraw_to(2 * UNIT, ADDRESS)
    cheap = await mixin.part([(CASHIER, "0.09999999")], leaving=leaving)
    assert code_of(await mixin.verify(cheap)) == 20124
    nowhere = codec.withdraw_to(2 * UNIT, "0x12")
    assert code_of(await mixin.verify(await mixin.part([(CASHIER, "1")], leaving=nowhere))) == 30102
    (sent,) = await mixin.send(await mixin.part([(CASHIER, "0.1")], leaving=leaving))
    assert sent["receivers"][0]["destination"] == ADDRESS
    assert await mixin.balance() == 15 * UNIT - 210_000_000


async def test_a_withdrawal_pays_its_fee_in_the_chains_asset(mixin: LocalMixin) -> None:
    await mixin.fund("20", ETHER_USDT)
    await mixin.fund("1", ETHER)
    leaving = codec.withdraw_to(7 * UNIT, ADDRESS)
    main = await mixin.part([], asset=ETHER_USDT, leaving=leaving)
    assert code_of(await mixin.verify(main)) == 20124
    name = codec.transaction_hash(main.tx)
    fee = await mixin.part([(CASHIER, "0.001")], asset=ETHER, references=(name,))
    ready = await mixin.signed(main, replace(fee, request_id=fee_request_id(main.request_id)))
    # Sent without its fee it does not leave.
    assert code_of(await mixin.call("POST", "/safe/transactions", ready[:1])) == 20124
    assert len(await mixin.call("POST", "/safe/transactions", ready)) == 2
    assert (await mixin.balance(ETHER_USDT), await mixin.balance(ETHER)) == (13 * UNIT, 99_900_000)


async def test_a_transaction_becomes_final_after_its_time() -> None:
    async with local_mixin(beats=True, finality_ms=300) as mixin:
        await mixin.admin("POST", "/pay", {"user": "1", "asset": USDT, "amount": "3"})
        while not await mixin.unspent():
            pass
        part = await mixin.part([(alice(mixin), "1")])
        (sent,) = await mixin.send(part)
        assert sent["state"] == "signed"
        assert (await mixin.admin("GET", "/invariants"))["violations"] == []
        while (await mixin.verify(part))[0]["state"] != "spent":
            assert (await mixin.admin("GET", "/invariants"))["violations"] == []
        assert await mixin.balance() == 2 * UNIT
        assert (await mixin.admin("GET", "/invariants"))["violations"] == []
