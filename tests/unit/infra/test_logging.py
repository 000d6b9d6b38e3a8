"""Logs: one bounded line per event, correlated, without secrets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from poolmaker.infra.logging import (
    FIELDS_MAX,
    bind_correlation,
    bounded,
    configure_logging,
    get_logger,
    redacted,
    silenced,
)
from poolmaker.kernel.clock import ManualClock


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    before = structlog.get_config()
    stream = io.StringIO()
    configure_logging("info", "json", ManualClock(1_700_000_000_000_007), stream)
    yield stream
    structlog.configure(**before)


def test_a_line_is_json_with_time_room_level_and_correlation(lines: io.StringIO) -> None:
    with bind_correlation("co_1", saga="sg_1"):
        get_logger("bus").info("appended", count=3)
    get_logger("bus").debug("not shown")
    assert json.loads(lines.getvalue()) == {
        "at": "2023-11-14T22:13:20.000007Z",
        "level": "info",
        "event": "appended",
        "room": "bus",
        "correlation": "co_1",
        "saga": "sg_1",
        "count": 3,
    }


async def test_tasks_side_by_side_keep_their_own_correlation(lines: io.StringIO) -> None:
    async def one(name: str) -> None:
        with bind_correlation(name):
            await asyncio.sleep(0)
            get_logger("r").info("x", name=name)

    await asyncio.gather(*(one(f"co{number}") for number in range(5)))
    for line in lines.getvalue().splitlines():
        fields = json.loads(line)
        assert fields["correlation"] == fields["name"]


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": "hunter2"},
        {"value": SecretStr("hunter2")},
        {"headers": {"Authorization": "hunter2"}},
        {"parts": [{"private_key": "hunter2"}]},
        {"url": "postgresql://user:hunter2@host/db"},
        {"query": "symbol=BTC&signature=hunter2&x=1"},
        {"error": "login failed: password: hunter2"},
        {"listen_url": "wss://host/ws?listenKey=hunter2"},
        {"body": b"hunter2"},
    ],
)
def test_secrets_are_masked_wherever_they_hide(
    lines: io.StringIO, fields: dict[str, object]
) -> None:
    get_logger("r").info("x", **fields)
    assert "hunter2" not in lines.getvalue()


def test_a_traceback_is_there_and_masked(lines: io.StringIO) -> None:
    try:
        raise ValueError("cannot reach postgresql://u:hunter2@h/d")
    except ValueError:
        get_logger("r").exception("failed")
    line = json.loads(lines.getvalue())
    assert "Traceback" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_sizes_are_bounded(lines: io.StringIO) -> None:
    fields: dict[str, object] = {f"f{number}": "x" * 10_000 for number in range(100)}
    get_logger("r").info("x", **fields)
    line = json.loads(lines.getvalue())
    assert len(lines.getvalue()) < FIELDS_MAX * 600
    assert line["fields_left_out"] > 0


def test_a_value_cannot_forge_a_second_line_on_the_console() -> None:
    before, stream = structlog.get_config(), io.StringIO()
    configure_logging("info", "console", ManualClock(), stream)
    get_logger("r").info("x", name="a\nERROR forged")
    structlog.configure(**before)
    assert stream.getvalue().count("\n") == 1


def test_silence_ends() -> None:
    before = structlog.get_config()["wrapper_class"]
    with silenced(ManualClock()):
        get_logger("r").error("nobody hears this")
    assert structlog.get_config()["wrapper_class"] is before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=60))
def test_any_event_becomes_a_bounded_line(event: dict[str, object]) -> None:
    line = json.dumps(bounded(None, "", dict(event)), default=str)
    json.loads(line)


@given(st.text())
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)
