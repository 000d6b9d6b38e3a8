"""Parsed source files, and which distribution each belongs to."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef

_LAYOUT = frozenset(
    {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One Python file; ``path`` is relative to the package's folder."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def room(self) -> str:
        """The first folder, or the file's own name at the top."""
        return self.path.parts[0]

    @cached_property
    def classes(self) -> tuple[ast.ClassDef, ...]:
        """Every class, nested ones included."""
        return tuple(node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Every function and method."""
        return tuple(node for node in ast.walk(self.tree) if isinstance(node, Function))

    @cached_property
    def tokens(self) -> tuple[tokenize.TokenInfo, ...]:
        """Every token."""
        return tuple(tokenize.generate_tokens(io.StringIO(self.text).readline))

    def code_lines(self) -> int:
        """Lines that hold code: no blank ones, comments, or strings that stand alone."""
        lines: set[int] = set()
        for token in self.tokens:
            if token.type not in _LAYOUT:
                lines.update(range(token.start[0], token.end[0] + 1))
        return len(lines - self._text_lines())

    def comment_lines(self) -> int:
        """Lines that hold a comment."""
        return len({token.start[0] for token in self.tokens if token.type == tokenize.COMMENT})

    def _text_lines(self) -> set[int]:
        lines: set[int] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and _is_string(node.value):
                lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return lines


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def read_sources(folder: Path) -> Iterator[Source]:
    """Every Python file below ``folder``, in order of its path."""
    for file in sorted(folder.rglob("*.py")):
        yield Source(file.relative_to(folder), file.read_text("utf-8"))
