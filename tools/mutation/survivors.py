"""What ``docs/mutants.md`` says of mutants that no test kills."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.mutation.run import Tried, Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutants.md"
_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \| (\S.*) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Judged:
    """Survivors that the page gives no reason for."""

    unexplained: tuple[Tried, ...]


def explained() -> dict[tuple[str, str, str], str]:
    """Module, function and change of every survivor on the page, with its reason."""
    rows = _ROW.findall(PAGE.read_text("utf-8"))
    return {(module, function, change): reason for module, function, change, reason in rows}


def judged(tried: Iterable[Tried]) -> Judged:
    """Compare a run with the page."""
    known = explained()
    survivors = sorted(one for one in tried if one.verdict is Verdict.SURVIVED)
    return Judged(tuple(one for one in survivors if one.name not in known))
