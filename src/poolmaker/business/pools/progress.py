"""How far the facts of a venue account are booked."""

from __future__ import annotations

from poolmaker.business.pools.service import CONSUMER, LEDGER_LOG, PoolPorts
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.messages.base import Envelope, decode
from poolmaker.messages.market import AccountEvent, Barrier, BarrierV1, account_stream


class AccountProgress:
    """Says whether what an account's engine has told is in the books."""

    def __init__(self, ports: PoolPorts) -> None:
        self._ports = ports

    async def is_caught_up(self, account: VenueAccountId) -> bool:
        """Whether every fact of the account's stream is booked, and the log applied to its end."""
        ports, stream = self._ports, account_stream(account)
        async with ports.transactions.begin("pools.caught_up") as tx:
            row = await ports.store.lock_account(tx, account)
            applied = await ports.bus.cursor(tx, CONSUMER, LEDGER_LOG)
            head = await ports.bus.head(tx, stream)
            read_seq = await ports.bus.cursor(tx, CONSUMER, stream)
            if head > read_seq or await ports.ledger.read(tx, applied, 1):
                return False
            newest = await ports.bus.read(tx, stream, head - 1, 1) if head else []
        return all(_last_fact(one) <= row.booked_seq for one in newest)


def _last_fact(newest: Envelope) -> int:
    """The sequence of the last fact of a stream whose newest event this is, 0 for none."""
    event: AccountEvent = decode(newest.body, AccountEvent)  # type: ignore[arg-type]
    return event.facts_seq if isinstance(event, BarrierV1 | Barrier) else newest.seq
