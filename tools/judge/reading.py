"""Everything read once, together; and again while something moves between the sides."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import asyncpg

from tools.judge.config import Account, Bot, Config, Wallet
from tools.judge.database import head_seq, living_orders, opened, read_books, reward_rows
from tools.judge.model import Form, NotReadable, OpenOrder, Part, Payout, Seen, Verdict
from tools.judge.payouts import payouts
from tools.judge.places import (
    GAS,
    Chain,
    Found,
    Scales,
    chain_balances,
    mixin_balances,
    venue_balances,
    venue_orders,
)
from tools.judge.service import judge
from tools.judge.wires import TIMEOUT_S, Wires, now_us, pause

_MICROSECONDS: Final = 1_000_000
_PAUSE_S: Final = 0.5


@dataclass(slots=True)
class _Gathered:
    reported: Found = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    orders: list[OpenOrder] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    unread: dict[Part, list[str]] = field(default_factory=dict)


async def judged(config: Config, url: str, patience_s: int) -> Verdict:
    """The verdict on a moment at which nothing moved.

    Money that is on its way between two sides differs for a moment, so a look that does not hold
    is followed by another until ``patience_s`` is over; the last one counts.
    """
    deadline_us = now_us() + patience_s * _MICROSECONDS
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, opened(url) as connection:
        while True:
            seen, moved = await _look(config, Wires(session), connection)
            verdict = judge(seen)
            if (verdict.holds and not moved) or now_us() >= deadline_us:
                return verdict
            await pause(_PAUSE_S)


async def _look(config: Config, wires: Wires, connection: asyncpg.Connection) -> tuple[Seen, bool]:
    before = await living_orders(connection)
    books = await read_books(connection)
    gathered = await _gather(config, wires, books.scales)
    after = await living_orders(connection)
    moved = await head_seq(connection) != books.last_seq
    seen = Seen(
        books=books,
        reported=gathered.reported,
        places=frozenset(gathered.places),
        at_venue=gathered.orders,
        known=before | after,
        payouts=gathered.payouts,
        rewards=await reward_rows(connection),
        forms=config.forms,
        terms=config.terms,
        unread=gathered.unread,
    )
    return seen, moved


async def _gather(config: Config, wires: Wires, scales: Scales) -> _Gathered:
    found = _Gathered()
    register = [form for form in config.forms if form.asset in scales], scales
    for account in config.accounts:
        await _tried(found, Part.BALANCES, _venue(found, wires, account, scales))
        await _tried(found, Part.ORDERS, _orders(found, wires, account))
    if config.bot is not None:
        await _tried(found, Part.BALANCES, _mixin(found, wires, config.bot, register))
    if config.wallet is not None:
        await _tried(found, Part.BALANCES, _chain(found, wires, config.wallet, register))
        await _tried(found, Part.PAYOUTS, _payouts(found, wires, config.wallet))
    return found


async def _tried(found: _Gathered, part: Part, work: Awaitable[None]) -> None:
    """What cannot be read is said, and the other places are still read."""
    said = found.unread.setdefault(part, [])
    try:
        await work
    except NotReadable as problem:
        said.append(str(problem))
    except (KeyError, TypeError, ValueError) as problem:
        said.append(f"an answer has another form than it should: {problem!r}")


_Register = tuple[Sequence[Form], Scales]


async def _venue(found: _Gathered, wires: Wires, account: Account, scales: Scales) -> None:
    found.places.add(f"custody:venue:{account.id}")
    found.reported.update(await venue_balances(wires, account, scales))


async def _orders(found: _Gathered, wires: Wires, account: Account) -> None:
    found.orders += await venue_orders(wires, account)


async def _mixin(found: _Gathered, wires: Wires, bot: Bot, register: _Register) -> None:
    forms, scales = register
    found.places |= {f"custody:mixin:{form.name}" for form in forms if form.mixin_id}
    found.reported.update(await mixin_balances(wires, bot, forms, scales))


async def _chain(found: _Gathered, wires: Wires, wallet: Wallet, register: _Register) -> None:
    forms, scales = register
    chain = Chain(wires, wallet)
    found.places |= {chain.place(name) for name in (GAS, *(form.name for form in forms))}
    found.reported.update(await chain_balances(chain, wallet, forms, scales))


async def _payouts(found: _Gathered, wires: Wires, wallet: Wallet) -> None:
    if wallet.factory:
        found.payouts = await payouts(wires, Chain(wires, wallet), wallet.factory)
