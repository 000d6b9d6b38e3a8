"""What of Mixin needs a person: a network that is silent, and incidents of our own outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from poolmaker.infra.attention import (
    LISTED_MAX,
    MORE,
    AttentionItem,
    and_more,
    closed_by_a_person,
)
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.mixin._store.walking import open_incidents
from poolmaker.mixin.model import MixinIncident

SOURCE: Final = "mixin"
SILENT: Final = "silent"


class OwnIncident(StrEnum):
    """What only we ourselves can cause there; of everything else strangers cause any number."""

    CONFLICT = "conflict"
    """A request stands at the network with another body than was sent."""
    NOT_JOURNALLED = "not_journalled"
    """The network knows a transaction of ours that was never recorded here."""
    SPENT_ELSEWHERE = "spent_elsewhere"
    """An output of ours was spent by somebody else with our keys."""


_OWN: Final = frozenset(kind.value for kind in OwnIncident)


class MixinAttention:
    """``problem`` says why the network could not be read at the last look, empty for nothing."""

    def __init__(
        self, transactions: Transactions, problem: Callable[[], str], clock: Clock
    ) -> None:
        self._transactions = transactions
        self._problem = problem
        self._clock = clock
        self._silent_since_us = 0

    async def attention(self) -> Sequence[AttentionItem]:
        """Incidents by kind; what strangers can cause is one item per kind, with its count."""
        async with self._transactions.begin("mixin.attention") as tx:
            found = await open_incidents(tx, f"{SOURCE}:", LISTED_MAX)
        kinds: defaultdict[str, list[tuple[MixinIncident, int]]] = defaultdict(list)
        for one in found:
            kinds[one[0].kind].append(one)
        items = self._silence()
        for kind, rows in kinds.items():
            total = rows[0][1]
            if kind in _OWN:
                items += and_more([_own(incident) for incident, _ in rows], total)
            else:
                items.append(_foreign(rows[0][0], total))
        return items

    def _silence(self) -> list[AttentionItem]:
        problem = self._problem()
        if not problem:
            self._silent_since_us = 0
            return []
        self._silent_since_us = self._silent_since_us or self._clock.now_us()
        return [
            AttentionItem(
                source=SOURCE,
                kind=SILENT,
                subject="network",
                since_us=self._silent_since_us,
                evidence={"problem": problem},
                blocks=("deposits", "withdraw"),
            )
        ]


def _own(one: MixinIncident) -> AttentionItem:
    return AttentionItem(
        source=SOURCE,
        kind=one.kind,
        subject=one.subject,
        since_us=one.at_us,
        evidence={"note": one.note},
        blocks=("withdraw",),
        remedies=(closed_by_a_person(SOURCE, one.kind, one.subject),),
    )


def _foreign(oldest: MixinIncident, total: int) -> AttentionItem:
    """Shown, counted, and in nobody's way."""
    return AttentionItem(
        source=SOURCE,
        kind=oldest.kind,
        subject=MORE,
        since_us=oldest.at_us,
        evidence={"oldest": oldest.subject, "note": oldest.note},
        remedies=(closed_by_a_person(SOURCE, oldest.kind, MORE),),
        count=total,
    )
