"""The watcher against nodes that refuse, forget and answer nonsense: no log is lost or invented."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolmaker.evm.rpc import RpcSilent
from poolmaker.evm.watcher import OVERLAP, SPAN_MAX
from poolmaker.kernel.errors import InvariantBroken, Unavailable
from tests.support.scripted_node import (
    FINALITY,
    Kept,
    Node,
    hash_of,
    stored_in,
    true_of,
    watcher_of,
)


@settings(deadline=None, max_examples=60)
@given(
    payments=st.dictionaries(st.integers(1, 1_200), st.integers(1, 3), max_size=8),
    range_max=st.sampled_from([1, 2, 7, 100, 301, 600, 10_000]),
    batches=st.booleans(),
    refusal=st.sampled_from(["error", "http"]),
    steps=st.lists(st.integers(1, 700), min_size=1, max_size=3),
)
def test_found_17_every_log_is_read_whatever_range_a_node_refuses_and_takes_it_batches_or_not(
    payments: dict[int, int], range_max: int, batches: bool, refusal: str, steps: list[int]
) -> None:
    node = Node(payments=payments, range_max=range_max, batches=batches, refusal=refusal)
    kept, newest = Kept(), FINALITY
    node.newest = newest
    watcher = watcher_of(node, kept)
    asyncio.run(watcher.look())
    for step in steps:
        node.newest += step
        asyncio.run(watcher.look())
        assert stored_in(kept) == true_of(node)
    assert batches or "no batches" in watcher.sentence
    if batches and range_max > SPAN_MAX:
        assert watcher.sentence == "answers"
    if range_max < 100 and sum(steps) > 1_000:
        assert "refused" in watcher.sentence


def test_found_17_a_silent_node_is_asked_for_less_the_next_time() -> None:
    node, kept = Node(payments={300: 1}, newest=FINALITY), Kept()
    watcher = watcher_of(node, kept)
    asyncio.run(watcher.look())
    node.newest = 400

    def silent(method: str, answer: Any) -> Any:
        if method == "eth_getLogs":
            raise RpcSilent("the node does not answer")
        return answer

    node.strange, before = silent, node.asked.count("eth_getLogs")
    for _ in range(3):
        with pytest.raises(RpcSilent):
            asyncio.run(watcher.look())
    assert node.asked.count("eth_getLogs") - before == 3, "not asked again within a look"
    node.strange = None
    asyncio.run(watcher.look())
    assert stored_in(kept) == true_of(node)


STRANGE: Sequence[Any] = (
    None, "", "0x", "0x-1", "-1", -1, 0, 1.5, math.nan, math.inf, True, [], {}, [None], {"a": 1},
    "币安人生", "١٢", "0x" + "f" * 65, "0x" + "F" * 4_000, 10**40, "\x00", "latest",
    "0x" + "ab" * 32, "0x" + "0b" * 20,
)  # fmt: skip


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    if isinstance(value, dict):
        for key, one in value.items():
            found += _paths(one, (*at, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += _paths(one, (*at, index))
    return found


def _changed(answer: Any, data: st.DataObject) -> Any:
    """One place of an answer: another value, gone, twice, more of it, in another order."""
    path = data.draw(st.sampled_from(_paths(answer)[1:]))
    holder = answer
    for key in path[:-1]:
        holder = holder[key]
    key, how = path[-1], data.draw(st.sampled_from(["other", "gone", "more", "order", "cut"]))
    value = holder[key]
    if how == "gone":
        del holder[key]
    elif how == "more" and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    elif how == "more":
        holder["币"] = data.draw(st.sampled_from(STRANGE))
    elif how == "order" and isinstance(value, list):
        holder[key] = list(reversed(value))
    elif how == "cut" and isinstance(value, list | str):
        holder[key] = value[: len(value) // 2]
    else:
        holder[key] = data.draw(st.sampled_from(STRANGE))
    return answer


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), spoiled=st.integers(0, 25), batches=st.booleans())
def test_found_17_watcher_fuzz_no_answer_loses_or_invents_a_transfer(
    data: st.DataObject, spoiled: int, batches: bool
) -> None:
    """K3: missing, extra, null, huge, negative, non-ASCII, NaN, reordered and truncated answers.

    What is read with one answer spoiled is typed trouble or right; once the node is well again
    every transfer is there, once, under its own name.
    """
    payments = {7: 2, 20: 1, 21: 1}
    node = Node(payments=payments, newest=FINALITY, batches=batches)
    kept = Kept()
    watcher = watcher_of(node, kept)
    asyncio.run(watcher.look())
    node.newest, calls = 40, 0

    def strange(method: str, answer: Any) -> Any:
        nonlocal calls
        calls += 1
        return _changed(answer, data) if calls == spoiled + 1 else answer

    node.strange = strange
    with contextlib.suppress(Unavailable, InvariantBroken):
        asyncio.run(watcher.look())
    assert stored_in(kept).items() <= true_of(node).items()
    assert kept.at is not None
    assert kept.at.head.hash == hash_of("b", kept.at.head.number)
    node.strange = None
    for newest in (41, 41 + OVERLAP // 2):
        node.newest = newest
        asyncio.run(watcher.look())
    assert stored_in(kept) == true_of(node)
