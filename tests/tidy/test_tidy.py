"""Every tidy rule holds for this checkout."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.tidy import code_rules
from tests.tidy.tree import REPOSITORY, Tree

Rule = Callable[[Tree], Iterator[str]]

RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        code_rules.integers_only,
        code_rules.short_functions,
        code_rules.short_modules,
        code_rules.few_dependencies,
        code_rules.imports_at_the_top,
        code_rules.supervisors_only_catch_all,
        code_rules.no_bare_assert,
        code_rules.ground_is_plain,
        code_rules.stores_are_private,
    )
}


@pytest.fixture(scope="module")
def checkout() -> Tree:
    return Tree(REPOSITORY)


@pytest.mark.parametrize("name", RULES)
def test_the_checkout_keeps_the_tidy_rule(name: str, checkout: Tree) -> None:
    assert list(RULES[name](checkout)) == []
