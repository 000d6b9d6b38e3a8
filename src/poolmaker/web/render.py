"""Templates to text: one environment per language, and the parts of the story page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from poolmaker.views import figures
from poolmaker.views.attention import AttentionItemView
from poolmaker.views.catalogue import Catalogues, Translator
from poolmaker.views.model import (
    ActivityView,
    AmountView,
    BarPart,
    Entry,
    OrderView,
)
from poolmaker.web import rules
from poolmaker.web.assets import Assets
from poolmaker.web.model import Look
from poolmaker.web.naming import account_words, asset_words, owners, short_id

HERE: Final = Path(__file__).parent
DISPLAY_DECIMALS: Final = 8
SHARE_DECIMALS: Final = 2
PARTS: Final = (
    "top",
    "attention",
    "market_head",
    "ladder",
    "fills",
    "pool",
    "quotes",
    "gates",
    "campaign",
    "people",
    "rewards",
    "moving",
    "books",
    "events",
)


def account_url(account: str) -> str:
    """The page of an account's entries."""
    return f"/account/{quote(account, safe=':')}"


def entry_url(seq: int) -> str:
    """The page of one transaction."""
    return f"/entry/{seq}"


class Pages:
    """Renders the pages in every language of the catalogues."""

    def __init__(self, assets: Assets, catalogues: Catalogues) -> None:
        self.catalogues = catalogues
        self._environments = {
            language: _environment(assets, catalogues.words(language))
            for language in catalogues.languages
        }

    def parts(self, look: Look, language: str) -> Mapping[str, str]:
        """Every part of the story page by its name."""
        environment = self._environments[language]
        words = self.catalogues.words(language)
        values = _values(look, words)
        parts = {
            name: environment.get_template(f"{name}.html").render(values).strip() for name in PARTS
        }
        parts["symbol"] = look.pool.symbol if look.pool else ""
        base, quote = _assets(look)
        parts["caption_price"] = words.say("chart.price", quote=quote)
        parts["caption_depth"] = words.say("chart.depth", base=base)
        parts["books_line"] = words.say("books.at", seq=look.trial.seq)
        return parts

    def story(self, look: Look, language: str) -> str:
        """The whole story page."""
        other = next(name for name in self.catalogues.languages if name != language)
        first = rules.chart_frame(look, 0, 0)
        parts = {name: Markup(part) for name, part in self.parts(look, language).items()}  # noqa: S704 - rendered above with escaping
        return self.page(
            "story.html",
            language,
            parts=parts,
            first=_json(first),
            other=other,
            other_name=self.catalogues.words(other).say("language.name"),
        )

    def page(self, template: str, language: str, **values: object) -> str:
        """Any page by its template."""
        return self._environments[language].get_template(template).render(values)

    def entries(
        self,
        heading: str,
        lead: str,
        entries: Sequence[Entry],
        names: Mapping[str, str],
        language: str,
    ) -> Callable[..., str]:
        """The page of entries, still to be given its link to more."""
        words = self.catalogues.words(language)
        return partial(
            self.page,
            "entries.html",
            language,
            heading=heading,
            lead=lead,
            entries=entries,
            account=lambda account: account_words(words, account, names),
        )


