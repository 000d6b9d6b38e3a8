"""Sentences by key and language."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolmaker.views.catalogue import Catalogues


@pytest.fixture
def catalogues(tmp_path: Path) -> Catalogues:
    (tmp_path / "en.toml").write_text('[a]\nb = "{who} has {what}"\nonly = "english"\n', "utf-8")
    (tmp_path / "zh.toml").write_text('[a]\nb = "{who} 有 {what}"\n', "utf-8")
    return Catalogues(tmp_path)


def test_a_sentence_is_found_by_its_dotted_key(catalogues: Catalogues) -> None:
    assert catalogues.words("en").say("a.b", who="ada", what=3) == "ada has 3"
    assert catalogues.words("zh").say("a.b", who="ada", what=3) == "ada 有 3"


def test_a_missing_word_never_fails_a_page(catalogues: Catalogues) -> None:
    assert catalogues.words("zh").say("a.only") == "english"
    assert catalogues.words("zh").say("nothing.here") == "nothing.here"
    assert catalogues.words("en").say("a.b", who="ada") == "ada has …"


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,en;q=0.8", "zh"), ("de,fr", "en"), ("", "en"), ("EN-us", "en"), ("de,zh;q=.1", "zh")],
)
def test_the_language_is_the_first_that_there_is(
    catalogues: Catalogues, header: str, language: str
) -> None:
    assert catalogues.negotiate(header) == language
