"""What of the ledger needs a person: deficits, places below zero, suspense, what stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from poolmaker.business.ledger._store.attention import (
    OddBalance,
    OpenRecord,
    PgLedgerAttention,
    UnbookableRow,
)
from poolmaker.business.ledger.codec import decode_command
from poolmaker.business.ledger.commands import SetAside, StreamFact
from poolmaker.business.ledger.model import BlockReason, IncidentKind, LedgerRefusal
from poolmaker.infra.attention import (
    LISTED_MAX,
    AttentionItem,
    Remedy,
    and_more,
    closed_by_a_person,
)
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, LedgerId, content_hash
from poolmaker.kernel.money import format_units

SOURCE: Final = "ledger"
CONFLICT: Final = "conflict"
SUSPENSE: Final = "suspense"
SUSPENSE_BELOW_ZERO: Final = "suspense_below_zero"
EQUITY_BELOW_ZERO: Final = "equity_below_zero"

_DEFICIT: Final = "deficit:"
_WAYS_OUT: Final = ("unlock", "withdraw", "leave")


class LedgerAttention:
    """Reads balances that should not be there and commands that stand still."""

    def __init__(self, transactions: Transactions, ledger: LedgerId = MAIN_LEDGER) -> None:
        self._transactions = transactions
        self._store = PgLedgerAttention(ledger)

    async def attention(self) -> Sequence[AttentionItem]:
        """Everything in the ledger that needs a person."""
        async with self._transactions.begin("ledger.attention") as tx:
            return [
                *await self._deficits(tx),
                *await self._balances(tx, "custody:", _custody_below, below_zero=True),
                *await self._balances(tx, "platform:", _equity_below, below_zero=True),
                *await self._balances(tx, "suspense:", _suspense_below, below_zero=True),
                *await self._balances(tx, "suspense:pool:", _suspense, below_zero=False),
                *await self._balances(tx, "suspense:venue:", _suspense, below_zero=False),
                *await self._unbookable(tx),
                *await self._conflicts(tx),
            ]

    async def aside(
        self, key: CommandKey, asked_as: CommandKey, reason: str
    ) -> SetAside | LedgerRefusal:
        """The command that sets aside what waits under ``key``, or why there is none.

        ``BEHIND_BARRIER``: another fact of its stream stands before it and has to be solved first.
        """
        async with self._transactions.begin("ledger.aside") as tx:
            body = await self._store.unbookable_body(tx, key)
            waiting, _ = await self._store.unbookable(tx, LISTED_MAX)
        if body is None:
            return LedgerRefusal.UNKNOWN_TRANSACTION
        if _held_up_by(waiting).get(key, key) != key:
            return LedgerRefusal.BEHIND_BARRIER
        stream, seq = _place_of(body) or ("", 0)
        digest = content_hash(body).hex()
        return SetAside(
            key=asked_as, aside=key, digest=digest, stream=stream, stream_seq=seq, reason=reason
        )

    async def stands(self, account: str, asset: str) -> tuple[int, int]:
        """The number of the last entry of an account in an asset, and what it holds since then."""
        async with self._transactions.begin("ledger.stands") as tx:
            return await self._store.stands(tx, account, asset)

    async def _balances(
        self, tx: Tx, prefix: str, item: Callable[[OddBalance], AttentionItem], *, below_zero: bool
    ) -> tuple[AttentionItem, ...]:
        found, total = await self._store.balances(tx, prefix, LISTED_MAX, below_zero=below_zero)
        return and_more([item(one) for one in found], total)

    async def _deficits(self, tx: Tx) -> tuple[AttentionItem, ...]:
        found, total = await self._store.balances(tx, _DEFICIT, LISTED_MAX, below_zero=False)
        items = []
        for one in found:
            since_us = await self._store.since_us(
                tx, IncidentKind.DEFICIT.value, f"{one.account} {one.asset}"
            )
            items.append(_deficit(one, since_us))
        return and_more(items, total)

    async def _unbookable(self, tx: Tx) -> tuple[AttentionItem, ...]:
        found, total = await self._store.unbookable(tx, LISTED_MAX)
        first = _held_up_by(found)
        return and_more([_unbookable(one, first.get(one.key, one.key)) for one in found], total)

    async def _conflicts(self, tx: Tx) -> tuple[AttentionItem, ...]:
        prefix = f"{SOURCE}:{CONFLICT}:"
        found, total = await self._store.conflicts(tx, prefix, LISTED_MAX)
        return and_more([_conflict(one) for one in found], total)


def _place_of(body: bytes) -> tuple[str, int] | None:
    """Stream and sequence of a fact; None for what carries none or cannot be read."""
    try:
        command = decode_command(body)
    except PreconditionError:
        return None
    return (command.stream, command.stream_seq) if isinstance(command, StreamFact) else None


def _held_up_by(waiting: Sequence[UnbookableRow]) -> dict[CommandKey, CommandKey]:
    """For each fact that waits the first of its stream that does; its own key for the first.

    What waits for a row that cannot be read names it.
    """
    places = {one.key: _place_of(one.body) for one in waiting}
    first: dict[str, tuple[int, CommandKey]] = {}
    for key, place in places.items():
        if place is not None:
            stream, seq = place
            first[stream] = min(first.get(stream, (seq, key)), (seq, key))
    held = {key: first[place[0]][1] for key, place in places.items() if place is not None}
    unread = f"{BlockReason.MALFORMED.value}: "
    behind = {one.key: CommandKey(one.why.removeprefix(unread)) for one in waiting}
    return held | {key: row for key, row in behind.items() if row != key and row in places}


def _amount(one: OddBalance) -> str:
    return f"{format_units(abs(one.raw), one.scale)} {one.asset}"


def bear_remedy(account: str, asset: str, amount: str) -> Remedy:
    """The operator's equity bears what facts took beyond a balance."""
    return Remedy(
        action="bear",
        command=f"poolmaker ledger bear-deficit {account} {asset} {amount} --reason TEXT",
        route="POST /api/v1/ledger/bear-deficit",
    )


