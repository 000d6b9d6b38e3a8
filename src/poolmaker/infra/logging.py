"""Structured logs: one line per event, with correlation ids, without secrets, bounded in size."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO, cast

import structlog
from pydantic import SecretStr

from poolmaker.kernel.clock import SECOND_US, Clock

TEXT_MAX: Final = 500
TRACEBACK_MAX: Final = 8_000
FIELDS_MAX: Final = 40
ITEMS_MAX: Final = 20
DEPTH_MAX: Final = 4

_MASK: Final = "********"
_SECRET_NAME: Final = re.compile(
    r"secret|passw|token|api_?key|private|signature|authorization|cookie|mnemonic|keystore|seed_phrase|\bpin\b",
    re.IGNORECASE,
)
_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)([^/@\s:]*):[^@\s]*@")
_SECRET_IN_TEXT: Final = re.compile(
    r"\b(signature|secret|password|token|api_?key|listenkey)(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",;]+",
    re.IGNORECASE,
)
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "silent": 50}

Event = MutableMapping[str, Any]
Level = Literal["debug", "info", "warning", "error", "silent"]


def get_logger(room: str) -> Any:
    """The logger of a room; its lines carry ``room`` and whatever is bound around the call."""
    return structlog.get_logger(room=room)


@contextmanager
def bind_correlation(correlation: str, **fields: str | int) -> Iterator[None]:
    """Every line logged inside carries the correlation id and ``fields``."""
    with structlog.contextvars.bound_contextvars(correlation=correlation, **fields):
        yield


def current_correlation() -> str:
    """The correlation id that is bound here, empty when there is none."""
    return str(structlog.contextvars.get_contextvars().get("correlation", ""))


def configure_logging(
    level: Level, form: Literal["console", "json"], clock: Clock, stream: TextIO | None = None
) -> None:
    """Set up logging for the process; lines go to ``stream``, by default standard error."""
    target = stream if stream is not None else sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Stamp(clock),
            structlog.processors.format_exc_info,
            bounded,
            _json_line if form == "json" else _console_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lossy(target))),
        cache_logger_on_first_use=False,
    )


class _Lossy:
    """A stream that loses lines where the disk is full or the reader has gone: work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


@contextmanager
def silenced(clock: Clock) -> Iterator[None]:
    """Log nothing inside, then go on as before; for simulations."""
    before = structlog.get_config()
    configure_logging("silent", "json", clock)
    try:
        yield
    finally:
        structlog.configure(**before)


class _Stamp:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: Any, _name: str, event: Event) -> Event:
        now_us = self._clock.now_us()
        whole = datetime.fromtimestamp(now_us // SECOND_US, tz=UTC)
        event["at"] = f"{whole:%Y-%m-%dT%H:%M:%S}.{now_us % SECOND_US:06d}Z"
        return event


def bounded(_logger: Any, _name: str, event: Event) -> Event:
    """The event without secrets, with at most so many fields of at most so many characters."""
    kept: Event = {}
    for name, value in list(event.items())[:FIELDS_MAX]:
        limit = TRACEBACK_MAX if name == "exception" else TEXT_MAX
        kept[name] = _safe(name, value, limit, DEPTH_MAX)
    if len(event) > FIELDS_MAX:
        kept["fields_left_out"] = len(event) - FIELDS_MAX
    return kept


def _safe(name: str, value: Any, limit: int, depth: int) -> Any:
    if isinstance(value, SecretStr) or (_SECRET_NAME.search(name) and value not in ("", None)):
        return _MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if depth > 0 and isinstance(value, Mapping):
        pairs = list(value.items())[:ITEMS_MAX]
        return {str(key)[:TEXT_MAX]: _safe(str(key), item, limit, depth - 1) for key, item in pairs}
    if depth > 0 and isinstance(value, Sequence) and not isinstance(value, str):
        return [_safe(name, item, limit, depth - 1) for item in value[:ITEMS_MAX]]
    return _cut(redacted(str(value)), limit)


def redacted(text: str) -> str:
    """``text`` with passwords in addresses and values of secret parameters masked."""
    text = _PASSWORD_IN_URL.sub(rf"\1:{_MASK}@", text)
    return _SECRET_IN_TEXT.sub(rf"\1\2{_MASK}", text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _json_line(_logger: Any, _name: str, event: Event) -> str:
    return json.dumps(dict(event), ensure_ascii=False, default=str)


def _console_line(_logger: Any, _name: str, event: Event) -> str:
    fields = dict(event)
    traceback = fields.pop("exception", None)
    head = f"{fields.pop('at')} {cast('str', fields.pop('level', '')):<7} {fields.pop('event', '')}"
    line = " ".join([head, *(f"{name}={_plain(value)}" for name, value in fields.items())])
    return f"{line}\n{traceback}" if traceback else line


def _plain(value: Any) -> str:
    text = str(value)
    # A value with a line break must not look like a second line of the log.
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r"\s|\"", text) else text
