"""What must hold at the end of a simulated world, whatever happened in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from poolmaker.bus.ports import Bus
from poolmaker.business.ledger.accounts import (
    Normal,
    custody_mixin,
    custody_venue,
    normal_of,
    order_locked,
    order_shares,
    pool_capital,
    pool_issued,
)
from poolmaker.business.ledger.commands import Command, DebitWithdraw, NetworkFee
from poolmaker.business.ledger.model import Checkpoint, LedgerTransaction
from poolmaker.business.ledger.rules import in_order
from poolmaker.business.ledger.verify import verify
from poolmaker.business.pools.service import CONSUMER, LEDGER_LOG
from poolmaker.business.treasury.model import (
    TRANSFER,
    TRANSFER_TABLE,
    Suspense,
    Transfer,
    TransferState,
)
from poolmaker.business.user_orders.model import EXIT, FUND, Order, UserOrderState
from poolmaker.business.withdrawals.model import WITHDRAWAL, Withdrawal, WithdrawalState
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import OrderId, UserId, WithdrawalId, content_hash
from poolmaker.lab.mixin import FORMS, SimMixin
from poolmaker.lab.people import ACCOUNT
from poolmaker.lab.platform import WorldStores
from poolmaker.lab.venue import SimProvider, SimVenue, VenuePayment
from poolmaker.messages.base import Envelope, decode
from poolmaker.messages.market import FillFact, account_stream, control_stream, engine_stream

KINDS: Final = (EXIT, FUND, TRANSFER, WITHDRAWAL)
_JOIN: Final = "JOIN_POOL.v2"
_PAGE: Final = 500
_ENDED: Final = frozenset(
    {WithdrawalState.DONE, WithdrawalState.RELEASED, WithdrawalState.DECLINED}
)
_RESTING: Final = frozenset(
    {
        UserOrderState.IN_MM,
        UserOrderState.PAUSE,
        UserOrderState.CLOSED,
        UserOrderState.EXPIRED,
        UserOrderState.REFUNDED,
    }
)
_STREAMS: Final = (account_stream(ACCOUNT), control_stream(ACCOUNT), engine_stream(ACCOUNT))


@dataclass(slots=True)
class Findings:
    """What an audit saw. ``books`` is a hash of all that is booked."""

    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    books: str = ""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Everything there is, read once."""

    image: Checkpoint
    log: list[LedgerTransaction]
    streams: dict[str, list[Envelope]]
    orders: list[Order]
    withdrawals: list[Withdrawal]
    transfers: list[Transfer]
    suspense: list[Suspense]
    payments: list[VenuePayment]
    balances: dict[tuple[str, str], int]


async def under_way(tx: Tx, stores: WorldStores) -> bool:
    """Whether anything that was begun has not ended."""
    if await stores.sagas.next_due(tx, KINDS, 0) is not None:
        return True
    if await stores.pools.tickets(tx, ACCOUNT):
        return True
    for stream in (account_stream(ACCOUNT), engine_stream(ACCOUNT)):
        if await stores.bus.cursor(tx, CONSUMER, stream) < await stores.bus.head(tx, stream):
            return True
    applied = await stores.bus.cursor(tx, CONSUMER, LEDGER_LOG)
    return bool(await stores.ledger_rows.read(tx, applied, 1))


async def audit(
    stores: WorldStores, venue: SimVenue, mixin: SimMixin, provider: SimProvider
) -> Findings:
    """Check every invariant of the world on what is stored and on what is really out there."""
    findings = Findings()
    report = await verify(stores.evidence)
    findings.violations += [f"ledger verify: {problem}" for problem in report.problems]
    image = await stores.evidence.load()
    async with stores.transactions.begin("audit") as tx:
        evidence = await _read(tx, stores, provider, image)
        findings.violations += [one async for one in _sagas(tx, stores)]
        for letter in await stores.bus.letters(tx, _PAGE):
            findings.violations.append(
                f"{letter.consumer} is stopped at {letter.stream} {letter.seq}: {letter.error}"
            )
        findings.violations += [one async for one in _positions(tx, stores, evidence)]
    findings.violations += _at_mixin(evidence, mixin)
    for check in (_conservation, _custody, _payments, _nothing_stuck, _keys, _streams, _facts):
        subject = venue if check is _custody else None
        findings.violations += check(evidence, subject)
    everything = (
        in_order(evidence.image),
        evidence.orders,
        evidence.withdrawals,
        evidence.transfers,
    )
    findings.books = content_hash(msgspec.json.encode(everything)).hex()[:16]
    findings.counts.update({f"posted {one.kind}": 0 for one in evidence.log})
    for one in evidence.log:
        findings.counts[f"posted {one.kind}"] += 1
    sagas = Counter(one.key.rpartition(":")[0] for one in evidence.log if one.kind == _JOIN)
    findings.counts["joined in parts"] = sum(count - 1 for count in sagas.values())
    for order in evidence.orders:
        findings.counts[f"orders {order.state}"] += 1
    for withdrawal in evidence.withdrawals:
        findings.counts[f"withdrawals {withdrawal.state}"] += 1
    for transfer in evidence.transfers:
        findings.counts[f"transfers {transfer.state}"] += 1
    return findings


