"""The books in memory: balances, assets and the few small facts that decisions need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from poolmaker.business.ledger.accounts import (
    Normal,
    deficit,
    exit_account,
    may_go_below,
    normal_of,
    pool_capital,
)
from poolmaker.business.ledger.model import (
    BlockReason,
    Checkpoint,
    LedgerHead,
    LedgerRefusal,
    LedgerTransaction,
    Leg,
    Line,
    State,
)
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import CommandKey, OrderId, PoolId, UserId, VenueAccountId, WithdrawalId
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Message, decode, encode


class PoolRecord(Message, frozen=True, kw_only=True, tag="pool"):
    """A pool since its first join. ``epoch`` counts share epochs from 1.

    ``since_us`` is the ledger time of the epoch's first join; ``ended_venue_us`` the venue time of
    the barrier that ended the epoch before it, -1 when there was none.
    """

    pool: PoolId
    account: VenueAccountId
    stream: str
    base: str
    quote: str
    epoch: int
    is_open: bool
    since_us: int
    ended_venue_us: int


class ExitRecord(Message, frozen=True, kw_only=True, tag="exit"):
    """A leaver's fraction: ``shares`` of ``of_shares`` at its barrier."""

    exit_id: str
    pool: PoolId
    order: OrderId
    shares: int
    of_shares: int
    barrier_venue_us: int
    is_open: bool


class EpochRecord(Message, frozen=True, kw_only=True, tag="epoch"):
    """A share epoch of a pool: so many share units for an atomic quote unit at its first join.

    Epochs from before the record have none: one share unit was one atomic quote unit.
    """

    pool: PoolId
    epoch: int
    fineness: int


class DealingRecord(Message, frozen=True, kw_only=True, tag="dealing"):
    """What excess has been priced at the newest barrier of a pool that priced any."""

    pool: PoolId
    barrier_seq: int
    base_units: int
    quote_units: int


class LeaveRecord(Message, frozen=True, kw_only=True, tag="left"):
    """Ledger time at which a user last left a pool."""

    pool: PoolId
    user: UserId
    at_us: int


class Joined(Message, frozen=True, kw_only=True):
    """Ledger time at which an order last joined a pool."""

    pool: PoolId
    at_us: int


class OrderRecord(Message, frozen=True, kw_only=True, tag="order"):
    """A user order since its first lock."""

    order: OrderId
    user: UserId
    joined: tuple[Joined, ...] = ()


class WithdrawalRecord(Message, frozen=True, kw_only=True, tag="withdrawal"):
    """A withdrawal since its first hold."""

    withdrawal: WithdrawalId
    user: UserId


class StreamRecord(Message, frozen=True, kw_only=True, tag="stream"):
    """A stream of facts: ``applied_seq`` is the highest sequence that is booked."""

    stream: str
    applied_seq: int


class ReversalRecord(Message, frozen=True, kw_only=True, tag="reversed"):
    """A transaction that was undone, and by which key."""

    key: CommandKey
    by: CommandKey


Record: TypeAlias = (
    PoolRecord
    | ExitRecord
    | OrderRecord
    | WithdrawalRecord
    | StreamRecord
    | ReversalRecord
    | EpochRecord
    | DealingRecord
    | LeaveRecord
)
R = TypeVar(
    "R",
    PoolRecord,
    ExitRecord,
    OrderRecord,
    WithdrawalRecord,
    StreamRecord,
    ReversalRecord,
    EpochRecord,
    DealingRecord,
    LeaveRecord,
)


def epoch_name(pool: PoolId, epoch: int) -> str:
    """The name of an epoch's record."""
    return f"{pool}:{epoch}"


def left_name(pool: PoolId, user: UserId) -> str:
    """The name of the record of a user who left a pool."""
    return f"{pool}:{user}"


def _name_of(record: Record) -> str:
    match record:
        case PoolRecord():
            return record.pool
        case ExitRecord():
            return record.exit_id
        case OrderRecord():
            return record.order
        case WithdrawalRecord():
            return record.withdrawal
        case StreamRecord():
            return record.stream
        case ReversalRecord():
            return record.key
        case EpochRecord():
            return epoch_name(record.pool, record.epoch)
        case DealingRecord():
            return record.pool
        case LeaveRecord():
            return left_name(record.pool, record.user)


def state_of(record: Record) -> State:
    """A record in the form in which it is stored."""
    return State(kind=str(record.__struct_config__.tag), name=_name_of(record), body=encode(record))


