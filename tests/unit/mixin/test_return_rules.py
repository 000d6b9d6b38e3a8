"""When what was paid of an asset that nobody listed goes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.mixin import return_rules
from poolmaker.mixin.model import Unlisted

DAY_US = 24 * 3_600 * 1_000_000
WAITS = Unlisted(
    asset_id="218bc6f4-7927-3f8e-8568-3a3725b74361", sender="ada", payments=1, units=5,
    first_us=1, last_us=2, returned_us=9,
)  # fmt: skip


@given(returns=st.integers(1, 40))
def test_each_return_waits_twice_as_long_as_the_one_before_up_to_a_day(returns: int) -> None:
    waited_us = return_rules.return_due_us(replace(WAITS, returns=returns)) - WAITS.returned_us
    if returns == 1:
        assert waited_us == 2 * 60_000_000
        return
    fewer = replace(WAITS, returns=returns - 1)
    before_us = return_rules.return_due_us(fewer) - WAITS.returned_us
    assert waited_us == min(2 * before_us, DAY_US)


@pytest.mark.parametrize(
    "change", [{"sender": ""}, {"reason": "refused"}, {"returning_units": 1}, {"units": 0}]
)
def test_what_cannot_go_back_by_itself_does_not(change: dict[str, object]) -> None:
    assert return_rules.return_due_us(WAITS) == WAITS.last_us
    assert return_rules.return_due_us(replace(WAITS, **change)) == 0  # type: ignore[arg-type]
