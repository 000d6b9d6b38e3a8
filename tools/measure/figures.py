"""The figures: each counts one thing that makes code harder to read than it need be."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tools.measure.sources import Function, Source

WORLDS = "sandbox"
"""The folder of the worlds; everything else is the platform."""
DOUBLES = frozenset({"lab"})
"""Rooms whose classes stand in for others: they do not count as a second implementation."""

_SEE = re.compile(r"See [^.]*\.?|See `+[\w.]+`+\.?")


@dataclass(frozen=True)
class Port:
    """A Protocol and the classes that have all of its methods."""

    name: str
    path: str
    implementations: tuple[str, ...]


def figures(sources: Sequence[Source], tests: Sequence[Source]) -> dict[str, float]:
    """Every figure of a tree, by its name."""
    platform = [source for source in sources if source.room != WORLDS]
    worlds = [source for source in sources if source.room == WORLDS]
    lengths = sorted(_length(one) for source in platform for one in source.functions)
    code = sum(source.code_lines() for source in platform)
    repeated = repeated_classes(sources)
    found = ports(sources)
    return {
        "code_lines_platform": code,
        "code_lines_worlds": sum(source.code_lines() for source in worlds),
        "class_names_twice": len(repeated),
        "classes_of_those_names": sum(repeated.values()),
        "class_names_twice_platform": len(repeated_classes(platform)),
        "class_names_twice_worlds": len(repeated_classes(worlds)),
        "ports": len(found),
        "ports_with_one_implementation": sum(len(port.implementations) <= 1 for port in found),
        "ports_bundles": sum(c.name.endswith("Ports") for s in sources for c in s.classes),
        "pass_through_methods": len(pass_through_methods(sources)),
        "docstrings_that_only_say_see": _see_docstrings(sources),
        "functions": len(lengths),
        "function_lines_median": _at(lengths, 0.5),
        "function_lines_p90": _at(lengths, 0.9),
        "function_lines_max": _at(lengths, 1),
        "comment_percent": round(100 * sum(s.comment_lines() for s in platform) / code, 1),
        "tests_per_source_line": round(
            sum(source.code_lines() for source in tests)
            / sum(source.code_lines() for source in sources),
            2,
        ),
    }


def repeated_classes(sources: Iterable[Source]) -> Mapping[str, int]:
    """Public class names that are defined more than once, and how often."""
    counts: dict[str, int] = defaultdict(int)
    for source in sources:
        for one in source.classes:
            if not one.name.startswith("_"):
                counts[one.name] += 1
    return {name: count for name, count in sorted(counts.items()) if count > 1}


def ports(sources: Sequence[Source]) -> list[Port]:
    """Every Protocol that has methods or data, with who has all of them outside the doubles."""
    classes = {
        (str(source.path), one.name): one
        for source in sources
        if source.room not in DOUBLES
        for one in source.classes
        if not _is_protocol(one)
    }
    members = {key: _members(one, classes) for key, one in classes.items()}
    return [
        Port(one.name, str(source.path), _implementations(one, members))
        for source in sources
        for one in source.classes
        if _is_protocol(one)
    ]


def pass_through_methods(sources: Iterable[Source]) -> list[str]:
    """Methods that only hand their arguments to a method of an attribute, in their order."""
    return [
        f"{source.path}:{method.lineno} {one.name}.{method.name}"
        for source in sources
        for one in source.classes
        for method in one.body
        if isinstance(method, Function) and _only_forwards(method)
    ]


def _implementations(
    port: ast.ClassDef, members: Mapping[tuple[str, str], set[str]]
) -> tuple[str, ...]:
    wanted = _own_methods(port)
    return tuple(name for (_, name), has in members.items() if wanted and wanted <= has)


def _is_protocol(one: ast.ClassDef) -> bool:
    return any(ast.unparse(base).startswith("Protocol") for base in one.bases)


def _own_methods(one: ast.ClassDef) -> set[str]:
    names = {node.name for node in one.body if isinstance(node, Function)}
    return {name for name in names if not name.startswith("_") or name == "__call__"}


def _members(one: ast.ClassDef, classes: Mapping[tuple[str, str], ast.ClassDef]) -> set[str]:
    """Methods and fields, inherited ones of same-named bases included."""
    fields = {
        node.target.id
        for node in one.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    found = _own_methods(one) | fields
    for base in one.bases:
        name = ast.unparse(base).split("[")[0]
        for (_, other), parent in classes.items():
            if other == name and parent is not one:
                found |= _members(parent, classes)
    return found


def _only_forwards(method: Function) -> bool:
    body = [node for node in method.body if not _is_text(node)]
    if len(body) != 1 or not isinstance(body[0], ast.Return | ast.Expr):
        return False
    value = body[0].value.value if isinstance(body[0].value, ast.Await) else body[0].value
    if not isinstance(value, ast.Call) or not _is_attribute_of_self(value.func):
        return False
    given = [ast.unparse(each) for each in value.args]
    given += [ast.unparse(each.value) for each in value.keywords]
    taken = [each.arg for each in method.args.args + method.args.kwonlyargs]
    return given == [name for name in taken if name not in ("self", "cls")]


def _is_attribute_of_self(node: ast.expr) -> bool:
    """Whether ``node`` is ``self.a.b`` or deeper."""
    parts = ast.unparse(node).split(".")
    return parts[0] == "self" and len(parts) > len(("self", "method")) and _is_dotted(node)


def _is_dotted(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _see_docstrings(sources: Iterable[Source]) -> int:
    texts = (
        ast.get_docstring(node) or ""
        for source in sources
        for node in (*source.functions, *source.classes)
    )
    return sum(_SEE.fullmatch(text.strip()) is not None for text in texts)


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _at(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