# ---------------------------------------------------------------------------------------- reading


async def _read(tx: Tx, stores: WorldStores, provider: SimProvider, image: Checkpoint) -> _Evidence:
    orders: list[Order] = []
    withdrawals: list[Withdrawal] = []
    for user in await stores.orders.users(tx, UserId(""), _PAGE):
        orders += await stores.orders.orders_of(tx, user.id, OrderId(""), _PAGE)
        withdrawals += await stores.withdrawals.of_user(tx, user.id, WithdrawalId(""), _PAGE)
    withdrawals += await stores.withdrawals.of_user(tx, UserId(""), WithdrawalId(""), _PAGE)
    return _Evidence(
        image=image,
        log=[one async for one in _log(tx, stores)],
        streams={name: [one async for one in _events(tx, stores.bus, name)] for name in _STREAMS},
        orders=orders,
        withdrawals=withdrawals,
        transfers=list(await stores.treasury.transfers(tx, _PAGE)),
        suspense=list(await stores.treasury.open_suspense(tx)),
        payments=provider.payments,
        balances={
            (leg.account, leg.asset): leg.units
            if normal_of(leg.account) is Normal.HELD
            else -leg.units
            for leg in image.balances
        },
    )


async def _log(tx: Tx, stores: WorldStores) -> AsyncIterator[LedgerTransaction]:
    after = 0
    while page := await stores.ledger_rows.read(tx, after, _PAGE):
        for transaction in page:
            yield transaction
        after = page[-1].seq


async def _events(tx: Tx, bus: Bus, stream: str) -> AsyncIterator[Envelope]:
    after = 0
    while page := await bus.read(tx, stream, after, _PAGE):
        for envelope in page:
            yield envelope
        after = page[-1].seq


# --------------------------------------------------------------------------------------- liveness


async def _sagas(tx: Tx, stores: WorldStores) -> AsyncIterator[str]:
    for parked in await stores.sagas.parked(tx, _PAGE):
        yield f"{parked.kind} {parked.id} is parked in {parked.state}: {parked.incident}"
    if await stores.sagas.next_due(tx, KINDS, 0) is not None:
        yield "a saga has not ended"
    for ticket in await stores.pools.tickets(tx, ACCOUNT):
        yield f"ticket {ticket.id} is still {ticket.state}"


async def _positions(tx: Tx, stores: WorldStores, evidence: _Evidence) -> AsyncIterator[str]:
    """What the room of pools believes is what the ledger says."""
    for pool in await stores.pools.pools(tx):
        capital, market = pool_capital(pool.id), pool.market
        issued = sum(
            units
            for (account, _), units in evidence.balances.items()
            if account == pool_issued(pool.id)
        )
        ledger = (
            evidence.balances.get((capital, market.base), 0),
            evidence.balances.get((capital, market.quote), 0),
            issued,
        )
        if ledger != (pool.base_units, pool.quote_units, pool.issued):
            yield f"pool {pool.id} believes {pool.base_units, pool.quote_units}, ledger: {ledger}"


# ----------------------------------------------------------------------------------------- safety


def _conservation(evidence: _Evidence, _: SimVenue | None) -> Iterator[str]:
    """Ledger invariant 1, summed here without any rule of the ledger."""
    sums: defaultdict[str, int] = defaultdict(int)
    for transaction in evidence.log:
        for leg in transaction.legs:
            sums[leg.asset] += leg.units
    for asset, units in sums.items():
        if units:
            yield f"{asset} is not conserved: {units}"


def _custody(evidence: _Evidence, venue: SimVenue | None) -> Iterator[str]:
    """What the ledger says is at the venue is what is really there."""
    for asset, units in sorted((venue or SimVenue()).balances.items()):
        booked = evidence.balances.get((custody_venue(ACCOUNT), asset), 0)
        if booked != units:
            yield f"custody of {asset} is {units}, booked {booked}"


def _at_mixin(evidence: _Evidence, mixin: SimMixin) -> Iterator[str]:
    """The same of Mixin, form by form."""
    for asset, form in FORMS.items():
        booked = evidence.balances.get((custody_mixin(form), asset), 0)
        units = mixin.balances[asset]
        if booked != units:
            yield f"custody of {asset} at Mixin is {units}, booked {booked}"


