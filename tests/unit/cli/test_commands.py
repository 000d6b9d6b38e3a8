"""Commands against the API over a made-up platform."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolmaker.api.server import bind, create_api, serve
from poolmaker.cli import main as cli_main
from poolmaker.cli import operate
from poolmaker.cli.main import call
from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import EnvironmentProblem, InvariantBroken
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld

HEAVY = {"aiohttp", "alembic", "asyncio", "asyncpg", "ccxt", "fastapi", "jinja2", "pydantic"}


class Served:
    """The made-up platform behind a real socket, in a thread of its own."""

    def __init__(self) -> None:
        self.world = FakeWorld(SystemClock())
        self.world.furnish()
        self._listener = bind("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        api = create_api(self.world.platform())
        self._loop.run_until_complete(serve(api, self._listener, self.world.stopping))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self.world.stopping.set)
        self._thread.join(20)
        self._listener.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    running = Served()
    yield running
    running.stop()


@pytest.fixture
def config(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    (home / "operator.token").write_text(OPERATOR_TOKEN + "\n", "utf-8")
    file = tmp_path / "c.toml"
    file.write_text(f'home = "{home}"\n[web]\nport = {served.port}\n', "utf-8")
    return str(file)


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert call(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def test_a_user_is_made_credited_and_opens_an_order(
    config: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    common = ("--config", config, "--json")
    token_file = str(tmp_path / "cleo.token")
    wallet = ("--mixin-id", "7766b24c-1a03-4c3a-83a3-b4358266875d")
    create = ("user", "create", "cleo", *wallet, "--token-file", token_file)
    user = _json(capsys, *create, *common)
    assert "pm_" not in user["token"]
    assert Path(token_file).read_text("utf-8").startswith("pm_")
    assert Path(token_file).stat().st_mode & 0o077 == 0
    names = [found["name"] for found in _json(capsys, "user", "list", *common)]
    assert "cleo" in names
    credit = ("user", "credit", user["user_id"], "USDT", "100", "--account", "main")
    receipt = _json(capsys, *credit, "--reference", "tx1", *common)
    assert receipt["seq"] > 0
    order = _json(capsys, "order", "open", user["user_id"], "btcusdt", "0.1", "100", *common)
    assert order["user_name"] == "cleo"
    assert _json(capsys, "order", "show", order["order_id"], *common) == order
    left = _json(capsys, "order", "withdraw", order["order_id"], *common)
    assert left["state"] == "WITHDRAW"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("pool", "list"),
        ("pool", "show", "btcusdt"),
        ("order", "show"),
        ("order", "show", "uo_ada"),
        ("user", "list"),
        ("ledger", "statement", "us_ada"),
        ("order", "pause", "uo_ada"),
        ("order", "resume", "uo_ada"),
        ("order", "take-back", "uo_ada"),
        ("config", "show", "--origin"),
        ("config", "check"),
    ],
)
def test_every_command_speaks_to_people_and_to_programs(
    config: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert call([*arguments, "--config", config]) == 0
    assert capsys.readouterr().out.strip()
    _json(capsys, *arguments, "--config", config, "--json")


def test_a_failed_check_is_exit_code_1(
    config: str, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.world.difference = "0.01"
    assert call(["status", "--config", config]) == 1
    served.world.difference = "0"
    assert "NOT OK" in capsys.readouterr().out


def test_a_refusal_of_the_platform_is_told_in_its_words(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["pool", "show", "none", "--config", config]) == 1
    assert "There is no such pool. No money moved." in capsys.readouterr().err


def test_all_entries_of_an_account_are_exported_whole(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "entries.csv"
    arguments = ["ledger", "export", "--account", "pool:btcusdt:capital", "--out", str(out)]
    assert call([*arguments, "--config", config]) == 0
    lines = out.read_text("utf-8").splitlines()
    assert lines[0] == "seq,at_us,kind,key,account,asset,amount,balance"
    assert len(lines) > 10
    assert call(["ledger", "export", "--config", config]) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [(EnvironmentProblem("do this"), 2), (InvariantBroken("that"), 1)],
)
def test_errors_become_a_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(operate, "client_of", fail)
    assert call(["status"]) == code
    said = capsys.readouterr().err
    assert said.startswith("poolmaker: ")
    assert "Traceback" not in said


def test_what_nobody_expected_is_kept_in_a_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(operate, "client_of", fail)
    monkeypatch.setenv("POOLMAKER_HOME", str(tmp_path))
    assert call(["status"]) == 1
    log = tmp_path / cli_main.LOG_NAME
    assert str(log) in capsys.readouterr().err
    assert "ZeroDivisionError: odd" in log.read_text("utf-8")
    assert log.stat().st_mode & 0o777 == 0o600


def test_found_50_a_crash_is_told_where_the_home_cannot_be_written_and_left_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(operate, "client_of", fail)
    monkeypatch.setenv("POOLMAKER_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert call(["status"]) == 1
    assert "ZeroDivisionError: odd" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_found_50_a_crash_log_follows_no_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd")

    victim = tmp_path / "victim"
    victim.write_text("precious", "utf-8")
    (tmp_path / cli_main.LOG_NAME).symlink_to(victim)
    monkeypatch.setattr(operate, "client_of", fail)
    monkeypatch.setenv("POOLMAKER_HOME", str(tmp_path))
    assert call(["status"]) == 1
    assert victim.read_text("utf-8") == "precious"


@pytest.mark.parametrize("where", ["nonexist/x", ""])
@pytest.mark.parametrize(
    "command",
    [
        ("user", "create", "eve", "--mixin-id", "7766b24c-1a03-4c3a-83a3-b4358266875e"),
        ("user", "token", "create", "us_ada"),
        ("token", "grant", "eve", "--role", "viewer"),
        ("token", "rotate", "tk_1"),
    ],
    ids=" ".join,
)
def test_found_50_a_token_file_that_cannot_be_written_is_refused_before_anything_is_done(
    config: str,
    served: Served,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: tuple[str, ...],
    where: str,
) -> None:
    before = (dict(served.world.people.people), dict(served.world.people.granted))
    assert call([*command, "--token-file", str(tmp_path / where), "--config", config]) == 2
    assert "token" in capsys.readouterr().err
    assert (dict(served.world.people.people), dict(served.world.people.granted)) == before


def test_found_52_a_users_whole_life_is_a_command_each(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--config", config, "--json")
    wallet = ("--mixin-id", "7766b24c-1a03-4c3a-83a3-b4358266875f")
    user = _json(capsys, "user", "create", "fay", *wallet, *common)["user_id"]
    assert _json(capsys, "user", "show", user, *common)["mixin_id"] == wallet[1]
    assert call(["user", "bind", user, *wallet, "--config", config]) == 1
    assert "wallet already" in capsys.readouterr().err
    narrow = ("--scope", "read", "--days", "3")
    token = _json(capsys, "user", "token", "create", user, *narrow, *common)
    assert token["scopes"] == ["read"]
    rotated = _json(capsys, "user", "token", "rotate", token["token_id"], *common)
    assert rotated["scopes"] == ["read"]
    _json(capsys, "user", "token", "revoke", rotated["token_id"], *common)
    listed = _json(capsys, "user", "token", "list", user, *common)
    states = {one["token_id"]: bool(one["revoked_at_us"]) for one in listed}
    assert (states[token["token_id"]], states[rotated["token_id"]]) == (True, True)
    assert _json(capsys, "user", "disable", user, *common)["disabled_at_us"] > 0
    assert call(["user", "token", "create", user, "--config", config]) == 1
    assert "disabled" in capsys.readouterr().err
    assert _json(capsys, "user", "enable", user, *common)["disabled_at_us"] == 0


def test_a_token_of_the_staff_waits_for_a_second_person(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grant = ["token", "grant", "gus", "--role", "treasurer", "--config", config]
    assert call(grant) == 1
    assert "second person" in capsys.readouterr().err
    (waiting,) = _json(capsys, "approval", "list", "--config", config, "--json")
    assert (waiting["action"], waiting["subject"]) == ("token.grant", "gus")
    assert call(["approval", "approve", waiting["approval_id"], "--config", config]) == 1
    assert "Somebody else" in capsys.readouterr().err
    assert call(["approval", "cancel", waiting["approval_id"], "--config", config]) == 0


def test_found_26_the_operators_own_token_is_rotated_in_its_file(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "home" / "operator.token"
    before = file.read_text("utf-8")
    assert call(["token", "rotate", "file-operator", "--config", config]) == 0
    assert file.read_text("utf-8") != before
    assert file.stat().st_mode & 0o077 == 0
    assert call(["token", "rotate", "file-nobody", "--config", config]) == 2


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, poolmaker.cli.main\n"
        f"print(sorted({HEAVY!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
