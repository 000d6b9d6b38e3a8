"""The checkout as the tidy rules see it: its modules parsed once, its files listed once."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file of ``src/poolmaker``; ``name`` is its path below that folder."""

    name: str
    source: str

    @cached_property
    def lines(self) -> list[str]:
        """The source, line by line."""
        return self.source.splitlines()

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the syntax tree."""
        return list(ast.walk(self.syntax))

    @cached_property
    def syntax(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.source, filename=self.name)

    @cached_property
    def docstring_lines(self) -> frozenset[int]:
        """The first lines of all docstrings: text about the code, not text in it."""
        owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        return frozenset(
            node.body[0].lineno
            for node in self.nodes
            if isinstance(node, owners) and ast.get_docstring(node, clean=False) is not None
        )

    def functions(self) -> Iterator[Function]:
        """Every function and method."""
        return (node for node in self.nodes if isinstance(node, Function))

    def strings(self) -> Iterator[tuple[int, str]]:
        """(line, text) of every string that is not a docstring; of f-strings the fixed parts."""
        for node in self.nodes:
            if not isinstance(node, ast.Constant) or node.lineno in self.docstring_lines:
                continue
            if isinstance(node.value, str):
                yield node.lineno, node.value

    def imports(self) -> Iterator[tuple[int, str]]:
        """(line, full name) of everything imported, wherever the import stands."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                yield node.lineno, node.module
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def at(self, line: int, sentence: str) -> str:
        """A finding that an editor can jump to."""
        return f"src/poolmaker/{self.name}:{line}: {sentence}"

    def within(self, *places: str) -> bool:
        """Whether this file is one of ``places`` or lies below one that ends with a slash."""
        return any(
            self.name == place or (place.endswith("/") and self.name.startswith(place))
            for place in places
        )


# Trees that differ in one file share the syntax trees of all the others.
_module = functools.lru_cache(maxsize=4096)(Module)


class Tree:
    """A checkout or a copy of one; with ``focus`` only that file or folder is seen."""

    def __init__(self, root: Path, focus: str | None = None) -> None:
        self.root = root
        self.focus = focus
        self.package = root / "src" / "poolmaker"

    @cached_property
    def modules(self) -> list[Module]:
        """Every module of the product, in the order of their names."""
        return [
            _module(path.relative_to(self.package).as_posix(), path.read_text("utf-8"))
            for path in self.sources("*.py")
        ]

    def sources(self, pattern: str) -> list[Path]:
        """The files of the product whose name matches ``pattern``."""
        if self.focus is None:
            return sorted(self.package.rglob(pattern))
        inside = (path for path in self._focused() if path.is_relative_to(self.package))
        return [path for path in inside if path.match(pattern)]

    def _focused(self) -> list[Path]:
        path = self.root / (self.focus or "")
        if path.is_dir():
            return sorted(inner for inner in path.rglob("*") if inner.is_file())
        return [path] if path.is_file() else []

    @cached_property
    def files(self) -> list[Path]:
        """Every file that is or would be committed, relative to the root.

        A copy has no history, so there every file counts.
        """
        if self.focus is not None:
            return [path.relative_to(self.root) for path in self._focused()]
        if not (self.root / ".git").exists():
            found = (path for path in self.root.rglob("*") if path.is_file())
            return sorted(path.relative_to(self.root) for path in found)
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True)
        names = {name for name in listed.stdout.split("\0") if name}
        return sorted(Path(name) for name in names if (self.root / name).is_file())

    def text(self, name: str | Path) -> str:
        """The text of a file, empty where there is none or where it is not text."""
        path = self.root / name
        try:
            return path.read_text("utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def python(self) -> Iterator[tuple[Path, str]]:
        """Every Python file of the checkout with its text."""
        return ((path, self.text(path)) for path in self.files if path.suffix == ".py")
