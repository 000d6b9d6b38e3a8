"""Custody incidents on record, and the gate that outgoing money, joins and new transfers ask."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.business.ledger.commands import BearShortfall
from poolmaker.business.ledger.model import Posted
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.treasury.custody import (
    CustodyFinding,
    CustodyIncident,
    CustodyIncidentKind,
    Stopped,
    may_bear,
    reason_to_stop,
    subject_of,
)
from poolmaker.business.treasury.model import PaymentSettings
from poolmaker.business.treasury.ports import TreasuryStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import InvariantBroken, Unavailable
from poolmaker.kernel.ids import CommandKey, fact_key
from poolmaker.messages.base import Money

DAY_US: Final = 24 * 60 * MINUTE_US
SHOWN_MAX: Final = 500
_NOTED_US: Final = 10 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyPorts:
    """What the record of custody incidents needs."""

    transactions: Transactions
    store: TreasuryStore
    ledger: LedgerClient


class CustodyRecords:
    """The port ``CustodyGate``. Incidents outlive a restart; only evidence closes them."""

    def __init__(self, ports: CustodyPorts, clock: Clock, settings: PaymentSettings) -> None:
        self._transactions = ports.transactions
        self._store = ports.store
        self._ledger = ports.ledger
        self._clock = clock
        self._settings = settings

    # ------------------------------------------------------------------------------- the gate

    async def stopped(self, tx: Tx, what: Stopped, location: str, assets: Collection[str]) -> str:
        return reason_to_stop(await self._store.custody_incidents(tx), what, location, assets)

    # ------------------------------------------------------------------------------ the record

    async def record(
        self,
        findings: Sequence[CustodyFinding],
        disproof: Callable[[CustodyFinding], str],
        *,
        as_of_us: int,
        bearable: Collection[CustodyFinding] = (),
    ) -> None:
        """Open what was found, and close what ``disproof`` has evidence against.

        The look that found it began at ``as_of_us``: it knows nothing of what came later. What is
        neither found nor disproved stays as it is: a silent place closes nothing. Of ``bearable``
        alone equity may be asked by itself to bear what is small.
        """
        async with self._transactions.begin("treasury.custody_record") as tx:
            known = {one.subject: one for one in await self._store.custody_incidents(tx)}
            for finding in findings:
                one = known.get(subject_of(finding))
                await self._keep(tx, finding, one, as_of_us, may_bear=finding in bearable)
            found = {subject_of(finding) for finding in findings}
            for subject, one in known.items():
                evidence = "" if subject in found else disproof(one.finding)
                if evidence:
                    over = replace(one, closed_us=self._clock.now_us(), evidence=evidence)
                    await self._store.save_custody_incident(tx, over)

    async def _keep(
        self,
        tx: Tx,
        finding: CustodyFinding,
        known: CustodyIncident | None,
        as_of_us: int,
        *,
        may_bear: bool,
    ) -> None:
        fresh = CustodyIncident(finding=finding, opened_us=as_of_us, seen_us=as_of_us)
        after = replace(known, finding=finding, seen_us=as_of_us) if known is not None else fresh
        if may_bear and not after.covered_units:
            after = await self._bear(tx, after)
        if known is None or _is_news(known, after):
            await self._store.save_custody_incident(tx, after)

    async def _bear(self, tx: Tx, one: CustodyIncident) -> CustodyIncident:
        """Ask equity to bear a small shortfall: once per incident, capped per place and 24 hours.

        Not where a person has been at it before.
        """
        finding = one.finding
        cap_units = self._settings.shortfall_max.get(finding.asset, 0)
        since_us = self._clock.now_us() - DAY_US
        borne = await self._store.borne_units(tx, finding.location, finding.asset, since_us)
        if not may_bear(cap_units, borne, finding):
            return one
        if await self._ledger.outcome(tx, bear_key(one, 1)) is not None:
            return one
        await self._ledger.ask(tx, bear_command(one))
        return replace(one, covered_units=finding.units)

    async def surplus_units(self, tx: Tx, location: str, asset: str) -> int:
        """What has lasted of a surplus there, 0 for none."""
        subject = (CustodyIncidentKind.SURPLUS, location, asset)
        known = {one.subject: one for one in await self._store.custody_incidents(tx)}
        return known[subject].finding.units if subject in known else 0

    # ------------------------------------------------------------------------------- for people

    async def incidents(self, *, closed: bool = False) -> Sequence[CustodyIncident]:
        """Open incidents, oldest first; with ``closed`` the newest of all, newest first."""
        async with self._transactions.look("treasury.custody_incidents") as tx:
            if closed:
                return await self._store.custody_history(tx, SHOWN_MAX)
            return await self._store.custody_incidents(tx)

    async def incident(self, name: str) -> CustodyIncident | None:
        """An open incident by its name, or None."""
        found = await self.incidents()
        return next((one for one in found if one.name == name), None)

    async def next_attempt(self, tx: Tx, one: CustodyIncident) -> tuple[int, int]:
        """The attempt by which a person would let equity bear it, and when it was last borne, 0.

        An attempt is over when it was refused, or when it was booked. Raises Unavailable while
        what the platform asked for by itself is not answered.
        """
        last_us = 0
        for attempt in itertools.count(0 if one.covered_units else 1):
            outcome = await self._ledger.outcome(tx, bear_key(one, attempt))
            if isinstance(outcome, Posted):
                last_us = max(last_us, outcome.at_us)
            if outcome is None and attempt:
                return attempt, last_us
            if outcome is None:
                raise Unavailable("the ledger is booking what equity bears of it; ask again")
        raise InvariantBroken("attempts have no end")

    async def take(self, name: str, owner: str) -> CustodyIncident | None:
        """A person looks after an open incident from now on; None when it is not open."""
        async with self._transactions.begin("treasury.custody_owner") as tx:
            for one in await self._store.custody_incidents(tx):
                if one.name == name:
                    owned = replace(one, owner=owner)
                    await self._store.own_custody_incident(tx, owned)
                    return owned
        return None


def _is_news(known: CustodyIncident, after: CustodyIncident) -> bool:
    same = replace(after, seen_us=known.seen_us) == known
    return not same or after.seen_us - known.seen_us >= _NOTED_US


def bear_key(one: CustodyIncident, attempt: int = 0) -> CommandKey:
    """Each attempt is booked once: 0 is the platform's own, people's begin at 1."""
    finding = one.finding
    own = fact_key("shortfall", finding.location, finding.asset, str(one.opened_us))
    match attempt:
        case 0:
            return own
        case 1:
            return fact_key("borne", own)
        case _:
            return fact_key("borne", own, f"again {attempt}")


def bear_command(one: CustodyIncident, attempt: int = 0) -> BearShortfall:
    """What the ledger is asked so that equity bears what the shortfall misses now."""
    finding = one.finding
    return BearShortfall(
        key=bear_key(one, attempt),
        location=finding.location,
        money=Money(asset=finding.asset, units=finding.units),
        reference=one.name,
    )
