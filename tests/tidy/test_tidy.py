"""Every tidy rule holds for this checkout."""

from __future__ import annotations

import pytest

from tests.tidy.rules import RULES
from tests.tidy.tree import REPOSITORY, Tree


@pytest.fixture(scope="module")
def checkout() -> Tree:
    return Tree(REPOSITORY)


@pytest.mark.parametrize("name", RULES)
def test_the_checkout_keeps_the_tidy_rule(name: str, checkout: Tree) -> None:
    assert list(RULES[name](checkout)) == []
