"""Whether a market may be quoted and priced: one state for each market of an account."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from poolmaker.kernel.states import StateTable


class Readiness(StrEnum):
    """What is known of a market in this session. Another market's never touches it."""

    UNPROVEN = "UNPROVEN"
    """Our orders and trades there were not compared with the venue under these rules yet."""
    READY = "READY"
    """Compared: what the book allows may be quoted."""
    CHANGING = "CHANGING"
    """The venue changed the rules; own orders that were made under others go first."""


class ReadinessEvent(StrEnum):
    """What moves it."""

    RECONCILED = "RECONCILED"
    """Open orders and trades were read and agree with ours, or ours followed them."""
    RULES_CHANGED = "RULES_CHANGED"
    """Tick, step, minimums, status or fees are not what they were."""
    ORDERS_GONE = "ORDERS_GONE"
    """No order that was made under earlier rules can be cancelled any more: each has ended."""


_S: Final = Readiness
_E: Final = ReadinessEvent
READINESS: Final = StateTable(
    name="market readiness",
    initial=_S.UNPROVEN,
    terminal=frozenset(),
    transitions={
        (_S.UNPROVEN, _E.RECONCILED): _S.READY,
        (_S.UNPROVEN, _E.RULES_CHANGED): _S.CHANGING,
        (_S.READY, _E.RECONCILED): _S.READY,
        (_S.READY, _E.RULES_CHANGED): _S.CHANGING,
        (_S.CHANGING, _E.RULES_CHANGED): _S.CHANGING,
        (_S.CHANGING, _E.ORDERS_GONE): _S.UNPROVEN,
    },
)
