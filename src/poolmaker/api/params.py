"""Every parameter that a path or a query may have, with its form, in one place.

What does not have the form of such a parameter never reaches a room: the answer is 422. A route
takes its parameters from here; ``create_api`` refuses one whose form is not bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import Path, Query
from fastapi.dependencies.models import Dependant

SEQ_MAX: Final = 2**53 - 1
SKIP_MAX: Final = 10_000_000
PAGE_MAX: Final = 500

_RULES: Final = ("pattern", "max_length", "ge", "le")
_ID: Final = r"^[A-Za-z0-9_\-]{1,63}$"
_WORD: Final = r"^[A-Za-z0-9][A-Za-z0-9:._%\-]{0,127}$"

UserPath = Annotated[str, Path(pattern=_ID, max_length=63)]
OrderPath = Annotated[str, Path(pattern=_ID, max_length=63)]
WithdrawalPath = Annotated[str, Path(pattern=_ID, max_length=63)]
TokenPath = Annotated[str, Path(pattern=_ID, max_length=63)]
PoolPath = Annotated[str, Path(pattern=_ID, max_length=63)]
ApprovalPath = Annotated[str, Path(pattern=_ID, max_length=63)]
PaymentPath = Annotated[str, Path(pattern=_ID, max_length=63)]
ReferencePath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", max_length=32)]
SagaPath = Annotated[str, Path(pattern=_WORD, max_length=128)]
CampaignPath = Annotated[str, Path(pattern=_WORD, max_length=128)]
RewardPath = Annotated[str, Path(pattern=_WORD, max_length=128)]
AccountPath = Annotated[str, Path(pattern=_WORD, max_length=128)]
LatchPath = Annotated[str, Path(pattern=r"^[a-z_]{1,63}$", max_length=63)]
SeqPath = Annotated[int, Path(ge=1, le=SEQ_MAX)]

After = Annotated[int, Query(ge=0, le=SEQ_MAX)]
Skip = Annotated[int, Query(ge=0, le=SKIP_MAX)]
Ended = Annotated[str, Query(max_length=3, pattern="^(yes|no)$")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Cursor = Annotated[str, Query(pattern=r"^[A-Za-z0-9:._%\-]{0,200}$", max_length=200)]
"""Where a list goes on: what ``Next-Cursor`` of the page before said; empty begins."""


def unbounded(dependant: Dependant) -> Iterator[str]:
    """Names of a route's path and query parameters that take more than they should."""
    for field in (*dependant.path_params, *dependant.query_params):
        rules: dict[str, Any] = {}
        for rule in field.field_info.metadata:
            rules.update({name: getattr(rule, name, rules.get(name)) for name in _RULES})
        is_text = rules.get("pattern") is not None and rules.get("max_length") is not None
        is_number = rules.get("ge") is not None and rules.get("le") is not None
        if not (is_text or is_number):
            yield field.alias
    for inner in dependant.dependencies:
        yield from unbounded(inner)
