"""Client order ids: reversible, within the venue's alphabet and length."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.ids import IntentId
from poolmaker.market.execution.client_ids import decode_client_id, encode_client_id


@given(st.integers(0, 2**128 - 1))
def test_execution_invariant_2_a_client_id_says_its_intent(bits: int) -> None:
    intent = IntentId(f"{bits:032x}")
    client_id = encode_client_id(intent)
    assert re.fullmatch(r"[a-zA-Z0-9\-_]{1,36}", client_id)
    assert decode_client_id(client_id) == intent


@given(st.text(max_size=40))
def test_an_id_that_is_not_ours_says_nothing(text: str) -> None:
    intent = decode_client_id(text)
    assert intent is None or encode_client_id(intent) == text


def test_ids_with_bits_beyond_an_intent_are_not_ours() -> None:
    assert decode_client_id("pm1-" + "_" * 22) is None
    assert decode_client_id("x-TKT5PX2F0000000000000000") is None
