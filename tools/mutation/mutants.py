"""Small mistakes in a module's source, each alone, as changed source text."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NO_CODE = {"annotation", "returns", "decorator_list", "type_params"}
_LINE_MAX = 100
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "UP": "DOWN", "DOWN": "UP"}


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One mistake: in which function (qualified name), what was and is now, the whole source.

    ``change`` numbers the second and later of the same kind in a function: ``1 => 2 #2``.
    """

    function: str
    change: str
    source: str

    def rank(self, module: str) -> str:
        """Orders mutants by chance that stays the same while the function stays the same."""
        return hashlib.sha256(f"{module} {self.function} {self.change}".encode()).hexdigest()


def mutants_of(source: str) -> list[Mutant]:
    """Every mistake that these rules can make in a module, no source twice."""
    lines = source.encode().splitlines(keepends=True)
    found: dict[str, Mutant] = {}
    alike: Counter[tuple[str, str]] = Counter()
    for function, node in _places(ast.parse(source), ""):
        for place, new in (*_statement_changes(node), *_expression_changes(node)):
            text = _spliced(lines, place, new)
            if text in found:
                continue
            change = f"{_line(ast.unparse(place))} => {_line(new)}"
            alike[function, change] += 1
            number = alike[function, change]
            found[text] = Mutant(function, change if number == 1 else f"{change} #{number}", text)
    return list(found.values())


def _places(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node inside functions, with the qualified name of its function."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}" if function else node.name
    elif function:
        yield function, node
    for name, value in ast.iter_fields(node):
        if name not in _NO_CODE:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _places(child, function)


def _spliced(lines: list[bytes], place: ast.expr | ast.stmt, new: str) -> str:
    """The source with ``new`` in the place of a node."""
    first, last = place.lineno - 1, (place.end_lineno or place.lineno) - 1
    head, tail = lines[first][: place.col_offset], lines[last][place.end_col_offset :]
    return b"".join([*lines[:first], head, new.encode(), tail, *lines[last + 1 :]]).decode()


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE_MAX else f"{line[: _LINE_MAX - 3]}..."


_Change = tuple[ast.expr | ast.stmt, str]


def _statement_changes(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.If(test=test):
            yield test, "False"
        case ast.Expr(value=ast.Call(func=ast.Name(id="assert_never"))):
            return  # It can never run: the type checker proves that.
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield node, "pass"
        case ast.AugAssign(op=op):
            yield node, "pass"
            if type(op) in _ARITHMETIC:
                yield node, _changed(node, op=_ARITHMETIC[type(op)]())
        case _:
            return


def _expression_changes(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            yield node, _changed(node, ops=[_COMPARISONS[type(op)]()])
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            yield node, _changed(node, op=_ARITHMETIC[type(op)]())
        case ast.BoolOp(values=values):
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node, _changed(node, op=other)
            yield from ((node, _without(node, index)) for index in range(len(values)))
        case ast.IfExp(body=body, orelse=orelse):
            yield node, _text(body)
            yield node, _text(orelse)
        case _:
            yield from _leaf_changes(node)


def _leaf_changes(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, _text(operand)
        case ast.Constant(value=bool() as value):
            yield node, str(not value)
        case ast.Constant(value=int() as value):
            yield node, str(value + 1)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in _NAMES:
            field = "id" if isinstance(node, ast.Name) else "attr"
            yield node, _changed(node, **{field: _NAMES[name]})
        case _:
            return


def _changed(node: ast.AST, **fields: object) -> str:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return _text(new)


def _text(node: ast.AST) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, ast.expr) and not text.isidentifier() else text


def _without(node: ast.BoolOp, index: int) -> str:
    """One condition of several left out."""
    kept = [value for at, value in enumerate(node.values) if at != index]
    return _text(kept[0]) if len(kept) == 1 else _changed(node, values=kept)
