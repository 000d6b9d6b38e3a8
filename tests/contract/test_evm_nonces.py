"""The journal in PostgreSQL gives the nonces that the journal of the search gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolmaker.evm._store import PgPaymentStore
from poolmaker.evm.model import EvmPayment, EvmPaymentState
from poolmaker.infra.database import Database
from poolmaker.kernel.rng import Rng
from poolmaker.lab.stores.base import ModelDatabase
from tests.support.nonce_chain import MIXIN, TOKEN, WALLET, MemoryJournal


def _payment(number: int, nonce: int) -> EvmPayment:
    return EvmPayment(
        reference=f"{number:032x}",
        chain_id=137,
        wallet=WALLET,
        nonce=nonce,
        contract=TOKEN,
        recipient=MIXIN,
        units=1,
        made_us=1,
        state=EvmPaymentState.SIGNED,
    )


@pytest.mark.parametrize("seed", range(6))
async def test_both_journals_give_the_same_nonces(seed: int, database: Database) -> None:
    real, model, memory, rng = PgPaymentStore(), MemoryJournal(), ModelDatabase(), Rng(seed)
    payments: list[EvmPayment] = []
    final = 0
    for number in range(25):
        final += rng.choice([0, 0, 1, 2])
        first = max(0, final - rng.choice([0, 0, 0, 2]))
        async with database.begin("test") as tx, memory.begin("test") as other:
            taken = await real.take_nonce(tx, 137, WALLET, first)
            assert taken == await model.take_nonce(other, 137, WALLET, first)
            old = rng.choice(payments) if payments and rng.chance_ppm(400_000) else None
            if old is not None:
                moved = await real.change_nonce(tx, old, taken[0])
                assert moved == await model.change_nonce(other, old, taken[0])
                assert moved == (old.state is EvmPaymentState.SIGNED)
                made = replace(old, nonce=taken[0]) if moved else old
                payments[payments.index(old)] = made
            else:
                payments.append(_payment(number, taken[0]))
                await real.add(tx, payments[-1])
                await model.add(other, payments[-1])
            at = rng.between(0, len(payments) - 1)
            if payments[at].nonce < final and payments[at].state is EvmPaymentState.SIGNED:
                ended = replace(payments[at], state=EvmPaymentState.FAILED, tx_hash="0x00")
                await real.finish(tx, ended)
                await model.finish(other, ended)
                payments[at] = ended
