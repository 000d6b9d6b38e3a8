"""Every command with whatever a person or a script may hand it: a sentence, exit code 1 or 2."""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from poolmaker.cli import main as cli_main
from poolmaker.cli.main import call
from tests.tidy.tree import REPOSITORY
from tests.unit.cli.test_commands import config, served

__all__ = ["config", "served"]

COMMAND = typer.main.get_command(cli_main.cli)
ODD = ["", "us_ada/statement", "é", "a\r\nX: y"]
APART = {("up",), ("demo",), ("bench",), ("doctor",), ("kill", "set"), ("ledger", "verify")}
APART |= {("ledger", "trial-balance"), *((group,) for group in ("db", "sandbox", "sim"))}
"""They run something, or need a database of their own."""
ANSWERS = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"[" * 50_000,
    b"SSH-2.0-OpenSSH_9.2\r\n",
]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path in APART:
        return
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


LEAVES = sorted(leaves(COMMAND))


def filled(path: tuple[str, ...], command: Any, odd: str) -> list[str]:
    """The command with ``odd`` in every place that a text goes to."""
    names = [one for one in command.params if one.param_type_name == "argument"]
    needed = [one for one in command.params if one.param_type_name == "option" and one.required]
    if path == ("ledger", "export"):
        return [*path, f"--user={odd or ' '}"]
    given = [f"{one.opts[0]}={odd}" for one in needed]
    return [*path, *given, "--", *("7" if one.name == "seq" else odd for one in names)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree of commands is built once for all calls."""
    monkeypatch.setattr(cli_main, "cli", lambda args, prog_name: COMMAND(args, prog_name=prog_name))


def _no_crash(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    code, said = call(arguments), capsys.readouterr()
    assert code in (0, 1, 2), arguments
    assert "unexpected error" not in said.err, (arguments, said.err)
    return said.err


@pytest.mark.usefixtures("quick")
def test_k9_whatever_a_command_is_given_it_ends_with_a_sentence(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOLMAKER_CONFIG", config)
    assert len(LEAVES) > 50
    for path, command in LEAVES:
        for odd in ODD:
            _no_crash(capsys, filled(path, command, odd))


def test_k9_an_id_names_nothing_beyond_it(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["user", "show"], ["ledger", "statement"], ["ledger", "export", "--user"]):
        assert call([*command, "us_ada/statement", "--config", config]) == 1
        assert "No money moved" in capsys.readouterr().err


def test_k9_one_place_makes_parts_of_paths() -> None:
    users = [
        file.name
        for file in (REPOSITORY / "src/poolmaker/cli").glob("*.py")
        if "quote(" in file.read_text()
    ]
    assert users == ["client.py"]


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A program that takes a request, says something and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and a token, and no platform."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "operator.token").write_text("pm_" + "x" * 40, "utf-8")
    monkeypatch.setenv("POOLMAKER_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("alone", "quick")
@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_k9_another_program_at_the_platforms_place_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    with answering(answer) as port:
        monkeypatch.setenv("POOLMAKER_WEB__PORT", str(port))
        for arguments in (["pool", "list", "--json"], ["status"], ["user", "show", "us_1"]):
            said = _no_crash(capsys, arguments)
            assert "another program" in said or "no platform answers" in said


@pytest.mark.usefixtures("alone")
def test_k9_a_request_without_an_answer_is_told_with_its_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever repeats it under a new key may do it twice."""
    with answering(b"") as port:
        monkeypatch.setenv("POOLMAKER_WEB__PORT", str(port))
        assert call(["order", "open", "us_1", "p_1", "1", "1"]) == 1
        said = capsys.readouterr().err
        assert "not known" in said
        assert "--key cli-" in said
        assert call(["order", "open", "us_1", "p_1", "1", "1", "--key", "mine-1234"]) == 1
        assert "--key mine-1234" in capsys.readouterr().err


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("key", ["", "short", "a\nb-long-enough", "é" * 8, "x" * 101])
def test_k9_a_key_that_no_platform_takes_is_refused_first(
    capsys: pytest.CaptureFixture[str], key: str
) -> None:
    assert call(["order", "pause", "uo_1", f"--key={key}"]) == 2
    assert "--key: expected" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a b", b"x" * 100_000, "é".encode()])
def test_k9_a_file_that_holds_no_token_is_named(
    alone: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (alone / "operator.token").write_bytes(content)
    assert call(["status"]) == 2
    assert "operator.token is no token" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["none/x.csv", "", "x" * 300])
def test_k9_an_export_that_cannot_be_written_is_a_sentence(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    before = sorted(tmp_path.iterdir())
    arguments = ["ledger", "export", "--user", "us_ada", "--config", config]
    assert call([*arguments, "--out", str(tmp_path / where)]) == 2
    assert "the export" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", [b"x = " + b"[" * 9_000, b"x = " + b"9" * 9_000, b"\xff"])
def test_k9_a_configuration_that_cannot_be_read_is_a_sentence(
    alone: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = alone / "odd.toml"
    file.write_bytes(content)
    assert call(["config", "check", "--config", str(file)]) == 2
    assert "odd.toml" in capsys.readouterr().err


def _ran(folder: Path, shell: str, *more: str | bytes, **environ: str) -> tuple[int, str]:
    """The command in a process of its own, with streams as the shell gives them."""
    clean = {name: value for name, value in os.environ.items() if "POOLMAKER" not in name}
    program = f'cd "$0" && {shell.replace("poolmaker", f"{sys.executable} -m poolmaker.cli")}'
    done = subprocess.run(
        ["/bin/sh", "-c", program, str(folder), *more],
        env=clean | {"POOLMAKER_HOME": str(folder)} | environ,
        capture_output=True,
        timeout=100,
        check=False,
    )
    said = done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in said
    return done.returncode, said


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("poolmaker config show >/dev/full", 1, "standard output takes no more"),
        ("poolmaker config check >&-", 0, ""),
        ("poolmaker config check 2>&- <&-", 0, ""),
        ("poolmaker config check --config /dev/zero", 2, "/dev/zero"),
        ("mkdir gone && cd gone && rmdir ../gone && poolmaker config check", 2, "folder"),
        ('poolmaker user show "$1"', 2, "UTF-8"),
    ],
)
def test_k9_streams_and_folders_that_are_not_there_are_a_sentence(
    tmp_path: Path, shell: str, code: int, said: str
) -> None:
    ended, err = _ran(tmp_path, shell, b"us_\xff")
    assert (ended, said in err) == (code, True), err


def test_k9_what_a_terminal_cannot_show_is_shown_another_way(tmp_path: Path) -> None:
    folder = tmp_path / "é币"
    folder.mkdir()
    assert _ran(folder, "poolmaker config check", PYTHONIOENCODING="ascii")[0] == 0