def _transferred(evidence: _Evidence, paid: dict[str, int]) -> Iterator[str]:
    """Every transfer has ended, and left once if it arrived and never if it did not."""
    for row in evidence.transfers:
        amount = paid.get(row.reference, 0)
        if row.state not in TRANSFER_TABLE.terminal:
            yield f"transfer {row.id} has not ended: {row.state}"
        if amount != (row.units if row.state is TransferState.DONE else 0):
            yield f"transfer {row.id} of {row.units} is {row.state}, sent {amount}"


def _paid(evidence: _Evidence) -> dict[str, int]:
    """What the venue really paid, by reference."""
    paid: defaultdict[str, int] = defaultdict(int)
    for payment in evidence.payments:
        if not payment.fails:
            paid[payment.request.reference] += payment.request.units
    return paid


def _debited(evidence: _Evidence) -> dict[str, int]:
    """What the ledger debited for payouts and their fees, by withdrawal."""
    debited: defaultdict[str, int] = defaultdict(int)
    for transaction in evidence.log:
        command: Command = decode(transaction.body, Command)  # type: ignore[arg-type]
        if isinstance(command, DebitWithdraw | NetworkFee):
            debited[command.withdrawal] += command.money.units
    return debited


def _payments(evidence: _Evidence, _: SimVenue | None) -> Iterator[str]:
    """Paid is debited, each withdrawal at most once, and nothing is paid that was given back."""
    paid, debited = _paid(evidence), _debited(evidence)
    known = {row.reference for row in evidence.withdrawals}
    known |= {row.reference for row in evidence.transfers}
    yield from _transferred(evidence, paid)
    for reference in sorted(paid.keys() - known):
        yield f"paid {paid[reference]} under the unknown reference {reference}"
    for row in evidence.withdrawals:
        amount, booked = paid.get(row.reference, 0), debited.get(row.id, 0)
        if amount != booked:
            yield f"paid {amount} for {row.id} ({row.state}), debited {booked}"
        if (row.state is WithdrawalState.DONE) != (amount == row.units):
            yield f"withdrawal {row.id} of {row.units} is {row.state}, paid {amount}"
        if row.state not in _ENDED:
            yield f"withdrawal {row.id} has not ended: {row.state}"


def _nothing_stuck(evidence: _Evidence, _: SimVenue | None) -> Iterator[str]:
    nobodys = {f"suspense:{row.source}": row.money.units for row in evidence.suspense}
    for (account, asset), units in sorted(evidence.balances.items()):
        head = account.partition(":")[0]
        if head == "suspense" and nobodys.get(account) == units:
            continue
        if units and head in ("withdrawal", "exit", "deficit", "suspense", "transit"):
            yield f"{units} {asset} are stuck on {account}"
    for order in evidence.orders:
        if order.state not in _RESTING or order.child:
            yield f"order {order.id} rests in {order.state} with child {order.child!r}"
        if order.state is UserOrderState.PAUSE:
            continue
        for asset in (order.base.asset, order.quote.asset):
            left = evidence.balances.get((order_locked(order.id), asset), 0)
            if left and order.state is not UserOrderState.IN_MM:
                yield f"{left} {asset} are stuck on order {order.id}, {order.state}"
        shares = sum(
            units
            for (account, _), units in evidence.balances.items()
            if account == order_shares(order.id)
        )
        if (shares > 0) != (order.state is UserOrderState.IN_MM):
            yield f"order {order.id} is {order.state} with {shares} shares"


def _keys(evidence: _Evidence, _: SimVenue | None) -> Iterator[str]:
    """Ledger invariant 5: one key, one effect."""
    for key, count in Counter(one.key for one in evidence.log).items():
        if count > 1:
            yield f"{key} was posted {count} times"


def _streams(evidence: _Evidence, _: SimVenue | None) -> Iterator[str]:
    """No gap, no key twice, in the bus as in the ledger's log."""
    if [one.seq for one in evidence.log] != list(range(1, len(evidence.log) + 1)):
        yield "the ledger's log has a gap"
    for name, events in evidence.streams.items():
        if [one.seq for one in events] != list(range(1, len(events) + 1)):
            yield f"the stream {name} has a gap"
        if len({one.key for one in events}) != len(events):
            yield f"the stream {name} has a key twice"


def _facts(evidence: _Evidence, _: SimVenue | None) -> Iterator[str]:
    """Every fill of the account's stream is in the ledger, once and no more."""
    fills = [
        one for one in evidence.streams[account_stream(ACCOUNT)] if b'"FillFact.v1"' in one.body
    ]
    posted = [one for one in evidence.log if one.kind == "FILL"]
    told = sum(decode(one.body, FillFact).base_units for one in fills)
    booked = sum(
        max(leg.units, -leg.units)
        for one in posted
        for leg in one.legs
        if leg.account == custody_venue(ACCOUNT) and leg.asset != "USDT"
    )
    if (len(fills), told) != (len(posted), booked):
        yield f"{len(fills)} fills of {told} were told, {len(posted)} of {booked} booked"
