"""Where settings come from: a TOML file with its line numbers, and the environment over it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from poolmaker.infra.settings.model import Settings
from poolmaker.infra.settings.schema import (
    KeyPath,
    item_of,
    leaves,
    nearest,
    plain_type,
    section_of,
)
from poolmaker.kernel.errors import EnvironmentProblem

PREFIX: Final = "POOLMAKER_"
CONFIG_NAME: Final = "POOLMAKER_CONFIG"
# Names with our prefix that are no settings: the file itself and switches of the test suite.
_OTHER_NAMES: Final = frozenset({CONFIG_NAME})
_OTHER_PREFIX: Final = "POOLMAKER_TEST_"
_STATEMENT_LINES_MAX: Final = 500
_FILE_BYTES_MAX: Final = 1_000_000


@dataclass
class Sources:
    """Merged raw values and, for each path that was given, the place that gave it."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    folder: Path = field(default_factory=Path.cwd)

    def place(self, path: KeyPath) -> str | None:
        """The place that gave ``path`` or the nearest thing above it, None for a default."""
        for length in range(len(path), 0, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return None


def read_file(path: Path, sources: Sources) -> None:
    """Add the TOML file at ``path``; raises EnvironmentProblem with one sentence."""
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
        text = raw[:_FILE_BYTES_MAX].decode("utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"The configuration file {path} cannot be read ({error.strerror}); name another one "
            "with --config or make it readable."
        ) from error
    except UnicodeDecodeError as error:
        raise EnvironmentProblem(
            f"The configuration file {path} is not UTF-8 text; save it as UTF-8."
        ) from error
    if len(raw) > _FILE_BYTES_MAX:
        raise EnvironmentProblem(
            f"The configuration file {path} is larger than {_FILE_BYTES_MAX} bytes; shorten it."
        )
    try:
        sources.data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvironmentProblem(
            f"The configuration file {path} is not valid TOML: {error}; correct it there."
        ) from error
    sources.folder = path.resolve().parent
    for key, line in key_lines(text).items():
        sources.places[key] = f"{path}:{line}"


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every statement of a valid TOML text."""
    lines = text.split("\n")
    found: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at = 0
    while at < len(lines):
        end, part = _statement(lines, at)
        opening = lines[at].lstrip()
        if opening.startswith("["):
            table = _table(_names(part), counts, many=opening.startswith("[["))
            found.setdefault(table, at + 1)
        elif part:
            found.update({(*table, *path): at + 1 for path in _paths(part)})
        at = end
    return found


def _statement(lines: list[str], at: int) -> tuple[int, dict[str, Any]]:
    """Where the statement that begins at ``at`` ends, and what it says."""
    for end in range(at + 1, min(len(lines), at + _STATEMENT_LINES_MAX) + 1):
        try:
            return end, tomllib.loads("\n".join(lines[at:end]))
        except tomllib.TOMLDecodeError:
            continue
    return at + 1, {}


def _names(part: dict[str, Any]) -> list[str]:
    names: list[str] = []
    inner: Any = part
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
        inner = inner[0] if isinstance(inner, list) else inner
    return names


def _table(names: list[str], counts: dict[KeyPath, int], *, many: bool) -> KeyPath:
    path: KeyPath = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if many and position == len(names) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _paths(part: dict[str, Any], above: KeyPath = ()) -> list[KeyPath]:
    paths: list[KeyPath] = []
    for name, value in part.items():
        path = (*above, name)
        paths.extend(_paths(value, path) if isinstance(value, dict) and value else [path])
    return paths


def read_environment(environ: Mapping[str, str], sources: Sources) -> None:
    """Lay every ``POOLMAKER_…`` variable over what is there; an empty one counts as not set."""
    for name in sorted(environ):
        ours = name.startswith(PREFIX) and name not in _OTHER_NAMES
        if ours and not name.startswith(_OTHER_PREFIX) and environ[name]:
            _lay(sources, name, environ[name])


def _lay(sources: Sources, name: str, text: str) -> None:
    parts = name.removeprefix(PREFIX).lower().split("__")
    target: Any = sources.data
    model: type[BaseModel] = Settings
    path: KeyPath = ()
    while True:
        part = parts.pop(0)
        known = model.model_fields.get(part)
        if known is None or not isinstance(target, dict):
            raise EnvironmentProblem(_unknown_variable(name))
        path = (*path, part)
        inner, item = section_of(known), item_of(known)
        if not parts:
            target[part] = _value(name, known, text)
            _forget_below(sources, path)
            sources.places[path] = name
            return
        if inner is not None:
            target, model = target.setdefault(part, {}), inner
        elif item is not None:
            index = _item_index(name, target.get(part), parts.pop(0))
            target, model, path = target[part][index], item, (*path, index)
            if not parts:
                raise EnvironmentProblem(_unknown_variable(name))
        else:
            raise EnvironmentProblem(_unknown_variable(name))


def _forget_below(sources: Sources, path: KeyPath) -> None:
    for known in [known for known in sources.places if known[: len(path)] == path]:
        del sources.places[known]


def _value(name: str, known: FieldInfo, text: str) -> Any:
    kind = plain_type(known)
    is_text = section_of(known) is None and item_of(known) is None and kind not in (int, bool)
    if is_text and not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "JSON"
        raise EnvironmentProblem(
            f"The environment variable {name} must be {wanted}; correct or unset it."
        ) from error


def _item_index(name: str, items: Any, wanted: str) -> int:
    ids = [str(item.get("id", "")) for item in items or [] if isinstance(item, dict)]
    for index, known in enumerate(ids):
        if known.replace("-", "_") == wanted:
            return index
    known_ids = ", ".join(ids) or "none"
    raise EnvironmentProblem(
        f"The environment variable {name} names {wanted!r}, which the configuration file does not "
        f"have (known: {known_ids}); correct or unset it."
    )


def variable_name(path: KeyPath) -> str:
    """The environment variable of a key."""
    return PREFIX + "__".join(str(part) for part in path).upper()


def _unknown_variable(name: str) -> str:
    wrong: KeyPath = tuple(name.removeprefix(PREFIX).lower().split("__"))
    close = nearest(Settings, wrong)
    if close is None:
        every = {variable_name(leaf): leaf for leaf in leaves(Settings)}
        close = next((leaf for known, leaf in every.items() if name.startswith(known)), None)
    hint = f"did you mean {variable_name(close)}?" if close else "unset it."
    return f"The environment variable {name} is not a known setting; {hint}"
