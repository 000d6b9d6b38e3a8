"""The list over the API: whole by pages, closed by name, and every action that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolmaker.kernel.errors import OutcomeUnknown
from tests.api.client import Client
from tests.e2e.attention import CONFLICT, PARKED
from tests.e2e.world import TREASURER_TOKEN, FakeWorld


async def test_found_38_the_list_shows_evidence_what_it_blocks_and_the_ways_forward(
    client: Client,
) -> None:
    page = (await client.get("/api/v1/attention")).json
    assert page["total"] == 2
    first = page["items"][0]
    assert (first["id"], first["blocks"]) == (PARKED.id, ["withdrawal"])
    assert first["remedies"][0]["route"] == "POST /api/v1/sagas/{saga_id}/resume"
    assert first["evidence"]["reason"] == "a refund was sent only in part"


async def test_found_38_a_kind_is_read_to_its_end_by_its_cursor(
    client: Client, world: FakeWorld
) -> None:
    world.attending.items = [replace(PARKED, subject=f"wd_{n:03}") for n in range(25)]
    summary = (await client.get("/api/v1/attention")).json
    assert (len(summary["items"]), summary["total"], summary["counts"]) == (
        5,
        25,
        {"sagas:parked": 25},
    )
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        path = f"/api/v1/attention?kind=sagas:parked&limit=7&after={after}"
        page = (await client.get(path)).json
        seen += [item["subject"] for item in page["items"]]
        after = page["next_after"]
    assert seen == [f"wd_{n:03}" for n in range(25)]


async def test_found_39_only_what_evidence_cannot_close_is_closed_by_name(
    client: Client, world: FakeWorld
) -> None:
    async def close(item: str) -> int:
        body = {"id": item, "reason": "seen, harmless"}
        return (await client.post("/api/v1/attention/close", body)).status

    assert await close(PARKED.id) == 409
    assert await close("no:such:item") == 404
    assert await close(CONFLICT.id) == 201
    assert world.attending.closed == [(CONFLICT.id, "operator", "seen, harmless")]


@pytest.mark.parametrize(
    ("path", "body", "done"),
    [
        ("sagas/wd_1/resume", {}, "resume"),
        ("sagas/wd_1/retry", {}, "retry"),
        ("streams/replay", {"consumer": "pools", "stream": "account:a", "seq": 7}, "replay"),
        (
            "ledger/bear-deficit",
            {"account": "pool:btcusdt:capital", "asset": "USDT", "amount": "1", "reason": "unit"},
            "bear",
        ),
        ("suspense/refund", {"source": "mixin:x", "reason": "the wallet works"}, "refund"),
        ("campaigns/hufi-1/join", {}, "join_campaign"),
        ("freeze", {"reason": "a drill"}, "freeze"),
    ],
)
async def test_found_39_what_one_person_may_do_is_done_once(
    client: Client, world: FakeWorld, path: str, body: dict[str, object], done: str
) -> None:
    answer = await client.post(f"/api/v1/{path}", body, key="the-same-key")
    assert answer.status == 201, answer.json
    assert (await client.post(f"/api/v1/{path}", body, key="the-same-key")).json == answer.json
    assert [one[0] for one in world.mending.done] == [done]


async def test_found_39_equity_bears_more_than_the_limit_only_by_two_persons(
    client: Client, world: FakeWorld
) -> None:
    body = {"account": "pool:p:capital", "asset": "USDT", "amount": "2", "reason": "a loss"}
    answer = await client.post("/api/v1/ledger/bear-deficit", body)
    assert (answer.status, answer.json["code"]) == (409, "approval_pending")
    assert world.mending.done == []


async def test_a_saga_and_a_stopped_event_are_shown_and_unknown_ones_are_not_found(
    client: Client,
) -> None:
    saga = (await client.get("/api/v1/sagas/wd_1")).json
    assert (saga["kind"], saga["steps"][0]["state"]) == ("withdrawal", "held")
    assert (await client.get("/api/v1/sagas/wd_2")).status == 404
    where = "/api/v1/streams/event?consumer=pools&stream=account:a&seq="
    assert (await client.get(f"{where}7")).json["error"] == "bad"
    assert (await client.get(f"{where}8")).status == 404


BOUND = [
    ("streams/skip", {"consumer": "pools", "stream": "a", "seq": 7, "reason": "r"}, {"seq": 8}),
    ("ledger/set-aside", {"key": "fill:1", "reason": "r"}, {"key": "fill:2"}),
    (
        "suspense/resolve",
        {"source": "mixin:x", "to": "platform", "asset": "USDT", "amount": "1", "reason": "r"},
        {"source": "mixin:y"},
    ),
    ("rewards/rw_1/keep", {"reason": "r"}, "rewards/rw_2/keep"),
    ("rewards/rw_1/assign", {"pool_id": "btcusdt", "reason": "r"}, "rewards/rw_2/assign"),
]


@pytest.mark.parametrize(("path", "body", "other"), BOUND)
async def test_what_is_approved_is_about_the_state_of_that_time_and_no_later_one(
    client: Client, world: FakeWorld, path: str, body: dict[str, object], other: Any
) -> None:
    treasurer, path = client.as_(TREASURER_TOKEN), f"/api/v1/{path}"
    assert (await client.post(path, body)).json["code"] == "approval_pending"
    world.mending.stands_at += 1
    assert (await treasurer.post(path, body)).json["code"] == "approval_pending"
    assert world.mending.done == []
    done = await client.post(path, body, key="the-key-of-it")
    assert done.status == 201, done.text
    assert len(world.mending.done) == 1
    assert len(world.approvals.rows) == 2


@pytest.mark.parametrize(("path", "body", "other"), BOUND)
async def test_about_what_does_not_wait_nobody_is_asked(
    client: Client, world: FakeWorld, path: str, body: dict[str, object], other: Any
) -> None:
    """Else a word could be got beforehand, about what nobody has seen."""
    path, body = (other, body) if isinstance(other, str) else (path, body | other)
    answer = await client.post(f"/api/v1/{path}", body)
    assert answer.status in {404, 409}, answer.text
    assert answer.json["code"] != "approval_pending"
    assert world.approvals.rows == {}


LIFT = "/api/v1/freeze/lift"


async def test_an_approval_to_lift_one_freeze_does_not_lift_a_later_one(
    client: Client, world: FakeWorld
) -> None:
    body, treasurer = {"reason": "the drill is over"}, client.as_(TREASURER_TOKEN)
    assert (await client.post(LIFT, body)).json["code"] == "approval_pending"
    world.mending.frozen_us = 9
    assert (await treasurer.post(LIFT, body)).json["code"] == "approval_pending"
    assert world.mending.done == []
    assert (await client.post(LIFT, body)).status == 201
    assert world.mending.done == [("lift_freeze", 9)]


async def test_what_is_not_frozen_is_said_before_anybody_is_asked_for_approval(
    client: Client, world: FakeWorld
) -> None:
    world.mending.frozen_us = 0
    assert (await client.post(LIFT, {"reason": "r"})).json["code"] == "not_frozen"
    assert world.approvals.rows == {}


async def test_a_lift_that_is_repeated_after_a_crash_lifts_no_later_freeze(
    client: Client, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The effect was done, its answer was not stored, and money is frozen again by then."""
    body, treasurer = {"reason": "the drill is over"}, client.as_(TREASURER_TOKEN)
    await client.post(LIFT, body)
    lift = world.mending.lift_freeze

    async def lost(since_us: int) -> None:
        await lift(since_us)
        raise OutcomeUnknown("the process was killed")

    monkeypatch.setattr(world.mending, "lift_freeze", lost)
    assert (await treasurer.post(LIFT, body, key="the-key-of-it")).status == 503
    assert world.mending.frozen_us == 0
    monkeypatch.undo()
    world.mending.frozen_us = 9
    assert (await treasurer.post(LIFT, body, key="the-key-of-it")).status == 201
    assert world.mending.frozen_us == 9, "that one was never approved"
    assert len(world.approvals.rows) == 1