def _json(value: object) -> Markup:
    """JSON that may stand inside a script element."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704


def _environment(assets: Assets, words: Translator) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        t=words.say,
        lang=words.language,
        asset=assets.urls.__getitem__,
        asset_name=partial(asset_words, words),
        account_url=account_url,
        entry_url=entry_url,
        show=lambda amount, asset: figures.shown(amount, _decimals(asset, {})),
        cut=figures.shown,
        trim=figures.trimmed,
        signed=figures.signed,
        zero=figures.is_zero,
        pct=figures.percent,
        bps=lambda cbps: figures.percent(cbps * 100),
        clock=figures.clock_time,
        duration=figures.duration,
        segments=rules.segments,
        explained=rules.explained,
        is_surplus=rules.is_surplus,
        recently_agreed=rules.recently_agreed,
        done=rules.settled,
        running=rules.running,
        days=rules.day_segments,
        reward_parts=rules.parts_of_reward,
        reward_way=rules.reward_way,
        strangers=rules.strangers,
        has_result=rules.has_result,
        tone=rules.tone,
        negated=rules.negated,
        rewards_shown=rules.REWARDS_SHOWN,
        moving=rules.moving,
        ended=rules.ENDED.__contains__,
        word=partial(_word, words),
        short=short_id,
        ladder=rules.ladder,
    )
    return environment


def _decimals(asset: str, displays: Mapping[str, int]) -> int:
    return SHARE_DECIMALS if asset.startswith("share:") else displays.get(asset, DISPLAY_DECIMALS)


def _values(look: Look, words: Translator) -> dict[str, Any]:
    """What the parts of the story page read besides the environment's functions."""
    names = owners(look.orders)
    displays = {code: asset.display for code, asset in look.assets.items()}
    pool = look.pool
    return {
        "look": look,
        "agreement": rules.agreement(look),
        "spread": rules.spread_cbps(look.market) if look.market else None,
        "gain": _gain_ppm(pool.share_price) if pool and pool.share_price else None,
        "inventory": rules.inventory_words(pool.inventory_ppm, pool.target_ppm, pool.band_ppm)
        if pool
        else "pool.inventory.unknown",
        "show": lambda amount, asset: figures.shown(amount, _decimals(asset, displays)),
        "account": lambda account: account_words(words, account, names),
        "place": lambda name: _place(words, name, names),
        "place_url": _place_url,
        "by": lambda name: words.say(f"by.{name}") if words.has(f"by.{name}") else name,
        "next_words": partial(_next_words, words),
        "bar_words": partial(_bar_words, words, displays),
        "happening": partial(_happening, words, displays),
        "attention_words": partial(_attention, words),
    }


def _word(words: Translator, group: str, name: str) -> str:
    """The word for a state; one that the catalogue does not know is shown as it is."""
    key = f"{group}.{name.upper()}"
    return words.say(key) if words.has(key) else name.lower().replace("_", " ")


def _next_words(words: Translator, order: OrderView) -> str:
    """What happens next: by the step at work, else by the state and the reason it gives."""
    step = f"next.{order.waiting_for}"
    if words.has(step):
        return words.say(step)
    sentence = words.say(f"next.{order.state}")
    if not order.waiting_for:
        return sentence
    return words.say("next.because", sentence=sentence, reason=order.waiting_for)


def _attention(words: Translator, item: AttentionItemView) -> str:
    """What an item is called; a kind that the catalogue does not know is shown as it is."""
    key = f"attention.{item.source}.{item.kind}"
    return words.say(key) if words.has(key) else f"{item.source}: {item.kind.replace('_', ' ')}"


def _assets(look: Look) -> tuple[str, str]:
    return (look.pool.base.asset, look.pool.quote.asset) if look.pool else ("", "")


def _gain_ppm(share_price: str) -> int:
    return figures.share_ppm(share_price, "1") - 1_000_000


def _place(words: Translator, name: str, names: Mapping[str, str]) -> str:
    group = f"group.{name}"
    return words.say(group) if words.has(group) else account_words(words, name, names)


def _place_url(name: str) -> str:
    return account_url(name) if ":" in name else "#events"


def _bar_words(words: Translator, displays: Mapping[str, int], bar: Sequence[BarPart]) -> str:
    said = []
    for part in bar:
        for money in part.amounts:
            amount = figures.shown(money.amount, _decimals(money.asset, displays))
            said.append(f"{words.say(f'part.{part.part}')} {amount} {money.asset}")
    return ", ".join(said)


def _sum(displays: Mapping[str, int], sums: Sequence[AmountView]) -> str:
    return " + ".join(
        f"{figures.shown(money.amount, _decimals(money.asset, displays))} {money.asset}"
        for money in sums
    )


def _happening(words: Translator, displays: Mapping[str, int], happening: ActivityView) -> str:
    key = f"event.{happening.kind}"
    sums = {name: _sum(displays, sums) for name, sums in happening.sums.items()}
    return words.say(key if words.has(key) else "event.other", **happening.facts, **sums)
