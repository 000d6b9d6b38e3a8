"""Every output in the order of its sequence, each kept and judged once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.business.ledger.accounts import custody_mixin
from poolmaker.business.treasury.ports import ScannedArrivals
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.mixin import rules
from poolmaker.mixin.model import (
    KeptOutput,
    MixinForm,
    MixinIncident,
    MixinRefused,
    OutputStatus,
    SeenOutput,
    SeenSnapshot,
)
from poolmaker.mixin.ports import Safe, WalkStore
from poolmaker.mixin.return_rules import payer_of

PAGE: Final = 500
SWEEP_US: Final = 10 * MINUTE_US
LOOK_NOTED_US: Final = 2 * SECOND_US
PLACE: Final = custody_mixin("").rstrip(":")
"""The beginning of all custody accounts at Mixin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkPorts:
    """What the walker reaches the outside through."""

    safe: Safe
    store: WalkStore
    transactions: Transactions
    clock: Clock


class OutputScanner:
    """Walks the bot's outputs and tells the treasury what arrived.

    An output is kept, judged and counted in one transaction, so a crash repeats a page and
    nothing else. Plug the treasury in before walking: it needs the wallet, the wallet the walker.
    """

    def __init__(
        self, ports: WalkPorts, app_id: str, forms: Sequence[MixinForm], poll_us: int
    ) -> None:
        self._ports = ports
        self._app_id = app_id
        self._forms = {form.mixin_id: form for form in forms}
        self._poll_us = poll_us
        self._arrivals: ScannedArrivals | None = None
        self._looked_us = 0
        self._has_adopted = False
        self.problem = ""
        """Why the last walk failed, empty when it did not: deposits are not seen meanwhile."""

    def plug(self, arrivals: ScannedArrivals) -> None:
        """Say who judges what arrives."""
        self._arrivals = arrivals

    async def run(self) -> None:
        """Walk until cancelled; what the network or the database refuses is tried again."""
        clock, swept_us = self._ports.clock, self._ports.clock.monotonic_us() - SWEEP_US
        while True:
            pause_us = self._poll_us
            try:
                await self.look()
                if clock.monotonic_us() - swept_us >= SWEEP_US:
                    await self.sweep()
                    swept_us = clock.monotonic_us()
                self.problem = ""
            except (Unavailable, OutcomeUnknown) as problem:
                self.problem = str(problem)
                get_logger("mixin").warning("walk_failed", error=str(problem))
            except MixinRefused as refused:
                # Our keys, our clock or our version: asking at once again changes nothing.
                self.problem = str(refused)
                get_logger("mixin").error("walk_refused", error=str(refused))
                pause_us = max(pause_us, rules.ASK_MAX_US)
            await clock.sleep_us(pause_us)

    async def look(self) -> None:
        """Tell everything that has come until now, and that it was looked for."""
        at_us = self._ports.clock.now_us()
        await self.walk()
        await self.ask_again()
        if self._arrivals is not None and at_us - self._looked_us >= LOOK_NOTED_US:
            async with self._ports.transactions.begin("mixin.looked") as tx:
                await self._arrivals.looked(tx, PLACE, at_us)
            self._looked_us = at_us

    async def walk(self) -> int:
        """Keep and judge every output that is new; how many there were."""
        count = 0
        if not self._has_adopted:
            await self._adopt()
        while True:
            since, page, fresh = await self._page()
            for one in fresh:
                count += await self._take(one)
            if len(page) < PAGE:
                return count
            ensure(page[-1].sequence > since, "a full page of outputs of one sequence")
            await self._pass(page[-1].sequence)

    async def sweep(self) -> int:
        """Keep and judge every unspent output that the walk has passed by; how many there were.

        There should be none: the network promises that a sequence never appears late. Nothing
        of ours depends on the promise. What was counted of assets without a form is corrected by
        it, and forgotten before anything of it is judged where the asset has a form now.
        """
        counted_to = await self._adopt()
        count, since, seen = 0, 0, set[str]()
        held: Counter[tuple[str, str]] = Counter()
        while True:
            page = await self._ports.safe.outputs(since, state="unspent")
            fresh = [one for one in page if one.output_id not in seen]
            ids = [one.output_id for one in fresh]
            async with self._ports.transactions.begin("mixin.swept") as tx:
                known = await self._ports.store.known(tx, ids)
                booked = await self._ports.store.booked(tx, ids)
            for one in fresh:
                seen.add(one.output_id)
                if not self._is_unlisted(one):
                    count += one.output_id not in known and await self._take(one)
                elif one.output_id not in booked and one.sequence <= counted_to:
                    held[one.asset_id, payer_of(one, self._app_id)] += one.units
            if len(page) < PAGE or not fresh:
                await self._settle(held)
                return count
            since = fresh[-1].sequence

    async def _adopt(self) -> int:
        """Hand over what assets were paid before they got a form; up to where all is counted."""
        ports, listed = self._ports, list(self._forms)
        async with ports.transactions.begin("mixin.adopt") as tx:
            await ports.store.forget_unlisted(tx, listed)
            await ports.store.free_kept(tx, listed)
            counted_to = await ports.store.cursor(tx, self._app_id)
        self._has_adopted = True
        return counted_to

    async def _settle(self, held: Mapping[tuple[str, str], int]) -> None:
        async with self._ports.transactions.begin("mixin.unlisted") as tx:
            await self._ports.store.settle_unlisted(tx, held, self._ports.clock.now_us())

    def _is_unlisted(self, one: SeenOutput) -> bool:
        """Whether it is money of an asset without a form."""
        return one.asset_id not in self._forms and not one.is_inscription

    async def ask_again(self) -> int:
        """Ask again for what could not be judged; how many could now."""
        ports = self._ports
        async with ports.transactions.look("mixin.open") as tx:
            rows = await ports.store.open(tx, ports.clock.now_us(), list(self._forms))
        return sum([await self._again(one) for one in rows])

    async def _page(self) -> tuple[int, list[SeenOutput], list[SeenOutput]]:
        ports = self._ports
        async with ports.transactions.begin("mixin.cursor") as tx:
            since = await ports.store.cursor(tx, self._app_id)
        page = await ports.safe.outputs(since)
        async with ports.transactions.look("mixin.known") as tx:
            known = await ports.store.known(tx, [one.output_id for one in page])
        return since, page, [one for one in page if one.output_id not in known]

    async def _pass(self, sequence: int) -> None:
        async with self._ports.transactions.begin("mixin.pass") as tx:
            if await self._ports.store.cursor(tx, self._app_id) < sequence:
                await self._ports.store.move(tx, self._app_id, sequence)

    async def _take(self, one: SeenOutput) -> bool:
        """Keep an output with what became of it, and move the cursor to it; False if kept.

        Of an asset without a form it is only counted: the cursor says which were.
        """
        receipt = await self._receipt(one)
        ports, form = self._ports, self._forms.get(one.asset_id)
        async with ports.transactions.begin("mixin.arrival") as tx:
            at = await ports.store.cursor(tx, self._app_id)
            if await ports.store.known(tx, [one.output_id]):
                return False
            ours = rules.is_ours(one, self._app_id)
            ours = ours or await ports.store.made_by_us(tx, one.transaction_hash)
            if self._is_unlisted(one) and not ours:
                if one.sequence > at:
                    await ports.store.count_unlisted(tx, one, rules.sender_of(one))
                    await ports.store.move(tx, self._app_id, one.sequence)
                return one.sequence > at
            fate = rules.first_fate(one, form, ours=ours)
            kept = KeptOutput(seen=one, form=form.name if form else "", fate=fate)
            kept = await self._judge(tx, _explained(kept, receipt), known=receipt is not None)
            ensure(await ports.store.keep(tx, kept), "two outputs at one place")
            await ports.store.move(tx, self._app_id, max(at, one.sequence))
        return True

    async def _again(self, one: KeptOutput) -> bool:
        receipt = None if one.opponent or one.deposit_hash else await self._receipt(one.seen)
        form, ports = self._forms.get(one.seen.asset_id), self._ports
        async with ports.transactions.begin("mixin.again") as tx:
            if form is None or not await ports.store.is_open(tx, one.seen.output_id):
                return False
            explained = one.fate is OutputStatus.WAITING or receipt is not None
            asked = replace(one, form=form.name, fate=OutputStatus.WAITING)
            judged = await self._judge(tx, _explained(asked, receipt), known=explained)
            await ports.store.judged(tx, judged)
        return judged.fate not in rules.OPEN_FATES

    async def _judge(self, tx: Tx, one: KeptOutput, *, known: bool) -> KeptOutput:
        """The output with what became of it; ``known``: whether the network says how it came."""
        now_us = self._ports.clock.now_us()
        if one.fate is not OutputStatus.WAITING:
            return one
        if not known and not one.opponent:
            unexplained = replace(one, fate=OutputStatus.UNEXPLAINED)
            return rules.ask_again(unexplained, now_us)
        return await self._tell(tx, one, now_us)

    async def _tell(self, tx: Tx, one: KeptOutput, now_us: int) -> KeptOutput:
        form = self._forms[one.seen.asset_id]
        dust = form.read(one.seen.units)[1]
        if dust:
            await self._report(
                tx, replace(one, fate=OutputStatus.DUST), "units below the register's"
            )
        told = rules.arrival(one, form)
        if told is None:
            return replace(one, fate=OutputStatus.DUST, dust_units=dust)
        if self._arrivals is None:
            raise InvariantBroken("nobody is plugged in to judge what arrives")
        fate = OutputStatus(await self._arrivals.arrived(tx, told))
        judged = replace(one, fate=fate, dust_units=dust)
        return rules.ask_again(judged, now_us) if fate is OutputStatus.WAITING else judged

    async def _receipt(self, one: SeenOutput) -> SeenSnapshot | None:
        """How it came, where the output itself does not say from whom."""
        wanted = one.asset_id in self._forms and not one.is_inscription
        if not wanted or one.senders:
            return SeenSnapshot(opponent=rules.sender_of(one)) if one.senders else None
        return await self._ports.safe.receipt(one)

    async def _report(self, tx: Tx, one: KeptOutput, note: str) -> None:
        at_us = self._ports.clock.now_us()
        get_logger("mixin").warning(one.fate.value, output=one.seen.output_id, note=note)
        # One incident per form: strangers pay in as often as they like.
        incident = MixinIncident(one.fate.value, one.form, note, at_us)
        await self._ports.store.report(tx, incident)


def _explained(one: KeptOutput, receipt: SeenSnapshot | None) -> KeptOutput:
    if receipt is None:
        return one
    return replace(one, opponent=receipt.opponent, deposit_hash=receipt.deposit_hash)
