"""Pure decisions of the Mixin client: what is paid to whom, by which outputs, what words mean."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from poolmaker.business.ledger.accounts import custody_mixin
from poolmaker.business.treasury.model import (
    Arrival,
    SendCompleted,
    SendFailed,
    SendRequest,
    SendStatus,
    SendUnderWay,
)
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import SECOND_US
from poolmaker.messages.base import Money
from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.amounts import DECIMALS
from poolmaker.mixin.codec.encoding import Malformed
from poolmaker.mixin.codec.ids import (
    FEE_RECEIVER,
    check_uuid,
    fee_request_id,
    ghost_hint,
    kernel_asset_id,
    object_id,
)
from poolmaker.mixin.codec.keys import GhostKeys, seed_scalar
from poolmaker.mixin.codec.memos import memo_bytes
from poolmaker.mixin.codec.selection import (
    InsufficientOutputs,
    Selection,
    TooManyOutputs,
    select_outputs,
)
from poolmaker.mixin.codec.transactions import Input, Output, Transaction
from poolmaker.mixin.model import (
    NETWORK,
    Fee,
    Journalled,
    KeptOutput,
    LockWanted,
    MixinForm,
    MixinPayment,
    MixinPaymentState,
    OutputStatus,
    OwnOutput,
    SeenOutput,
    TransactionRole,
)

INPUTS_MAX: Final = 255
ASK_FIRST_US: Final = SECOND_US
ASK_MAX_US: Final = 60 * SECOND_US
OPEN_FATES: Final = (OutputStatus.UNKNOWN_ASSET, OutputStatus.UNEXPLAINED, OutputStatus.WAITING)
SPENDABLE_FATES: Final = (
    OutputStatus.OWN,
    OutputStatus.DUST,
    OutputStatus.DEPOSIT,
    OutputStatus.TRANSFER,
    OutputStatus.REFUND,
    OutputStatus.SUSPENSE,
    OutputStatus.OPERATOR,
)
_REFERENCE: Final = re.compile(r"[0-9a-f]{32}")


class RefusalMeaning(StrEnum):
    """What an error code of the server means for a payment."""

    FINAL = "final"
    """This payment can never be made as it stands."""
    STALE = "stale"
    """The same payment, built anew, may be taken: an input is gone, a fee has changed."""
    WAIT = "wait"
    """A condition that passes by itself."""
    PERSON = "person"
    """It says nothing of the payment, or its meaning is unknown: it waits, and a person looks."""


_FINAL: Final = RefusalMeaning.FINAL
_STALE: Final = RefusalMeaning.STALE
_WAIT: Final = RefusalMeaning.WAIT
_PERSON: Final = RefusalMeaning.PERSON
MEANINGS: Final[Mapping[int, RefusalMeaning]] = {
    401: _PERSON,
    403: _PERSON,
    404: _PERSON,
    429: _WAIT,
    500: _WAIT,
    7000: _WAIT,
    7001: _WAIT,
    10002: _FINAL,
    10006: _PERSON,
    10104: _WAIT,
    10105: _STALE,
    10106: _STALE,
    10404: _FINAL,
    20117: _STALE,
    20118: _PERSON,
    20119: _PERSON,
    20120: _FINAL,
    20121: _PERSON,
    20124: _STALE,
    20125: _PERSON,
    20127: _FINAL,
    20131: _FINAL,
    20134: _FINAL,
    20135: _STALE,
    20137: _WAIT,
    20150: _FINAL,
    30100: _WAIT,
    30102: _FINAL,
    30103: _WAIT,
}
"""Every code that is documented for what we ask. A code that is missing here waits and is shown."""
_LOCKED: Final = frozenset({10105, 10106})
_OURS: Final = frozenset({401, 403, 404, 10006})


def meaning_of(error: int) -> RefusalMeaning:
    """What a code means. One that is not known is never taken for the end of a payment."""
    return MEANINGS.get(error, RefusalMeaning.PERSON)


def is_locked(error: int) -> bool:
    """Whether another transaction may have an input; which one, only the input itself tells."""
    return error in _LOCKED


def is_about_us(error: int) -> bool:
    """Whether the refusal is of our keys, our clock or our version."""
    return error in _OURS


# ------------------------------------------------------------------------------- requests


class Unpayable(Exception):
    """What is asked for cannot be paid, now or ever."""


@dataclass(frozen=True, slots=True)
class PayableRequest:
    """A request that can be paid; ``units`` are the network's."""

    payment: MixinPayment
    form: MixinForm
    units: int

    @property
    def leaves(self) -> bool:
        """Whether it goes to another chain."""
        return self.payment.network != NETWORK

    @property
    def request_id(self) -> str:
        """The request id of the attempt: bound for ever to one transaction."""
        return attempt_id(self.payment.request_id, self.payment.attempt)


