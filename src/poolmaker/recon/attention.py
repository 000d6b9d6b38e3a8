"""The one list of what needs a person: collected from the rooms, closed by evidence or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from poolmaker.infra.attention import AttentionItem, AttentionSource
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.recon._store import PgClosingStore
from poolmaker.recon.listing import (
    AttentionPage,
    CloseAnswer,
    Closing,
    fingerprint,
    in_order,
    is_closed_by_a_person,
    page_of_kind,
    summary,
)

COMPONENT: Final = "attention"
POLL_US: Final = 5 * SECOND_US
REASON_MAX: Final = 500
UNREAD: Final = "unread"


class AttentionList:
    """What needs a person now, of all rooms. ``run`` keeps health informed."""

    def __init__(
        self,
        sources: Mapping[str, AttentionSource],
        transactions: Transactions,
        health: HealthReporter,
        clock: Clock,
    ) -> None:
        self._sources = dict(sources)
        self._transactions = transactions
        self._store = PgClosingStore()
        self._health = health
        self._clock = clock
        self._unread_since_us: dict[str, int] = {}
        self._recent: AttentionPage | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.report()
            await self._clock.sleep_us(POLL_US)

    async def report(self) -> None:
        """Tell health how many things need a person; it is red while something waits for one."""
        try:
            found = in_order(await self.open_items())
            self._recent = summary(found, self._clock.now_us())
        except (Unavailable, OutcomeUnknown) as problem:
            self._health.report(COMPONENT, ok=False, sentence=f"not read: {problem}")
            return
        count = sum(item.count for item in found)
        blocking = [item for item in found if item.blocks]
        sentence = "nothing needs a person"
        if found:
            first = found[0]
            facts = "; ".join(f"{name} {first.evidence[name]}" for name in first.evidence)
            sentence = f"{count} need a person: {first.id}" + (f" ({facts})" if facts else "")
        self._health.report(COMPONENT, ok=not blocking, sentence=sentence)

    async def open_items(self) -> tuple[AttentionItem, ...]:
        """Everything that is open, in no particular order.

        A source that cannot be read is an item itself. Raises Unavailable where the closings
        cannot be read.
        """
        found: list[AttentionItem] = []
        for name, source in self._sources.items():
            found += await self._read(name, source)
        closable = [item for item in found if is_closed_by_a_person(item)]
        if not closable:
            return tuple(found)
        async with self._transactions.begin("attention.closings") as tx:
            closings = await self._store.of_items(tx, [item.id for item in closable])
        closed = {(one.item, one.fingerprint) for one in closings}
        return tuple(
            item
            for item in found
            if not is_closed_by_a_person(item) or (item.id, fingerprint(item)) not in closed
        )

    async def _read(self, name: str, source: AttentionSource) -> Sequence[AttentionItem]:
        try:
            items = await source.attention()
        except (Unavailable, OutcomeUnknown) as problem:
            now_us = self._clock.now_us()
            since_us = self._unread_since_us.setdefault(name, now_us)
            return [
                AttentionItem(
                    source="recon",
                    kind=UNREAD,
                    subject=name,
                    since_us=since_us,
                    evidence={"problem": str(problem)},
                    blocks=("attention",),
                )
            ]
        self._unread_since_us.pop(name, None)
        return items

    async def summary(self) -> AttentionPage:
        """The first few of every kind with all counts."""
        return summary(await self.open_items(), self._clock.now_us())

    async def recent(self) -> AttentionPage:
        """The summary of the last look, for pages that many people watch."""
        return self._recent or await self.summary()

    async def of_kind(self, kind: str, after: str, limit: int) -> AttentionPage:
        """Every item of a kind ``<source>:<kind>`` after an item's id, page by page."""
        return page_of_kind(await self.open_items(), kind, after, limit, self._clock.now_us())

    async def close(self, item_id: str, by: str, reason: str) -> CloseAnswer:
        """A named person closes an item; the record is kept for ever. Again is no error."""
        reason = reason.strip()
        require(0 < len(reason) <= REASON_MAX, f"reason: expected 1 to {REASON_MAX} characters")
        require(by, "by: expected a name")
        item = next((one for one in await self.open_items() if one.id == item_id), None)
        if item is None:
            return CloseAnswer.UNKNOWN
        if not is_closed_by_a_person(item):
            return CloseAnswer.BY_EVIDENCE
        closing = Closing(
            item=item.id,
            fingerprint=fingerprint(item),
            by=by,
            reason=reason,
            at_us=self._clock.now_us(),
        )
        async with self._transactions.begin("attention.close") as tx:
            await self._store.add(tx, closing)
        return CloseAnswer.CLOSED
