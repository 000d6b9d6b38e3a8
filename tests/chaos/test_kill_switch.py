"""The kill switch against a running platform; the venue's list is seen with ccxt."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.quoting import QuotingPlatform, quoting_platform, until

# The start of a platform and a venue, stops and proofs, on a machine that does much else.
pytestmark = pytest.mark.timeout(1_200)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuotingPlatform]:
    with quoting_platform(tmp_path_factory.mktemp("kill")) as started:
        started.quote()
        yield started


@pytest.fixture
def platform(running: QuotingPlatform) -> QuotingPlatform:
    """It runs, nothing holds it, and orders of ours rest, whatever was done to it before."""
    running.signal_database(signal.SIGCONT)
    running.signal(signal.SIGCONT)
    until(lambda: not scopes_after_releasing(running), "no latch holds")
    until(running.ours, "orders of ours rest")
    return running


def scopes_after_releasing(platform: QuotingPlatform) -> set[str]:
    """Scopes that are still held after two people released what is there."""
    for scope in latches(platform):
        for role in ("operator", "treasurer"):
            release(platform, scope, role)
    return set(latches(platform))


def latches(platform: QuotingPlatform) -> dict[str, Any]:
    return {one["scope"]: one for one in platform.call("GET", "/kill")[1]}


def check(platform: QuotingPlatform, name: str) -> dict[str, Any]:
    checks = platform.call("GET", "/health")[1]["checks"]
    return next((one for one in checks if one["name"] == name), {})


def refused_key(found: dict[str, Any]) -> bool:
    """Whether a check says that the venue takes no such key."""
    facts = found.get("facts", {})
    why_not = facts.get("why_not", "")
    named = "not connected" in why_not and ("-2015" in why_not or "API-key" in why_not)
    return not found.get("ok") and facts.get("connected") == "false" and named


def release(platform: QuotingPlatform, scope: str, role: str) -> Any:
    wish = {"scope": scope, "reason": "looked"}
    status, answer = platform.call("POST", "/kill/release", wish, role=role)
    assert status == 201, answer
    return answer


def test_a_kill_by_command_needs_neither_database_nor_engine(platform: QuotingPlatform) -> None:
    """PostgreSQL is stopped and the engine hangs: the latch holds and the venue shows nothing."""
    until(lambda: check(platform, "engine main").get("facts", {}).get("quoting") == "true", "told")
    platform.signal_database(signal.SIGSTOP)
    platform.signal(signal.SIGSTOP)
    code, done = platform.command("kill", "set", "account:main", "--reason", "a test")
    assert (code, done["proven"]) == (0, True), done
    assert platform.ours() == []
    assert done["accounts"][0]["cancelled"] >= 1
    code, told = platform.command("kill", "status")
    assert (code, told["killed"], told["platform_answers"]) == (0, True, False)
    assert [(one["scope"], one["file"]) for one in told["latches"]] == [("account:main", True)]
    platform.signal_database(signal.SIGCONT)
    platform.signal(signal.SIGCONT)
    until(lambda: latches(platform).get("account:main", {}).get("row"), "the row follows the file")
    until(lambda: not check(platform, "kill switch")["ok"], "health says it")
    until(lambda: "killed" in check(platform, "engine main")["facts"]["why_not"], "the engine, too")
    for _ in range(10):
        assert platform.ours() == []
        time.sleep(0.3)


def test_a_kill_on_a_full_disk_holds_and_cancels(platform: QuotingPlatform) -> None:
    """It raised before anything was cancelled; the file has a name and says nothing."""
    wish = ("kill", "set", "account:main", "--reason", "a test")
    code, done = platform.command(*wish, full_disk=True)
    assert (code, done["set"], done["proven"]) == (0, True, True), done
    assert done["problem"]
    assert platform.ours() == []
    until(lambda: latches(platform).get("account:main", {}).get("row"), "the row follows the file")
    assert latches(platform)["account:main"]["set_by"] == ""
    assert release(platform, "account:main", "operator")["verdict"] == "second_person"
    assert platform.ours() == []
    assert release(platform, "account:main", "treasurer")["verdict"] == "released"
    until(platform.ours, "it quotes again")


def test_a_latch_is_released_by_a_second_person_only(platform: QuotingPlatform) -> None:
    """A latch of the command line proves nobody, so two others have to agree."""
    code, done = platform.command("kill", "set", "account:main", "--reason", "a test")
    assert (code, done["proven"]) == (0, True), done
    until(lambda: latches(platform).get("account:main", {}).get("row"), "the row follows the file")
    assert latches(platform)["account:main"]["set_by"] == "operator"
    wish = ("kill", "release", "account:main", "--reason", "I set it myself")
    code, answer = platform.command(*wish)
    assert (code, answer["verdict"]) == (1, "second_person")
    assert "second person" in answer["sentence"]
    assert latches(platform)["account:main"]["asked_by"] == "operator"
    assert platform.ours() == []
    status, taken = platform.call("POST", "/kill/take-back", {"scope": "account:main"})
    assert (status, taken["verdict"]) == (201, "held")
    assert latches(platform)["account:main"]["asked_by"] == ""
    assert release(platform, "account:main", "treasurer")["verdict"] == "second_person"
    assert platform.ours() == []
    code, answer = platform.command(*wish)
    assert (code, answer["verdict"]) == (0, "released")
    assert latches(platform) == {}
    until(platform.ours, "it quotes again")
    assert platform.command("kill", "status")[1]["killed"] is False


def test_only_the_latches_that_were_judged_are_released(platform: QuotingPlatform) -> None:
    """Another person kills the scope after somebody looked: it stays killed."""
    kill = {"scope": "pool:btcusdt", "reason": "a test"}
    assert platform.call("POST", "/kill", kill, role="treasurer")[0] == 201
    judged = latches(platform)["pool:btcusdt"]["id"]
    assert platform.call("POST", "/kill", kill, role="treasurer")[0] == 201
    wish = ("kill", "release", "pool:btcusdt", "--reason", "looked", "--id", judged)
    code, answer = platform.command(*wish)
    assert (code, answer["verdict"]) == (1, "still_held")
    assert "still holds" in answer["sentence"]
    assert latches(platform)["pool:btcusdt"]["id"] != judged
    assert platform.ours() == []


def test_a_kill_over_the_api_works_while_postgresql_is_stopped(platform: QuotingPlatform) -> None:
    platform.signal_database(signal.SIGSTOP)

    def proven() -> bool:
        """As it is asked for again until the venue's list was read often enough."""
        status, done = platform.call("POST", "/kill", {"scope": "pool:btcusdt", "reason": "a test"})
        assert (status, done["file"], done["row"]) == (201, True, False)
        return bool(done["proven"])

    try:
        until(proven, "the venue's list shows nothing of ours")
        assert platform.ours() == []
    finally:
        platform.signal_database(signal.SIGCONT)
    until(lambda: latches(platform).get("pool:btcusdt", {}).get("row"), "the row follows")
    assert platform.ours() == []
    until(lambda: not scopes_after_releasing(platform), "no latch holds")
    until(platform.ours, "it quotes again")


def test_a_scope_that_is_not_configured_is_refused_and_sets_nothing(
    platform: QuotingPlatform,
) -> None:
    status, problem = platform.call("POST", "/kill", {"scope": "pool:nosuch", "reason": "a typo"})
    assert (status, problem["type"].rpartition(":")[2]) == (404, "unknown_scope")
    assert latches(platform) == {}


def test_found_37_a_wrong_venue_key_is_red_with_its_reason(platform: QuotingPlatform) -> None:
    """Found row 37: ``engine main ok running``, health all ok, with a wrong key."""
    until(lambda: refused_key(check(platform, "engine locked-out")), "the venue's word on the key")
    engines = {one["account"]: one for one in platform.call("GET", "/engines")[1]}
    assert not engines["locked-out"]["ok"]
    assert engines["locked-out"]["since_us"] > 0
    until(lambda: check(platform, "engine main")["ok"], "the other account is well")
