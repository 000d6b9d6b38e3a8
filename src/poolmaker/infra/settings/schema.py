"""The names that settings have, read off the models, and the nearest one to a misspelt name."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator
from typing import Any, Union

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

KeyPath = tuple[str | int, ...]


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        kept = [part for part in typing.get_args(annotation) if part is not type(None)]
        return kept[0] if len(kept) == 1 else annotation
    return annotation


def plain_type(field: FieldInfo) -> Any:
    """The type of a field without ``None``."""
    return _without_none(field.annotation)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a section, else None."""
    annotation = plain_type(field)
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_section else None


def item_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the items of a field that is a list of sections, else None."""
    annotation = plain_type(field)
    if typing.get_origin(annotation) is not tuple:
        return None
    item = typing.get_args(annotation)[0]
    return item if isinstance(item, type) and issubclass(item, BaseModel) else None


def is_secret(field: FieldInfo) -> bool:
    """Whether the field's value must never be shown."""
    return plain_type(field) is SecretStr


def model_at(root: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    """The section that ``path`` leads to, or the last one on the way."""
    model = root
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inner = (section_of(field) or item_of(field)) if field else None
        model = inner or model
    return model


def leaves(model: type[BaseModel], path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every known key; the items of a list are left out of the path."""
    for name, field in model.model_fields.items():
        inner = section_of(field) or item_of(field)
        if inner is None:
            yield (*path, name)
        else:
            yield from leaves(inner, (*path, name))


def nearest(root: type[BaseModel], path: KeyPath) -> KeyPath | None:
    """The known key that was probably meant by the unknown one at ``path``.

    That very name in another section comes first, then a similar one here, then one elsewhere.
    """
    *place, wrong = path
    elsewhere = {str(leaf[-1]): leaf for leaf in reversed(list(leaves(root)))}
    if str(wrong) in elsewhere:
        return elsewhere[str(wrong)]
    names = list(model_at(root, tuple(place)).model_fields)
    close = difflib.get_close_matches(str(wrong), names, n=1, cutoff=0.6)
    if close:
        return (*place, close[0])
    close = difflib.get_close_matches(str(wrong), list(elsewhere), n=1, cutoff=0.75)
    return elsewhere[close[0]] if close else None
