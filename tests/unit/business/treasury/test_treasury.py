"""The operator's commands: one reference, one effect."""

from __future__ import annotations

import pytest

from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import LedgerRefusal, Outcome
from poolmaker.business.treasury.booking import Booked, NotBooked, StatementRefusal
from poolmaker.business.treasury.service import TreasuryPorts, TreasuryService
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.kernel.ids import UserId, VenueAccountId
from poolmaker.kernel.money import Amount
from tests.support.business import ACCOUNT, BNB, BTC, CUSTODY, USDT, Paid, World, model_world


class _Forgetful:
    """A ledger whose answers are lost, before or after the command was taken."""

    def __init__(self, world: World, *, taken: bool) -> None:
        self._ledger, self._taken = world.ledger, taken

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def ask(self, tx: Tx, command: Command) -> None:
        if self._taken:
            await self._ledger.ask(tx, command)

    async def submit(self, command: Command) -> Outcome:
        if self._taken:
            await self._ledger.submit(command)
        raise OutcomeUnknown("no answer")


def _forgetful(world: World, *, taken: bool) -> Paid:
    treasury = TreasuryService(
        TreasuryPorts(
            transactions=world.stores.transactions,
            ledger=_Forgetful(world, taken=taken),  # type: ignore[arg-type]
            users=world.orders.registry,
            on_the_way_out=world.withdrawals,
            store=world.stores.treasury,
            evidence=world.places,
            custody=world.rooms.custody,
            fundings=world.rooms.fundings,
        )
    )
    return Paid(treasury, world.places)


async def test_a_reference_is_credited_once_however_often_it_is_told() -> None:
    async with model_world() as world:
        alice = await world.user("alice")
        credit = world.treasury.credit_deposit
        first = await credit(alice, ACCOUNT, Amount(USDT, 100), "transfer 7")
        again = await credit(alice, ACCOUNT, Amount(USDT, 100), "transfer 7")
        assert isinstance(first, Booked)
        assert again == Booked(first.seq, already=True)
        assert await world.available(alice) == (0, 100)


async def test_a_reference_with_another_amount_owner_or_purpose_is_a_conflict() -> None:
    async with model_world() as world:
        alice, bob = await world.user("alice"), await world.user("bob")
        treasury, conflict = world.treasury, NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        await treasury.credit_deposit(alice, ACCOUNT, Amount(USDT, 100), "t")
        told = await treasury.credit_deposit(alice, ACCOUNT, Amount(USDT, 101), "t")
        assert told == NotBooked(StatementRefusal.AMOUNT_DIFFERS, 100)
        assert await treasury.credit_deposit(bob, ACCOUNT, Amount(USDT, 100), "t") == conflict
        assert await treasury.operator_in(ACCOUNT, Amount(USDT, 100), "t") == conflict
        other = await treasury.operator_in(VenueAccountId("other"), Amount(USDT, 100), "t")
        assert isinstance(other, Booked)
        assert await world.available(bob) == (0, 0)


async def test_what_makes_no_sense_is_not_booked() -> None:
    async with model_world() as world:
        alice, treasury = await world.user("alice"), world.treasury
        nobody = await treasury.credit_deposit(UserId("us_x"), ACCOUNT, Amount(USDT, 1), "a")
        assert nobody == NotBooked(StatementRefusal.UNKNOWN_USER)
        nothing = await treasury.credit_deposit(alice, ACCOUNT, Amount(USDT, 0), "b")
        assert nothing == NotBooked(StatementRefusal.BAD_AMOUNT)
        with pytest.raises(PreconditionError, match="reference"):
            await treasury.operator_in(ACCOUNT, Amount(USDT, 1), "")


async def test_the_operator_never_takes_more_than_his_own() -> None:
    async with model_world() as world:
        treasury = world.treasury
        await world.user("alice", usdt=1_000)
        await treasury.operator_in(ACCOUNT, Amount(USDT, 100), "in")
        with pytest.raises(Unavailable, match="is being read"):
            await treasury.operator_out(CUSTODY, Amount(USDT, 1), "out 0")
        await world.rest(SECOND_US)
        too_much = await treasury.operator_out(CUSTODY, Amount(USDT, 101), "out 1")
        assert too_much == NotBooked(LedgerRefusal.EQUITY_BELOW_ZERO)
        assert isinstance(await treasury.operator_out(CUSTODY, Amount(USDT, 100), "out 2"), Booked)
        assert await world.custody() == (0, 1_000)


async def test_the_fee_float_comes_out_of_equity() -> None:
    async with model_world() as world:
        treasury = world.treasury
        refused = await treasury.trade_float(Amount(BNB, 5), "float 1", into_float=True)
        assert refused == NotBooked(LedgerRefusal.EQUITY_BELOW_ZERO)
        await treasury.operator_in(ACCOUNT, Amount(BNB, 5), "in")
        booked = await treasury.trade_float(Amount(BNB, 5), "float 2", into_float=True)
        assert isinstance(booked, Booked)
        back = await treasury.trade_float(Amount(BNB, 6), "back 1", into_float=False)
        assert back == NotBooked(LedgerRefusal.INSUFFICIENT)
        assert await world.balance("platform:fee_float", "BNB") == 5


async def test_a_lost_answer_is_looked_up_and_not_guessed() -> None:
    async with model_world() as world:
        alice = await world.user("alice")
        taken = _forgetful(world, taken=True)
        assert isinstance(
            await taken.credit_deposit(alice, ACCOUNT, Amount(USDT, 100), "t"), Booked
        )
        # The ledger has something under that reference, but it is not what was asked now.
        bob = await world.user("bob")
        other = await taken.credit_deposit(bob, ACCOUNT, Amount(USDT, 100), "t")
        assert other == NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        lost = _forgetful(world, taken=False)
        with pytest.raises(OutcomeUnknown, match="give the same command again"):
            await lost.operator_in(ACCOUNT, Amount(BTC, 100), "u")
        assert isinstance(await world.treasury.operator_in(ACCOUNT, Amount(BTC, 100), "u"), Booked)
        assert await world.custody() == (100, 100)
