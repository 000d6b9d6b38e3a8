"""The start-up contract: one line when ready, SIGTERM ends it, a missing side is one sentence."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from poolmaker.sandbox.relay.model import RelaySide, WithdrawalId
from poolmaker.sandbox.relay.rules import transfer_id
from tests.support.mixin import ADDRESS
from tests.support.relay import TwoWorlds, two_worlds

LIMIT_S = 60


async def _start(arguments: Sequence[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.relay", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def _between(both: TwoWorlds, *more: str) -> list[str]:
    venue, mixin = both.venue.addresses.admin, both.mixin.addresses.admin
    return ["--venue-admin", venue, "--mixin-admin", mixin, *more]


async def test_a_process_carries_both_ways_and_ends_when_told() -> None:
    async with two_worlds() as both:
        left = await both.leave_mixin(await both.venue_address())
        name = await both.leave_venue(await both.mixin_address())
        lost = await both.leave_venue(ADDRESS)
        process = await _start(_between(both, "--delay-ms", "10", "--seed", "3"))
        assert process.stdout is not None
        assert process.stderr is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), LIMIT_S))
        assert (ready["delay_ms"], ready["seed"]) == (10, 3)
        told = [
            json.loads(await asyncio.wait_for(process.stderr.readline(), LIMIT_S)) for _ in range(3)
        ]
        assert {(one["withdrawal_id"], one["outcome"]) for one in told} == {
            (left["id"], "arrived"), (name, "arrived"), (lost, "left_pending"),
        }  # fmt: skip
        assert [one["txId"] for one in await both.venue_deposits()] == [
            transfer_id(RelaySide.MIXIN, WithdrawalId(left["id"]))
        ]
        (output,) = await both.mixin.unspent()
        assert output["deposit"]["deposit_hash"] == transfer_id(RelaySide.VENUE, WithdrawalId(name))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0


async def test_a_missing_side_or_a_wrong_delay_is_one_sentence_and_exit_code_2() -> None:
    async with two_worlds() as both:
        good = _between(both)
        nobody = [*good[:1], "http://127.0.0.1:1", *good[2:]]
        cases = ((nobody, "--venue-admin"), ([*good, "--delay-ms", "-1"], "--delay-ms"))
        for arguments, word in cases:
            process = await _start(arguments)
            output, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
            assert (process.returncode, output) == (2, b"")
            assert errors.decode().strip().count("\n") == 0
            assert word in errors.decode()
