"""The measuring tool counts what it says, on planted sources."""

from __future__ import annotations

from pathlib import Path

from tools.measure.figures import figures, pass_through_methods, ports, repeated_classes
from tools.measure.sources import Source

PLATFORM = Source(
    Path("pools/service.py"),
    '''"""What pools do."""

class Store(Protocol):
    """Keeps."""

    def load(self, key: str) -> str: ...


class PostgresStore:
    """One."""

    def load(self, key: str) -> str:
        """See Store."""
        return self._rows.load(key)  # the rows know

    def other(self, key: str) -> str:
        return self._rows.load(key + "a")
''',
)
DOUBLE = Source(Path("lab/store.py"), "class Twin:\n    def load(self, key): return 1\n")
WORLD = Source(Path("sandbox/store.py"), "class PostgresStore:\n    size = 1\n")
TREE = [PLATFORM, DOUBLE, WORLD]


def test_lines_are_counted_without_text_and_comments() -> None:
    assert PLATFORM.code_lines() == 7
    assert PLATFORM.comment_lines() == 1


def test_a_name_of_two_classes_is_counted_across_and_within_distributions() -> None:
    counted = figures(TREE, [])
    assert dict(repeated_classes(TREE)) == {"PostgresStore": 2}
    assert (counted["class_names_twice"], counted["class_names_twice_platform"]) == (1, 0)


def test_a_double_is_no_second_implementation_of_a_port() -> None:
    (port,) = ports(TREE)
    assert (port.name, port.implementations) == ("Store", ("PostgresStore",))


def test_only_a_method_that_hands_on_its_own_arguments_passes_through() -> None:
    assert [where.split()[-1] for where in pass_through_methods(TREE)] == ["PostgresStore.load"]


def test_a_docstring_that_only_points_elsewhere_is_counted() -> None:
    assert figures(TREE, [])["docstrings_that_only_say_see"] == 1
