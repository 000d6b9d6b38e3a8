"""What people and other chains do, what goes wrong on demand, and what Blaze tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.amounts import UNIT
from poolmaker.mixin.codec.links import PaymentLink, payment_link
from poolmaker.mixin.codec.memos import DepositAction, DepositMemo, read_deposit_memo
from tests.support.mixin import (
    ADDRESS,
    CASHIER,
    POLYGON,
    USDT,
    LocalMixin,
    fresh_id,
    local_mixin,
)


@pytest.fixture
async def mixin() -> AsyncIterator[LocalMixin]:
    async with local_mixin() as found:
        yield found
        assert (await found.admin("GET", "/invariants"))["violations"] == []


async def _address(mixin: LocalMixin) -> str:
    body = {"members": [mixin.bot["app_id"]], "threshold": 1, "chain_id": POLYGON}
    (entry,) = await mixin.call("POST", "/safe/deposit/entries", body)
    assert await mixin.call("POST", "/safe/deposit/entries", {"chain_id": POLYGON}) == [entry]
    address: str = entry["destination"]
    return address


async def test_a_deposit_counts_once_per_transaction_and_index(mixin: LocalMixin) -> None:
    """Sandbox Mixin invariant 4."""
    order = {"asset": USDT, "amount": "50", "destination": await _address(mixin), "tx_id": "0xa"}
    assert (await mixin.admin("POST", "/deposit", order))["repeated"] is False
    assert (await mixin.admin("POST", "/deposit", order))["repeated"] is True
    assert await mixin.balance() == 50 * UNIT
    assert "error" in await mixin.admin("POST", "/deposit", {**order, "amount": "51"})
    await mixin.admin("POST", "/deposit", {**order, "index": 1})
    assert await mixin.balance() == 100 * UNIT
    (first, _) = await mixin.unspent()
    assert first["senders"] == []
    assert first["deposit"]["deposit_hash"] == "0xa"
    told = await mixin.call("GET", f"/safe/snapshots?asset={USDT}&order=ASC")
    assert [one["deposit"]["deposit_index"] for one in told] == [0, 1]
    assert [one["opponent_id"] for one in told] == ["", ""]


async def test_a_deposit_waits_for_its_confirmations(mixin: LocalMixin) -> None:
    address = await _address(mixin)
    order = {"asset": USDT, "amount": "50", "destination": address, "tx_id": "0xa"}
    for count in (1, 5, 3):
        await mixin.admin("POST", "/deposit", {**order, "confirmations": count})
    uri = f"/safe/deposits?asset={USDT}&destination={address}"
    (pending,) = await mixin.call("GET", uri)
    assert (pending["confirmations"], pending["state"]) == (5, "pending")
    assert await mixin.balance() == 0
    await mixin.admin("POST", "/deposit", {**order, "confirmations": pending["threshold"]})
    assert await mixin.call("GET", uri) == []
    assert await mixin.balance() == 50 * UNIT


async def test_a_deposit_to_nobodys_address_is_refused(mixin: LocalMixin) -> None:
    order = {"asset": USDT, "amount": "50", "destination": ADDRESS, "tx_id": "0xa"}
    assert "error" in await mixin.admin("POST", "/deposit", order)
    address = await _address(mixin)
    other_chain = {**order, "destination": address, "asset": "c6d0c728-2624-429b-8e0d-d9d19b6592fa"}
    assert "error" in await mixin.admin("POST", "/deposit", other_chain)


async def test_anybodys_contract_can_be_deposited(mixin: LocalMixin) -> None:
    token = {"chain_id": POLYGON, "symbol": "FAKE", "asset_key": "0x" + "Ab" * 20}
    listed = await mixin.admin("POST", "/assets", token)
    assert await mixin.admin("POST", "/assets", token) == listed
    order = {"asset": listed["asset_id"], "amount": "1", "user": "0", "tx_id": "0xf"}
    await mixin.admin("POST", "/deposit", order)
    assert await mixin.balance(listed["asset_id"]) == UNIT
    assert (await mixin.call("GET", f"/safe/assets/{listed['asset_id']}"))["symbol"] == "FAKE"


def _link(mixin: LocalMixin, memo: str, trace: str) -> str:
    return payment_link(
        PaymentLink(
            recipient=mixin.bot["app_id"], asset_id=USDT, units=3 * UNIT, trace=trace, memo=memo
        )
    )  # fmt: skip


async def test_a_link_is_paid_once_and_its_trace_and_memo_arrive(mixin: LocalMixin) -> None:
    memo, trace = DepositMemo(DepositAction.LEG, bytes(range(16))), fresh_id()
    order = {"user": mixin.users[1]["app_id"], "link": _link(mixin, str(memo), trace)}
    await mixin.admin("POST", "/pay", order)
    assert "error" in await mixin.admin("POST", "/pay", order)
    (held,) = await mixin.unspent()
    assert held["request_id"] == trace
    assert held["senders"] == [mixin.users[1]["app_id"]]
    assert read_deposit_memo(held["extra"]) == memo
    (told,) = await mixin.call("GET", f"/safe/snapshots?asset={USDT}")
    assert (told["amount"], told["memo"], told["request_id"]) == ("3", held["extra"], trace)
    assert (told["opponent_id"], "deposit" in told) == (mixin.users[1]["app_id"], False)


async def test_users_pay_by_link_and_by_memo_and_each_payment_tells_whose_it_is(
    mixin: LocalMixin,
) -> None:
    """Ours, broken by one letter, a stranger's text, bytes that are no text, and none at all."""
    ours = DepositMemo(DepositAction.TOP_UP, bytes(range(16)))
    broken = str(ours)[:-1] + ("2" if str(ours)[-1] == "1" else "1")
    by_link = {number: fresh_id() for number in (1, 2, 3)}
    texts = (str(ours), broken, "做市 & 100% +1?#")
    for (number, trace), memo in zip(by_link.items(), texts, strict=True):
        link = {"user": str(number), "link": _link(mixin, memo, trace)}
        assert (await mixin.admin("POST", "/pay", link))["state"] == "spent"
    taken = {"user": "2", "link": _link(mixin, str(ours), by_link[1])}
    assert "paid already" in (await mixin.admin("POST", "/pay", taken))["error"]
    said: list[dict[str, str]] = [{"memo": str(ours)}, {"memo_hex": "fffe00"}, {}]
    for number, memos_of_one in enumerate(said, start=1):
        order = {"user": str(number), "asset": USDT, "amount": "1.5", **memos_of_one}
        assert (await mixin.admin("POST", "/pay", order))["state"] == "spent"
    held = await mixin.unspent()
    assert [one["request_id"] for one in held[:3]] == list(by_link.values())
    assert [one["senders"] for one in held] == [[mixin.users[n]["app_id"]] for n in (0, 1, 2) * 2]
    memos = [read_deposit_memo(one["extra"]) for one in held]
    assert memos == [ours, None, None, ours, None, None]
    assert bytes.fromhex(held[2]["extra"]).decode() == "做市 & 100% +1?#"
    assert [one["extra"] for one in held[4:]] == ["fffe00", ""]
    assert (await mixin.admin("GET", "/invariants"))["ok"] is True


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://mixin.one/pay/", "https://mixin.example/pay/"),
        ("amount=3", "amount=0"),
        ("amount=3", "amount=3.000000001"),
        ("amount=3", "amount=3&amount=4"),
        (f"asset={USDT}", f"asset={CASHIER}"),
        ("trace=", "trace=x"),
        ("memo=m", "memo=" + "m" * 257),
        ("memo=m", "memo=%FF"),
        ("memo=m", "unknown=m"),
    ],
)
async def test_a_link_that_cannot_be_paid_is_refused_and_pays_nothing(
    mixin: LocalMixin, old: str, new: str
) -> None:
    link = _link(mixin, "m", fresh_id())
    assert old in link
    answered = await mixin.admin("POST", "/pay", {"user": "1", "link": link.replace(old, new)})
    assert "error" in answered
    assert await mixin.unspent() == []


