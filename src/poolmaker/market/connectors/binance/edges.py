"""The edge of the connector: what the venue sends becomes typed values here, or is set aside.

Every answer is read row by row. A row that cannot be read is an ``OddRow``: it is named, kept for
whoever looks, and never guessed; what was readable beside it is used. Only ``NoAnswer`` leaves
these functions, whatever the venue sends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.money import UNITS_MAX, parse_units
from poolmaker.market.connectors.binance.refusals import NoAnswer
from poolmaker.market.tracking.model import OddRow

_LOG: Final = get_logger("market")
T = TypeVar("T")
V = TypeVar("V")

ROWS_KEPT: Final = 50
"""Odd rows that are kept of one kind of read; what is beyond is counted and not kept."""
EXCERPT_MAX: Final = 400
_TIME_MS_MAX: Final = 10**14
_NUMBER_MAX: Final = 2**63 - 1
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,31}")
_TEXT: Final = re.compile(r"[!-~]*")
_TEXT_MAX: Final = 200
_FOREIGN_MAX: Final = 40
_TOLD_BY: Final = {"trades": "execution", "balances": "position"}
"""What a stream tells of what is read: after the read nothing of it is missing."""
_IDENTITIES: Final = {"trades": "id", "open_orders": "orderId", "execution": "i"}
"""Where a row of each source carries its own number."""


def decode(answer: Any, kind: type[T]) -> T:
    """An answer as ``kind``. A shape that is not the wire's is no answer at all."""
    try:
        return msgspec.convert(answer, kind, strict=True)
    except (msgspec.ValidationError, RecursionError, UnicodeError, OverflowError) as error:
        raise NoAnswer(f"an answer of another shape: {_shown(error)}") from error


def _shown(value: object) -> str:
    """A strange value in printable ASCII, cut."""
    return ascii(str(value)[:EXCERPT_MAX])[1:-1]


def units(text: str, scale: int, *, signed: bool = False) -> int:
    """Atomic units of a decimal text; below zero only where ``signed``."""
    try:
        found = parse_units(text, scale)
    except PreconditionError as problem:
        raise NoAnswer(f"not an amount: {_shown(text)}") from problem
    if abs(found) > UNITS_MAX or (found < 0 and not signed):
        raise NoAnswer(f"an amount out of bounds: {text[:40]}")
    return found


def time_us(time_ms: int) -> int:
    """Microseconds of a time in milliseconds since 1970."""
    if not 0 <= time_ms < _TIME_MS_MAX:
        raise NoAnswer(f"a time out of bounds: {str(time_ms)[:40]}")
    return time_ms * 1_000


def number(value: int) -> int:
    """A venue's own number of an order or a trade."""
    if not 0 <= value <= _NUMBER_MAX:
        raise NoAnswer(f"a number out of bounds: {str(value)[:40]}")
    return value


def plain(text: str) -> str:
    """Printable ASCII of a bounded length, as every identity on this wire is."""
    if len(text) > _TEXT_MAX or _TEXT.fullmatch(text) is None:
        raise NoAnswer(f"a text that is not plain: {ascii(text)[:40]}")
    return text


def asset_code(text: str) -> str:
    """An asset as the venue names it, where the register can hold such a name."""
    if _CODE.fullmatch(text) is None:
        raise NoAnswer(f"an asset with the name {ascii(text)[:40]}")
    return text


def foreign_code(text: str) -> str:
    """An asset's name in the register's letters, reversibly: a fact is booked whatever its name."""
    if _CODE.fullmatch(text):
        return text
    try:
        written = text.encode().hex()
    except UnicodeEncodeError as problem:
        raise NoAnswer(f"an asset with the name {ascii(text)[:40]}") from problem
    if not 0 < len(written) <= 2 * _FOREIGN_MAX:
        raise NoAnswer(f"an asset with a name of {len(text)} letters")
    return f"utf8.{written}"


def odd_row(source: str, subject: str, row: Any, problem: Exception | str) -> OddRow:
    """What is known of a row that cannot be read."""
    named = row.get(_IDENTITIES.get(source)) if isinstance(row, dict) else None
    known = type(named) is int and 0 <= named <= _NUMBER_MAX
    said, shown = str(problem)[:EXCERPT_MAX], ascii(row)[:EXCERPT_MAX]
    held = not (isinstance(row, dict) and _is_zero(row.get("free")) and _is_zero(row.get("locked")))
    return OddRow(source, subject, said, shown, str(named) if known else "", matters=held)


def _is_zero(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"0(\.0*)?", text) is not None


def each(
    answer: Any, kind: type[T], read: Callable[[T], V], source: str, subject: str = ""
) -> tuple[list[V], list[OddRow]]:
    """Every row of a list read by itself: those that can be, and those that are set aside."""
    if not isinstance(answer, list):
        raise NoAnswer(f"{source}: expected a list, was {type(answer).__name__}")
    good: list[V] = []
    odd: list[OddRow] = []
    for row in answer:
        try:
            good.append(read(decode(row, kind)))
        except NoAnswer as problem:
            odd.append(odd_row(source, subject, row, problem))
    return good, odd


class OddRows:
    """What was set aside, by where it was read. A later read that shows the same clears it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._found: dict[tuple[str, str], dict[OddRow, int]] = {}

    def read(self, source: str, subject: str, rows: Sequence[OddRow]) -> None:
        """A whole read of ``source`` found exactly these."""
        before = self._found.pop((source, subject), {})
        self._found.pop((_TOLD_BY.get(source, ""), subject), None)
        now_us = self._clock.now_us()
        if rows:
            kept = {row: before.get(row, now_us) for row in rows[:ROWS_KEPT]}
            self._found[source, subject] = kept
            self._tell([row for row in kept if row not in before])

    def heard(self, row: OddRow) -> None:
        """A stream brought it; streams never repeat, so it stays until REST was read."""
        kept = self._found.setdefault((row.source, row.subject), {})
        if row not in kept and len(kept) < ROWS_KEPT:
            kept[row] = self._clock.now_us()
            self._tell([row])

    def current(self) -> list[tuple[OddRow, int]]:
        """What is set aside now, with the time since when."""
        return [one for rows in self._found.values() for one in rows.items()]

    def _tell(self, rows: Sequence[OddRow]) -> None:
        for row in rows:
            _LOG.warning(
                "a row of the venue cannot be read and is set aside",
                source=row.source,
                subject=row.subject,
                problem=row.problem,
                row=row.excerpt,
            )
