"""Mixin's official Node SDK, unmodified but for its base address, against the sandbox."""

from __future__ import annotations

import json

import pytest

from tests.outside.mixin_support import running_mixin, sdk_program
from tests.support.node import find_node, run
from tests.vectors import mixin

ADDRESS = "0x86fa049857e0209aa7d9e616f7eb3b3b78ecfdb0"
ACCOUNT = {"me": True, "has_safe": True, "users": [True], "bad_key": 401}
MONEY_IN = {
    "pending": [["0xaa", "50", 1]],
    "before": "0",
    "deposited": "50",
    "deposit_hash": ["0xaa"],
    "link": ["12.5", True, "order-1"],
    "paid_twice": True,
    "sequence": True,
}
TRANSFER = {
    "transfer": ["unspent", "signed"],
    "same_hash": True,
    "same_raw": True,
    "spent": "spent",
    "after_transfer": "61.25",
    "unknown": 404,
    "again": True,
    "bound": True,
    "spent_twice": 20125,
    "forged": 10002,
    "after_forgery": "61.25",
    "batch": [6, 6, "59.75"],
    "widest": [256, "57.2"],
}
MONEY_OUT = {
    "fee_too_small": 20124,
    "withdrawn": ["0.1", ADDRESS, "", "55.1"],
    "fee_alone": 20124,
    "withdrawn_with_chain_fee": [2, "13", "0.999"],
    "on_chain": [["2", ADDRESS], ["7", ADDRESS]],
    "withdrawal_hash": "0xb0",
    "told": [["-2", "0xb0"]],
}
LOGIN = {
    "wrong_verifier": 10002,
    "scope": "PROFILE:READ ASSETS:READ",
    "bearer": True,
    "secret": "PROFILE:READ ASSETS:READ",
    "granted": True,
    "beyond_scope": 403,
    "code_twice": 20121,
}
MESSAGES = {
    "said": ["做市 ✓"],
    "buttons": 1,
    "heard_before": True,
    "heard_live": True,
    "heard_payment": True,
    "unacknowledged": 0,
}

ADDRESSES = {
    "entry": ["deposit_entry", True, True, 1],
    "group": [True, True, 2],
    "strangers": 403,
    "no_chain": 10002,
}
OUTPUTS = {
    "three": [["1", "unspent", "0x0"], ["2", "unspent", "0x1"], ["3.5", "unspent", "0x2"]],
    "inputs": [3, "signed", True],
    "by_hash": True,
    "states": [["0.5"], [], ["1", "2", "3.5"]],
    "bad_state": 10002,
    "from": [True, True],
    "pages": 2,
    "mine": True,
    "fetched": [["2", "spent"]],
    "others": 403,
    "spent_again": 10106,
    "shared": [["0.25", 2, 2]],
    "shared_by_alice": [True],
    "shared_by_ben": 0,
    "receivers": [[2, 2], [1, 1]],
    "to_xin": ["signed", [], 1],
    "memo_max": 512,
    "memo_over": 10002,
}
SNAPSHOTS = {
    "told": [
        ["-0.0001", True],
        ["-0.1", False],
        ["-0.25", False],
        ["-6", True],
        ["3.5", False],
        ["2", False],
        ["1", False],
    ],
    "one": True,
    "no_snapshot": 404,
    "of_alice": ["-0.0001", "-6"],
    "of_btc": 0,
    "since": [True, True],
    "of_app": [True, 0],
}
NAMES = {
    "assets": [True, "USDT", ["BTC"], 404],
    "fees": [
        ["withdrawal_fee", "218bc6f4-7927-3f8e-8568-3a3725b74361", "0.1"],
        ["withdrawal_fee", "b7938396-3f94-4e0a-9179-d3440718156f", "0.02"],
    ],
    "bad_fee": 30102,
    "network_asset": "BTC",
    "chains": [["BNB", "BTC", "ETH", "POL", "TRX"], "Polygon", 404],
    "check": "0x86fa049857e0209aa7d9e616f7eb3b3b78ecfdb0",
    "bad_check": 30102,
    "user": True,
    "searched": True,
    "nobody": [404, 404],
}
GRANTED = {
    "granted": [True, True, 2, 403, 403],
    "revoked": 401,
    "kinds": ["APP_CARD", "MESSAGE_RECALL", "PLAIN_POST"],
    "conversation": "CONTACT",
}


@pytest.mark.timeout(700)
async def test_the_official_sdk_lives_a_bots_whole_day() -> None:
    node = await find_node()
    program = await sdk_program(node, "cycle.mjs")
    async with running_mixin("--users", "5") as server:
        code, output, errors = await run(node.binary, str(program), server.line, limit_s=120)
        assert code == 0, errors[-3_000:]
        assert (await server.admin("GET", "/invariants"))["ok"] is True
    seen = json.loads(output)
    expected = ACCOUNT | MONEY_IN | TRANSFER | MONEY_OUT | LOGIN | MESSAGES | {"invariants": []}
    assert seen == expected


@pytest.mark.timeout(700)
async def test_the_official_sdk_finds_its_less_usual_calls_answered_in_their_own_shapes() -> None:
    """Groups, many inputs, filters, pages, names, signed grants, other kinds of messages."""
    node = await find_node()
    program = await sdk_program(node, "shapes.mjs")
    async with running_mixin("--users", "3") as server:
        code, output, errors = await run(node.binary, str(program), server.line, limit_s=120)
        assert code == 0, errors[-3_000:]
        assert (await server.admin("GET", "/invariants"))["ok"] is True
    expected = ADDRESSES | OUTPUTS | SNAPSHOTS | NAMES | GRANTED | {"invariants": []}
    assert json.loads(output) == expected


@pytest.mark.timeout(700)
async def test_cases_that_the_official_sdk_makes_anew_pass_like_those_it_made_before() -> None:
    """Transactions, addresses, links, invoices and choices of outputs, from a seed."""
    node = await find_node()
    program = await sdk_program(node, "cases.mjs")
    code, output, errors = await run(node.binary, str(program), "poolmaker", "40", limit_s=120)
    assert code == 0, errors[-3_000:]
    result = mixin.run(json.loads(output))
    assert (result.passed, result.failures) == (440, [])