async def test_a_link_to_somebody_without_a_safe_is_refused(mixin: LocalMixin) -> None:
    link = _link(mixin, "m", fresh_id()).replace(mixin.bot["app_id"], fresh_id())
    answered = await mixin.admin("POST", "/pay", {"user": "1", "link": link})
    assert answered["error"]["code"] == 10404


async def test_nobody_pays_more_than_he_has(mixin: LocalMixin) -> None:
    order = {"user": "1", "asset": USDT, "amount": "100000.00000001"}
    assert "cannot pay" in (await mixin.admin("POST", "/pay", order))["error"]
    assert "error" in await mixin.admin("POST", "/pay", {**order, "amount": "1.000000001"})


async def test_a_withdrawal_leaves_once_under_one_transaction_id(mixin: LocalMixin) -> None:
    """Sandbox Mixin invariant 4."""
    await mixin.fund("10")
    leaving = codec.withdraw_to(2 * UNIT, ADDRESS)
    part = await mixin.part([(CASHIER, "0.1")], leaving=leaving)
    await mixin.send(part)
    (waiting,) = (await mixin.admin("GET", "/withdrawals?state=pending"))["withdrawals"]
    assert (waiting["amount"], waiting["destination"], waiting["tx_id"]) == ("2", ADDRESS, "")
    path = f"/withdrawals/{waiting['id']}/complete"
    for _ in range(2):
        assert (await mixin.admin("POST", path, {"tx_id": "0xbb"}))["state"] == "completed"
    assert "error" in await mixin.admin("POST", path, {"tx_id": "0xcc"})
    assert (await mixin.admin("GET", "/withdrawals?state=pending"))["withdrawals"] == []
    found = await mixin.call("GET", f"/safe/transactions/{part.request_id}")
    assert found["receivers"][0]["withdrawal_hash"] == "0xbb"
    told = await mixin.call("GET", f"/safe/snapshots?asset={USDT}&order=ASC")
    assert [one["amount"] for one in told] == ["10", "-2", "-0.1"]
    assert told[1]["withdrawal"] == {"withdrawal_hash": "0xbb", "receiver": ADDRESS}