def request_id_of(reference: str) -> str:
    """The request id of a reference: the same 128 bits. Failure row L9: never chance."""
    require(_REFERENCE.fullmatch(reference), "reference: expected 32 hexadecimal digits")
    return str(uuid.UUID(hex=reference))


def attempt_id(request_id: str, attempt: int) -> str:
    """The request id of an attempt: a request id is never used for another transaction."""
    return object_id(request_id, f"ATTEMPT:{attempt}") if attempt else request_id


def payment_of(request: SendRequest, form: MixinForm, now_us: int) -> MixinPayment:
    """The payment of a request."""
    return MixinPayment(
        request_id=request_id_of(request.reference),
        reference=request.reference,
        form=form.name,
        asset=request.asset,
        units=request.units,
        network=request.network,
        address=request.address,
        tag=request.tag,
        created_us=now_us,
    )


def is_of(payment: MixinPayment, request: SendRequest) -> bool:
    """Whether the payment is what is asked for."""
    kept = (payment.asset, payment.units, payment.network, payment.address, payment.tag)
    asked = (request.asset, request.units, request.network, request.address, request.tag)
    return kept == asked and custody_mixin(payment.form) == request.source


def plan(payment: MixinPayment, form: MixinForm) -> PayableRequest:
    """How a payment is paid. Raises Unpayable; nothing is ever cut to fit."""
    units = form.write(payment.units)
    if payment.asset != form.asset:
        raise Unpayable(f"the form {form.name} is not of {payment.asset}")
    if units is None or payment.units <= 0:
        raise Unpayable(f"{payment.units} units of {form.asset} do not fit into {form.name}")
    found = PayableRequest(payment, form, units)
    try:
        _check_target(found)
    except Malformed as problem:
        raise Unpayable(str(problem)) from None
    return found


def _check_target(found: PayableRequest) -> None:
    payment, form = found.payment, found.form
    if not found.leaves:
        check_uuid(payment.address, "receiver")
        memo_bytes(payment.tag)
        return
    if payment.network != form.venue_network:
        raise Unpayable(f"the form {form.name} does not go over the network {payment.network}")
    if found.units % form.chain_step:
        raise Unpayable(f"the chain of {form.name} holds {form.decimals} decimals, not more")
    if not 0 < len(payment.address.encode()) <= codec.WITHDRAWAL_TEXT_BYTES_MAX:
        raise Unpayable("address: empty or too long")


# ---------------------------------------------------------------------------------- fees


@dataclass(frozen=True, slots=True)
class Cost:
    """What the receiver gets and what it costs; ``other`` is a fee in another form."""

    received: int
    same: int = 0
    other: int = 0
    other_form: MixinForm | None = None


