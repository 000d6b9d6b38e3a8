"""``poolmaker kill set``: scopes are checked first, and the sweep comes whatever the disk says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from poolmaker.app.killing import SweptAccount, Target
from poolmaker.cli import kill
from poolmaker.cli.client import ApiRefused
from poolmaker.cli.main import call
from poolmaker.infra.settings.model import Settings
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.market.connectors.binance.sweep import Sweep
from poolmaker.market.execution.kill import KillFiles

CONFIG = """\
mode = "sandbox"
home = "home"
[[assets]]
code = "BTC"
scale = 8
[[assets]]
code = "USDT"
scale = 8
[[venue_accounts]]
id = "main"
api_key = "key"
secret = "secret"
rest_url = "http://127.0.0.1:9"
ws_url = "ws://127.0.0.1:9"
ws_api_url = "ws://127.0.0.1:9"
symbols = ["BTC/USDT"]
[[pools]]
id = "btcusdt"
account = "main"
symbol = "BTC/USDT"
"""
OLD = {"pool_id": "old", "venue_account": "main", "symbol": "ETH/USDT"}


class Api:
    """The platform's API: what it knows, and what it was asked; ``silent`` where none answers."""

    def __init__(self, silent: Exception | None = None) -> None:
        self.silent = silent
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str) -> list[dict[str, str]]:
        assert path == "/kill"
        if self.silent is not None:
            raise self.silent
        return []

    def get_all(self, path: str) -> list[dict[str, str]]:
        assert path == "/pools"
        if self.silent is not None:
            raise self.silent
        return [OLD]

    def post(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        self.asked.append((path, body))
        if self.silent is not None:
            raise self.silent
        return {"proven": True, "accounts": []}


class Home:
    """A data folder, the API beside it, and what was swept with which files there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = Api()
        self.swept: list[tuple[str, tuple[str, ...] | None]] = []

    async def sweep(self, settings: Settings, found: Sequence[Target]) -> list[SweptAccount]:
        self.swept += [(account.id, symbols) for account, symbols in found]
        done = Sweep(0, (), 1, proven=True)
        return [SweptAccount(account.id, symbols or (), done) for account, symbols in found]

    @property
    def latched(self) -> list[str]:
        return [latch.scope for latch in KillFiles(self.folder).latches()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poolmaker.toml").write_text(CONFIG, "utf-8")
    made = Home(tmp_path / "home")
    monkeypatch.setattr("poolmaker.app.killing.sweep", made.sweep)
    monkeypatch.setattr(kill, "client_of", lambda *_: made.api)
    return made


def set_latch(scope: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any, str]:
    code = call(["kill", "set", scope, "--reason", "a test", "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else None, told.err


@pytest.mark.parametrize(
    ("scope", "swept"),
    [
        ("platform", ("main", None)),
        ("account:main", ("main", None)),
        ("pool:btcusdt", ("main", ("BTC/USDT",))),
        ("pool:old", ("main", ("ETH/USDT",))),
    ],
)
def test_what_is_known_is_latched_and_swept(
    home: Home, capsys: pytest.CaptureFixture[str], scope: str, swept: object
) -> None:
    """Also a pool that is not configured any more, and whose orders may rest."""
    code, told, _ = set_latch(scope, capsys)
    assert (code, told["set"], told["proven"]) == (0, True, True)
    assert home.latched == [scope]
    assert home.swept == [swept]


@pytest.mark.parametrize("scope", ["pool:typo", "account:typo", "pool", "everything"])
def test_a_typo_sets_nothing(home: Home, capsys: pytest.CaptureFixture[str], scope: str) -> None:
    code, told, said = set_latch(scope, capsys)
    assert (code != 0, told, home.latched, home.swept) == (True, None, [], [])
    assert "scope" in said or "not known" in said


@pytest.mark.parametrize(
    "silent", [EnvironmentProblem("no platform answers"), ApiRefused({"detail": "no database"})]
)
def test_where_nobody_can_look_a_scope_up_it_is_latched_as_asked(
    home: Home, capsys: pytest.CaptureFixture[str], silent: Exception
) -> None:
    home.api = Api(silent)
    code, told, said = set_latch("pool:typo", capsys)
    assert (code, told["set"], told["proven"]) == (1, True, False)
    assert home.latched == ["pool:typo"]
    assert "cannot be looked up" in said
    assert str(silent) in said


@pytest.mark.parametrize("answers", [True, False])
def test_a_latch_that_no_file_can_hold_is_swept_and_the_platform_is_asked(
    home: Home, capsys: pytest.CaptureFixture[str], answers: bool
) -> None:
    """It raised before anything was cancelled."""
    home.folder.mkdir()
    (home.folder / "kill").touch()
    home.api = Api(None if answers else EnvironmentProblem("no platform answers"))
    code, told, said = set_latch("account:main", capsys)
    assert home.swept == [("main", None)]
    assert home.api.asked == [("/kill", {"scope": "account:main", "reason": "a test"})]
    assert (code == 0, told["set"]) == (answers, answers)
    assert told["problem"]
    assert ("NO LATCH HOLDS" in said) is not answers


@pytest.mark.parametrize("place", ["none", "kill"])
def test_k7_where_nothing_could_be_asked_no_latch_is_not_the_answer(
    home: Home, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """A wrong --home and a folder that cannot be read were answered: no kill latch holds."""
    if place == "kill":
        home.folder.mkdir()
        (home.folder / place).touch()
    home.api = Api(EnvironmentProblem("no platform answers"))
    assert call(["kill", "status"]) == 1
    told = capsys.readouterr()
    assert "no kill latch holds" not in told.out
    assert "nothing is known" in told.err


def test_k7_what_a_silent_platform_holds_is_not_known(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.folder / "kill").mkdir(parents=True)
    home.api = Api(EnvironmentProblem("no platform answers"))
    assert call(["kill", "status"]) == 0
    told = capsys.readouterr().out
    assert "not known" in told
    assert "no kill latch holds" not in told
