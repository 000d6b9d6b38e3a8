"""Found 30: what a venue says of the key that HuFi is given, asked of the sandbox's wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import VenueUnavailable
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance import key_check
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.key_check import ReadOnlyKeyCheck
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.connectors.binance.service import open_account
from tests.outside.market_support import BTC, USDT
from tests.support.venue import LocalVenue, local_venue


@pytest.fixture
async def venue() -> AsyncIterator[LocalVenue]:
    async with local_venue() as found:
        yield found


async def _problem(venue: LocalVenue, key: str, secret: str) -> str:
    at = venue.addresses
    config = BinanceConfig(
        key="key1", secret="secret1", rest_url=at.rest, ws_url=at.ws, ws_api_url=at.ws_api,
        assets={"BTC": BTC, "USDT": USDT}, timeout_ms=1_500,
    )  # fmt: skip
    account = open_account(config, SystemClock(), Rng(1))
    check = ReadOnlyKeyCheck(trading=account.transport, key=key, secret=secret, clock=SystemClock())
    try:
        return await check.problem()
    finally:
        await account.close()


async def test_found_30_only_the_accounts_own_read_only_pair_passes(venue: LocalVenue) -> None:
    assert await _problem(venue, "ro_key1", "ro_secret1") == ""
    other = await _problem(venue, "ro_key2", "ro_secret2")
    assert other == "the key is of another account than the one that trades"
    rights = await _problem(venue, "key2", "secret2")
    assert rights.startswith("the key may do more than read: enable")
    assert "enableWithdrawals" in rights
    assert "more than read" in await _problem(venue, "key1", "secret1")
    assert "refuses" in await _problem(venue, "nobody", "nothing")
    assert "refuses" in await _problem(venue, "ro_key1", "ro_secret2")


@pytest.mark.parametrize(
    "endpoint",
    [
        "GET /sapi/v1/account/apiRestrictions",
        "GET /api/v3/account",
        "GET /sapi/v1/capital/deposit/address",
        "GET /api/v3/myTrades",
    ],
)
async def test_found_30_a_permission_that_is_missing_is_named_and_silence_says_nothing(
    venue: LocalVenue, endpoint: str
) -> None:
    refused = {"endpoint": endpoint, "effect": "error", "status": 401, "code": -2015,
               "msg": "Invalid API-key, IP, or permissions for action."}  # fmt: skip
    await venue.admin("POST", "/faults", refused)
    problem = await _problem(venue, "ro_key1", "ro_secret1")
    assert problem.startswith("the venue refuses")
    assert "-2015" in problem
    await venue.admin("DELETE", "/faults")
    for effect in ({"effect": "reset", "when": "before"}, {"effect": "html", "status": 502}):
        await venue.admin("POST", "/faults", {"endpoint": endpoint, **effect})
        with pytest.raises(VenueUnavailable):
            await _problem(venue, "ro_key1", "ro_secret1")
        await venue.admin("DELETE", "/faults")


# --------------------------------------------------------------- whatever the venue answers

GOOD: dict[str, Any] = {
    "sapiGetAccountApiRestrictions": {
        "ipRestrict": False, "createTime": 1, "enableReading": True, "enableWithdrawals": False,
        "enableInternalTransfer": False, "enableMargin": False, "enableFutures": False,
        "permitsUniversalTransfer": False, "enableVanillaOptions": False,
        "enableFixApiTrade": False, "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": False, "enablePortfolioMarginTrading": False,
    },
    "privateGetAccount": {"uid": 7, "balances": []},
    "sapiGetCapitalDepositAddress": {"coin": "ETH", "address": "0xab", "tag": ""},
    "privateGetMyTrades": [],
}  # fmt: skip


class Answering:
    """A transport that answers for one of the two keys."""

    config = BinanceConfig(key="k", secret="s", assets={"BTC": BTC})
    clock_difference_ms = 0

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    async def send(self, method: str, params: object) -> Any:
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def set_clock_difference(self, difference_ms: int) -> None:
        assert difference_ms == 0

    async def close(self) -> None:
        """Nothing is open."""


def _judged(theirs: dict[str, Any], ours: dict[str, Any] | None = None) -> str:
    reading, trading = Answering(GOOD | theirs), Answering(GOOD | (ours or {}))
    check = ReadOnlyKeyCheck(
        trading=cast("Transport", trading), key="ro", secret="ro", clock=SystemClock()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_check, "Transport", lambda *_: reading)
        return asyncio.run(check.problem())


def test_found_30_what_the_documented_answer_of_a_reading_key_says_is_good() -> None:
    assert _judged({}) == ""
    assert "another account" in _judged({}, {"privateGetAccount": {"uid": 8}})
    assert "another account" in _judged(
        {"privateGetAccount": {}}, {"sapiGetCapitalDepositAddress": {"address": "0xcd"}}
    )
    assert "no deposit address" in _judged({"sapiGetCapitalDepositAddress": {"address": ""}})
    restricted = GOOD["sapiGetAccountApiRestrictions"] | {"ipRestrict": True}
    assert "addresses" in _judged({"sapiGetAccountApiRestrictions": restricted})


@settings(deadline=None)
@given(
    right=st.one_of(
        st.sampled_from(sorted(GOOD["sapiGetAccountApiRestrictions"])),
        st.text("abcXYZ", max_size=9).map(lambda word: f"enable{word}"),
        st.text("abcXYZ", max_size=9).map(lambda word: f"permits{word}"),
    ),
    value=st.one_of(st.just(True), st.none(), st.integers(), st.text(max_size=3)),
)
def test_found_30_a_key_with_any_right_that_is_not_reading_is_refused(
    right: str, value: object
) -> None:
    """Found 30 by search: rights that exist tomorrow, and answers that are neither yes nor no."""
    said = GOOD["sapiGetAccountApiRestrictions"] | {right: value}
    problem = _judged({"sapiGetAccountApiRestrictions": said})
    harmless = right in {"createTime", "enableFixReadOnly"}
    reads = right == "enableReading" and value is True
    assert (problem == "") is (harmless or reads)


@settings(deadline=None)
@given(
    method=st.sampled_from(sorted(GOOD)),
    answer=st.one_of(
        st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=2),
        st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
        st.just(NoAnswer("silence")), st.just(VenueRefused(401, -2015, "no")),
        st.just(VenueRefused(429, -1003, "slow")),
    ),
)  # fmt: skip
def test_found_30_no_strange_answer_lets_a_key_pass(method: str, answer: Any) -> None:
    try:
        problem = _judged({method: answer})
    except VenueUnavailable:
        return
    harmless = (method == "privateGetMyTrades" and isinstance(answer, list)) or (
        method == "privateGetAccount" and isinstance(answer, dict) and "uid" not in answer
    )
    assert harmless or problem