async def test_a_user_withdraws_to_another_persons_deposit_address(mixin: LocalMixin) -> None:
    """One transaction id on both sides."""
    address = await _address(mixin)
    order = {"user": "1", "asset": USDT, "amount": "7", "destination": address}
    await mixin.admin("POST", "/withdraw", order)
    (leaving,) = (await mixin.admin("GET", "/withdrawals"))["withdrawals"]
    await mixin.admin("POST", f"/withdrawals/{leaving['id']}/complete", {"tx_id": "0xdd"})
    arrived = {
        "asset": leaving["asset_id"], "amount": leaving["amount"],
        "destination": leaving["destination"], "tx_id": "0xdd",
    }  # fmt: skip
    await mixin.admin("POST", "/deposit", arrived)
    (held,) = await mixin.unspent()
    assert (held["amount"], held["deposit"]["deposit_hash"]) == ("7", "0xdd")


async def test_fees_change_from_one_moment_to_the_next(mixin: LocalMixin) -> None:
    await mixin.fund("10")
    leaving = codec.withdraw_to(2 * UNIT, ADDRESS)
    part = await mixin.part([(CASHIER, "0.1")], leaving=leaving)
    ready = await mixin.signed(part)
    await mixin.admin("POST", "/fees", {"asset": USDT, "fee_asset": USDT, "amount": "0.2"})
    said = await mixin.call("POST", "/safe/transactions", ready)
    assert said["error"]["code"] == 20124


async def test_outputs_are_walked_by_their_sequence(mixin: LocalMixin) -> None:
    for _ in range(7):
        await mixin.fund("1")
    seen: list[int] = []
    offset = 0
    while True:
        uri = f"/safe/outputs?asset={USDT}&limit=3&order=ASC&offset={offset}"
        page = await mixin.call("GET", uri)
        fresh = [one["sequence"] for one in page if one["sequence"] not in seen]
        if not fresh:
            break
        seen += fresh
        offset = seen[-1]
    assert len(seen) == 7
    assert seen == sorted(seen)
    back = await mixin.call("GET", f"/safe/outputs?asset={USDT}&order=DESC")
    assert [one["sequence"] for one in back] == seen[::-1]


