"""All tidy rules by name. Whoever adds one adds its plant to ``test_fences_bite``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tests.tidy import code_rules, room_rules, text_rules
from tests.tidy.tree import Tree

Rule = Callable[[Tree], Iterator[str]]

RULES: Final[dict[str, Rule]] = {
    rule.__name__: rule
    for rule in (
        code_rules.integers_only,
        code_rules.short_functions,
        code_rules.short_modules,
        code_rules.few_dependencies,
        code_rules.imports_at_the_top,
        code_rules.supervisors_only_catch_all,
        code_rules.no_bare_assert,
        code_rules.class_names_are_unique,
        code_rules.docstrings_say_something,
        code_rules.ground_is_plain,
        code_rules.imports_are_declared,
        code_rules.stores_are_private,
        code_rules.queues_are_bounded,
        code_rules.waits_have_a_timeout,
        code_rules.tests_are_sentences,
        code_rules.ticks_with_rules,
        room_rules.rooms_say_what_they_are,
        room_rules.the_ledger_is_explained,
        text_rules.sql_in_stores,
        text_rules.cursor_loops_are_guarded,
        text_rules.drivers_behind_stores,
        text_rules.ledger_tables_are_its_own,
        text_rules.time_is_an_argument_of_sql,
        text_rules.no_html_in_python,
        text_rules.forbidden_words,
        text_rules.locks_name_no_host,
        text_rules.few_explained_targets,
        text_rules.the_build_hides_nothing,
        text_rules.links_lead_somewhere,
        text_rules.docs_say_what_the_code_says,
    )
}
