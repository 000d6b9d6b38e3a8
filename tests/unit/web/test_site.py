"""The pages over a made-up platform."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import pytest

from poolmaker.business.ledger.commands import Command
from poolmaker.business.user_orders.model import (
    EXIT,
    FUND,
    ORDER_TABLE,
    ExitState,
    FundState,
    UserOrderState,
)
from poolmaker.infra.clock import SystemClock
from poolmaker.market.tracking.model import ORDER_STATES
from poolmaker.market.tracking.model import VenueOrderState as ShadowState
from poolmaker.messages.market import QuoteGate
from poolmaker.sandbox.story.model import ActName
from poolmaker.views.catalogue import Catalogues
from poolmaker.views.model import MoneyBarPart, WorldMode
from poolmaker.web.render import HERE
from poolmaker.web.site import create_site
from tests.api.client import Answer, Client
from tests.e2e.world import FakeWorld

CATALOGUES = Catalogues(HERE / "catalogues")


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.furnish()
    return made


@pytest.fixture
def client(world: FakeWorld) -> Client:
    return Client(create_site(world.showing()))


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def ids(self) -> list[str]:
        return [found["id"] or "" for _, found in self.tags if "id" in found]


async def test_the_story_page_shows_every_part(client: Client) -> None:
    answer = await client.get("/")
    assert answer.status == 200
    for text in ("61,", "+0.25 %", "ada", "bo", "withdrawing", "Σ 0", "the pool bought"):
        assert text in answer.text
    assert "all books agree" in answer.text


async def test_the_page_obeys_its_own_strict_policy(client: Client) -> None:
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = _Page(answer.text)
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert "//" not in (attributes.get(name) or ""), "another host"
    scripts = [a for t, a in page.tags if t == "script" and a.get("type") != "application/json"]
    assert all(a.get("src") for a in scripts)
    assert len(page.ids()) == len(set(page.ids()))


async def test_a_page_that_fails_is_a_notice_without_a_traceback(
    client: Client, world: FakeWorld
) -> None:
    world.order_rows["uo_ada"] = replace(world.order_rows["uo_ada"], opened_at_us=None)  # type: ignore[arg-type]
    answer = await client.get("/")
    assert answer.status == 500
    assert "No money moves because of this" in answer.text


async def test_a_difference_is_a_word_and_a_shape(client: Client, world: FakeWorld) -> None:
    world.reported_off = "0.01"
    text = (await client.get("/")).text
    assert "the books differ" in text
    assert "all books agree" not in text


async def test_outside_text_is_escaped(client: Client, world: FakeWorld) -> None:
    order = world.order_rows["uo_ada"]
    world.order_rows["uo_ada"] = replace(order, user_name="<script>alert(1)</script>")
    text = (await client.get("/")).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


@pytest.mark.parametrize(
    ("path", "header", "language"),
    [("/", "", "en"), ("/", "zh-CN", "zh"), ("/?lang=zh", "en", "zh"), ("/?lang=xx", "", "en")],
)
async def test_the_page_speaks_the_language_asked_for(
    client: Client, path: str, header: str, language: str
) -> None:
    answer = await client.get(path, {"accept-language": header})
    assert f'<html lang="{language}"' in answer.text


@pytest.mark.parametrize("path", ["/", "/stream", "/account/platform:equity", "/entry/1"])
@pytest.mark.parametrize("mode", [WorldMode.LIVE, WorldMode.PAPER])
async def test_nothing_is_shown_outside_the_sandbox(
    world: FakeWorld, path: str, mode: WorldMode
) -> None:
    answer = await Client(create_site(world.showing(mode))).get(path)
    assert answer.status == 403
    assert "ada" not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/account/pool:btcusdt:capital", 200),
        ("/account/pool:btcusdt:capital?after=5", 200),
        ("/account/pool:btcusdt:capital?after=x", 200),
        ("/account/nobody:knows", 200),
        ("/account/" + "x" * 300, 404),
        ("/entry/1", 200),
        ("/entry/99999", 404),
        ("/entry/x", 404),
        ("/static/nothing.css", 404),
        ("/static/../site.py", 404),
    ],
)
async def test_figures_lead_to_their_entries(client: Client, path: str, status: int) -> None:
    assert (await client.get(path)).status == status


async def test_assets_are_cached_for_ever_under_their_hash(client: Client) -> None:
    page = _Page((await client.get("/")).text)
    urls = [a["src"] or "" for t, a in page.tags if t == "script" and a.get("src")]
    urls += [a["href"] or "" for t, a in page.tags if t == "link"]
    for url in urls:
        answer = await client.get(url)
        digest = url.split("/")[2]
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert hashlib.sha256(answer.body).hexdigest().startswith(digest)


async def _stream(world: FakeWorld, frames: int) -> list[dict[str, object]]:
    """The first frames of a stream; the world moves a second before each further one."""
    markets = world.markets

    def counting() -> object:
        if len(seen) == frames:
            world.stopping.set()
        seen.append(1)
        world.step(world.clock.now_us())
        return markets()

    seen: list[int] = []
    world.markets = counting  # type: ignore[assignment, method-assign]
    answer: Answer = await Client(create_site(world.showing())).get("/stream")
    blocks = [block for block in answer.text.split("\n\n") if "event: frame" in block]
    return [json.loads(block.partition("data: ")[2]) for block in blocks]


async def test_the_stream_sends_everything_first_and_then_what_changed() -> None:
    world = FakeWorld(SystemClock())
    world.furnish()
    frames = await _stream(world, 3)
    assert len(frames) >= 2
    first, second = frames[0], frames[1]
    assert first["full"] is True
    assert second["full"] is False
    assert set(first["parts"]) >= {"top", "market_head", "people", "books", "events"}  # type: ignore[call-overload]
    assert "people" not in second["parts"]  # type: ignore[operator]
    assert len(second["points"]) < len(first["points"])  # type: ignore[arg-type]


def test_both_languages_have_the_same_sentences_with_the_same_facts() -> None:
    assert CATALOGUES.languages == ("en", "zh")
    assert CATALOGUES.keys("en") == CATALOGUES.keys("zh")
    english, chinese = CATALOGUES.words("en").sentences, CATALOGUES.words("zh").sentences
    for key, sentence in english.items():
        facts = set(re.findall(r"{\w+}", sentence))
        assert set(re.findall(r"{\w+}", chinese[key])) <= facts, key


def kinds() -> set[str]:
    """Every kind of the ledger; a fill is worded by its side."""
    found = {command.__struct_config__.tag for command in get_args(Command)}
    return {str(kind) for kind in found if kind != "FILL"} | {"FILL.BUY", "FILL.SELL"}


def test_everything_that_is_worded_has_its_sentence() -> None:
    keys = CATALOGUES.keys("en")
    wanted = {f"gate.{gate.value}" for gate in QuoteGate}
    wanted |= {f"act.{act.value}" for act in ActName} | {"act.done", "act.failed", "act.free"}
    wanted |= {f"part.{part.value}" for part in MoneyBarPart} | {
        f"mode.{mode.value}" for mode in WorldMode
    }
    wanted |= {f"state.{state.name}" for state in UserOrderState}
    wanted |= {
        f"next.{state.name}" for state in UserOrderState if state not in ORDER_TABLE.terminal
    }
    wanted |= {f"next.{FUND}:{state}" for state in FundState}
    wanted |= {f"next.{EXIT}:{state}" for state in ExitState}
    wanted |= {f"exchange.{state}" for state in ShadowState if state not in ORDER_STATES.terminal}
    wanted |= {f"event.{kind}" for kind in kinds()}
    assert wanted <= keys
    for template in (HERE / "templates").glob("*.html"):
        for key in re.findall(r"""\bt\(["']([a-z_.]+)["'][,)]""", template.read_text("utf-8")):
            assert key in keys, template.name


def test_vendored_files_are_the_ones_that_were_fetched() -> None:
    folder = HERE / "static/vendor"
    table = tomllib.loads((folder / "vendor.toml").read_text("utf-8"))
    for name, package in table.items():
        assert set(package) == {"version", "source", "package_sha256", "licence", "files"}
        found = {path.name for path in (folder / name).iterdir()}
        assert found == set(package["files"])
        for file, digest in package["files"].items():
            assert hashlib.sha256((folder / name / file).read_bytes()).hexdigest() == digest