def cost(found: PayableRequest, fees: Sequence[Fee], forms: Sequence[MixinForm]) -> Cost:
    """How a withdrawal's fee is paid: in its own asset where that is offered.

    A fee in the asset itself comes out of the units, rounded up to what its chain can hold, so
    that what is received plus the fee is exactly what is paid. Raises Unpayable.
    """
    offered = {fee.asset_id: fee.units for fee in fees}
    if not any(offered.values()):
        return Cost(found.units)
    if found.form.mixin_id in offered:
        step = found.form.chain_step
        fee = -(-offered[found.form.mixin_id] // step) * step
        if fee >= found.units:
            raise Unpayable("the fee takes all of it")
        return Cost(found.units - fee, same=fee)
    for form in forms:
        units = offered.get(form.mixin_id, 0)
        if units:
            return Cost(found.units, other=units, other_form=form)
    raise Unpayable("the fee is in an asset of which no form is configured")


# -------------------------------------------------------------------------------- drafts


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionDraft:
    """A transaction without its inputs. ``change_lock`` takes back what they hold beyond it."""

    request_id: str
    role: TransactionRole
    asset_id: str
    outputs: tuple[Output, ...]
    change_lock: GhostKeys
    extra: bytes = b""
    received: int = 0
    fee: int = 0

    @property
    def need(self) -> int:
        """What the inputs must hold."""
        return sum(one.units for one in self.outputs)


def locks_wanted(found: PayableRequest, priced: Cost, app_id: str) -> list[LockWanted]:
    """One-time keys of a payment's outputs: payee or fee where there are, change, fee's change."""
    name = found.request_id
    receivers = [] if found.leaves else [found.payment.address]
    receivers += [FEE_RECEIVER] if priced.same else []
    first = 1 if found.leaves else 0
    wanted = _wanted(name, [*receivers, app_id], first)
    if priced.other:
        wanted += _wanted(fee_request_id(name), [FEE_RECEIVER, app_id], 0)
    return wanted


def _wanted(name: str, receivers: Sequence[str], first: int) -> list[LockWanted]:
    return [
        LockWanted(receiver, index, ghost_hint(name, index))
        for index, receiver in enumerate(receivers, start=first)
    ]


def drafts(
    found: PayableRequest, priced: Cost, locks: Sequence[GhostKeys]
) -> list[TransactionDraft]:
    """The payment's transaction, and the one that pays its fee where another asset does."""
    left, name = list(locks), found.request_id
    if found.leaves:
        outputs = [codec.withdraw_to(priced.received, found.payment.address, found.payment.tag)]
        extra = b""
    else:
        outputs = [codec.pay_to(found.units, left.pop(0), 1)]
        extra = memo_bytes(found.payment.tag)
    if priced.same:
        outputs.append(codec.pay_to(priced.same, left.pop(0), 1))
    made = [
        TransactionDraft(
            request_id=name, role=TransactionRole.MAIN, asset_id=found.form.mixin_id,
            outputs=tuple(outputs),
            change_lock=left.pop(0), extra=extra, received=priced.received, fee=priced.same,
        )
    ]  # fmt: skip
    if priced.other_form is not None:
        paid = codec.pay_to(priced.other, left.pop(0), 1)
        made.append(
            TransactionDraft(
                request_id=fee_request_id(name), role=TransactionRole.FEE, fee=priced.other,
                asset_id=priced.other_form.mixin_id, outputs=(paid,), change_lock=left.pop(0),
            )
        )  # fmt: skip
    return made


def self_id(payment: str, number: int) -> str:
    """The request id of a payment to ourselves, the payment's ``number``-th transaction."""
    return object_id(payment, f"SELF:{number}")


def self_lock(name: str, app_id: str) -> list[LockWanted]:
    """The one-time keys of a payment to ourselves."""
    return _wanted(name, [app_id], 0)


# ------------------------------------------------------------------------------ selection


class NeedsConsolidation(Exception):
    """There is enough, in too many small outputs; the largest of them are joined first."""

    def __init__(self, asset_id: str) -> None:
        super().__init__(asset_id)
        self.asset_id = asset_id


class NotEnough(Exception):
    """What is unspent and kept does not pay."""


def choose(
    oldest: Sequence[OwnOutput], largest: Sequence[OwnOutput], total: int, draft: TransactionDraft
) -> Selection[OwnOutput]:
    """The oldest outputs that pay, else the largest. Raises MustJoin or NotEnough."""
    for outputs in (oldest, largest):
        try:
            return select_outputs(outputs, draft.need, INPUTS_MAX)
        except (InsufficientOutputs, TooManyOutputs):
            continue
    if total >= draft.need:
        raise NeedsConsolidation(draft.asset_id)
    raise NotEnough(f"needed {draft.need} units of {draft.asset_id}, unspent {total}")


def finish(
    draft: TransactionDraft, picked: Selection[OwnOutput], references: tuple[bytes, ...] = ()
) -> Transaction:
    """The unsigned transaction: what goes in comes out. Raises Malformed for what cannot be."""
    outputs = list(draft.outputs)
    if picked.change_units:
        outputs.append(codec.pay_to(picked.change_units, draft.change_lock, 1))
    tx = Transaction(
        asset=kernel_asset_id(draft.asset_id),
        inputs=inputs_of(picked.picked),
        outputs=tuple(outputs),
        references=references,
        extra=draft.extra,
    )
    codec.check_rules(tx)
    balanced = sum(one.units for one in picked.picked) == sum(one.units for one in outputs)
    ensure(balanced, "a transaction must pay exactly what it spends")
    return tx


def inputs_of(outputs: Sequence[OwnOutput]) -> tuple[Input, ...]:
    """Outputs as inputs."""
    return tuple(Input(bytes.fromhex(one.transaction_hash), one.output_index) for one in outputs)


def to_self(
    payment: MixinPayment,
    role: TransactionRole,
    name: str,
    asset_id: str,
    outputs: Sequence[OwnOutput],
    lock: GhostKeys,
) -> Journalled:
    """All of ``outputs`` made one of ours, for the sake of ``payment``."""
    units = sum(one.units for one in outputs)
    draft = TransactionDraft(
        request_id=name, role=role, asset_id=asset_id, outputs=(codec.pay_to(units, lock, 1),),
        change_lock=lock,
    )  # fmt: skip
    made = finish(draft, Selection(tuple(outputs), 0))
    return replace(journalled(draft, made, payment, 0), change_index=0, change_units=units)


def journalled(
    draft: TransactionDraft, tx: Transaction, payment: MixinPayment, change_units: int
) -> Journalled:
    """The journal's row of an unsigned transaction."""
    return Journalled(
        request_id=draft.request_id, payment=payment.request_id, attempt=payment.attempt,
        role=draft.role, asset_id=draft.asset_id, hash=codec.transaction_hash(tx).hex(),
        unsigned=codec.encode_unsigned(tx), received_units=draft.received, fee_units=draft.fee,
        change_index=len(draft.outputs) if change_units else None, change_units=change_units,
    )  # fmt: skip


def places(one: Journalled) -> list[tuple[str, int]]:
    """Which outputs a transaction spends."""
    return [(spent.hash.hex(), spent.index) for spent in codec.decode(one.unsigned).inputs]


def signed(
    one: Journalled, views: Sequence[bytes], seed: bytes, spent: Sequence[OwnOutput]
) -> bytes:
    """The bytes to send. Only keys that the outputs name sign, only what was journalled."""
    tx = codec.decode(one.unsigned)
    ensure(inputs_of(spent) == tx.inputs, "the outputs of the inputs, in their order")
    keys = [output.keys for output in spent]
    done = codec.sign(tx, views, seed_scalar(seed), input_keys=keys)
    return codec.encode(done)


# -------------------------------------------------------------------------------- answers


def status_of(payment: MixinPayment, forms: Iterable[MixinForm]) -> SendStatus:
    """What the caller is told of a payment; ``forms`` say where a fee in another asset was."""
    if payment.state is MixinPaymentState.REFUSED:
        return SendFailed(payment.request_id, payment.reason)
    if payment.state is MixinPaymentState.OPEN:
        return SendUnderWay(payment.request_id)
    other = Money(asset=payment.other_fee_asset, units=payment.other_fee_units)
    places = (custody_mixin(form.name) for form in forms if form.asset == other.asset)
    return SendCompleted(
        provider_id=payment.request_id,
        transaction_id=payment.transaction_id,
        units=payment.units,
        fee_units=payment.fee_units,
        other_fee=other if payment.other_fee_asset else None,
        other_location=next(places, ""),
    )


def completed(
    payment: MixinPayment, form: MixinForm, group: Sequence[Journalled], transaction_id: str,
    fee_form: MixinForm | None,
) -> MixinPayment:  # fmt: skip
    """The payment once it has left; fees in units of the register, exactly."""
    main = next(one for one in group if one.role is TransactionRole.MAIN)
    fee, rest = form.read(main.fee_units)
    ensure(not rest, "a fee that the register cannot hold")
    paid = [one for one in group if one.role is TransactionRole.FEE]
    other = fee_form.read(paid[0].fee_units)[0] if paid and fee_form is not None else 0
    return replace(
        payment, state=MixinPaymentState.COMPLETED, transaction_id=transaction_id, fee_units=fee,
        other_fee_asset=fee_form.asset if fee_form is not None else "", other_fee_units=other,
    )  # fmt: skip


# ------------------------------------------------------------------------------- arrivals


def first_fate(one: SeenOutput, form: MixinForm | None, *, ours: bool) -> OutputStatus:
    """What an output is before anybody is asked; WAITING means that the treasury is asked."""
    if one.is_inscription:
        return OutputStatus.INSCRIPTION
    if ours:
        return OutputStatus.OWN
    return OutputStatus.WAITING if form is not None else OutputStatus.UNKNOWN_ASSET


def is_asset_id(name: str) -> bool:
    """Whether a form's name is the id of an asset without a form."""
    try:
        check_uuid(name, "asset")
    except Malformed:
        return False
    return True


def unlisted_form(asset_id: str) -> MixinForm:
    """An asset without a form, by its id alone, in the network's own units."""
    check_uuid(asset_id, "asset")
    return MixinForm(
        name=asset_id, asset=asset_id, scale=DECIMALS, decimals=DECIMALS, mixin_id=asset_id
    )


def is_ours(one: SeenOutput, app_id: str) -> bool:
    """Whether we sent it to ourselves: change, or what was joined."""
    return bool(one.senders) and set(one.senders) == {app_id}


def sender_of(one: SeenOutput) -> str:
    """The one user who sent it; empty when it came from a chain or from several."""
    return one.senders[0] if len(one.senders) == 1 else ""


def arrival(one: KeptOutput, form: MixinForm) -> Arrival | None:
    """What the treasury is told; None when the register's units cannot hold any of it."""
    units, _ = form.read(one.seen.units)
    if not units:
        return None
    return Arrival(
        location=custody_mixin(form.name),
        asset=form.asset,
        units=units,
        reference=one.seen.output_id,
        at_us=one.seen.created_us,
        sender=one.opponent,
        trace=one.seen.request_id,
        memo=one.seen.extra,
        transaction_id=one.deposit_hash,
    )


def ask_again(one: KeptOutput, now_us: int) -> KeptOutput:
    """The same with the time of the next question, later each time."""
    wait_us = min(ASK_MAX_US, ASK_FIRST_US << min(one.asks, 6))
    return replace(one, ask_us=now_us + wait_us, asks=one.asks + 1)
