"""Whatever is sent, the answer is an in-band refusal, and nothing changes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolmaker.sandbox.mixin.calls import CALLS
from poolmaker.sandbox.mixin.invariants import audit
from tests.support.mixin import ADDRESS, POLYGON, USDT, LocalMixin, fresh_id, local_mixin

FIELDS = (
    "request_id", "raw", "receivers", "index", "hint", "members", "threshold", "chain_id",
    "message_id", "recipient_id", "conversation_id", "category", "data_base64", "participants",
    "client_id", "code", "code_verifier", "ed25519", "keys", "status", "user_id",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**70), st.text(max_size=8), st.floats(),
    st.sampled_from(["7777", "77770005", USDT, POLYGON, ADDRESS, "CONTACT", "PLAIN_TEXT"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    ),
    max_leaves=12,
)
QUERIES = st.dictionaries(
    st.sampled_from(["members", "threshold", "offset", "limit", "state", "asset", "order"]),
    st.sampled_from(["", "-1", "1", "x", "9" * 30, "2026-01-01", "%00", "unspent", "٣"]),
    max_size=4,
)


async def test_no_body_and_no_query_breaks_the_server() -> None:
    async with local_mixin() as mixin:
        await mixin.fund("5")

        @given(st.sampled_from(sorted(CALLS)), VALUES, QUERIES)
        @settings(
            max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        def collect(name: str, body: Any, query: dict[str, str]) -> None:
            calls.append((name, body, query))

        calls: list[tuple[str, Any, dict[str, str]]] = []
        collect()
        before = len(mixin.server.house.world.books.outputs)
        for name, body, query in calls:
            await _ask(mixin, name, body, query)
        assert len(mixin.server.house.world.books.outputs) == before
        assert audit(mixin.server.house.world)["violations"] == []


NASTY: list[tuple[str, Any]] = [
    ("POST /safe/deposit/entries", {"chain_id": POLYGON, "members": [["a"]], "threshold": 1}),
    ("POST /safe/deposit/entries", {"chain_id": ["x"]}),
    ("POST /safe/deposit/entries", {"chain_id": POLYGON, "threshold": True}),
    ("POST /safe/deposit/entries", None),
    ("POST /safe/keys", [{"receivers": [fresh_id()] * 2, "index": 2**70, "hint": fresh_id()}]),
    ("POST /safe/keys", [{"receivers": ["x"], "index": -1, "hint": "x"}]),
    (
        "POST /safe/transaction/requests",
        [{"request_id": fresh_id(), "raw": "77770005" + "00" * 40}],
    ),
    ("POST /safe/transaction/requests", [{"request_id": fresh_id(), "raw": "7777\u0660"}]),
    ("POST /safe/transaction/requests", []),
    ("POST /safe/transactions", [None]),
    ("POST /oauth/token", {"code": ["x"], "client_id": 1}),
    ("POST /oauth/token", {"code": "x", "client_id": "y", "ed25519": "!"}),
    ("POST /messages", [[]]),
    ("POST /messages", {"recipient_id": {}}),
    ("POST /acknowledgements", [1, None, {"message_id": {}}]),
    ("POST /conversations", {"category": "CONTACT", "participants": {"user_id": 1}}),
    ("POST /users/fetch", [["x"], {}, 1]),
    ("POST /safe/assets/fetch", {"a": 1}),
]


async def test_known_traps_are_refusals() -> None:
    async with local_mixin() as mixin:
        for name, body in NASTY:
            await _ask(mixin, name, body, {})


async def _ask(mixin: LocalMixin, name: str, body: Any, query: dict[str, str]) -> None:
    method, path = name.split(" ")
    uri = path.replace("{id}", fresh_id())
    text = "&".join(f"{key}={value}" for key, value in query.items() if value.isascii())
    said = await mixin.call(method, f"{uri}?{text}" if text else uri, _sane(body))
    json.dumps(said)


def _sane(body: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(body, float):
        return 0.5
    if isinstance(body, list):
        return [_sane(one) for one in body]
    if isinstance(body, dict):
        return {key: _sane(value) for key, value in body.items()}
    return body
