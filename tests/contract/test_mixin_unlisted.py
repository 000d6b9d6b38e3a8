"""Payments in assets without a form: counted, given back once, and booked once they get a form."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.mixin.model import (
    MixinForm,
    ReturnOrder,
    ReturnRefusal,
    ReturnRefused,
    SeenOutput,
    Unlisted,
)
from poolmaker.mixin.service import Mixin, MixinPorts, open_mixin
from poolmaker.mixin.unlisted import LOOK, PAGE
from tests.support.mixin import ETHER_USDT
from tests.support.mixin_client import (
    FORMS,
    UNIT,
    USDT_FORM,
    House,
    house,
    make_client,
    settings_of,
)

BTC_FORM = MixinForm(
    name="btc", asset="BTC", scale=8, decimals=8, mixin_id="c6d0c728-2624-429b-8e0d-d9d19b6592fa"
)


@pytest.fixture
async def home(
    database: Database, migrated_dsn: Callable[[DatabaseRole], str]
) -> AsyncIterator[House]:
    async with house(database) as found:
        found.owner_dsn = migrated_dsn(DatabaseRole.OWNER)
        yield found


async def _held(client: Mixin) -> list[Unlisted]:
    return list(await client.unlisted.page(("", ""), 500))


def _configured(home: House) -> Mixin:
    """Another life of the client, in which BTC has a form."""
    client = make_client(home.mixin, home.database, (*FORMS, BTC_FORM))
    client.walker.plug(home.desk)
    return client


BITCOIN = "c6d0c728-2624-429b-8e0d-d9d19b6592fa"
POL = "b7938396-3f94-4e0a-9179-d3440718156f"


def _order(row: Unlisted, receiver: str) -> ReturnOrder:
    """The next return of all that a row counts."""
    return ReturnOrder(
        asset_id=row.asset_id,
        sender=row.sender,
        receiver=receiver,
        units=row.units,
        number=row.returns + 1,
    )


async def _returned(home: House, tries: int = 20) -> None:
    """Until nothing of assets without a form is here, or on its way back."""
    for _ in range(tries):
        with contextlib.suppress(Unavailable, OutcomeUnknown):
            await home.client.unlisted.step()
        await home.client.walker.walk()
        if not await _held(home.client):
            return
    raise AssertionError(await _held(home.client))


async def test_payments_in_assets_without_a_form_go_back_to_their_sender(home: House) -> None:
    """Found the same day: 60 ERC-20 USDT, 0.5 ETH and 3 POL stayed with the bot, in no list."""
    before = await home.user_holds(asset=BITCOIN)
    await home.funded("0.5", "0.25", asset=BITCOIN)
    await home.funded("3")
    assert [one.asset for one in home.desk.seen] == ["USDT"]
    (row,) = await _held(home.client)
    assert (row.asset_id, row.payments, row.units) == (BITCOIN, 2, 75_000_000)
    assert row.sender == home.mixin.users[0]["app_id"]
    assert await home.client.desk.incidents() == []
    assert await home.rows("SELECT * FROM mixin.output WHERE asset_id = $1", BITCOIN) == []
    await _returned(home)
    assert await home.user_holds(asset=BITCOIN) == before
    assert await home.booked() == 3 * UNIT == await home.held()


async def test_what_is_counted_is_counted_once_whatever_is_walked_again(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    for _ in range(3):
        assert await home.client.walker.walk() == 0
        await home.client.walker.sweep()
    fresh = home.restart()
    await fresh.client.walker.walk()
    await fresh.client.walker.sweep()
    (row,) = await _held(home.client)
    assert (row.payments, row.units) == (1, 50_000_000)


async def test_junk_fills_no_table_and_no_list(home: House) -> None:
    for _ in range(40):
        await home.mixin.fund("0.00000001", BITCOIN)
        await home.mixin.fund("0.00000001", ETHER_USDT)
    await home.client.walker.walk()
    rows = await _held(home.client)
    assert [(row.asset_id, row.payments, row.units) for row in rows] == [(BITCOIN, 40, 40)]
    kinds = [one.kind for one in await home.client.desk.incidents()]
    assert kinds == ["dust"], "one per form, however often it is paid"
    await _returned(home)
    await home.mixin.fund("0.00000001", BITCOIN)
    await home.client.walker.walk()
    assert not await home.client.unlisted.step(), "who pays again and again waits for it"


async def test_what_came_from_a_chain_without_a_form_waits_for_a_person(home: House) -> None:
    address = await home.client.desk.deposit_address(USDT_FORM.name)
    paid = {"amount": "3", "tx_id": "0xpol", "asset": POL, "destination": address.address}
    await home.mixin.admin("POST", "/deposit", paid)
    await home.client.walker.walk()
    (row,) = await _held(home.client)
    assert (row.asset_id, row.sender, row.units) == (POL, "", 300_000_000)
    assert await home.client.unlisted.step() == 0
    (item,) = await home.client.unlisted.attention()
    assert (item.subject, item.evidence["amount"]) == (POL, f"3.00000000 {POL}")
    assert [one.action for one in item.remedies] == ["return", "close"]
    receiver = home.mixin.users[1]["app_id"]
    before = await home.user_holds(1, asset=POL)
    order = ReturnOrder(asset_id=POL, sender="", receiver=receiver, units=300_000_000, number=1)
    assert isinstance(await home.client.unlisted.begin(order), Unlisted)
    await _returned(home)
    assert await home.user_holds(1, asset=POL) == before + 300_000_000


async def test_what_has_no_form_arrives_once_a_form_is_configured(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    form = MixinForm(name="btc", asset="BTC", scale=8, decimals=8, mixin_id=BITCOIN)
    client = make_client(home.mixin, home.database, (*FORMS, form))
    client.walker.plug(home.desk)
    await client.walker.walk()
    await client.walker.sweep()
    (arrival,) = home.desk.seen
    assert (arrival.location, arrival.units) == ("custody:mixin:btc", 50_000_000)
    assert await _held(client) == []


async def test_a_sweep_corrects_what_was_not_counted(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    await home.rows("UPDATE mixin.unlisted SET units = 1 RETURNING units")
    await home.client.walker.sweep()
    rows = await _held(home.client)
    assert sum(row.units for row in rows) == 50_000_000


async def test_a_closed_gate_holds_returns(home: House) -> None:
    class Closed:
        async def may_send(self, _: object) -> bool:
            return False

    await home.funded("0.5", asset=BITCOIN)
    ports = MixinPorts(
        session=home.mixin.session, transactions=home.database, clock=SystemClock(),
        rng=Rng("c"), gate=Closed(),
    )  # fmt: skip
    held = open_mixin(settings_of(home.mixin), FORMS, ports)
    assert await held.unlisted.step() == 0
    (row,) = await _held(home.client)
    assert row.returning_units == 0


# What has a form by now


async def test_what_got_a_form_is_booked_and_never_given_back_besides(home: House) -> None:
    """What a first sweep had booked was judged anew, and paid back out of the booked money."""
    await home.funded("0.5", asset=BITCOIN)
    before = await home.user_holds(asset=BITCOIN)
    (row,) = await _held(home.client)
    client = _configured(home)
    assert await client.unlisted.step() == 0, "not before the first sweep"
    await client.walker.sweep()
    assert await client.unlisted.step() == 0
    order = ReturnOrder(
        asset_id=BITCOIN,
        sender=row.sender,
        receiver=row.sender,
        units=row.units,
        number=row.returns + 1,
    )
    refused = await client.unlisted.begin(order)
    assert refused == ReturnRefused(ReturnRefusal.CONFIGURED)
    assert await home.booked(BTC_FORM) == 50_000_000
    fates = await home.rows("SELECT disposition, state FROM mixin.output")
    assert [tuple(fate) for fate in fates] == [("suspense", "unspent")]
    assert await home.user_holds(asset=BITCOIN) == before


@pytest.mark.parametrize("look", ["walk", "sweep"])
async def test_what_is_counted_is_forgotten_before_the_first_of_it_is_judged(
    home: House, look: str
) -> None:
    await home.funded("0.5", asset=BITCOIN)
    if look == "sweep":
        await home.funded("1")  # The walk begins behind the first.
    client, counted = _configured(home), []
    judge = home.desk.arrived

    async def look_and_judge(tx: Any, arrival: Any) -> Any:
        counted.append(await _held(client))
        return await judge(tx, arrival)

    home.desk.arrived = look_and_judge  # type: ignore[method-assign]
    await getattr(client.walker, look)()
    assert counted == [[]]


async def test_a_sweep_that_failed_is_tried_again_at_the_next_look(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    await home.funded("1")  # The walk begins behind the first.
    client, tries = _configured(home), 0
    sweep = client.walker.sweep

    async def failing_once() -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("the network is away")
        return await sweep()

    client.walker.sweep = failing_once  # type: ignore[method-assign]
    task = asyncio.create_task(client.walker.run())
    try:
        async with asyncio.timeout(60):
            while not await home.booked(BTC_FORM):
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
    assert tries == 2


async def test_booked_money_of_a_form_that_was_taken_out_is_not_given_back(home: House) -> None:
    with_form = _configured(home)
    await home.mixin.fund("0.5", BITCOIN)
    await with_form.walker.walk()
    assert await home.booked(BTC_FORM) == 50_000_000
    await home.funded("0.25", asset=BITCOIN)
    before = await home.user_holds(asset=BITCOIN)
    await home.client.walker.sweep()
    (row,) = await _held(home.client)
    assert row.units == 25_000_000
    await _returned(home)
    await home.client.walker.sweep()
    assert await _held(home.client) == []
    assert await home.user_holds(asset=BITCOIN) == before + 25_000_000
    assert (await with_form.desk.balances())["btc"].units == 50_000_000


@pytest.mark.parametrize("sent", [True, False])
async def test_a_return_under_way_is_followed_to_its_end_when_its_asset_gets_a_form(
    home: House, sent: bool
) -> None:
    """What was sent is ended as paid; what was never sent is booked like any other payment."""
    await home.funded("0.5", asset=BITCOIN)
    before = await home.user_holds(asset=BITCOIN)
    place = "/safe/transactions" if sent else "/safe/keys"
    await home.fault(f"POST {place}", "reset", when="after" if sent else "before")
    await home.client.unlisted.step()
    (row,) = await _held(home.client)
    assert row.returning_units == row.units
    client = _configured(home)
    await client.walker.sweep()
    assert home.desk.seen == []
    assert (await client.desk.balances())["btc"].units in {
        0,
        (await client.desk.balances())["btc"].unbooked_units,
    }
    for _ in range(20):
        await client.unlisted.step()
        await client.walker.sweep()
        await client.walker.ask_again()
        if not await _held(client):
            break
    assert await _held(client) == []
    assert await home.booked(BTC_FORM) == (0 if sent else 50_000_000)
    assert await home.user_holds(asset=BITCOIN) == before + (50_000_000 if sent else 0)


# What a person decides


async def test_a_return_pays_exactly_what_was_decided_or_nothing(home: House) -> None:
    """The second person approved what was shown: a payment that came since does not go along."""
    await home.funded("0.5", asset=BITCOIN)
    (row,) = await _held(home.client)
    await home.funded("0.25", asset=BITCOIN)
    receiver = home.mixin.users[1]["app_id"]
    shown = ReturnOrder(
        asset_id=BITCOIN,
        sender=row.sender,
        receiver=receiver,
        units=row.units,
        number=row.returns + 1,
    )
    less = await home.client.unlisted.begin(replace(shown, units=1))
    assert less == ReturnRefused(ReturnRefusal.DIFFERS, 75_000_000)
    other = await home.client.unlisted.begin(replace(shown, sender=receiver))
    assert other == ReturnRefused(ReturnRefusal.NOTHING)
    before = await home.user_holds(1, asset=BITCOIN)
    started = await home.client.unlisted.begin(shown)
    assert isinstance(started, Unlisted)
    assert started == await home.client.unlisted.begin(shown), "the same again is the same return"
    assert await home.client.unlisted.next_number(BITCOIN, row.sender) == ReturnRefused(
        ReturnRefusal.UNDER_WAY
    )
    another = await home.client.unlisted.begin(replace(shown, units=25_000_000))
    assert another == ReturnRefused(ReturnRefusal.UNDER_WAY)
    await home.rows("UPDATE mixin.unlisted SET last_us = last_us + 1000000000000")
    for _ in range(20):
        await home.client.unlisted.step()
        (row,) = await _held(home.client)
        if not row.returning_units:
            break
    assert (row.units, row.returning_units) == (25_000_000, 0)
    assert await home.user_holds(1, asset=BITCOIN) == before + 50_000_000


async def test_one_decision_pays_once_however_often_it_is_asked_for(home: House) -> None:
    """Its answer was lost, it is asked for again, and as much was paid by the sender meanwhile."""
    address = await home.client.desk.deposit_address(USDT_FORM.name)
    for name in ("0xone", "0xtwo"):
        paid = {"amount": "3", "tx_id": name, "asset": POL, "destination": address.address}
        await home.mixin.admin("POST", "/deposit", paid)
    await home.client.walker.walk()
    receiver = home.mixin.users[1]["app_id"]
    before = await home.user_holds(1, asset=POL)
    number = await home.client.unlisted.next_number(POL, "")
    assert number == 1
    order = ReturnOrder(asset_id=POL, sender="", receiver=receiver, units=300_000_000, number=1)
    assert isinstance(await home.client.unlisted.begin(order), Unlisted)
    left = 600_000_000
    for _ in range(20):
        await home.client.unlisted.step()
        left = sum(row.units + row.returning_units for row in await _held(home.client))
        if not any(row.returning_units for row in await _held(home.client)):
            break
    assert left == 300_000_000
    again = await home.client.unlisted.begin(order)
    assert isinstance(again, Unlisted), again
    stranger = replace(order, receiver=home.mixin.users[2]["app_id"])
    assert await home.client.unlisted.begin(stranger) == ReturnRefused(ReturnRefusal.UNDER_WAY)
    later = await home.client.unlisted.begin(replace(order, number=3))
    assert later == ReturnRefused(ReturnRefusal.NOTHING)
    for _ in range(3):
        await home.client.unlisted.step()
    assert await home.user_holds(1, asset=POL) == before + 300_000_000
    assert await home.client.unlisted.next_number(POL, "") == 2


async def test_a_return_is_never_more_than_what_is_counted(home: House) -> None:
    """What the walk has not counted yet is not ours to give back."""
    await home.funded("0.5", asset=BITCOIN)
    await home.mixin.fund("0.25", BITCOIN)
    await home.client.unlisted.step()
    (row,) = await _held(home.client)
    assert row.returning_units == 50_000_000


# Returns that were refused


async def _refused_once(home: House) -> Unlisted:
    await home.fault("POST /safe/transaction/requests", "error", status=202, code=20134)
    await home.client.unlisted.step()
    (row,) = await _held(home.client)
    assert row.reason
    assert not row.returning_units
    return row


async def test_a_refused_return_does_not_hold_back_what_comes_later(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    before = await home.user_holds(asset=BITCOIN)
    await _refused_once(home)
    (item,) = await home.client.unlisted.attention()
    assert item.evidence["refused"]
    await home.funded("0.25", asset=BITCOIN)
    (row,) = await _held(home.client)
    assert row.reason == ""
    await home.rows("UPDATE mixin.unlisted SET returned_us = 1")
    await _returned(home)
    assert await home.user_holds(asset=BITCOIN) == before + 50_000_000
    assert await home.client.unlisted.attention() == ()


async def test_a_person_returns_what_was_refused_to_another_wallet(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    row = await _refused_once(home)
    receiver = home.mixin.users[1]["app_id"]
    before = await home.user_holds(1, asset=BITCOIN)
    order = ReturnOrder(
        asset_id=BITCOIN,
        sender=row.sender,
        receiver=receiver,
        units=row.units,
        number=row.returns + 1,
    )
    assert isinstance(await home.client.unlisted.begin(order), Unlisted)
    await _returned(home)
    assert await home.user_holds(1, asset=BITCOIN) == before + 50_000_000


async def test_a_return_spends_nothing_of_another_senders_that_was_refused(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    await _refused_once(home)
    paid = {"user": home.mixin.users[1]["app_id"], "asset": BITCOIN, "amount": "0.7"}
    assert (await home.mixin.admin("POST", "/pay", paid))["state"] == "spent"
    before = await home.user_holds(1, asset=BITCOIN)
    await home.client.walker.walk()
    for _ in range(12):
        await home.client.unlisted.step()
    assert await home.user_holds(1, asset=BITCOIN) == before + 70_000_000
    (there,) = await home.mixin.unspent(BITCOIN)
    assert (there["amount"], there["senders"]) == ("0.5", [home.mixin.users[0]["app_id"]])
    await home.client.walker.sweep()
    assert [row.units for row in await _held(home.client)] == [50_000_000]


async def test_what_a_refused_return_left_is_booked_once_its_asset_gets_a_form(
    home: House,
) -> None:
    await home.funded("0.5", asset=BITCOIN)
    await _refused_once(home)
    client = _configured(home)
    await client.walker.sweep()
    await client.walker.ask_again()
    (arrival,) = home.desk.seen
    assert (arrival.units, arrival.sender) == (50_000_000, home.mixin.users[0]["app_id"])
    assert await _held(client) == []
    assert (await client.desk.balances())["btc"].unbooked_units == 0


# However many there are


async def _strangers(home: House, count: int) -> None:
    """Rows of assets whose names sort before all others, none of which is due."""
    await home.rows(
        "INSERT INTO mixin.unlisted (asset_id, sender, payments, units, first_us, last_us) "
        "SELECT '00000000-0000-4000-8000-' || lpad(n::text, 12, '0'), '', 1, 1, 1, 1 "
        "FROM generate_series(1, $1) AS n RETURNING asset_id",
        count,
    )


async def test_no_number_of_rows_keeps_a_return_from_its_turn(home: House) -> None:
    await _strangers(home, 2 * LOOK + 5)
    await home.funded("0.5", asset=BITCOIN)
    before = await home.user_holds(asset=BITCOIN)
    for _ in range(12):
        await home.client.unlisted.step()
    assert await home.user_holds(asset=BITCOIN) == before + 50_000_000
    sums = await home.client.unlisted.sums()
    assert len(sums) == 2 * LOOK + 5
    *_, more = await home.client.unlisted.attention()
    assert more.count == 2 * LOOK + 5 - 200


async def test_no_number_of_foreign_outputs_hides_a_senders_own(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    before = await home.user_holds(asset=BITCOIN)
    safe = home.client.unlisted._ports.safe
    ask = safe.outputs

    async def behind_many(since: int, *, asset_id: str = "", state: str = "") -> list[SeenOutput]:
        """50 pages of somebody else's outputs before the real ones."""
        if since >= 50 * PAGE:
            return await ask(0, asset_id=asset_id, state=state)
        (real, *_) = await ask(0, asset_id=asset_id, state=state)
        return [
            replace(real, output_id=f"foreign {n}", sequence=n, senders=("somebody",))
            for n in range(since + 1, since + PAGE + 1)
        ]

    safe.outputs = behind_many  # type: ignore[method-assign]
    assert await home.client.unlisted.step() == 1
    safe.outputs = ask  # type: ignore[method-assign]
    await _returned(home)
    assert await home.user_holds(asset=BITCOIN) == before + 50_000_000


async def test_a_return_that_cannot_be_known_holds_up_no_other(home: House) -> None:
    await home.funded("0.5", asset=BITCOIN)
    await home.client.unlisted.step()
    (row,) = await _held(home.client)
    find = home.client.wallet.find

    async def unknown_for_bitcoin(request: Any, since_us: int) -> Any:
        if request.asset == BITCOIN:
            raise OutcomeUnknown("the network says something else")
        return await find(request, since_us)

    home.client.wallet.find = unknown_for_bitcoin  # type: ignore[method-assign]
    await home.funded("3", asset=POL)
    before = await home.user_holds(asset=POL)
    for _ in range(12):
        await home.client.unlisted.step()
    assert await home.user_holds(asset=POL) == before + 300_000_000
    assert [one.asset_id for one in await _held(home.client)] == [row.asset_id]
