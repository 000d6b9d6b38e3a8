"""What the set-up says where it cannot work. That it works is shown by whoever runs these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidy.tree import REPOSITORY


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    shutil.copy(REPOSITORY / "tools" / "setup.sh", tmp_path / "tools" / "setup.sh")
    return tmp_path


def _fake_python(folder: Path, script: str) -> str:
    path = folder / "fake-python"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def _set_up(checkout: Path, python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "tools" / "setup.sh"), "base"],
        env={"PATH": os.environ["PATH"], "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )


def _assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("poolmaker set-up: ")
    assert all(word in last for word in words), last


def test_a_missing_python_is_refused_with_what_to_do(checkout: Path) -> None:
    result = _set_up(checkout, "no-such-python")
    _assert_refused(result, "'no-such-python'", "Python 3.11", "make PYTHON=")
    assert len(result.stderr.splitlines()) == 1


def test_an_old_python_is_refused_with_its_version(checkout: Path) -> None:
    old = 'case $1 in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac'
    result = _set_up(checkout, _fake_python(checkout, old))
    _assert_refused(result, "Python 3.9.2 is too old", "make PYTHON=")
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_refused_with_the_package_to_install(checkout: Path) -> None:
    without = 'case $1 in --version) echo "Python 3.11.2" ;; -m) exit 1 ;; esac'
    result = _set_up(checkout, _fake_python(checkout, without))
    _assert_refused(result, "-m venv", "apt-get install python3-venv")


def test_a_second_run_of_make_has_nothing_to_set_up(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    for folder in ("requirements", "tools"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".checkout").write_text(f"{tmp_path.resolve()}\n", "utf-8")
    (tmp_path / ".venv" / ".dev").touch()
    question = ["make", "--question", "setup"]
    assert subprocess.run(question, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / ".venv" / ".checkout").write_text("/somewhere/else\n", "utf-8")
    assert subprocess.run(question, cwd=tmp_path, check=False).returncode == 1
