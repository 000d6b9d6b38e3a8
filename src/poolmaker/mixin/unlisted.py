"""Payments in assets without a form: counted per asset and sender, and given back inside Mixin.

Nothing of them enters the ledger. What a known sender paid goes back to that sender by itself,
all of it or a batch of the oldest outputs, with ever longer waits; what came from a chain waits
for a person, who configures a form or names a receiver. What is booked, or will be because its
asset has a form now, never goes back from here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.business.treasury.model import (
    SendAbsent,
    SendCompleted,
    SendFailed,
    SendRefused,
    SendStatus,
)
from poolmaker.business.treasury.ports import SendingProvider
from poolmaker.infra.attention import (
    LISTED_MAX,
    AttentionItem,
    Remedy,
    and_more,
    closed_by_a_person,
)
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.money import format_units
from poolmaker.mixin import return_rules as rules
from poolmaker.mixin.codec.amounts import DECIMALS
from poolmaker.mixin.model import (
    KeptOutput,
    MixinForm,
    MixinRefused,
    OutputStatus,
    ReturnOrder,
    ReturnRefusal,
    ReturnRefused,
    SeenOutput,
    Unlisted,
    UnlistedStuck,
)
from poolmaker.mixin.ports import MixinOutgoingGate, Safe, WalkStore
from poolmaker.mixin.rules import INPUTS_MAX, is_ours

SOURCE: Final = "unlisted"
KIND: Final = "unidentified"
POLL_US: Final = 5 * SECOND_US
PAGE: Final = 500
LOOK: Final = 500
"""Rows that one step looks at; the next step goes on behind them."""
BEGIN: Final = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedPorts:
    """What returns are made of. Without a gate nobody can freeze them."""

    safe: Safe
    store: WalkStore
    transactions: Transactions
    wallet: SendingProvider
    clock: Clock
    gate: MixinOutgoingGate | None = None


class UnlistedReturns:
    """Gives back what the bot was paid in assets that nobody has configured."""

    def __init__(self, ports: UnlistedPorts, app_id: str, forms: Sequence[MixinForm]) -> None:
        self._ports = ports
        self._app_id = app_id
        self._listed = frozenset(form.mixin_id for form in forms)
        self._after = BEGIN

    async def run(self) -> None:
        """Look until cancelled; what is not known now is looked at again."""
        while True:
            try:
                await self.step()
            except Unavailable as problem:
                get_logger("mixin").warning("returns_wait", error=str(problem))
            await self._ports.clock.sleep_us(POLL_US)

    async def page(self, after: tuple[str, str], limit: int) -> Sequence[Unlisted]:
        """What is here of assets without a form, by asset and sender, after one of them."""
        async with self._ports.transactions.begin("mixin.unlisted") as tx:
            return await self._ports.store.unlisted(tx, after, limit)

    async def sums(self) -> Mapping[str, int]:
        """The network's units that are here of each asset without a form."""
        async with self._ports.transactions.begin("mixin.unlisted_sums") as tx:
            return await self._ports.store.unlisted_sums(tx)

    async def attention(self) -> Sequence[AttentionItem]:
        """Assets of which something does not go back by itself, one item per asset."""
        async with self._ports.transactions.begin("mixin.unlisted_stuck") as tx:
            stuck = await self._ports.store.stuck_unlisted(tx, LISTED_MAX)
        total = stuck[0].total if stuck else 0
        return and_more([_item(one) for one in stuck], total)

    async def step(self) -> int:
        """Follow what is under way and begin what is due, one per asset; how many moved.

        A step looks at the next ``LOOK`` rows: however many there are, each has its turn.
        """
        rows = await self.page(self._after, LOOK)
        self._after = (rows[-1].asset_id, rows[-1].sender) if len(rows) == LOOK else BEGIN
        async with self._ports.transactions.begin("mixin.returning") as tx:
            busy = {*await self._ports.store.returning(tx, [row.asset_id for row in rows])}
        done = 0
        for row in rows:
            if row.returning_units:
                done += await self._tried(self._follow, row)
            elif row.asset_id not in busy and self._is_due(row):
                busy.add(row.asset_id)
                done += await self._tried(self._give_back, row)
        return done

    async def begin(self, order: ReturnOrder) -> Unlisted | ReturnRefused:
        """Send exactly what a person decided, the sender's oldest payments; else nothing.

        The outputs are exactly that sender's, so that nobody else's are touched. Asked again the
        return of that number is begun no second time, also when it is over.
        """
        if order.asset_id in self._listed:
            return ReturnRefused(ReturnRefusal.CONFIGURED)
        if not await self._may_send():
            return ReturnRefused(ReturnRefusal.FROZEN)
        return await self._start(order, await self._outputs(order.asset_id, order.sender))

    async def next_number(self, asset_id: str, sender: str) -> int | ReturnRefused:
        """Which return of the sender's payments would be the next: what a person decides about."""
        async with self._ports.transactions.begin("mixin.return_number") as tx:
            row = await self._ports.store.lock_unlisted(tx, asset_id, sender)
        if row is None or not row.units:
            return ReturnRefused(ReturnRefusal.NOTHING)
        return ReturnRefused(ReturnRefusal.UNDER_WAY) if row.returning_units else row.returns + 1

    def _is_due(self, row: Unlisted) -> bool:
        due_us = rules.return_due_us(row)
        return 0 < due_us <= self._ports.clock.now_us() and row.asset_id not in self._listed

    async def _give_back(self, row: Unlisted) -> bool:
        """Send back to its sender as much as one payment can give back."""
        if not await self._may_send():
            return False
        found = await self._outputs(row.asset_id, row.sender)
        order = ReturnOrder(
            asset_id=row.asset_id,
            sender=row.sender,
            receiver=row.sender,
            units=rules.units_of(rules.fitting(found, row.units)),
            number=row.returns + 1,
        )
        return isinstance(await self._start(order, found), Unlisted)

    async def _start(
        self, order: ReturnOrder, found: Sequence[SeenOutput]
    ) -> Unlisted | ReturnRefused:
        """Keep what goes back and say so in its row, then send it."""
        store = self._ports.store
        async with self._ports.transactions.begin("mixin.return") as tx:
            await store.lock_asset(tx, order.asset_id)
            row = await store.lock_unlisted(tx, order.asset_id, order.sender)
            if row is not None and order.number == row.returns:
                return _begun(row, order)
            if row is None or not row.units:
                return ReturnRefused(ReturnRefusal.NOTHING)
            if await store.returning(tx, [order.asset_id]):
                return ReturnRefused(ReturnRefusal.UNDER_WAY)
            if order.number != row.returns + 1:
                return ReturnRefused(ReturnRefusal.NOTHING)
            picked = rules.fitting(found, min(order.units, row.units))
            if not picked or rules.units_of(picked) != order.units:
                payable = rules.units_of(rules.fitting(found, row.units))
                reason = ReturnRefusal.DIFFERS if payable else ReturnRefusal.NOTHING
                return ReturnRefused(reason, payable)
            await self._keep(tx, order.asset_id, picked)
            started = replace(
                row,
                returns=row.returns + 1,
                returning_units=order.units,
                returned_us=self._ports.clock.now_us(),
                return_to=order.receiver,
                reason="",
            )
            await store.save_unlisted(tx, started)
        await self._send(started)
        return started

    async def _keep(self, tx: Tx, asset_id: str, picked: Sequence[SeenOutput]) -> None:
        store = self._ports.store
        known = await store.known(tx, [one.output_id for one in picked])
        for one in picked:
            if is_ours(one, self._app_id):
                continue  # What an earlier try paid to ourselves is kept and may be spent as it is.
            kept = KeptOutput(seen=one, form=asset_id, fate=OutputStatus.REFUND)
            if one.output_id in known:
                await store.judged(tx, kept)
            else:
                await store.keep(tx, kept)

    async def _may_send(self) -> bool:
        if self._ports.gate is None:
            return True
        async with self._ports.transactions.begin("mixin.return_gate") as tx:
            return await self._ports.gate.may_send(tx)

    async def _outputs(self, asset_id: str, sender: str) -> list[SeenOutput]:
        """The sender's oldest unspent outputs of the asset, as many as one payment can spend."""
        found: list[SeenOutput] = []
        since, seen = 0, frozenset[str]()
        while True:
            page = await self._ports.safe.outputs(since, asset_id=asset_id, state="unspent")
            fresh = [one for one in page if one.output_id not in seen]
            seen = frozenset(one.output_id for one in page)
            async with self._ports.transactions.begin("mixin.booked") as tx:
                booked = await self._ports.store.booked(tx, [one.output_id for one in fresh])
            found += [
                one
                for one in fresh
                if rules.payer_of(one, self._app_id) == sender
                and not one.is_inscription
                and one.output_id not in booked
            ]
            if len(page) < PAGE or not fresh or len(found) >= INPUTS_MAX:
                return found[:INPUTS_MAX]
            since = page[-1].sequence

    async def _send(self, row: Unlisted) -> bool:
        answer = await self._ports.wallet.send(rules.return_request(row))
        if isinstance(answer, SendRefused):
            await self._end(row, 0, answer.reason)
        return True

    async def _follow(self, row: Unlisted) -> bool:
        request = rules.return_request(row)
        status: SendStatus = await self._ports.wallet.find(request, row.returned_us)
        match status:
            case SendCompleted():
                await self._end(row, row.returning_units, "")
            case SendFailed(reason=reason):
                await self._end(row, 0, reason)
            case SendAbsent():
                return await self._may_send() and await self._send(row)
            case _:
                return False
        return True

    async def _end(self, row: Unlisted, returned_units: int, reason: str) -> None:
        store = self._ports.store
        async with self._ports.transactions.begin("mixin.returned") as tx:
            await store.lock_asset(tx, row.asset_id)
            now = await store.lock_unlisted(tx, row.asset_id, row.sender)
            if now is None or now.returns != row.returns or not now.returning_units:
                return
            left = max(0, now.units - returned_units)
            ended = replace(now, units=left, returning_units=0, reason=reason)
            await store.save_unlisted(tx, ended)
            await store.free_kept(tx, [row.asset_id])

    async def _tried(self, act: Callable[[Unlisted], Awaitable[bool]], row: Unlisted) -> bool:
        """What comes of it; False where it cannot be known or done now: it holds up nobody else."""
        try:
            return await act(row)
        except (Unavailable, OutcomeUnknown, MixinRefused) as problem:
            get_logger("mixin").warning("return_waits", asset=row.asset_id, error=str(problem))
            return False


def _begun(row: Unlisted, order: ReturnOrder) -> Unlisted | ReturnRefused:
    """The answer about a return that was begun: another one of its number is none."""
    units = row.returning_units or order.units
    same = (units, row.return_to) == (order.units, order.receiver)
    return row if same else ReturnRefused(ReturnRefusal.UNDER_WAY)


def _item(one: UnlistedStuck) -> AttentionItem:
    return AttentionItem(
        source=SOURCE,
        kind=KIND,
        subject=one.asset_id,
        since_us=one.first_us,
        evidence={
            "amount": f"{format_units(one.units, DECIMALS)} {one.asset_id}",
            "payments": str(one.payments),
            "refused": one.reason,
        },
        remedies=(
            Remedy(
                action="return",
                command=f"poolmaker unlisted return {one.asset_id} --from SENDER --to MIXIN_ID"
                " --amount AMOUNT --reason TEXT",
                route="POST /api/v1/unlisted/returns",
            ),
            closed_by_a_person(SOURCE, KIND, one.asset_id),
        ),
    )
