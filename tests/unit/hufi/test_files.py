"""Results files: from known hosts, small, unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from poolmaker.hufi import files
from poolmaker.hufi.files import ResultsFiles
from poolmaker.hufi.model import FileRefused
from poolmaker.kernel.errors import Unavailable

BODY = b'{"results":[]}'
DIGEST = hashlib.sha256(BODY).hexdigest()


async def _body(_request: web.Request) -> web.Response:
    return web.Response(body=BODY)


async def _huge(_request: web.Request) -> web.Response:
    return web.Response(body=b" " * 5_000)


async def _away(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def _round(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/round.json")


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_get("/good.json", _body)
    app.router.add_get("/huge.json", _huge)
    app.router.add_get("/away.json", _away)
    app.router.add_get("/round.json", _round)
    running = TestServer(app, host="127.0.0.1")
    async with running:
        yield running


@pytest.fixture
async def reader(server: TestServer) -> AsyncIterator[ResultsFiles]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield ResultsFiles(session, [f"127.0.0.1:{server.port}"], allows_http=True)


async def test_a_file_of_a_known_host_is_read(server: TestServer, reader: ResultsFiles) -> None:
    url = f"http://127.0.0.1:{server.port}"
    assert await reader.fetch(f"{url}/good.json", DIGEST) == BODY
    assert await reader.fetch(f"{url}/away.json?to=/good.json", DIGEST) == BODY


async def test_a_file_that_was_changed_is_refused(server: TestServer, reader: ResultsFiles) -> None:
    with pytest.raises(FileRefused, match="is not the one"):
        await reader.fetch(f"http://127.0.0.1:{server.port}/good.json", "0" * 64)


async def test_a_file_that_is_missing_may_come_later(
    server: TestServer, reader: ResultsFiles
) -> None:
    with pytest.raises(Unavailable):
        await reader.fetch(f"http://127.0.0.1:{server.port}/none.json", DIGEST)


async def test_a_file_beyond_the_limit_is_refused(
    server: TestServer, reader: ResultsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SIZE_MAX", 1_000)
    with pytest.raises(FileRefused, match="bytes"):
        await reader.fetch(f"http://127.0.0.1:{server.port}/huge.json", DIGEST)


async def test_a_redirect_leads_only_to_known_hosts_and_not_for_ever(
    server: TestServer, reader: ResultsFiles
) -> None:
    url = f"http://127.0.0.1:{server.port}/away.json"
    with pytest.raises(FileRefused, match="file_hosts"):
        await reader.fetch(f"{url}?to=http://127.0.0.1:1/good.json", DIGEST)
    with pytest.raises(FileRefused, match="moves more"):
        await reader.fetch(f"http://127.0.0.1:{server.port}/round.json", DIGEST)
    with pytest.raises(FileRefused, match="no address"):
        await reader.fetch(f"{url}?to=http://[bad", DIGEST)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "good.json",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "http://files.example/good.json",
        "https://files.example.evil/good.json",
        "https://user@files.example/good.json",
        "https://files.example:8443/good.json",
        "ftp://files.example/good.json",
        "http://[bad",
    ],
)
async def test_an_address_that_is_not_allowed_is_never_asked(url: str) -> None:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with pytest.raises(FileRefused):
            await ResultsFiles(session, ["files.example"], allows_http=True).fetch(url, DIGEST)
        with pytest.raises(FileRefused):
            await ResultsFiles(session, ["files.example"], allows_http=False).fetch(url, DIGEST)


async def test_plain_http_is_for_the_sandbox_alone(server: TestServer) -> None:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        host = f"127.0.0.1:{server.port}"
        with pytest.raises(FileRefused, match="not allowed"):
            await ResultsFiles(session, [host], allows_http=False).fetch(
                f"http://{host}/good.json", DIGEST
            )