async def test_snapshots_are_walked_by_time_in_both_directions(mixin: LocalMixin) -> None:
    for _ in range(3):
        await mixin.fund("1")
    forwards = await mixin.call("GET", "/safe/snapshots?order=ASC")
    assert await mixin.call("GET", "/safe/snapshots") == forwards[::-1]
    uri = f"/safe/snapshots?offset={forwards[1]['created_at']}"
    assert await mixin.call("GET", uri) == forwards[1:]
    assert await mixin.call("GET", f"{uri}&order=DESC") == forwards[1::-1]
    one = forwards[0]["snapshot_id"]
    assert await mixin.call("GET", f"/safe/snapshots/{one}") == forwards[0]
    theirs = await mixin.call("GET", f"/safe/snapshots/{one}", store=mixin.users[2])
    assert theirs["error"]["code"] == 404


# Faults


async def test_an_error_after_the_commit_hides_what_was_done(mixin: LocalMixin) -> None:
    await mixin.fund("10")
    part = await mixin.part([(mixin.users[0]["app_id"], "1")])
    ready = await mixin.signed(part)
    fault = {"endpoint": "POST /safe/transactions", "effect": "error", "when": "after"}
    await mixin.admin("POST", "/faults", fault)
    said = await mixin.call("POST", "/safe/transactions", ready)
    assert said["error"]["code"] == 500
    assert (await mixin.call("GET", f"/safe/transactions/{part.request_id}"))["state"] == "spent"
    assert (await mixin.call("POST", "/safe/transactions", ready))[0]["state"] == "spent"
    assert await mixin.balance() == 9 * UNIT


async def test_an_error_before_the_commit_leaves_nothing(mixin: LocalMixin) -> None:
    await mixin.fund("10")
    part = await mixin.part([(mixin.users[0]["app_id"], "1")])
    ready = await mixin.signed(part)
    fault = {"endpoint": "POST /safe/transactions", "effect": "error", "when": "before"}
    await mixin.admin("POST", "/faults", fault)
    await mixin.call("POST", "/safe/transactions", ready)
    assert (await mixin.call("GET", f"/safe/transactions/{part.request_id}"))["state"] == "unspent"
    assert await mixin.balance() == 10 * UNIT
    assert len(await mixin.call("POST", "/safe/transactions", ready)) == 1


@pytest.mark.parametrize("effect", ["reset", "drop"])
@pytest.mark.parametrize(("when", "state"), [("before", "unspent"), ("after", "spent")])
async def test_a_broken_connection_says_nothing_of_what_was_done(
    mixin: LocalMixin, effect: str, when: str, state: str
) -> None:
    await mixin.fund("10")
    part = await mixin.part([(mixin.users[0]["app_id"], "1")])
    ready = await mixin.signed(part)
    fault = {"endpoint": "POST /safe/transactions", "effect": effect, "when": when}
    await mixin.admin("POST", "/faults", fault)
    with pytest.raises(aiohttp.ClientError):
        await mixin.call("POST", "/safe/transactions", ready)
    assert (await mixin.call("GET", f"/safe/transactions/{part.request_id}"))["state"] == state


async def test_a_fault_can_be_for_one_person_and_be_taken_back(mixin: LocalMixin) -> None:
    fault = {"endpoint": "GET /me", "effect": "error", "account": 1, "count": 5, "code": 7000}
    await mixin.admin("POST", "/faults", fault)
    assert "user_id" in await mixin.call("GET", "/me")
    said = await mixin.call("GET", "/me", store=mixin.users[0])
    assert said["error"]["code"] == 7000
    await mixin.admin("DELETE", "/faults")
    assert "user_id" in await mixin.call("GET", "/me", store=mixin.users[0])


async def test_a_front_proxy_may_answer_without_json(mixin: LocalMixin) -> None:
    await mixin.admin("POST", "/faults", {"endpoint": "GET /network/assets/{id}", "effect": "html"})
    url = f"{mixin.addresses.api}/network/assets/{USDT}"
    async with mixin.session.get(url) as answer:
        assert answer.status == 502
        assert answer.content_type == "text/html"


