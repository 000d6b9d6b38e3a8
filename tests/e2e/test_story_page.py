"""The story page in a real browser: live, still, readable, alone on its host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1440, "height": 1000}


@pytest.fixture(params=[PHONE, WIDE], ids=["phone", "wide"])
def page(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(viewport=request.param, locale="en-US")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console", lambda said: complaints.append(said.text) if said.type == "error" else None
    )
    opened.on(
        "request",
        lambda asked: complaints.append(asked.url) if not asked.url.startswith(site) else None,
    )
    opened.goto(site)
    yield opened
    context.close()
    assert complaints == []


def test_the_page_updates_by_itself_and_nothing_jumps(page: Page) -> None:
    page.evaluate(
        """() => {
          window.moved = 0;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.moved += entry.value;
          }).observe({ type: "layout-shift", buffered: true });
        }"""
    )
    price = page.locator("#part-market_head .big .fig")
    expect(price).not_to_have_text(price.inner_text(), timeout=15_000)
    newest = page.locator("#part-events li").first
    expect(newest).not_to_have_attribute(
        "data-key", newest.get_attribute("data-key") or "", timeout=40_000
    )
    assert page.evaluate("window.moved") < 0.01


def test_the_page_is_never_wider_than_the_screen(page: Page) -> None:
    page.wait_for_selector("#chart-price canvas")
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    assert page.locator(".chart canvas").count() == 3


def test_what_is_open_and_focused_stays_so_while_the_page_updates(page: Page) -> None:
    # By its key: the fourth row is another one as soon as something happens.
    key = page.locator("#part-events > ol > li").nth(3).get_attribute("data-key")
    page.locator(f'#part-events li[data-key="{key}"] summary').focus()
    page.keyboard.press("Enter")
    seconds = page.locator("#part-top time")
    expect(seconds).not_to_have_text(seconds.inner_text(), timeout=10_000)
    page.wait_for_timeout(1500)
    same = page.locator(f'#part-events li[data-key="{key}"] details')
    expect(same).to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_light_and_dark_by_a_switch_that_is_remembered(page: Page) -> None:
    page.locator("#theme").click()
    first = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == first
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != first


def test_the_other_language_is_one_step_away_and_remembered(page: Page, site: str) -> None:
    page.locator("a[hreflang=zh]").click()
    expect(page.locator("h2").first).to_contain_text("市场")
    page.goto(site)
    expect(page.locator("html")).to_have_attribute("lang", "zh")


def test_a_figure_leads_to_its_entries_and_back(page: Page) -> None:
    page.locator("#part-pool .big a").click()
    expect(page.locator("h1")).to_contain_text("pool")
    assert page.locator("tbody tr").count() > 3
    page.locator("main a").first.click()
    expect(page.locator("#chart-price canvas").first).to_be_visible()


def test_everything_is_named_for_a_screen_reader(page: Page) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, a, [role=region], [role=img]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")
                           || e.textContent.trim()))
          .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_text_is_readable_on_its_ground(page: Page) -> None:
    """Contrast of what carries meaning is at least 4.5 in light and in dark."""
    for _ in range(2):
        low = page.evaluate(CONTRAST)
        assert low == []
        page.locator("#theme").click()


CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("main *, header *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.nodeValue.trim());
    if (!own || !e.getClientRects().length) continue;
    const color = parse(getComputedStyle(e).color);
    if (color.length === 4 && color[3] === 0) continue;
    const a = light(color), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(e.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  return found;
}"""
