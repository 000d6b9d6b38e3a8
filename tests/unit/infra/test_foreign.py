"""K3: what others wrote is read, or it is no JSON; a nesting without end is no crash."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from poolmaker.infra.foreign import NESTING_MAX, NotReadable, read_json
from tests.tidy.tree import REPOSITORY

DEEP = b"[" * 200_000


class _Form(msgspec.Struct):
    name: str = ""


@pytest.mark.parametrize("raw", [b"", DEEP, b"\xff", b"nul", b'{"x":' + DEEP, b'{"name":1}', b"[]"])
def test_k3_what_is_not_of_the_form_is_not_readable(raw: bytes) -> None:
    with pytest.raises(NotReadable):
        read_json(raw, _Form)


@pytest.mark.parametrize("raw", ["", DEEP.decode(), "\ud800", "{"])
def test_k3_a_text_that_is_no_json_is_not_readable(raw: str) -> None:
    with pytest.raises(NotReadable):
        read_json(raw)


def test_k3_rooms_that_read_others_json_have_one_way_to_do_it() -> None:
    source = REPOSITORY / "src/poolmaker"
    found = [
        file.name
        for room in ("hufi", "evm")
        for file in sorted((source / room).rglob("*.py"))
        if "msgspec.json.decode" in file.read_text("utf-8")
    ]
    assert found == []


def test_k3_what_is_wide_is_read_and_signs_in_texts_do_not_count() -> None:
    assert read_json(b"[" + b"[]," * 1_000 + b"[]]") == [[]] * 1_001
    assert read_json(b'["' + b"[" * 1_000 + b'\\"["]') == ["[" * 1_000 + '"[']
    assert read_json(b"[" * NESTING_MAX + b"]" * NESTING_MAX)


def test_k6_a_platform_survives_a_deep_json_after_its_libraries_are_loaded() -> None:
    """One of them lets Python nest 100,000 times: 60 KiB of brackets ended the process."""
    code = (
        "import json, sys, poolmaker.app.platform as platform\n"
        "sys.setrecursionlimit(100_000)\n"
        "platform.bound_recursion()\n"
        "try: json.loads('[' * 10**6)\n"
        "except RecursionError: print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr
    text = (REPOSITORY / "src/poolmaker/app/platform.py").read_text("utf-8")
    assert text.count("    bound_recursion()\n") == 1