# Messages


def _text(message: dict[str, Any]) -> str:
    return f"{message['data']['category']}:{message['data']['message_id']}"


async def test_a_message_comes_again_until_it_is_acknowledged(mixin: LocalMixin) -> None:
    order = {"user": "1", "text": "hello"}
    message_id = (await mixin.admin("POST", "/messages", order))["message_id"]
    for _ in range(2):
        async with mixin.blaze() as blaze:
            assert _text(await blaze.frame()) == f"PLAIN_TEXT:{message_id}"
    async with mixin.blaze() as blaze:
        await blaze.frame()
        await blaze.send("ACKNOWLEDGE_MESSAGE_RECEIPT", message_id=message_id, status="READ")
        assert (await blaze.frame())["action"] == "ACKNOWLEDGE_MESSAGE_RECEIPT"
    assert (await mixin.admin("GET", "/messages/0"))["messages"] == []


async def test_acknowledgements_go_over_http_as_well(mixin: LocalMixin) -> None:
    ids = [
        (await mixin.admin("POST", "/messages", {"user": "1", "text": "x"}))["message_id"]
        for _ in range(3)
    ]
    body = [{"message_id": one, "status": "READ"} for one in ids[:2]]
    await mixin.call("POST", "/acknowledgements", body)
    left = (await mixin.admin("GET", "/messages/0"))["messages"]
    assert [one["message_id"] for one in left] == ids[2:]


async def test_payments_announce_themselves_and_notices_can_be_lost_or_doubled(
    mixin: LocalMixin,
) -> None:
    notice = "event:SYSTEM_SAFE_SNAPSHOT"
    async with mixin.blaze() as blaze:
        await mixin.admin("POST", "/faults", {"endpoint": notice, "effect": "drop"})
        await mixin.fund("1")
        await mixin.admin("POST", "/faults", {"endpoint": notice, "effect": "duplicate"})
        await mixin.fund("2")
        first, second = await blaze.frame(), await blaze.frame()
        assert _text(first) == _text(second)
    assert len((await mixin.admin("GET", "/messages/0"))["messages"]) == 2


async def test_the_same_message_twice_is_one_message(mixin: LocalMixin) -> None:
    async with mixin.blaze(mixin.users[1]) as blaze:
        body = {
            "message_id": fresh_id(), "recipient_id": mixin.users[1]["app_id"],
            "conversation_id": "", "category": "PLAIN_TEXT", "data_base64": "aGk",
        }  # fmt: skip
        assert (await mixin.call("POST", "/messages", [body]))["error"]["code"] == 10002
        conversation = {
            "category": "CONTACT",
            "participants": [{"user_id": mixin.users[1]["app_id"]}],
            "conversation_id": (await mixin.admin("POST", "/messages", {"user": "2", "text": "a"}))[
                "conversation_id"
            ],
        }
        name = (await mixin.call("POST", "/conversations", conversation))["conversation_id"]
        for _ in range(2):
            await mixin.call("POST", "/messages", [{**body, "conversation_id": name}])
        frame = await blaze.frame()
        while frame["data"].get("category") == "SYSTEM_SAFE_SNAPSHOT":  # his first wallet
            frame = await blaze.frame()
        assert frame["data"]["data"] == "aGk="
        with pytest.raises(TimeoutError):
            await blaze.frame(0.2)


async def test_blaze_lets_nobody_in_without_a_token(mixin: LocalMixin) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await mixin.session.ws_connect(mixin.addresses.blaze)
    assert refused.value.status == 401


async def test_what_is_no_frame_ends_the_connection(mixin: LocalMixin) -> None:
    async with mixin.blaze() as blaze:
        await blaze.socket.send_bytes(b"not gzip")
        async with asyncio.timeout(10):
            message = await blaze.socket.receive()
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_calls_are_on_record(mixin: LocalMixin) -> None:
    await mixin.call("GET", "/me")
    (call,) = (await mixin.admin("GET", "/log"))["calls"]
    assert (call["method"], call["path"], call["code"]) == ("GET", "/me", 0)
    assert (await mixin.admin("DELETE", "/log"))["forgotten"] == 1
