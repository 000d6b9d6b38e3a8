"""Mixin's official Node SDK, unmodified but for its base address, against the sandbox."""

from __future__ import annotations

import json

import pytest

from tests.outside.mixin_support import running_mixin, sdk_program
from tests.support.node import find_node, run

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


@pytest.mark.timeout(700)
async def test_the_official_sdk_lives_a_bots_whole_day() -> None:
    node = await find_node()
    program = await sdk_program(node, "cycle.mjs")
    async with running_mixin("--users", "5") as mixin:
        code, output, errors = await run(node.binary, str(program), mixin.line, limit_s=120)
        assert code == 0, errors[-3_000:]
        assert (await mixin.admin("GET", "/invariants"))["ok"] is True
    seen = json.loads(output)
    expected = ACCOUNT | MONEY_IN | TRANSFER | MONEY_OUT | LOGIN | MESSAGES | {"invariants": []}
    assert seen == expected
