"""What one session of an engine holds in memory; all of it can be read again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market, Side
from poolmaker.market.engine.latches import FailingCancels, Latch, Latches, LatchKind
from poolmaker.market.engine.model import EngineConfig, GateSince, OwnFact, PoolInstructions
from poolmaker.market.engine.readiness import READINESS, Readiness, ReadinessEvent
from poolmaker.market.engine.rules import facts_of, live_order
from poolmaker.market.execution.kill import NO_KILL_SWITCH
from poolmaker.market.execution.model import LiveOrder
from poolmaker.market.execution.ports import KillSwitch
from poolmaker.market.quoting.model import Inventory, MarketView
from poolmaker.market.tracking.book import NO_DEPTH, OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import BalanceReport, Depth, OddRow, StoredFill, VenueMarket
from poolmaker.market.tracking.rules import Absences
from poolmaker.market.tracking.shadow import ShadowLedger
from poolmaker.messages.market import BarrierWanted, MarketSpec, QuoteGate, StrategySnapshot

RECENT_FILLS: Final = 50
NEVER_US: Final = 2**62


@dataclass(slots=True)
class MarketQuoting:
    """One market: rules, book, average."""

    spec: MarketSpec
    rules: VenueMarket
    book: OrderBook
    averages: DepthTwaps
    rungs: tuple[Depth, ...] = ()
    """What stands behind each of the averages; see ``prices.standing_depth``."""
    depth_due_us: int = 0
    readiness: Readiness = READINESS.initial
    reconciled: bool = False
    """Whether it was compared with the venue at least once in this session."""
    subscribed: bool = False
    """Whether its stream said that it flows."""
    reload: bool = False
    closed: str = ""
    """Why the venue takes no orders here, where it said more than that."""
    unread: tuple[OddRow, ...] = ()
    """Trades of ours that cannot be read: what the pools own here is not known until they are."""

    @property
    def ready(self) -> bool:
        """Whether it may be quoted and priced as far as orders and rules go."""
        return self.readiness is Readiness.READY

    def move(self, event: ReadinessEvent) -> None:
        """Apply an event; one that the table does not allow changes nothing."""
        self.reconciled = self.reconciled or event is ReadinessEvent.RECONCILED
        self.readiness = READINESS.next(self.readiness, event) or self.readiness


@dataclass(frozen=True, slots=True)
class Unopened:
    """A wanted market that is not open to us: why, and when it is asked for again (monotonic)."""

    gate: QuoteGate
    reason: str
    again_us: int


def side_name(pool: PoolId, side: Side) -> str:
    """A side of a pool as the subject of a latch."""
    return f"{pool}:{side.value}"


@dataclass(slots=True)
class StreamConnection:
    """Whether the account's stream flows, since when (wall microseconds), and why it does not."""

    is_up: bool = False
    since_us: int = 0
    why_not: str = ""

    def up(self, now_us: int) -> None:
        """The venue said that it flows."""
        self.is_up, self.since_us, self.why_not = True, now_us, ""

    def down(self, why_not: str, now_us: int) -> None:
        """It was lost, or could not be had."""
        self.since_us = now_us if self.is_up or not self.since_us else self.since_us
        self.is_up, self.why_not = False, why_not


@dataclass(slots=True)
class Refusals:
    """Refused creates of one side in a row, and until when none is tried (monotonic)."""

    count: int = 0
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """All that a pool's decision is made of; ``orders`` and ``latches`` are versions."""

    view: MarketView | QuoteGate
    inventory: Inventory
    strategy: StrategySnapshot
    orders: int
    best: tuple[int | None, int | None]
    latches: int


@dataclass(slots=True)
class PoolQuoting:
    """One pool: the wish, facts since its capital, gates."""

    wish: PoolInstructions
    facts: list[OwnFact] = field(default_factory=list)
    recent: deque[StoredFill] = field(default_factory=lambda: deque(maxlen=RECENT_FILLS))
    refusals: dict[Side, Refusals] = field(
        default_factory=lambda: {side: Refusals() for side in Side}
    )
    gates: dict[Side, GateSince] = field(default_factory=dict)
    reported: dict[Side, str] = field(default_factory=dict)
    depth_min: Depth = NO_DEPTH
    seen: DecisionInputs | None = None
    """What the last decision was made of, where it left nothing to do."""
    quiet_until_us: int = 0
    fenced_us: int = 0
    deviation_ppm: int = 0
    widened: bool = False

    @property
    def symbol(self) -> str:
        """The market of the pool, empty before its first StartQuoting."""
        return self.wish.start.market.symbol if self.wish.start is not None else ""

    def add_fill(self, fill: StoredFill) -> None:
        """A fact of this pool stands on the stream."""
        known = {fact.seq for fact in self.facts}
        self.facts += [fact for fact in facts_of(fill) if fact.seq not in known]
        self.recent.append(fill)

    def forget_booked(self) -> None:
        """Drop facts that the capital includes."""
        if self.wish.capital is not None:
            seq = self.wish.capital.includes_stream_seq
            self.facts = [fact for fact in self.facts if fact.seq > seq]


