"""Catalogues: every sentence a person reads, by key and language.

A catalogue is a TOML file whose nested tables make dotted keys. Sentences name their facts in
braces. A language that lacks a key falls back to English; a key that English lacks is shown as it
is, so that a page never fails for want of a word (tests keep the catalogues complete).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FALLBACK: Final = "en"


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "…"


@dataclass(frozen=True, slots=True)
class Translator:
    """The sentences of one language."""

    language: str
    sentences: Mapping[str, str]
    fallback: Mapping[str, str]

    def has(self, key: str) -> bool:
        """Whether there is a sentence for ``key`` in this language or in English."""
        return key in self.sentences or key in self.fallback

    def say(self, key: str, **facts: object) -> str:
        """The sentence of ``key`` with its facts; a fact that is not given reads as an ellipsis."""
        sentence = self.sentences.get(key, self.fallback.get(key, key))
        return sentence.format_map(_Facts({name: str(fact) for name, fact in facts.items()}))


class Catalogues:
    """All languages of one folder: one ``<language>.toml`` each, read once."""

    def __init__(self, folder: Path) -> None:
        self._tables = {
            path.stem: dict(_flat(tomllib.loads(path.read_text("utf-8"))))
            for path in sorted(folder.glob("*.toml"))
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages there are, English first."""
        return tuple(sorted(self._tables, key=lambda name: (name != FALLBACK, name)))

    def keys(self, language: str) -> frozenset[str]:
        """The keys that a language has of its own."""
        return frozenset(self._tables[language])

    def words(self, language: str) -> Translator:
        """The sentences of ``language``, or English where there is no such language."""
        chosen = language if language in self._tables else FALLBACK
        return Translator(chosen, self._tables[chosen], self._tables[FALLBACK])

    def negotiate(self, header: str) -> str:
        """The first language of an Accept-Language header that there is, by its order."""
        for wish in header.split(","):
            name = wish.partition(";")[0].strip().lower().partition("-")[0]
            if name in self._tables:
                return name
        return FALLBACK