def resolve_remedy(account: str, asset: str) -> Remedy:
    """Money that is nobody's becomes a user's, a pool's or the operator's."""
    source = account.removeprefix("suspense:")
    return Remedy(
        action="resolve",
        command=f"poolmaker suspense resolve {source} {asset} AMOUNT --to TARGET --reason TEXT",
        route="POST /api/v1/suspense/resolve",
    )


def _deficit(one: OddBalance, since_us: int) -> AttentionItem:
    owner = one.account.removeprefix(_DEFICIT)
    blocks = ("join", "leave") if owner.startswith("pool:") else _WAYS_OUT
    return AttentionItem(
        source=SOURCE,
        kind=IncidentKind.DEFICIT.value,
        subject=f"{owner} {one.asset}",
        since_us=since_us or one.at_us,
        evidence={"account": owner, "missing": _amount(one)},
        blocks=blocks,
        remedies=(bear_remedy(owner, one.asset, format_units(abs(one.raw), one.scale)),),
    )


def _custody_below(one: OddBalance) -> AttentionItem:
    """More has left a place than was known to be there: something that arrived is not booked."""
    return AttentionItem(
        source=SOURCE,
        kind=IncidentKind.CUSTODY_BELOW_ZERO.value,
        subject=f"{one.account} {one.asset}",
        since_us=one.at_us,
        evidence={"account": one.account, "below_zero": _amount(one)},
        blocks=("join", "withdraw", "transfer"),
        remedies=(
            Remedy(
                action="operator_in",
                command=(
                    f"poolmaker treasury operator-in {one.account} {one.asset} AMOUNT"
                    " --reference TEXT"
                ),
                route="POST /api/v1/treasury/operator-in",
            ),
        ),
    )


def _equity_below(one: OddBalance) -> AttentionItem:
    amount = format_units(abs(one.raw), one.scale)
    return AttentionItem(
        source=SOURCE,
        kind=EQUITY_BELOW_ZERO,
        subject=f"{one.account} {one.asset}",
        since_us=one.at_us,
        evidence={"account": one.account, "below_zero": _amount(one)},
        blocks=("operator_out", "bear"),
        remedies=(
            Remedy(
                action="operator_in",
                command=(
                    f"poolmaker treasury operator-in LOCATION {one.asset} {amount} --reference TEXT"
                ),
                route="POST /api/v1/treasury/operator-in",
            ),
        ),
    )


def _suspense_below(one: OddBalance) -> AttentionItem:
    return AttentionItem(
        source=SOURCE,
        kind=SUSPENSE_BELOW_ZERO,
        subject=f"{one.account} {one.asset}",
        since_us=one.at_us,
        evidence={"account": one.account, "below_zero": _amount(one)},
        remedies=(bear_remedy(one.account, one.asset, format_units(abs(one.raw), one.scale)),),
    )


def _suspense(one: OddBalance) -> AttentionItem:
    """What belongs to holders who left, or to no pool."""
    return AttentionItem(
        source=SOURCE,
        kind=SUSPENSE,
        subject=f"{one.account} {one.asset}",
        since_us=one.at_us,
        evidence={"account": one.account, "holds": _amount(one)},
        remedies=(resolve_remedy(one.account, one.asset),),
    )


def _unbookable(one: UnbookableRow, first: CommandKey) -> AttentionItem:
    """``first`` is the fact of its stream that waits first: only that one can be set aside."""
    behind = {"behind": first} if first != one.key else {}
    return AttentionItem(
        source=SOURCE,
        kind=IncidentKind.UNBOOKABLE.value,
        subject=one.key,
        since_us=one.since_us,
        evidence={"obstacle": one.why, **behind},
        blocks=("facts", "join", "leave"),
        remedies=(
            Remedy(
                action="set_aside",
                command=f"poolmaker ledger set-aside {first!r} --reason TEXT",
                route="POST /api/v1/ledger/set-aside",
            ),
        ),
    )


def _conflict(one: OpenRecord) -> AttentionItem:
    """The same key came with another body: recorded, never applied; somebody asks why."""
    subject = f"{one.key} {one.what[:16]}"
    return AttentionItem(
        source=SOURCE,
        kind=CONFLICT,
        subject=subject,
        since_us=one.at_us,
        evidence={"key": one.key, "digest": one.what},
        remedies=(closed_by_a_person(SOURCE, CONFLICT, subject),),
    )
