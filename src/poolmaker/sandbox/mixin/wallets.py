"""What a user's own wallet does when he pays: choose outputs, ask for keys, sign, send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin.codec import transactions as codec
from poolmaker.mixin.codec.ids import FEE_RECEIVER, fee_request_id, ghost_hint, kernel_asset_id
from poolmaker.mixin.codec.keys import GhostKeys, seed_scalar
from poolmaker.mixin.codec.links import PaymentLink, recipient_address
from poolmaker.mixin.codec.selection import InsufficientOutputs, TooManyOutputs, select_outputs
from poolmaker.mixin.codec.transactions import Input, Output, Transaction
from poolmaker.sandbox.mixin.model import Held, MixinPerson, OutputState, Request
from poolmaker.sandbox.mixin.safe import Safe, SentTransaction
from poolmaker.sandbox.mixin.world import Locks, MixinNetwork

Part = tuple[str, Transaction, tuple[Held, ...]]
_ONE: Final = 1


class Wallets:
    """Acts for the people of a world, by the same doors and with the same proofs as a client."""

    def __init__(self, world: MixinNetwork, safe: Safe) -> None:
        self._world = world
        self._safe = safe

    def pay(self, payer: MixinPerson, payment: PaymentLink, extra: bytes) -> Request:
        """Pay what a link asks for, with ``extra`` as its memo.

        Raises CallerFault when the link is paid already.
        """
        if payment.trace in self._world.books.requests:
            raise PreconditionError("trace: paid already")
        address = recipient_address(payment.recipient)
        if not address.uuids:
            raise PreconditionError("recipient: a wallet pays to users")
        lock = self._safe.lock_for(sorted(address.uuids), 0, ghost_hint(payment.trace, 0))
        output = codec.pay_to(payment.units, _ghost(lock), address.threshold)
        part = self._part(payer, payment.trace, payment.asset_id, [output], extra, ())
        return self._send(payer, [part])[0]

    def withdraw(
        self, payer: MixinPerson, asset_id: str, units: int, destination: str, trace: str
    ) -> Request:
        """Withdraw to another chain, with the fee in the asset itself where that is offered."""
        fees = self._world.asset(asset_id).fees
        fee_asset = asset_id if asset_id in fees else next(iter(fees))
        leaving = codec.withdraw_to(units, destination)
        if fee_asset == asset_id:
            outputs = [leaving, self._fee(trace, 1, fees[fee_asset])]
            return self._send(payer, [self._part(payer, trace, asset_id, outputs, b"", ())])[0]
        main = self._part(payer, trace, asset_id, [leaving], b"", ())
        name, second = codec.transaction_hash(main[1]), fee_request_id(trace)
        fee = [self._fee(second, 0, fees[fee_asset])]
        return self._send(payer, [main, self._part(payer, second, fee_asset, fee, b"", (name,))])[0]

    def _fee(self, trace: str, index: int, units: int) -> Output:
        lock = self._safe.lock_for([FEE_RECEIVER], index, ghost_hint(trace, index))
        return codec.pay_to(units, _ghost(lock), _ONE)

    def _part(
        self,
        payer: MixinPerson,
        trace: str,
        asset_id: str,
        outputs: Sequence[Output],
        extra: bytes,
        references: tuple[bytes, ...],
    ) -> Part:
        need = sum(one.units for one in outputs)
        try:
            found = select_outputs(self._world.unspent_of(payer, asset_id), need)
        except (InsufficientOutputs, TooManyOutputs) as problem:
            raise PreconditionError(f"{payer.name} cannot pay: {problem}") from None
        made = list(outputs)
        if found.change_units:
            index = len(made)
            lock = self._safe.lock_for([payer.user_id], index, ghost_hint(trace, index))
            made.append(codec.pay_to(found.change_units, _ghost(lock), _ONE))
        tx = Transaction(
            asset=kernel_asset_id(asset_id),
            inputs=tuple(Input(bytes.fromhex(one.hash), one.index) for one in found.picked),
            outputs=tuple(made), references=references, extra=extra,
        )  # fmt: skip
        return trace, tx, found.picked

    def _send(self, payer: MixinPerson, parts: Sequence[Part]) -> list[Request]:
        plain = [SentTransaction(trace, codec.encode_unsigned(tx).hex()) for trace, tx, _ in parts]
        bound = self._safe.request(payer, plain)
        signed = []
        for (trace, tx, spent), one in zip(parts, bound, strict=True):
            if one.state is not OutputState.UNSPENT:
                raise PreconditionError("trace: paid already")
            views = [bytes.fromhex(view) for view in one.views]
            input_keys = [held.keys for held in spent]
            done = codec.sign(tx, views, seed_scalar(payer.spend_seed), input_keys=input_keys)
            signed.append(SentTransaction(trace, codec.encode(done).hex()))
        sent = self._safe.submit(payer, signed)
        self._safe.settle()
        return sent


def _ghost(lock: Locks) -> GhostKeys:
    return GhostKeys(lock.mask, lock.keys)
