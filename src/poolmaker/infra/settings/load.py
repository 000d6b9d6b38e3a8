"""Loading: file, then environment over it, then every check; a fault is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from poolmaker.infra.settings.model import Mode, Origin, Settings
from poolmaker.infra.settings.retired import retire
from poolmaker.infra.settings.rules import problems
from poolmaker.infra.settings.schema import (
    KeyPath,
    is_secret,
    item_of,
    nearest,
    plain_type,
    section_of,
)
from poolmaker.infra.settings.sources import (
    CONFIG_NAME,
    Sources,
    read_environment,
    read_file,
    variable_name,
)
from poolmaker.kernel.errors import EnvironmentProblem

DEFAULT_FILE: Final = Path("poolmaker.toml")
_MASK: Final = "********"
_SECRET_FILE: Final = "file:"  # noqa: S105 - the mark of a reference, not a secret
_SECRET_BYTES_MAX: Final = 65_536
_OTHERS_MAY_READ: Final = 0o077


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from the file and the environment.

    ``path`` None takes the file that POOLMAKER_CONFIG names, else ``poolmaker.toml`` where there
    is one, else defaults only. Raises EnvironmentProblem with one sentence that names the key,
    where it was given and what to do.
    """
    sources = Sources()
    file = _file(path, environ)
    if file is not None:
        read_file(file, sources)
    notes = retire(sources)
    read_environment(environ, sources)
    _read_secret_files(sources)
    settings = _absolute(_validated(sources), sources)
    for problem in problems(settings):
        raise EnvironmentProblem(_sentence(sources, problem.path, problem.sentence))
    _refuse_shown_secrets(settings, file, sources)
    return settings.with_origins(tuple(_origins(settings, sources)), notes)


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    named = environ.get(CONFIG_NAME)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _validated(sources: Sources) -> Settings:
    try:
        # Strict JSON: a text is no number and a number no text, but enums and paths are texts.
        return Settings.model_validate_json(json.dumps(sources.data, default=str))
    except ValidationError as error:
        raise EnvironmentProblem(_first_fault(sources, error.errors()[0])) from None


def _first_fault(sources: Sources, fault: ErrorDetails) -> str:
    path = tuple(fault["loc"])
    if fault["type"] == "extra_forbidden":
        close = nearest(Settings, path)
        hint = f"did you mean {_dotted(sources.data, close)}?" if close else "remove it."
        return f"{_at(sources, path)}{_dotted(sources.data, path)} is not a known setting; {hint}"
    if fault["type"] == "missing":
        above = sources.place(path[:-1])
        where = f"{above}: " if above else ""
        return f"{where}{_dotted(sources.data, path)} is missing; add it."
    wanted = fault["msg"][:1].lower() + fault["msg"][1:]
    return _sentence(sources, path, f"{wanted}; correct it there")


def _sentence(sources: Sources, path: KeyPath, said: str) -> str:
    return f"{_at(sources, path)}{_dotted(sources.data, path)}: {said}."


def _at(sources: Sources, path: KeyPath) -> str:
    place = sources.place(path)
    return f"{place}: " if place else ""


def _dotted(data: Any, path: KeyPath) -> str:
    """The key as people write it; an item of a list by its id where it has one."""
    names: list[str] = []
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        known = data.get("id", data.get("code")) if isinstance(data, dict) else None
        by_id = isinstance(part, int) and isinstance(known, str)
        names.append(str(known) if by_id else str(part))
    return ".".join(names)


def _secrets(
    model: type[BaseModel], data: Any, path: KeyPath = ()
) -> Iterator[tuple[Any, str, KeyPath]]:
    """(the raw section, its key, its path) of every secret that was given as a text."""
    if not isinstance(data, dict):
        return
    for name, field in model.model_fields.items():
        inner, item, value = section_of(field), item_of(field), data.get(name)
        if is_secret(field) and isinstance(value, str):
            yield data, name, (*path, name)
        elif inner is not None:
            yield from _secrets(inner, value, (*path, name))
        elif item is not None and isinstance(value, list):
            for index, entry in enumerate(value):
                yield from _secrets(item, entry, (*path, name, index))


def _read_secret_files(sources: Sources) -> None:
    for section, name, path in _secrets(Settings, sources.data):
        reference: str = section[name]
        if not reference.startswith(_SECRET_FILE):
            continue
        file = sources.folder / Path(reference.removeprefix(_SECRET_FILE)).expanduser()
        try:
            with file.open("rb") as opened:
                text = opened.read(_SECRET_BYTES_MAX).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = f"the secret's file {file} cannot be read; make it a readable text file"
            raise EnvironmentProblem(_sentence(sources, path, said)) from error
        if not text:
            said = f"the secret's file {file} is empty; write the secret into it"
            raise EnvironmentProblem(_sentence(sources, path, said))
        section[name] = text
        sources.places[path] = f"{sources.place(path)} -> {file}"


def _refuse_shown_secrets(settings: Settings, file: Path | None, sources: Sources) -> None:
    """In live mode nobody but the owner may read a file that holds a secret."""
    if settings.mode is not Mode.LIVE:
        return
    for _, _, path in _secrets(Settings, sources.data):
        place = sources.place(path) or ""
        holder = Path(place.partition(" -> ")[2]) if " -> " in place else file
        from_file = " -> " in place or place.startswith(f"{file}:")
        if holder and from_file and holder.stat().st_mode & _OTHERS_MAY_READ:
            said = f"others may read {holder}, which holds this secret; run chmod 600 {holder}"
            raise EnvironmentProblem(_sentence(sources, path, said))


def _absolute(settings: Settings, sources: Sources) -> Settings:
    """Relative paths count from the file that gave them, else from the working directory."""
    tokens = {
        name: _anchored(sources, ("tokens", name), value)
        for name, value in settings.tokens
        if value is not None
    }
    return settings.model_copy(
        update={
            "home": _anchored(sources, ("home",), settings.home),
            "tokens": settings.tokens.model_copy(update=tokens),
        }
    )


def _anchored(sources: Sources, path: KeyPath, value: Path) -> Path:
    place = sources.place(path)
    from_file = place is not None and place != variable_name(path)
    return (sources.folder if from_file else Path.cwd()) / value.expanduser()


def _origins(section: BaseModel, sources: Sources, path: KeyPath = ()) -> Iterator[Origin]:
    for name, field in type(section).model_fields.items():
        value, here = getattr(section, name), (*path, name)
        if isinstance(value, BaseModel):
            yield from _origins(value, sources, here)
        elif item_of(field) is not None and value:
            for index, item in enumerate(value):
                yield from _origins(item, sources, (*here, index))
        else:
            source = sources.place(here) if _given(sources.data, here) else None
            text = _text(field, value)
            key = _dotted(sources.data, here)
            yield Origin(key=key, value=text, source=source or "default")


def _given(data: Any, path: KeyPath) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _text(field: FieldInfo, value: Any) -> str:
    if isinstance(value, SecretStr):
        return _MASK
    if value is None:
        return ""
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return str(value) if plain_type(field) is not bool else str(value).lower()