@dataclass(frozen=True, slots=True)
class PostingDecision:
    """What a command does, whole or not at all: legs, records that change, assets that appear."""

    legs: tuple[Leg, ...]
    records: tuple[Record, ...] = ()
    assets: tuple[Asset, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockedCommand:
    """A fact that has to wait until ``subject`` is mended."""

    obstacle: BlockReason
    subject: str


Verdict: TypeAlias = PostingDecision | LedgerRefusal | BlockedCommand


class LedgerState:
    """Everything that decides what a command does. Raw units: a debit is positive.

    Equal books decide equally. ``recalled`` is handed over by whoever drives: the transactions
    that the reversals at hand name.
    """

    def __init__(self) -> None:
        self.assets: dict[str, Asset] = {}
        self.balances: dict[tuple[str, str], int] = {}
        self.records: dict[tuple[str, str], Record] = {}
        self.recalled: dict[CommandKey, LedgerTransaction] = {}
        self.deficits: set[tuple[str, str]] = set()
        self._open_exits: defaultdict[PoolId, dict[str, ExitRecord]] = defaultdict(dict)
        self._pools_at: defaultdict[VenueAccountId, set[PoolId]] = defaultdict(set)

    def raw(self, account: str, asset: str) -> int:
        """The raw balance, 0 for no account."""
        return self.balances.get((account, asset), 0)

    def balance(self, account: str, asset: str) -> int:
        """The normal balance, 0 for no account."""
        raw = self.raw(account, asset)
        return raw if normal_of(account) is Normal.HELD else -raw

    def find(self, kind: type[R], name: str) -> R | None:
        """The record of a kind under a name, or None."""
        found = self.records.get((str(kind.__struct_config__.tag), name))
        return found if isinstance(found, kind) else None

    def open_exits(self, pool: PoolId) -> list[ExitRecord]:
        """Exits of a pool that still take part in its facts, the earliest barrier first."""
        exits = self._open_exits.get(pool, {}).values()
        return sorted(exits, key=lambda found: (found.barrier_venue_us, found.exit_id))

    def pools_at(self, account: VenueAccountId) -> list[PoolId]:
        """Pools that trade on a venue account, by name."""
        return sorted(self._pools_at.get(account, ()))

    def applied(self, stream: str) -> int:
        """The highest sequence of a stream that is booked."""
        found = self.find(StreamRecord, stream)
        return found.applied_seq if found else 0

    def claims_at(self, account: VenueAccountId, asset: str) -> int:
        """What pools and exits own of an asset at a venue account (invariant 9)."""
        pools = self.pools_at(account)
        exits = (found for pool in pools for found in self._open_exits.get(pool, {}).values())
        owned = sum(self.balance(pool_capital(pool), asset) for pool in pools)
        return owned + sum(self.balance(exit_account(found.exit_id), asset) for found in exits)

    def has_deficit(self, account: str) -> bool:
        """Whether a fact took more from an account than was there and it is not repaid."""
        wanted = deficit(account)
        return any(found == wanted for found, _ in self.deficits)

    def user_has_deficit(self, user: UserId) -> bool:
        """Whether any account of a user has an open deficit."""
        return any(self._user_behind(account) == user for account, _ in self.deficits)

    def _user_behind(self, deficit_account: str) -> UserId | None:
        head, _, rest = deficit_account.removeprefix("deficit:").partition(":")
        if head == "user":
            return UserId(rest.rpartition(":")[0])
        if head == "withdrawal":
            withdrawal = self.find(WithdrawalRecord, rest.rpartition(":")[0])
            return withdrawal.user if withdrawal else None
        if head == "exit":
            found = self.find(ExitRecord, rest)
            order = self.find(OrderRecord, found.order) if found else None
        else:
            order = self.find(OrderRecord, rest.rpartition(":")[0]) if head == "order" else None
        return order.user if order else None

    def keep(self, record: Record) -> None:
        """Put a record in the place of the one with its name."""
        self.records[str(record.__struct_config__.tag), _name_of(record)] = record
        if isinstance(record, PoolRecord):
            self._pools_at[record.account].add(record.pool)
        elif isinstance(record, ExitRecord) and record.is_open:
            self._open_exits[record.pool][record.exit_id] = record
        elif isinstance(record, ExitRecord):
            self._open_exits[record.pool].pop(record.exit_id, None)

    def post(self, leg: Leg) -> Line:
        """Add one leg and answer it with the raw balance behind it."""
        place = leg.account, leg.asset
        after = self.balances.get(place, 0) + leg.units
        if after:
            self.balances[place] = after
        else:
            self.balances.pop(place, None)
        if leg.account.startswith("deficit:"):
            (self.deficits.add if after else self.deficits.discard)(place)
        return Line(leg, after)


def apply(books: LedgerState, decision: PostingDecision) -> tuple[Line, ...]:
    """Make a decision part of the books."""
    books.assets.update((asset.code, asset) for asset in decision.assets)
    for record in decision.records:
        books.keep(record)
    return tuple(books.post(leg) for leg in decision.legs)


def check_legs(books: LedgerState, legs: Iterable[Leg]) -> None:
    """Raise InvariantBroken where legs do not balance or would leave a forbidden balance.

    Ledger invariants 1 and 2, checked once more before anything leaves memory.
    """
    sums: defaultdict[str, int] = defaultdict(int)
    after: dict[tuple[str, str], int] = {}
    for leg in legs:
        sums[leg.asset] += leg.units
        place = leg.account, leg.asset
        after[place] = after.get(place, books.raw(*place)) + leg.units
    ensure(not any(sums.values()), f"legs do not balance: {dict(sums)}")
    for (account, asset), raw in after.items():
        normal = raw if normal_of(account) is Normal.HELD else -raw
        ensure(normal >= 0 or may_go_below(account), f"{account} in {asset} would be {normal}")


def books_of(image: Checkpoint) -> LedgerState:
    """The books that an image describes."""
    books = LedgerState()
    books.assets.update((asset.code, asset) for asset in image.assets)
    for leg in image.balances:
        books.post(leg)
    for state in image.states:
        books.keep(decode(state.body, Record))  # type: ignore[arg-type]  # a union is a type to msgspec
    return books


def image_of(books: LedgerState, head: LedgerHead) -> Checkpoint:
    """The image of these books at ``head``, in a fixed order, so that equal books compare equal."""
    return Checkpoint(
        head=head,
        assets=tuple(books.assets[code] for code in sorted(books.assets)),
        balances=tuple(Leg(*place, books.balances[place]) for place in sorted(books.balances)),
        states=tuple(state_of(books.records[place]) for place in sorted(books.records)),
    )


def in_order(image: Checkpoint) -> Checkpoint:
    """The same image in the fixed order of ``image_of``."""
    return replace(
        image,
        assets=tuple(sorted(image.assets, key=lambda asset: asset.code)),
        balances=tuple(sorted(image.balances, key=lambda leg: (leg.account, leg.asset))),
        states=tuple(sorted(image.states, key=lambda state: (state.kind, state.name))),
    )
