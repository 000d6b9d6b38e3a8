"""Reference pages read from the code: every command with its options, every setting."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from poolmaker.cli.main import cli
from poolmaker.infra.settings.model import Settings


def cell(text: str | None) -> str:
    """A text's first paragraph as one cell of a table."""
    paragraph = (text or "").partition("\n\n")[0]
    return " ".join(paragraph.replace("``", "`").replace("|", "\\|").split())


def _option(parameter: Any) -> str:
    named = ", ".join(f"`{name}`" for name in parameter.opts) or f"`{parameter.name}`"
    if parameter.param_type_name == "argument":
        named = f"`{parameter.name.upper()}`"
    default = parameter.default
    known = default not in (None, False, ...) and not callable(default)
    said = cell(getattr(parameter, "help", ""))
    return f"| {named} | {said}{f' Default: `{default}`.' if known else ''} |"


def _commands(command: Any, name: str) -> Iterator[str]:
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, f"{name} {child_name}")
    if not hasattr(command, "commands"):
        rows = [_option(parameter) for parameter in command.params if parameter.name != "help"]
        table = ["", "| option | |", "|---|---|", *rows] if rows else []
        yield "\n".join([f"### {name}", "", cell(command.help), *table])


def commands(_root: Path) -> str:
    """Every command of ``poolmaker`` with its options."""
    return "\n\n".join(_commands(typer.main.get_command(cli), "poolmaker"))


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in typing.get_args(annotation) for found in _sections(part)]


def _kind(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return _kind(next(part for part in parts if part is not type(None)))
    if origin is typing.Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is typing.Annotated:
        return _kind(parts[0])
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    names = {"str": "text", "int": "whole number", "bool": "yes or no", "Path": "path"}
    return names.get(annotation.__name__, "secret" if "Secret" in annotation.__name__ else "table")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel) or field.default in (None, ()):
        return ""
    return f"`{getattr(field.default, 'value', field.default)}`"


def _section(name: str, model: type[BaseModel], *, is_list: bool) -> Iterator[str]:
    rows, below = [], []
    for key, field in model.model_fields.items():
        inner = _sections(field.annotation)
        many = typing.get_origin(field.annotation) is tuple
        if inner and len(inner[0].model_fields) > 1:
            below.append((f"{name}.{key}".lstrip("."), inner[0], many))
        said = cell(field.description)
        rows.append(f"| `{key}` | {_kind(field.annotation)} | {_default(field)} | {said} |")
    title = f"[[{name}]]" if is_list else f"[{name}]"
    head = [f"### `{title}`", "", cell(model.__doc__), ""] if name else []
    yield "\n".join([*head, "| key | kind | default | |", "|---|---|---|---|", *rows])
    for child, inner_model, many in below:
        yield from _section(child, inner_model, is_list=many)


def settings(_root: Path) -> str:
    """Every section and key of the configuration file."""
    return "\n\n".join(_section("", Settings, is_list=False))