class EngineState:
    """All of a session's memory. Only the session's own tasks touch it, never across an await."""

    def __init__(self, config: EngineConfig, epoch: int, kill: KillSwitch = NO_KILL_SWITCH) -> None:
        self.config = config
        self.kill = kill
        self.epoch = epoch
        self.shadow = ShadowLedger()
        self.absences = Absences(config.absence)
        self.markets: dict[str, MarketQuoting] = {}
        self.rules: dict[str, Market] = {}
        """Today's rules of every loaded market by symbol."""
        self.pools: dict[PoolId, PoolQuoting] = {}
        self.barriers: dict[str, BarrierWanted] = {}
        self.balances: dict[str, BalanceReport] = {}
        self.facts_seq = 0
        self.reconciled = False
        self.started_us = 0
        self.unready_since_us = 0
        self.unready_why = ""
        self.connection = StreamConnection()
        self.latches = Latches()
        self.stopping = False
        self.unopened: dict[str, Unopened] = {}
        self.rows_accepted: set[str] = set()
        self.failing_cancels: dict[str, FailingCancels] = {}
        self.cancel_sent_us: dict[IntentId, int] = {}
        self.orders_placed = 0
        self.fills_booked = 0

    @property
    def compared(self) -> bool:
        """Whether the account and each of its markets were compared with the venue once."""
        return self.reconciled and all(desk.reconciled for desk in self.markets.values())

    @property
    def ready(self) -> bool:
        """Whether the account was compared and each of its markets is ready."""
        return self.reconciled and all(desk.ready for desk in self.markets.values())

    @property
    def halted(self) -> str:
        """Why the account is halted; empty while it is not."""
        kinds = (LatchKind.HALTED, LatchKind.CONTROL_STOPPED)
        held = (self.latches.held(kind, self.config.account) for kind in kinds)
        return next((latch.cause for latch in held if latch is not None), "")

    def halt(self, cause: str, now_us: int) -> None:
        """Create nothing any more and cancel everything, until a person releases it."""
        self.latches.set(LatchKind.HALTED, self.config.account, cause, now_us)

    def unread_keys(self, symbol: str) -> tuple[str, ...]:
        """Names of the trades of a market that cannot be read."""
        market = self.markets.get(symbol)
        return tuple(row.key for row in market.unread) if market is not None else ()

    def released(self, kind: LatchKind, subject: str, rows: Iterable[str]) -> None:
        """A person let a latch go; what it rested on counts no more."""
        self.latches.clear(kind, subject)
        self.rows_accepted.update(rows)
        match kind:
            case LatchKind.CANCELS_FAILING:
                self.cancels_of(subject).answered()
            case LatchKind.CREATES_REFUSED:
                pool, _, side = subject.rpartition(":")
                self.pool(PoolId(pool)).refusals[Side(side)] = Refusals()
            case LatchKind.UNREADABLE_TRADES:
                self.markets[subject].unread = ()
            case _:
                pass

    def cancels_of(self, symbol: str) -> FailingCancels:
        """Cancels that failed in a market: one market's odd answers stop no other."""
        most = self.config.cancel_failures_max
        return self.failing_cancels.setdefault(symbol, FailingCancels(most))

    def cancel_is_due(self, intent: IntentId, now_us: int) -> bool:
        """Whether no cancel of it was sent within the time of a retry (monotonic)."""
        sent_us = self.cancel_sent_us.get(intent)
        return sent_us is None or now_us - sent_us > self.config.cancel_retry_ms * 1_000

    def refused(self, desk: PoolQuoting, side: Side) -> Latch | None:
        """The venue's last word on orders of a side, where it was no."""
        return self.latches.held(LatchKind.CREATES_REFUSED, side_name(desk.wish.pool, side))

    def pool(self, pool: PoolId) -> PoolQuoting:
        """The desk of a pool, made when it is new."""
        if pool not in self.pools:
            self.pools[pool] = PoolQuoting(PoolInstructions(pool=pool))
        return self.pools[pool]

    def want_barrier(self, wanted: BarrierWanted) -> None:
        """Emit it when it can be proven; the same one again replaces how deep it looks."""
        self.barriers[wanted.barrier_id] = wanted
        for depth in wanted.depths:
            if depth.pool in self.pools:
                self.pools[depth.pool].depth_min = Depth(0, depth.depth_min_quote_units)

    def specs(self) -> dict[str, MarketSpec]:
        """Specs of every loaded market by symbol."""
        return {symbol: desk.spec for symbol, desk in self.markets.items()}

    def live_orders(self, pool: PoolId, side: Side, now_us: int) -> list[LiveOrder]:
        """A pool's own orders of a side that may still take something."""
        return [
            live
            for order in self.shadow.at_stake_of(pool)
            if order.side is side and (live := live_order(order, now_us)) is not None
        ]

    def markets_wanted(self, now_us: int) -> dict[str, MarketSpec]:
        """Markets of pools, by symbol, that are not loaded yet and due to be asked for."""
        return {
            desk.symbol: desk.wish.start.market
            for desk in self.pools.values()
            if desk.wish.start is not None and self._is_due(desk.symbol, now_us)
        }

    def _is_due(self, symbol: str, now_us: int) -> bool:
        unopened = self.unopened.get(symbol)
        due = unopened is None or unopened.again_us <= now_us
        return due and symbol not in self.markets
