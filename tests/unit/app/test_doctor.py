"""The doctor's questions to a chain and to HuFi, whatever they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from poolmaker.app.doctor import _skew, examine_outside
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.doctor import Finding
from poolmaker.infra.settings import EvmSettings, HufiSettings, Settings
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem

FACTORY = "0x" + "ab" * 20


@dataclass
class Services:
    """A node, a launcher and an oracle in one server; each answer can be made wrong."""

    chain_id: int = 137
    age_s: int = 2
    code: str = "0x6001"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    async def rpc(self, request: web.Request) -> web.Response:
        asked = await request.json()
        number = {"number": hex(9), "hash": "0x" + "11" * 32, "parentHash": "0x" + "22" * 32}
        now_s = SystemClock().now_us() // SECOND_US
        answers: dict[str, Any] = {
            "eth_chainId": hex(self.chain_id),
            "eth_getBlockByNumber": {**number, "timestamp": hex(now_s - self.age_s)},
            "eth_getCode": self.code,
        }
        result = answers[asked["method"]]
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    async def campaigns(self, request: web.Request) -> web.Response:
        return web.json_response({"has_more": False, "results": []}, status=self.status)

    async def nonce(self, request: web.Request) -> web.Response:
        return web.json_response({"nonce": "n"}, status=self.status)

    @asynccontextmanager
    async def settings(self) -> AsyncIterator[Settings]:
        app = web.Application()
        app.router.add_post("/rpc", self.rpc)
        app.router.add_get("/campaigns", self.campaigns)
        app.router.add_post("/auth/nonce", self.nonce)

        async def dated(_: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(self.headers)

        app.on_response_prepare.append(dated)
        async with TestServer(app) as server:
            url = str(server.make_url("")).rstrip("/")
            yield Settings(
                evm=EvmSettings(
                    rpc_url=f"{url}/rpc", chain_id=137, wallet_private_key=SecretStr("11" * 32)
                ),
                hufi=HufiSettings(
                    oracle_url=url,
                    launcher_url=url,
                    file_hosts=("x",),
                    account="main",
                    exchange="mexc",
                    escrow_factory=FACTORY,
                ),
            )


async def heard(services: Services) -> dict[str, Finding]:
    async with services.settings() as settings:
        return {one.name: one for one in await examine_outside(settings)}


async def test_found_51_what_answers_as_it_should_is_in_order() -> None:
    found = await heard(Services())
    assert set(found) == {
        "chain node",
        "chain clock",
        "escrow factory",
        "HuFi launcher",
        "HuFi oracle",
        "HuFi clock",
    }
    assert all(one.ok for one in found.values()), found


@pytest.mark.parametrize(
    ("services", "name", "said"),
    [
        (Services(chain_id=1), "chain node", "serves chain 1, not 137"),
        (Services(age_s=4_000), "chain clock", "seconds old by our clock"),
        (Services(age_s=-600), "chain clock", "seconds old by our clock"),
        (Services(code="0x"), "escrow factory", "no contract"),
        (Services(status=503), "HuFi launcher", "503"),
        (Services(status=503), "HuFi oracle", "503"),
        (
            Services(headers={"Date": "Fri, 01 Jan 2021 00:00:00 GMT"}),
            "HuFi clock",
            "ms behind ours",
        ),
    ],
)
async def test_found_51_what_does_not_is_one_sentence(
    services: Services, name: str, said: str
) -> None:
    found = (await heard(services))[name]
    assert not found.ok
    assert said in found.sentence
    assert found.remedy
    assert "\n" not in found.sentence


async def test_who_is_not_there_is_a_finding_and_not_an_error() -> None:
    async with Services().settings() as settings:
        pass
    found = await examine_outside(settings)
    assert len(found) == 6
    assert not any(one.ok for one in found)


def test_a_clock_is_in_order_up_to_the_bound() -> None:
    assert "1000 ms" in _skew(SECOND_US, SECOND_US)
    with pytest.raises(EnvironmentProblem, match="ahead of"):
        _skew(SECOND_US + 1, SECOND_US)
    with pytest.raises(EnvironmentProblem, match="behind"):
        _skew(-SECOND_US - 1, SECOND_US)
