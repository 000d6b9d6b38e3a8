"""HuFi as a process, where the machine or its arguments do not allow it."""

from __future__ import annotations

import asyncio
import sys

import pytest


async def ended(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.hufi", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert output == b""
    return process.returncode, errors.decode()


async def nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take no notice."""


@pytest.mark.parametrize("option", ["--port", "--launcher-port", "--files-port", "--admin-port"])
async def test_a_taken_port_is_one_sentence_that_names_its_option(option: str) -> None:
    server = await asyncio.start_server(nothing, "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    where = "http://127.0.0.1:1"
    code, said = await ended("--chain", where, "--venue", where, option, port)
    server.close()
    assert (code, len(said.splitlines())) == (2, 1)
    assert f"Port {port}" in said
    assert said.rstrip().endswith(f"{option}.")


async def test_without_a_chain_the_sentence_says_to_start_it() -> None:
    where = "http://127.0.0.1:1"
    code, said = await ended("--chain", where, "--venue", where)
    assert (code, len(said.splitlines())) == (2, 1)
    assert "start the sandbox chain first" in said
