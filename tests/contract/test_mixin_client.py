"""The Mixin client against the sandbox's wire and PostgreSQL: all is paid and booked once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest

from poolmaker.business.treasury.model import (
    Disposition,
    SendAbsent,
    SendAccepted,
    SendAnswer,
    SendCompleted,
    SendFailed,
    SendPostponed,
    SendRefused,
    SendRequest,
    SendUnderWay,
)
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.messages.base import Money
from poolmaker.mixin.api import IN_DOUBT, TOO_MANY
from poolmaker.mixin.codec.amounts import to_units
from poolmaker.mixin.codec.memos import DepositAction, DepositMemo, read_deposit_memo
from poolmaker.mixin.model import MixinRefused, SeenRequest
from poolmaker.mixin.rules import MEANINGS, RefusalMeaning, meaning_of
from tests.support.mixin import ADDRESS, ETHER, ETHER_USDT, USDT
from tests.support.mixin_client import (
    ERC20_FORM,
    ETHER_FORM,
    UNIT,
    USDT_FORM,
    Crash,
    House,
    house,
    make_client,
    request,
)


@pytest.fixture
async def home(
    database: Database, migrated_dsn: Callable[[DatabaseRole], str]
) -> AsyncIterator[House]:
    async with house(database) as found:
        found.owner_dsn = migrated_dsn(DatabaseRole.OWNER)
        yield found


async def _wire_calls(home: House, path: str) -> list[dict[str, object]]:
    calls = (await home.mixin.admin("GET", "/log"))["calls"]
    return [one for one in calls if one["path"] == path]


async def _complete_withdrawals(home: House, tx_id: str = "0xchain") -> None:
    rows = (await home.mixin.admin("GET", "/withdrawals?state=pending"))["withdrawals"]
    for row in rows:
        await home.mixin.admin("POST", f"/withdrawals/{row['id']}/complete", {"tx_id": tx_id})


# Arrivals


async def test_a_deposit_by_link_arrives_with_its_trace_sender_and_memo(home: House) -> None:
    trace = "0f5b3f2e-6f0c-4d52-9b7e-5b6ad8c1f3a4"
    link = home.client.desk.payment_link(USDT_FORM.name, 12 * UNIT + 1, trace, "leg one")
    assert link.startswith("https://mixin.one/pay/" + home.mixin.bot["app_id"])
    assert (await home.mixin.admin("POST", "/pay", {"user": "1", "link": link}))["state"] == "spent"
    assert await home.client.walker.walk() == 1
    (arrival,) = home.desk.seen
    assert (arrival.location, arrival.asset) == ("custody:mixin:usdt-polygon", "USDT")
    assert (arrival.units, arrival.trace, arrival.memo) == (12 * UNIT + 1, trace, b"leg one")
    assert arrival.sender == home.mixin.users[0]["app_id"]
    assert arrival.transaction_id == ""


async def test_a_deposit_by_memo_arrives_with_the_bytes_that_name_its_intent(home: House) -> None:
    memo = DepositMemo(DepositAction.LEG, bytes(range(16)))
    order = {"user": "1", "asset": USDT, "amount": "2", "memo": str(memo)}
    await home.mixin.admin("POST", "/pay", order)
    await home.client.walker.walk()
    (arrival,) = home.desk.seen
    assert read_deposit_memo(arrival.memo.hex()) == memo


async def test_a_deposit_from_the_chain_arrives_with_the_chains_transaction(home: House) -> None:
    address = await home.client.desk.deposit_address(USDT_FORM.name)
    assert address == await home.client.desk.deposit_address(USDT_FORM.name)
    await _deposit_from_chain(home)
    await home.client.walker.walk()
    (arrival,) = home.desk.seen
    assert (arrival.units, arrival.transaction_id, arrival.sender) == (750_000_000, "0xabc", "")


async def _deposit_from_chain(home: House) -> None:
    address = await home.client.desk.deposit_address(USDT_FORM.name)
    order = {"amount": "7.5", "tx_id": "0xabc", "asset": USDT, "destination": address.address}
    await home.mixin.admin("POST", "/deposit", order)


async def test_a_receipt_under_an_id_that_we_cannot_compute_is_looked_for(home: House) -> None:
    await _deposit_from_chain(home)
    await home.fault("GET /safe/snapshots/{id}", "error", status=202, code=404)
    await home.client.walker.walk()
    assert [one.transaction_id for one in home.desk.seen] == ["0xabc"]


async def test_what_nobody_can_explain_yet_is_kept_and_arrives_once_it_is_explained(
    home: House,
) -> None:
    await _deposit_from_chain(home)
    snapshots = home.mixin.server.house.world.books.snapshots
    hidden = snapshots.pop(home.mixin.bot["app_id"])
    assert await home.client.walker.walk() == 1
    assert home.desk.seen == []
    assert (await home.client.desk.balances())[USDT_FORM.name].unbooked_units == 750_000_000
    snapshots[home.mixin.bot["app_id"]] = hidden
    await home.rows("UPDATE mixin.output SET ask_us = 0")
    assert await home.client.walker.ask_again() == 1
    assert [one.transaction_id for one in home.desk.seen] == ["0xabc"]
    assert await home.booked() == await home.held()


async def test_what_waits_is_asked_again_and_blocks_nobody(home: House) -> None:
    home.desk.default = Disposition.WAITING
    await home.funded("1")
    (first,) = home.desk.seen
    home.desk.default = Disposition.DEPOSIT
    await home.funded("2")
    assert [one.units for one in home.desk.seen] == [UNIT, 2 * UNIT]
    assert (await home.client.desk.balances())[USDT_FORM.name].unbooked_units == UNIT
    await home.rows("UPDATE mixin.output SET ask_us = 0")
    assert await home.client.walker.ask_again() == 1
    assert [one.reference for one in home.desk.seen].count(first.reference) == 2
    assert await home.booked() == 3 * UNIT == await home.held()
    assert (await home.client.desk.balances())[USDT_FORM.name].unbooked_units == 0


async def test_found_58_a_look_says_up_to_when_everything_was_read(home: House) -> None:
    await home.client.walker.look()
    assert len(home.desk.looks) == 1
    await home.fault("GET /safe/outputs", "error", status=500, code=500)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        home.client.walker._looked_us = 0
        await home.client.walker.look()
    assert len(home.desk.looks) == 1, "a look that failed is none"


async def test_less_than_the_registers_smallest_unit_is_recorded_and_never_floored_away(
    home: House,
) -> None:
    await home.funded("1.23456789", "0.00000001", asset=ETHER_USDT)
    assert [one.units for one in home.desk.seen] == [1_234_567]
    dust = await home.rows("SELECT disposition, dust_units FROM mixin.output ORDER BY sequence")
    assert [tuple(row) for row in dust] == [("suspense", 89), ("dust", 1)]
    (incident,) = await home.client.desk.incidents()
    assert (incident.kind, incident.subject) == ("dust", ERC20_FORM.name)


async def test_a_burst_of_600_arrivals_of_one_instant_is_booked_once_each_failure_l1(
    home: House,
) -> None:
    """Failure row L1: more than a page, equal times, killed between fetch and persist."""
    world = home.mixin.server.house.world
    world.time_us = lambda: world._last_us  # type: ignore[method-assign]
    for _ in range(600):
        await home.mixin.fund("0.01")
    home.desk.crash = True
    with pytest.raises(Crash):
        await home.client.walker.walk()
    home.desk.crash = False
    assert await home.booked() == 0
    fresh = home.restart()
    assert await fresh.client.walker.walk() == 600
    assert await fresh.restart().client.walker.walk() == 0
    assert await fresh.booked() == 600 * UNIT // 100 == await fresh.held()
    assert len({one.reference for one in home.desk.seen}) == 600


async def test_two_walkers_at_once_book_each_arrival_once(home: House) -> None:
    for _ in range(30):
        await home.mixin.fund("1")
    other = home.restart()
    counts = await asyncio.gather(home.client.walker.walk(), other.client.walker.walk())
    assert sum(counts) == 30
    assert await home.booked() == 30 * UNIT


# Transfers


async def test_a_transfer_pays_its_receiver_once_and_its_change_is_no_arrival(home: House) -> None:
    await home.funded("10")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, 4 * UNIT, receiver, tag="hello")
    assert await home.client.wallet.find(asked, 0) == SendAbsent()
    accepted = await home.client.wallet.send(asked)
    assert accepted == SendAccepted("00000000-0000-0000-0000-000000000001")
    assert await home.client.wallet.send(asked) == accepted
    done = await home.client.wallet.find(asked, 0)
    assert isinstance(done, SendCompleted)
    assert (done.units, done.fee_units, done.other_fee) == (4 * UNIT, 0, None)
    assert await home.user_holds(1) - before == 4 * UNIT
    await home.client.walker.walk()
    assert len(home.desk.seen) == 1
    assert await home.held() == 6 * UNIT
    assert len(await _wire_calls(home, "/safe/transactions")) == 1


async def test_one_payment_after_another_spends_the_change_of_the_last(home: House) -> None:
    await home.funded("10")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    for number in range(5):
        await home.client.wallet.send(request(number + 1, UNIT, receiver))
    assert await home.user_holds(1) - before == 5 * UNIT
    assert await home.held() == 5 * UNIT


async def test_payments_at_once_never_choose_the_same_output(home: House) -> None:
    await home.funded(*["1"] * 8)
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    lives = [home, home.restart()]
    answers = await asyncio.gather(
        *(lives[n % 2].client.wallet.send(request(n + 1, UNIT, receiver)) for n in range(8))
    )
    assert all(isinstance(one, SendAccepted) for one in answers)
    assert await home.user_holds(1) - before == 8 * UNIT
    assert await home.held() == 0


async def test_the_same_payment_asked_by_two_processes_at_once_is_one(home: House) -> None:
    await home.funded(*["1"] * 8)
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, UNIT, receiver)
    other = home.restart()
    await asyncio.gather(
        home.client.wallet.send(asked), other.client.wallet.send(asked), return_exceptions=True
    )
    await home.until(asked, SendCompleted)
    assert await home.user_holds(1) - before == UNIT


async def test_many_small_outputs_are_joined_before_a_payment_that_needs_them(home: House) -> None:
    await home.funded(*["0.01"] * 300)
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, 29 * UNIT // 10, receiver)
    assert isinstance(await home.client.wallet.send(asked), SendAccepted)
    assert isinstance(await home.client.wallet.find(asked, 0), SendCompleted)
    assert await home.user_holds(1) - before == 29 * UNIT // 10
    await home.client.walker.walk()
    assert len(home.desk.seen) == 300, "what was joined is no arrival"
    assert await home.held() == UNIT // 10
    roles = await home.rows("SELECT role, state FROM mixin.transaction ORDER BY role")
    assert [tuple(row) for row in roles] == [("join", "spent"), ("main", "spent")]


async def test_too_little_is_pending_and_paid_once_there_is_enough_failure_l3(home: House) -> None:
    """Failure row L3: refunds retried pay once; a shortage is said, not passed over in silence."""
    await home.funded("1")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, 2 * UNIT, receiver)
    for _ in range(3):
        with pytest.raises(Unavailable, match="needed"):
            await home.client.wallet.send(asked)
    assert await home.client.wallet.find(asked, 0) == SendAbsent()
    await home.funded("1")
    for _ in range(3):
        assert isinstance(await home.client.wallet.send(asked), SendAccepted)
    assert await home.user_holds(1) - before == 2 * UNIT


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"address": "11111111-1111-4111-8111-111111111111"}, "not registered"),
        ({"address": "somebody"}, "uuid"),
        ({"tag": "x" * 257}, "256"),
        ({"network": "SOLANA", "address": ADDRESS}, "does not go over"),
        ({"network": "MATIC", "address": ADDRESS, "units": 5 * UNIT + 1}, "decimals"),
        ({"network": "MATIC", "address": "0x12"}, "address"),
        ({"network": "MATIC", "address": ADDRESS, "units": UNIT // 10}, "fee"),
    ],
)
async def test_what_cannot_be_paid_is_refused_and_nothing_is_journalled(
    home: House, changes: dict[str, object], why: str
) -> None:
    await home.funded("10")
    plain = {"units": UNIT, "address": home.mixin.users[1]["app_id"]}
    asked = request(1, **{**plain, **changes})  # type: ignore[arg-type]
    answer = await home.client.wallet.send(asked)
    assert isinstance(answer, SendRefused)
    assert why in answer.reason.lower()
    assert await home.client.wallet.find(asked, 0) == SendAbsent()
    assert await home.rows("SELECT 1 FROM mixin.payment") == []


async def test_an_amount_that_the_network_cannot_hold_is_refused_not_floored(home: House) -> None:
    await home.funded("1", asset=ETHER)
    receiver = home.mixin.users[1]["app_id"]
    asked = request(1, 10**17 + 1, receiver, form=ETHER_FORM)
    assert isinstance(await home.client.wallet.send(asked), SendRefused)
    assert await home.held(ETHER_FORM) == 10**18


async def test_one_reference_is_never_two_payments(home: House) -> None:
    await home.funded("10")
    receiver = home.mixin.users[1]["app_id"]
    await home.client.wallet.send(request(1, UNIT, receiver))
    with pytest.raises(PreconditionError, match="another payment"):
        await home.client.wallet.send(request(1, 2 * UNIT, receiver))


# Withdrawals


async def test_a_withdrawal_pays_its_fee_out_of_its_units(home: House) -> None:
    await home.funded("10")
    asked = request(1, 5 * UNIT, ADDRESS, network="MATIC")
    assert isinstance(await home.client.wallet.send(asked), SendAccepted)
    assert isinstance(await home.client.wallet.find(asked, 0), SendUnderWay)
    (row,) = (await home.mixin.admin("GET", "/withdrawals"))["withdrawals"]
    assert (row["amount"], row["destination"]) == ("4.9", ADDRESS)
    await _complete_withdrawals(home)
    done = await home.client.wallet.find(asked, 0)
    assert done == SendCompleted(
        provider_id="00000000-0000-0000-0000-000000000001", transaction_id="0xchain",
        units=5 * UNIT, fee_units=UNIT // 10,
    )  # fmt: skip
    assert await home.held() == 5 * UNIT


async def _only_in_ether(home: House) -> None:
    asset = home.mixin.server.house.world.assets[ETHER_USDT]
    del asset.fees[ETHER_USDT]
    await home.funded("100", asset=ETHER_USDT)
    await home.funded("1", asset=ETHER)


async def test_a_withdrawal_whose_fee_is_in_another_asset_is_two_transactions(home: House) -> None:
    await _only_in_ether(home)
    asked = request(1, 40_000_000, ADDRESS, network="ETH", form=ERC20_FORM)
    assert isinstance(await home.client.wallet.send(asked), SendAccepted)
    await _complete_withdrawals(home)
    done = await home.client.wallet.find(asked, 0)
    assert isinstance(done, SendCompleted)
    assert (done.units, done.fee_units) == (40_000_000, 0)
    assert done.other_fee == Money(asset="ETH", units=10**15)
    assert await home.held(ERC20_FORM) == 60_000_000
    assert await home.held(ETHER_FORM) == 10**18 - 10**15


async def test_a_fee_finer_than_the_chain_is_rounded_up_and_named(home: House) -> None:
    await home.mixin.admin(
        "POST", "/fees", {"asset": USDT, "fee_asset": USDT, "amount": "0.10000001"}
    )
    await home.funded("10")
    asked = request(1, 5 * UNIT, ADDRESS, network="MATIC")
    await home.client.wallet.send(asked)
    await _complete_withdrawals(home)
    done = await home.client.wallet.find(asked, 0)
    assert isinstance(done, SendCompleted)
    assert done.fee_units == 10_000_100
    (row,) = (await home.mixin.admin("GET", "/withdrawals"))["withdrawals"]
    assert row["amount"] == "4.899999"


# Lost answers, deaths


ENDPOINTS = ["POST /safe/keys", "POST /safe/transaction/requests", "POST /safe/transactions"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("effect", ["drop", "reset", "error", "html"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_lost_answer_ends_with_exactly_one_payment_failures_l8_l9(
    home: House, endpoint: str, effect: str, when: str
) -> None:
    """Failure rows L8 and L9: accepted and not answered is unknown, and looked up, not repeated."""
    await home.funded("3", "4", "5")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    await home.fault(endpoint, effect, when=when)
    asked = request(1, 6 * UNIT, receiver)
    expected = Unavailable if endpoint == ENDPOINTS[0] else OutcomeUnknown
    with pytest.raises(expected):
        await home.client.wallet.send(asked)
    later = home.restart()
    if expected is Unavailable:
        assert await later.client.wallet.find(asked, 0) == SendAbsent()
        await later.client.wallet.send(asked)
    await later.until(asked, SendCompleted)
    assert await home.user_holds(1) - before == 6 * UNIT
    await later.client.walker.walk()
    assert await later.held() == await later.booked() - 6 * UNIT == 6 * UNIT


@pytest.mark.parametrize("kind", ["same", "other"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_a_withdrawal_ends_with_exactly_one(
    home: House, when: str, kind: str
) -> None:
    await _only_in_ether(home)
    await home.funded("100")
    await home.fault("POST /safe/transactions", "reset", when=when)
    form, units = (USDT_FORM, 50 * UNIT) if kind == "same" else (ERC20_FORM, 50_000_000)
    asked = request(1, units, ADDRESS, network=form.venue_network, form=form)
    with pytest.raises(OutcomeUnknown):
        await home.client.wallet.send(asked)
    later = home.restart()
    assert isinstance(await later.client.wallet.find(asked, 0), SendUnderWay)
    await _complete_withdrawals(home)
    assert isinstance(await later.client.wallet.find(asked, 0), SendCompleted)
    assert len((await home.mixin.admin("GET", "/withdrawals"))["withdrawals"]) == 1
    assert await later.held(form) == units


@pytest.mark.parametrize("after", ["mixin.journal", "mixin.signed", "mixin.taken"])
async def test_a_process_killed_between_journal_and_post_sends_the_same_bytes_again(
    home: House, after: str
) -> None:
    await home.funded("3", "4")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, 6 * UNIT, receiver)
    dying = home.restart()
    _die_after(dying, after)
    with pytest.raises(Crash):
        await dying.client.wallet.send(asked)
    (kept,) = await home.rows("SELECT unsigned, hash FROM mixin.transaction")
    await home.funded("9")  # Other outputs would be chosen now.
    later = home.restart()
    await later.until(asked, SendCompleted)
    (same,) = await home.rows("SELECT unsigned, hash FROM mixin.transaction")
    assert (kept["hash"], kept["unsigned"]) == (same["hash"], same["unsigned"])
    assert await home.user_holds(1) - before == 6 * UNIT
    await later.client.walker.walk()
    assert await later.held() == 10 * UNIT == await later.booked() - 6 * UNIT


def _die_after(home: House, label: str) -> None:
    """The next transaction of this label is the last that its process does."""
    wallet = home.client.wallet
    real = wallet._ports.transactions

    class Dying:
        def begin(self, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return _Last(real.begin(name)) if name == label else real.begin(name)

    class _Last:
        def __init__(self, inner) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            self.inner = inner

        async def __aenter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            return await self.inner.__aenter__()

        async def __aexit__(self, *error):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN204
            await self.inner.__aexit__(*error)
            raise Crash

    object.__setattr__(wallet._ports, "transactions", Dying())


async def test_a_fee_that_rose_after_signing_is_paid_by_a_new_transaction_once_the_old_is_void(
    home: House,
) -> None:
    await home.funded("10")
    asked = request(1, 5 * UNIT, ADDRESS, network="MATIC")
    dying = home.restart()
    _die_after(dying, "mixin.signed")
    with pytest.raises(Crash):
        await dying.client.wallet.send(asked)
    await home.mixin.admin("POST", "/fees", {"asset": USDT, "fee_asset": USDT, "amount": "0.5"})
    later = home.restart()
    assert isinstance(await later.client.wallet.find(asked, 0), SendUnderWay)
    (row,) = (await home.mixin.admin("GET", "/withdrawals"))["withdrawals"]
    assert row["amount"] == "4.5"
    await _complete_withdrawals(home)
    done = await later.client.wallet.find(asked, 0)
    assert isinstance(done, SendCompleted)
    assert done.fee_units == UNIT // 2
    rows = await home.rows("SELECT role, state FROM mixin.transaction ORDER BY role, state")
    assert [tuple(row) for row in rows] == [("main", "dead"), ("main", "spent"), ("void", "spent")]
    await later.client.walker.walk()
    assert len(home.desk.seen) == 1
    assert await later.held() == 5 * UNIT


async def test_an_input_spent_by_somebody_else_is_the_proof_that_lets_another_be_built(
    home: House,
) -> None:
    await home.funded("3", "4")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, 3 * UNIT, receiver)
    dying = home.restart()
    _die_after(dying, "mixin.signed")
    with pytest.raises(Crash):
        await dying.client.wallet.send(asked)
    # Another program with the same key spends the output of 3.
    (spent,) = [one for one in await home.mixin.unspent() if one["amount"] == "3"]
    part = await home.mixin.part([(home.mixin.users[2]["app_id"], "3")], spent=[spent])
    assert (await home.mixin.send(part))[0]["state"] == "signed"
    later = home.restart()
    await later.until(asked, SendCompleted)
    assert await home.user_holds(1) - before == 3 * UNIT
    assert [one.kind for one in await later.client.desk.incidents()] == ["spent_elsewhere"]


async def test_a_request_id_bound_to_other_bytes_is_never_signed_for(home: House) -> None:
    await home.funded("3", "4")
    asked = request(1, 3 * UNIT, home.mixin.users[1]["app_id"])
    part = await home.mixin.part([(home.mixin.users[2]["app_id"], "1")])
    stolen = type(part)("00000000-0000-0000-0000-000000000001", part.tx, part.input_keys)
    await home.mixin.verify(stolen)
    with pytest.raises(OutcomeUnknown, match="bound"):
        await home.client.wallet.send(asked)
    with pytest.raises(OutcomeUnknown, match="bound"):
        await home.client.wallet.find(asked, 0)
    assert [one.kind for one in await home.client.desk.incidents()] == ["conflict"]
    assert await home.held() == 7 * UNIT


async def test_a_withdrawal_refused_by_the_providers_own_word_has_failed(home: House) -> None:
    await home.funded("3")
    asked = request(1, 3 * UNIT, home.mixin.users[1]["app_id"])
    await home.fault("POST /safe/transaction/requests", "error", status=202, code=20134)
    assert isinstance(await home.client.wallet.send(asked), SendRefused)
    assert isinstance(await home.client.wallet.find(asked, 0), SendFailed)
    assert isinstance(await home.restart().client.wallet.send(asked), SendRefused)
    other = request(2, 3 * UNIT, home.mixin.users[1]["app_id"])
    assert isinstance(await home.client.wallet.send(other), SendAccepted), "its inputs are free"


KNOWN = sorted(code for code in MEANINGS if code not in IN_DOUBT | {TOO_MANY, 404})
UNKNOWN = (1, 9_999, 20_999, 30_104, 2_000_003, 10**9)


@pytest.mark.parametrize("place", ["POST /safe/keys", "POST /safe/transaction/requests"])
async def test_found_54_every_refusal_that_is_not_final_waits_and_is_paid_once_it_passes(
    home: House, place: str
) -> None:
    """Found 54: 20137, 30100 and 30103 ended a payment; so did every code nobody knew."""
    await home.funded("60")
    receiver, before, paid = home.mixin.users[1]["app_id"], await home.user_holds(1), 0
    for number, code in enumerate([*KNOWN, *UNKNOWN], 1):
        asked = request(number, UNIT, receiver)
        await home.fault(place, "error", status=202, code=code)
        answer = await _answer(home, asked)
        meaning = meaning_of(code)
        if meaning is RefusalMeaning.FINAL:
            assert isinstance(answer, SendRefused), code
            continue
        assert not isinstance(answer, SendRefused | SendAccepted), code
        if isinstance(answer, SendPostponed):
            assert answer.needs_person is (meaning is RefusalMeaning.PERSON), code
            assert str(code) in answer.reason
        await home.mixin.admin("DELETE", "/faults")
        later = home.restart()
        if await later.client.wallet.find(asked, 0) == SendAbsent():
            assert isinstance(await later.client.wallet.send(asked), SendAccepted)
        await later.until(asked, SendCompleted)
        paid += 1
    assert await home.user_holds(1) - before == paid * UNIT
    assert await home.held() == 60 * UNIT - paid * UNIT


async def _answer(home: House, asked: SendRequest) -> SendAnswer | None:
    """What a sending is answered; None for no answer, which is no word about the payment."""
    try:
        return await home.client.wallet.send(asked)
    except (Unavailable, OutcomeUnknown):
        return None


@pytest.mark.parametrize("code", [20137, 30100, 30103])
async def test_found_54_a_withdrawal_waits_while_its_chain_is_suspended_and_others_are_paid(
    home: House, code: int
) -> None:
    """Its only output is not kept from another payment meanwhile."""
    await home.funded("9")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    assert (await home.mixin.admin("POST", "/suspensions", {"asset": USDT, "code": code}))["chain"]
    leaving = request(1, 2 * UNIT, ADDRESS, network="MATIC")
    answer = await home.client.wallet.send(leaving)
    assert isinstance(answer, SendPostponed)
    assert not answer.needs_person
    assert str(code) in answer.reason
    for _ in range(3):
        later = home.restart().client.wallet
        assert isinstance(await later.find(leaving, 0), SendPostponed)
    inside = request(2, 6 * UNIT, receiver)
    assert isinstance(await home.client.wallet.send(inside), SendAccepted)
    await home.until(inside, SendCompleted)
    await home.mixin.admin("POST", "/suspensions", {"asset": USDT, "code": 0})
    await home.until(leaving, SendUnderWay)
    assert await home.user_holds(1) - before == 6 * UNIT
    await home.audit()


async def test_found_54_what_is_signed_and_refused_for_a_passing_reason_is_never_voided(
    home: House,
) -> None:
    await home.funded("9")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    for number, code in enumerate((20137, 30100, 30103, 987_654), 1):
        asked = request(number, UNIT, receiver)
        await home.fault("POST /safe/transactions", "error", status=202, code=code)
        assert await _answer(home, asked) is None
        await home.restart().until(asked, SendCompleted)
    assert await home.user_holds(1) - before == 4 * UNIT
    assert await home.rows("SELECT 1 FROM mixin.transaction WHERE role = 'void'") == []


async def test_a_payment_that_is_not_final_is_under_way_until_it_is(database: Database) -> None:
    async with house(database, finality_ms=50) as home:
        await _funded_slowly(home)
        asked = request(1, UNIT, home.mixin.users[1]["app_id"])
        await home.client.wallet.send(asked)
        assert isinstance(await home.client.wallet.find(asked, 0), SendUnderWay)
        await asyncio.sleep(0.06)
        home.mixin.server.house.safe.settle()
        assert isinstance(await home.client.wallet.find(asked, 0), SendCompleted)


async def _funded_slowly(home: House) -> None:
    order = {"user": "1", "asset": USDT, "amount": "3"}
    await home.mixin.admin("POST", "/pay", order)
    await asyncio.sleep(0.06)
    home.mixin.server.house.safe.settle()
    await home.client.walker.walk()


async def test_what_another_process_has_signed_meanwhile_is_never_taken_for_dead(
    home: House,
) -> None:
    """Two lives over one journal: one is refused because the other was quicker."""
    await home.funded("3", "4")
    receiver, before = home.mixin.users[1]["app_id"], await home.user_holds(1)
    asked = request(1, 3 * UNIT, receiver)
    dying, quick, slow = home.restart(), home.restart(), home.restart()
    _die_after(dying, "mixin.journal")
    with pytest.raises(Crash):
        await dying.client.wallet.send(asked)
    real = slow.client.wallet._ports.safe.bind

    async def overtaken(batch: Sequence[tuple[str, bytes]]) -> list[SeenRequest]:
        slow.client.wallet._ports.safe.bind = real  # type: ignore[method-assign]
        await quick.until(asked, SendCompleted)
        raise MixinRefused(10105, "The input is locked by another transaction.")

    slow.client.wallet._ports.safe.bind = overtaken  # type: ignore[method-assign]
    assert isinstance(await slow.client.wallet.find(asked, 0), SendCompleted)
    assert await home.user_holds(1) - before == 3 * UNIT
    assert len(await home.rows("SELECT 1 FROM mixin.transaction")) == 1


async def test_nothing_journalled_is_sent_while_the_gate_is_closed(home: House) -> None:
    await home.funded("3")
    asked = request(1, UNIT, home.mixin.users[1]["app_id"])
    dying, later, before = home.restart(), home.restart(), await home.user_holds(1)
    _die_after(dying, "mixin.signed")
    with pytest.raises(Crash):
        await dying.client.wallet.send(asked)
    gate = Frozen()
    object.__setattr__(later.client.wallet._ports, "gate", gate)
    assert isinstance(await later.client.wallet.find(asked, 0), SendUnderWay)
    assert await home.user_holds(1) == before
    gate.frozen = False
    await later.until(asked, SendCompleted)
    gate.frozen = True
    assert isinstance(await later.client.wallet.find(asked, 0), SendCompleted)
    assert await home.user_holds(1) - before == UNIT


class Frozen:
    frozen = True

    async def may_send(self, tx: Tx) -> bool:
        return not self.frozen


async def test_a_lock_without_a_proof_leaves_the_payment_in_doubt(home: House) -> None:
    await home.funded("3")
    asked = request(1, 3 * UNIT, home.mixin.users[1]["app_id"])
    await home.fault("POST /safe/transactions", "error", status=202, code=10105)
    with pytest.raises(OutcomeUnknown):
        await home.client.wallet.send(asked)
    await home.until(asked, SendCompleted)
    assert len(await home.rows("SELECT 1 FROM mixin.transaction")) == 1


async def test_a_network_that_forgot_the_request_is_told_again(home: House) -> None:
    await home.funded("3")
    asked = request(1, 3 * UNIT, home.mixin.users[1]["app_id"])
    dying = home.restart()
    _die_after(dying, "mixin.signed")
    with pytest.raises(Crash):
        await dying.client.wallet.send(asked)
    home.mixin.server.house.world.books.requests.clear()
    home.mixin.server.house.world.books.by_hash.clear()
    await home.until(asked, SendCompleted)


async def test_a_payment_that_only_the_network_knows_is_shown_to_a_person(home: House) -> None:
    """As after a restored backup: the journal is behind, and nothing is paid again."""
    await home.funded("3")
    asked = request(1, UNIT, home.mixin.users[1]["app_id"])
    await home.client.wallet.send(asked)
    await home.rows("UPDATE mixin.output SET state = 'unspent', taken_by = ''")
    async with home.owner() as owner:
        await owner.execute("DELETE FROM mixin.transaction; DELETE FROM mixin.payment")
    assert isinstance(await home.client.wallet.find(asked, 0), SendUnderWay)
    assert [one.kind for one in await home.client.desk.incidents()] == ["not_journalled"]


async def test_an_output_that_shows_up_late_is_swept_up(home: House) -> None:
    await home.funded("1", "2")
    await home.mixin.fund("3")
    world = home.mixin.server.house.world
    listed = world.books.by_members[world.bot.members_hash, 1]
    late = listed.pop()
    promised, late.sequence = late.sequence, listed[0].sequence - 1
    listed.insert(0, late)
    assert await home.client.walker.walk() == 0
    assert (await home.client.desk.balances())[USDT_FORM.name].unbooked_units == 3 * UNIT
    assert await home.client.walker.sweep() == 1
    assert await home.client.walker.sweep() == 0
    assert await home.booked() == 6 * UNIT
    late.sequence = promised


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_lost_on_the_way_the_wallet_holds_what_arrived_minus_what_was_paid(
    home: House, seed: int
) -> None:
    """Σ wallet = Σ arrivals - Σ payments, and every receiver got each payment once."""
    rng, receiver = Rng(seed), home.mixin.users[1]["app_id"]
    await home.funded(*["5"] * 6)
    before, house_, asked = await home.user_holds(1), home, []
    for number in range(1, 13):
        endpoint, effect = rng.choice(ENDPOINTS), rng.choice(["drop", "reset", "error", "html"])
        await home.fault(endpoint, effect, when=rng.choice(["before", "after"]))
        leaves = rng.chance_ppm(400_000)
        one = request(
            number, UNIT * rng.between(1, 3), ADDRESS if leaves else receiver,
            network="MATIC" if leaves else "mixin",
        )  # fmt: skip
        asked.append(one)
        with contextlib.suppress(Unavailable, OutcomeUnknown):
            await house_.client.wallet.send(one)
        house_ = house_.restart()
        await home.mixin.fund("0.5")
    await home.mixin.admin("DELETE", "/faults")
    await house_.client.walker.walk()
    for one in asked:
        await house_.client.wallet.send(one)
    await house_.client.walker.walk()
    await _complete_withdrawals(home)
    done = [await house_.until(one, SendCompleted) for one in asked]
    paid = sum(one.units for one in done)
    assert paid == sum(one.units for one in asked)
    assert await home.held() == await home.booked() - paid == 36 * UNIT - paid
    transfers = sum(one.units for one in asked if one.network == "mixin")
    assert await home.user_holds(1) - before == transfers
    leaving = (await home.mixin.admin("GET", "/withdrawals"))["withdrawals"]
    assert len(leaving) == sum(one.network != "mixin" for one in asked)
    assert sum(to_units(one["amount"]) for one in leaving) == sum(
        one.units - one.fee_units for one, ask in zip(done, asked, strict=True)
        if ask.network != "mixin"
    )  # fmt: skip
    assert await home.rows("SELECT 1 FROM mixin.output WHERE state = 'reserved'") == []


# Others


async def test_forms_are_held_against_the_networks_own_list_failure_p20(home: House) -> None:
    """Failure row P20: a wrong chain id sends money to an address that nobody has."""
    assert await home.client.desk.wrong_forms() == []
    wrong = [
        replace(USDT_FORM, mixin_chain_id=ETHER),
        replace(ETHER_FORM, mixin_id="11111111-1111-4111-8111-111111111111"),
    ]
    found = await make_client(home.mixin, home.database, wrong).desk.wrong_forms()
    assert ["lives on" in found[0], "unknown to Mixin" in found[1]] == [True, True]


async def test_making_the_client_asks_nothing_of_the_network_failure_p33(home: House) -> None:
    """Failure row P33: a network that does not answer never keeps the platform from starting."""
    await home.mixin.admin("DELETE", "/log")
    make_client(home.mixin, home.database)
    assert (await home.mixin.admin("GET", "/log"))["calls"] == []


async def test_a_receiver_is_known_before_he_is_paid(home: House) -> None:
    found = await home.client.desk.user(home.mixin.users[1]["app_id"])
    assert found is not None
    assert found.has_safe
    assert await home.client.desk.user("11111111-1111-4111-8111-111111111111") is None
