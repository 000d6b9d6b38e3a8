"""Payments in assets without a form: counted per asset and sender, and given back inside Mixin.

Nothing of them enters the ledger. What a known sender paid goes back to that sender by itself,
all of it or a batch of the oldest outputs, with ever longer waits; what came from a chain waits
for a person, who configures a form or names a receiver.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.money import format_units
from poolmaker.mixin import rules
from poolmaker.mixin.codec.amounts import DECIMALS
from poolmaker.mixin.model import KeptOutput, MixinRefused, OutputFate, SeenOutput, Unlisted
from poolmaker.mixin.ports import Gate, Safe, WalkStore

SOURCE: Final = "unlisted"
KIND: Final = "unidentified"
POLL_US: Final = 5 * SECOND_US
PAGE: Final = 500
PAGES_MAX: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedPorts:
    """What returns are made of. Without a gate nobody can freeze them."""

    safe: Safe
    store: WalkStore
    transactions: Transactions
    wallet: SendingProvider
    clock: Clock
    gate: Gate | None = None


class UnlistedReturns:
    """Gives back what the bot was paid in assets that nobody has configured."""

    def __init__(self, ports: UnlistedPorts) -> None:
        self._ports = ports

    async def run(self) -> None:
        """Look until cancelled; what is not known now is looked at again."""
        while True:
            try:
                await self.step()
            except (Unavailable, OutcomeUnknown, MixinRefused) as problem:
                get_logger("mixin").warning("returns_wait", error=str(problem))
            await self._ports.clock.sleep_us(POLL_US)

    async def held(self) -> Sequence[Unlisted]:
        """What is here of assets without a form."""
        async with self._ports.transactions.begin("mixin.unlisted") as tx:
            return await self._ports.store.unlisted(tx)

    async def attention(self) -> Sequence[AttentionItem]:
        """Assets of which something does not go back by itself, one item per asset."""
        rows = await self.held()
        stuck = {row.asset_id for row in rows if row.reason or not row.sender}
        items = [_item(asset, rows) for asset in sorted(stuck)]
        return and_more(items[:LISTED_MAX], len(items))

    async def step(self) -> int:
        """Follow what is under way and begin what is due, one per asset; how many moved."""
        rows = await self.held()
        busy = {row.asset_id for row in rows if row.returning_units}
        done = 0
        for row in rows:
            if row.returning_units:
                done += await self._follow(row)
                continue
            due_us = rules.return_due_us(row)
            if due_us and self._ports.clock.now_us() >= due_us and row.asset_id not in busy:
                busy.add(row.asset_id)
                done += await self.begin(row.asset_id, row.sender, row.sender)
        return done

    async def begin(self, asset_id: str, sender: str, receiver: str) -> bool:
        """Send what ``sender`` paid to ``receiver``; False when there is nothing, or not now.

        The outputs are exactly that sender's, so that nobody else's are touched.
        """
        if not await self._may_send():
            return False
        found = await self._outputs(asset_id, sender)
        ports, now_us = self._ports, self._ports.clock.now_us()
        async with ports.transactions.begin("mixin.return") as tx:
            row = await ports.store.lock_unlisted(tx, asset_id, sender)
            if row is None or row.returning_units or not found:
                return False
            known = await ports.store.known(tx, [one.output_id for one in found])
            for one in found:
                kept = KeptOutput(seen=one, form=asset_id, fate=OutputFate.REFUND)
                if one.output_id in known:
                    await ports.store.judged(tx, kept)
                else:
                    await ports.store.keep(tx, kept)
            started = replace(
                row,
                returns=row.returns + 1,
                returning_units=sum(one.units for one in found),
                returned_us=now_us,
                return_to=receiver,
                reason="",
            )
            await ports.store.save_unlisted(tx, started)
        return await self._send(started)

    async def _may_send(self) -> bool:
        if self._ports.gate is None:
            return True
        async with self._ports.transactions.begin("mixin.return_gate") as tx:
            return await self._ports.gate.may_send(tx)

    async def _outputs(self, asset_id: str, sender: str) -> list[SeenOutput]:
        """The sender's oldest unspent outputs of the asset, as many as one payment can spend."""
        found: dict[str, SeenOutput] = {}
        since = 0
        for _ in range(PAGES_MAX):
            page = await self._ports.safe.outputs(since, asset_id=asset_id, state="unspent")
            for one in page:
                if rules.sender_of(one) == sender and not one.is_inscription:
                    found.setdefault(one.output_id, one)
            if len(page) < PAGE or len(found) >= rules.INPUTS_MAX:
                break
            since = page[-1].sequence
        return list(found.values())[: rules.INPUTS_MAX]

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
            now = await store.lock_unlisted(tx, row.asset_id, row.sender)
            if now is None or now.returns != row.returns or not now.returning_units:
                return
            left = max(0, now.units - returned_units)
            ended = replace(now, units=left, returning_units=0, reason=reason)
            await store.save_unlisted(tx, ended)


def _item(asset_id: str, rows: Sequence[Unlisted]) -> AttentionItem:
    mine = [row for row in rows if row.asset_id == asset_id and (row.reason or not row.sender)]
    units = sum(row.units for row in mine)
    reasons = {row.reason for row in mine if row.reason}
    return AttentionItem(
        source=SOURCE,
        kind=KIND,
        subject=asset_id,
        since_us=min(row.first_us for row in mine),
        evidence={
            "amount": f"{format_units(units, DECIMALS)} {asset_id}",
            "payments": str(sum(row.payments for row in mine)),
            "refused": "; ".join(sorted(reasons)),
        },
        remedies=(
            Remedy(
                action="return",
                command=f"poolmaker unlisted return {asset_id} --to MIXIN_ID --reason TEXT",
                route="POST /api/v1/unlisted/returns",
            ),
            closed_by_a_person(SOURCE, KIND, asset_id),
        ),
    )
