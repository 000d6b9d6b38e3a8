"""Payments out of the bot's outputs, each made at most once.

A payment has at most one transaction that can ever be taken. Its bytes are journalled and its
inputs reserved before anything is bound or signed, and the signed bytes before they are sent; after
a doubt the same bytes are sent again. Another transaction is built only when the old one was
never signed, or an input of it was spent by another: where nobody did that, we do
(``TransactionRole.VOID``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn, assert_never
from weakref import WeakValueDictionary

from poolmaker.business.ledger.accounts import custody_mixin
from poolmaker.business.treasury.model import (
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendPostponed,
    SendRefused,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.mixin import rules
from poolmaker.mixin.codec.encoding import Malformed
from poolmaker.mixin.codec.keys import GhostKeys
from poolmaker.mixin.codec.selection import Selection
from poolmaker.mixin.model import (
    Journalled,
    Keystore,
    MixinForm,
    MixinIncident,
    MixinPayment,
    MixinPaymentState,
    MixinRefused,
    NothingSent,
    OwnOutput,
    Postponed,
    RequestIdConflict,
    SeenRequest,
    TransactionRole,
    TransactionStage,
)
from poolmaker.mixin.ports import MixinOutgoingGate, PayStore, Safe, Walks
from poolmaker.mixin.rules import (
    Cost,
    NeedsConsolidation,
    NotEnough,
    PayableRequest,
    RefusalMeaning,
    TransactionDraft,
    Unpayable,
)

ROUNDS_MAX: Final = 64
"""Joins and voids in one call; 64 joins make 16,000 outputs one."""
_LOOKS_MAX: Final = 20
_LOOK_AGAIN_US: Final = SECOND_US // 4
_NOT_FOUND: Final = 404
_HELPERS: Final = frozenset({TransactionRole.JOIN, TransactionRole.VOID})


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletPorts:
    """What the wallet reaches the outside through."""

    safe: Safe
    store: PayStore
    transactions: Transactions
    walks: Walks
    clock: Clock
    gate: MixinOutgoingGate | None = None


class _Again(Exception):
    """The payment stands elsewhere now; look at it again."""


class MixinWallet:
    """``SendingProvider`` for ``custody:mixin:<form>``."""

    def __init__(self, ports: WalletPorts, keystore: Keystore, forms: Sequence[MixinForm]) -> None:
        self._ports = ports
        self._keystore = keystore
        self._forms = tuple(forms)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def send(self, request: SendRequest) -> SendAnswer:
        """Pay, or go on paying; the same reference is one payment however often it is asked.

        SendRefused is final: what is refused here was never and will never be sent. What is
        postponed is not taken now, and no transaction of it is alive. Raises Unavailable when none
        is, OutcomeUnknown when one is: then ``find``
        carries it on.
        """
        async with self._lock(request):
            payment = await self._known(request)
            if payment is None:
                payment = rules.payment_of(request, self._form(request), self._ports.clock.now_us())
            try:
                payment = await self._carry(payment)
            except Postponed as postponed:
                return SendPostponed(str(postponed), needs_person=postponed.needs_person)
            except NothingSent:
                raise
            except (Unavailable, MixinRefused) as problem:
                raise OutcomeUnknown(f"{payment.request_id}: {problem}") from problem
        refused = payment.state is MixinPaymentState.REFUSED
        return SendRefused(payment.reason) if refused else SendAccepted(payment.request_id)

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:  # noqa: ARG002 - the port's
        """What became of it; what is journalled and not sent yet is sent on the way.

        Not while the gate is closed: then it stays under way. ``send`` is its caller's to hold.
        """
        async with self._lock(request):
            try:
                payment = await self._known(request)
                if payment is None:
                    return await self._unknown(request)
                if await self._is_held(payment):
                    return SendUnderWay(payment.request_id)
                return rules.status_of(await self._carry(payment), self._forms)
            except Postponed as postponed:
                return SendPostponed(str(postponed), needs_person=postponed.needs_person)
            except MixinRefused as refused:
                raise Unavailable(f"{request.reference}: {refused}") from refused

    # Who and which

    def _lock(self, request: SendRequest) -> asyncio.Lock:
        return self._locks.setdefault(request.reference, asyncio.Lock())

    def _form(self, request: SendRequest) -> MixinForm:
        for form in self._forms:
            if custody_mixin(form.name) == request.source:
                return form
        if request.source == custody_mixin(request.asset):
            return rules.unlisted_form(request.asset)
        raise NothingSent(f"{request.source} is not configured here")

    def _form_named(self, name: str) -> MixinForm:
        for form in self._forms:
            if form.name == name:
                return form
        if rules.is_asset_id(name):
            return rules.unlisted_form(name)
        raise Unavailable(f"the form {name} is not configured here any more")

    async def _known(self, request: SendRequest) -> MixinPayment | None:
        name = rules.request_id_of(request.reference)
        async with self._ports.transactions.begin("mixin.payment") as tx:
            payment = await self._ports.store.payment(tx, name)
        same = payment is None or rules.is_of(payment, request)
        require(same, f"reference {request.reference}: it is another payment's")
        return payment

    async def _unknown(self, request: SendRequest) -> SendStatus:
        """The journal knows nothing; whether the network does."""
        name = rules.request_id_of(request.reference)
        seen = await self._ports.safe.request(name)
        if seen is None:
            return SendAbsent()
        async with self._ports.transactions.begin("mixin.not_journalled") as tx:
            await self._report(tx, "not_journalled", name, f"bound to {seen.transaction_hash}")
        return SendUnderWay(name)

    async def _is_held(self, payment: MixinPayment) -> bool:
        """Whether going on would send something, and nothing may be sent now."""
        if self._ports.gate is None or payment.state is not MixinPaymentState.OPEN:
            return False
        async with self._ports.transactions.begin("mixin.gate") as tx:
            if await self._ports.gate.may_send(tx):
                return False
            alive = await self._ports.store.alive(tx, payment.request_id)
        pays = [one for one in alive if one.role not in _HELPERS]
        return not pays or any(
            one.stage in {TransactionStage.BUILT, TransactionStage.SIGNED} for one in alive
        )

    # The steps of a payment

    async def _carry(self, payment: MixinPayment) -> MixinPayment:
        """Carry a payment as far as it goes now."""
        try:
            for _ in range(ROUNDS_MAX):
                payment, alive = await self._standing(payment)
                if payment.state is not MixinPaymentState.OPEN:
                    return payment
                try:
                    return await self._step(payment, alive)
                except _Again:
                    continue
        except Unpayable as reason:
            return await self._refuse(payment, str(reason))
        raise OutcomeUnknown(f"{payment.request_id}: still not settled; ask again")

    async def _standing(self, payment: MixinPayment) -> tuple[MixinPayment, list[Journalled]]:
        store = self._ports.store
        async with self._ports.transactions.begin("mixin.standing") as tx:
            kept = await store.payment(tx, payment.request_id)
            alive = await store.alive(tx, payment.request_id) if kept is not None else []
        return kept or payment, alive

    async def _step(self, payment: MixinPayment, alive: Sequence[Journalled]) -> MixinPayment:
        helpers = [
            one for one in alive if one.role in _HELPERS and one.stage is not TransactionStage.SPENT
        ]
        group = sorted((one for one in alive if one.role not in _HELPERS), key=_main_first)
        if helpers:
            await self._help(payment, helpers[0], group)
            raise _Again
        if not group:
            await self._begin(payment)
            raise _Again
        return await self._settle(payment, group, await self._push(payment, group))

    async def _refuse(self, payment: MixinPayment, reason: str) -> MixinPayment:
        """Nothing of it is alive, and nothing will be."""
        refused = replace(payment, state=MixinPaymentState.REFUSED, reason=reason)
        async with self._ports.transactions.begin("mixin.refused") as tx:
            if await self._ports.store.payment(tx, payment.request_id) is not None:
                await self._ports.store.change_payment(tx, refused)
        return refused

    # Building

    async def _begin(self, payment: MixinPayment) -> None:
        """Journal a transaction for it, or one that joins outputs first."""
        form = self._form_named(payment.form)
        if form not in self._forms and any(own.mixin_id == form.mixin_id for own in self._forms):
            raise Unpayable(f"the asset {form.mixin_id} is configured now: it is booked instead")
        found = rules.plan(payment, form)
        try:
            priced = await self._price(found)
            wanted = rules.locks_wanted(found, priced, self._keystore.app_id)
            drafts = rules.drafts(found, priced, await self._ports.safe.locks(wanted))
            await self._journal_or_join(payment, drafts)
        except MixinRefused as refused:
            raise _nothing_sent(payment, refused) from refused
        except Unavailable as problem:
            raise NothingSent(str(problem)) from problem

    async def _price(self, found: PayableRequest) -> Cost:
        """The fee, read just before the payment is built."""
        if not found.leaves:
            return Cost(found.units)
        asset_id, payment = found.form.mixin_id, found.payment
        await self._ports.safe.check_address(asset_id, payment.address, payment.tag)
        fees = await self._ports.safe.fees(asset_id, payment.address)
        return rules.cost(found, fees, self._forms)

    async def _journal_or_join(
        self, payment: MixinPayment, drafts: Sequence[TransactionDraft]
    ) -> None:
        try:
            await self._journal(payment, drafts)
        except NotEnough:
            await self._ports.walks.walk()  # What came back as change may only not be kept yet.
            try:
                await self._journal(payment, drafts)
            except NotEnough as shortage:
                raise NothingSent(f"{payment.request_id}: {shortage}") from None
            except NeedsConsolidation as fork:
                await self._join(payment, fork.asset_id)
        except NeedsConsolidation as fork:
            await self._join(payment, fork.asset_id)

    async def _journal(self, payment: MixinPayment, drafts: Sequence[TransactionDraft]) -> None:
        """Choose outputs, reserve them and journal the bytes: all in one transaction."""
        async with self._ports.transactions.begin("mixin.journal") as tx:
            if not await self._is_mine_to_build(tx, payment):
                return
            references: tuple[bytes, ...] = ()
            for draft in drafts:
                store, picked = self._ports.store, await self._pick(tx, payment, draft)
                made = rules.finish(draft, picked, references)
                row = rules.journalled(draft, made, payment, picked.change_units)
                references = (bytes.fromhex(row.hash),)
                await store.add(tx, row, self._ports.clock.now_us())
                await store.reserve(tx, [one.output_id for one in picked.picked], row.hash)

    async def _pick(
        self, tx: Tx, payment: MixinPayment, draft: TransactionDraft
    ) -> Selection[OwnOutput]:
        store, asset_id = self._ports.store, draft.asset_id
        back = payment.form == asset_id
        return rules.choose(
            await store.oldest(tx, asset_id, rules.INPUTS_MAX, for_return=back),
            await store.largest(tx, asset_id, rules.INPUTS_MAX, for_return=back),
            await store.total(tx, asset_id, for_return=back),
            draft,
        )

    async def _is_mine_to_build(self, tx: Tx, payment: MixinPayment) -> bool:
        store = self._ports.store
        await store.lock_selector(tx, self._keystore.app_id)
        kept = await store.payment(tx, payment.request_id)
        if kept is None:
            await store.add_payment(tx, payment)
            return True
        alive = await store.alive(tx, payment.request_id)
        only_joined = all(
            one.role in _HELPERS and one.stage is TransactionStage.SPENT for one in alive
        )
        return kept == payment and only_joined

    async def _join(self, payment: MixinPayment, asset_id: str) -> None:
        """Journal a transaction that makes the largest outputs one."""
        store = self._ports.store
        name, lock = await self._self_lock(payment)
        async with self._ports.transactions.begin("mixin.join") as tx:
            if not await self._is_mine_to_build(tx, payment):
                return
            outputs = await store.largest(
                tx, asset_id, rules.INPUTS_MAX, for_return=payment.form == asset_id
            )
            row = rules.to_self(payment, TransactionRole.JOIN, name, asset_id, outputs, lock)
            await store.add(tx, row, self._ports.clock.now_us())
            await store.reserve(tx, [one.output_id for one in outputs], row.hash)

    async def _self_lock(self, payment: MixinPayment) -> tuple[str, GhostKeys]:
        async with self._ports.transactions.begin("mixin.count") as tx:
            number = await self._ports.store.count(tx, payment.request_id)
        name = rules.self_id(payment.request_id, number)
        return name, (await self._ports.safe.locks(rules.self_lock(name, self._keystore.app_id)))[0]

    # Sending

    async def _push(self, payment: MixinPayment, group: Sequence[Journalled]) -> list[SeenRequest]:
        """Bind, sign and send what is not sent; what the network says of each transaction."""
        if any(one.stage is TransactionStage.BUILT for one in group):
            group = await self._sign(payment, group)
        if any(one.stage is TransactionStage.SIGNED for one in group):
            seen = await self._submit(payment, group)
        else:
            seen = [await self._look(one) for one in group]
        await self._check(group, seen)
        return seen

    async def _look(self, one: Journalled) -> SeenRequest:
        seen = await self._ports.safe.request(one.request_id)
        if seen is None:
            raise Unavailable(f"{one.request_id}: the network does not know what it has taken")
        return seen

    async def _sign(self, payment: MixinPayment, group: Sequence[Journalled]) -> list[Journalled]:
        """Bind the request ids, sign, and journal the signed bytes."""
        try:
            bound = await self._ports.safe.bind([(one.request_id, one.unsigned) for one in group])
        except MixinRefused as refused:
            if rules.is_about_us(refused.error):
                raise
            await self._after_unbound(payment, group, refused)
        await self._check(group, bound)
        ready = [
            replace(one, signed=await self._signed(one, said), stage=TransactionStage.SIGNED)
            for one, said in zip(group, bound, strict=True)
        ]
        async with self._ports.transactions.begin("mixin.signed") as tx:
            await self._still(tx, group, TransactionStage.BUILT)
            for one in ready:
                await self._ports.store.signed(tx, one.request_id, one.signed or b"")
        return ready

    async def _after_unbound(
        self, payment: MixinPayment, group: Sequence[Journalled], refused: MixinRefused
    ) -> NoReturn:
        """Nothing of it was ever signed, so nothing of it can ever be taken.

        Its inputs are free for other payments, however long this one has to wait.
        """
        stale = rules.meaning_of(refused.error) is RefusalMeaning.STALE
        gone = await self._gone(group) if stale else {}
        await self._bury(payment, group, str(refused), gone, only=TransactionStage.BUILT)
        role = group[0].role
        if role is TransactionRole.VOID:  # Then what it was to void may be taken after all.
            raise OutcomeUnknown(f"{payment.request_id}: {refused}") from refused
        if role is TransactionRole.JOIN:
            raise NothingSent(f"{payment.request_id}: {refused}") from refused
        raise _nothing_sent(payment, refused) from refused

    async def _signed(self, one: Journalled, said: SeenRequest) -> bytes:
        spent = await self._inputs(one)
        seed = self._keystore.spend_seed
        try:
            return await asyncio.to_thread(rules.signed, one, said.views, seed, spent)
        except Malformed as problem:
            raise Unavailable(f"{one.request_id} cannot be signed: {problem}") from problem

    async def _inputs(self, one: Journalled) -> list[OwnOutput]:
        async with self._ports.transactions.begin("mixin.inputs") as tx:
            return await self._ports.store.outputs_at(tx, rules.places(one))

    async def _check(self, group: Sequence[Journalled], seen: Sequence[SeenRequest]) -> None:
        """Refuse to go on with a request id that stands for something else."""
        for one, said in zip(group, seen, strict=True):
            if said.transaction_hash != one.hash:
                note = f"journalled {one.hash}, bound to {said.transaction_hash}"
                async with self._ports.transactions.begin("mixin.conflict") as tx:
                    await self._report(tx, "conflict", one.request_id, note)
                raise RequestIdConflict(f"{one.request_id}: {note}")

    async def _submit(
        self, payment: MixinPayment, group: Sequence[Journalled]
    ) -> list[SeenRequest]:
        batch = [(one.request_id, one.signed or b"") for one in group]
        try:
            return await self._ports.safe.submit(batch)
        except MixinRefused as refused:
            seen = [await self._ports.safe.request(one.request_id) for one in group]
            if all(said is not None and said.state != "unspent" for said in seen):
                return [said for said in seen if said is not None]
            if refused.error == _NOT_FOUND:
                await self._check(
                    group,
                    await self._ports.safe.bind([(one.request_id, one.unsigned) for one in group]),
                )
                return await self._ports.safe.submit(batch)
            await self._after_refusal(payment, group, refused)
            raise _Again from refused

    async def _after_refusal(
        self, payment: MixinPayment, group: Sequence[Journalled], refused: MixinRefused
    ) -> None:
        """What was signed is not taken: only a spent input proves that it never will be."""
        gone = await self._gone(group)
        if any(gone.get(place) for place in rules.places(group[0])):
            await self._bury(payment, group, str(refused), gone)
            return
        passes = rules.meaning_of(refused.error) in {RefusalMeaning.WAIT, RefusalMeaning.PERSON}
        if passes or rules.is_locked(refused.error) or group[0].role in _HELPERS:
            raise OutcomeUnknown(f"{group[0].request_id}: {refused}") from refused
        await self._void(payment, group[0])

    async def _gone(self, group: Sequence[Journalled]) -> dict[tuple[str, int], str]:
        """Which inputs are spent by another transaction, and by which."""
        found = {}
        for one in group:
            for spent in await self._inputs(one):
                seen = await self._ports.safe.output(spent.output_id)
                if seen.state == "spent" and seen.taken_by not in {"", one.hash}:
                    found[spent.transaction_hash, spent.output_index] = seen.taken_by
        return found

    async def _bury(
        self,
        payment: MixinPayment,
        group: Sequence[Journalled],
        reason: str,
        gone: dict[tuple[str, int], str],
        *,
        only: TransactionStage | None = None,
    ) -> None:
        """These transactions are dead: their inputs are free, but for those that are gone.

        With ``only`` nobody else may have brought them further meanwhile.
        """
        store = self._ports.store
        async with self._ports.transactions.begin("mixin.bury") as tx:
            await self._still(tx, group, only)
            for one in group:
                await store.stage(tx, one.request_id, TransactionStage.DEAD, reason)
                await store.release(tx, one.hash)
            for place, by in gone.items():
                outputs = await store.outputs_at(tx, [place])
                await store.spent(tx, [one.output_id for one in outputs], by)
                await self._report(tx, "spent_elsewhere", f"{place[0]}:{place[1]}", f"by {by}")
            if group[0].role is TransactionRole.MAIN:
                await store.change_payment(tx, replace(payment, attempt=payment.attempt + 1))

    async def _still(
        self, tx: Tx, group: Sequence[Journalled], only: TransactionStage | None
    ) -> None:
        """Step back unless these are alive, and at stage ``only`` where one is given."""
        stages = await self._ports.store.stages(tx, [one.request_id for one in group])
        if TransactionStage.DEAD in stages or (only is not None and set(stages) != {only}):
            raise _Again

    # Helpers

    async def _void(self, payment: MixinPayment, main: Journalled) -> None:
        """Journal a transaction that takes ``main``'s inputs away from it."""
        store = self._ports.store
        name, lock = await self._self_lock(payment)
        async with self._ports.transactions.begin("mixin.void") as tx:
            await store.lock_selector(tx, self._keystore.app_id)
            if any(
                one.role is TransactionRole.VOID
                for one in await store.alive(tx, payment.request_id)
            ):
                return
            await self._still(tx, [main], TransactionStage.SIGNED)
            outputs = await store.outputs_at(tx, rules.places(main))
            row = rules.to_self(payment, TransactionRole.VOID, name, main.asset_id, outputs, lock)
            await store.add(tx, row, self._ports.clock.now_us())

    async def _help(
        self, payment: MixinPayment, helper: Journalled, group: Sequence[Journalled]
    ) -> None:
        """Carry a join or a void to its end."""
        seen = await self._push(payment, [helper])
        for _ in range(_LOOKS_MAX):
            if seen[0].state == "spent":
                break
            await self._ports.clock.sleep_us(_LOOK_AGAIN_US)
            seen = [await self._look(helper)]
        await self._check([helper], seen)
        await self._record([helper], seen)
        if seen[0].state != "spent":
            kind = NothingSent if helper.role is TransactionRole.JOIN else OutcomeUnknown
            raise kind(f"{payment.request_id}: a {helper.role} is not final yet")
        if helper.role is TransactionRole.VOID and group:
            await self._bury(payment, group, f"void by {helper.hash}", {})
        await self._ports.walks.walk()

    # The end

    async def _record(self, group: Sequence[Journalled], seen: Sequence[SeenRequest]) -> None:
        """What the network has taken is spent."""
        store = self._ports.store
        async with self._ports.transactions.begin("mixin.taken") as tx:
            for one, said in zip(group, seen, strict=True):
                if said.state == "unspent":
                    continue
                stage = TransactionStage.SPENT if said.state == "spent" else TransactionStage.TAKEN
                await store.stage(tx, one.request_id, stage)
                outputs = await store.outputs_at(tx, rules.places(one))
                await store.spent(tx, [output.output_id for output in outputs], one.hash)

    async def _settle(
        self, payment: MixinPayment, group: Sequence[Journalled], seen: Sequence[SeenRequest]
    ) -> MixinPayment:
        """The payment as the network's word leaves it."""
        await self._record(group, seen)
        if any(said.state != "spent" for said in seen):
            return payment
        form, transaction_id = self._form_named(payment.form), seen[0].transaction_hash
        if rules.plan(payment, form).leaves:
            transaction_id = await self._withdrawal_hash(seen[0])
        if not transaction_id:
            return payment
        fee_form = next((o for o in self._forms if o.mixin_id == group[-1].asset_id), None)
        done = rules.completed(
            payment, form, group, transaction_id, fee_form if len(group) > 1 else None
        )
        async with self._ports.transactions.begin("mixin.completed") as tx:
            await self._ports.store.change_payment(tx, done)
        return done

    async def _withdrawal_hash(self, main: SeenRequest) -> str:
        if main.withdrawal_hash or not main.snapshot_id:
            return main.withdrawal_hash
        return (await self._ports.safe.snapshot(main.snapshot_id)).withdrawal_hash

    async def _report(self, tx: Tx, kind: str, subject: str, note: str) -> None:
        incident = MixinIncident(kind, subject, note, self._ports.clock.now_us())
        await self._ports.store.report(tx, incident)


def _nothing_sent(payment: MixinPayment, refused: MixinRefused) -> NothingSent | Unpayable:
    """What a refusal of something that was never signed means."""
    match meaning := rules.meaning_of(refused.error):
        case RefusalMeaning.FINAL:
            return Unpayable(str(refused))
        case RefusalMeaning.STALE:
            return NothingSent(f"{payment.request_id}: {refused}")
        case RefusalMeaning.WAIT | RefusalMeaning.PERSON:
            return Postponed(str(refused), needs_person=meaning is RefusalMeaning.PERSON)
        case _:
            assert_never(meaning)


def _main_first(one: Journalled) -> bool:
    return one.role is not TransactionRole.MAIN
