"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from poolmaker.kernel.errors import PoolmakerError

DONE: Final = 0
CHECK_FAILED: Final = 1
USAGE: Final = 2


class OutputLost(PoolmakerError):
    """What a command did stays done; what it says about it cannot be written."""

    code = "output_lost"


def emit(text: str) -> None:
    """Text on standard output, now. Raises OutputLost where it takes none."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(
            f"standard output takes no more ({error.strerror}); what was asked for is done, and "
            "what it says is lost"
        ) from None


def drop_output() -> None:
    """Send what Python would still flush to nowhere: it has nowhere else to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    emit(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def say(sentence: str) -> None:
    """One line for a person."""
    emit(f"{sentence}\n")


def complain(sentence: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"poolmaker: {sentence}\n")
    sys.stderr.flush()


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table; what looks like a number stands at the right of its column."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [
        max([len(heading), *(len(row[at]) for row in texts)]) for at, heading in enumerate(headings)
    ]
    say("  ".join(h.ljust(w) for h, w in zip(headings, widths, strict=True)).rstrip())
    for row in texts:
        cells = (_cell(cell, width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def _cell(cell: str, width: int) -> str:
    digits = cell.removeprefix("-").replace(".", "", 1)
    return cell.rjust(width) if digits.isdecimal() else cell.ljust(width)


def show(as_json: bool, value: Any, people: Callable[[Any], None]) -> None:
    """The value as JSON or as people read it."""
    if as_json:
        print_json(value)
    else:
        people(value)


def sums(money: Iterable[Mapping[str, str]]) -> str:
    """``0.5 BTC + 100 USDT``."""
    return " + ".join(f"{one['amount']} {one['asset']}" for one in money) or "-"
