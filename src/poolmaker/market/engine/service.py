"""One engine per venue account: reads what stands, reconciles, then ticks until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.database import DatabaseGone
from poolmaker.infra.leases import LEASE_LOST
from poolmaker.infra.logging import get_logger
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import (
    InvariantBroken,
    OutcomeUnknown,
    PreconditionError,
    TakenOver,
    VenueUnavailable,
)
from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.market.engine._store import PgEngine
from poolmaker.market.engine.account import AccountPorts, AccountStreamHandler
from poolmaker.market.engine.books import BookPorts, OrderBookManager
from poolmaker.market.engine.control import ControlConsumer
from poolmaker.market.engine.evidence import OrderReconciler, OrderReconcilerPorts
from poolmaker.market.engine.health import attention_of, health_of, not_started
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.latches import LATCHES, Latch, LatchKind
from poolmaker.market.engine.live import live_view
from poolmaker.market.engine.model import EngineConfig, EngineHealth, LiveView
from poolmaker.market.engine.outcomes import VenueOrderOutcomes
from poolmaker.market.engine.ports import EnginePorts, EngineStore
from poolmaker.market.engine.reporter import Reporter
from poolmaker.market.engine.state import EngineState, MarketQuoting, Unopened
from poolmaker.market.engine.ticker import QuoteLoop, TickPorts
from poolmaker.market.execution.model import CancelAccepted, CreateIntent
from poolmaker.market.execution.sender import CANCEL_WEIGHTS, Sender, SenderPorts
from poolmaker.market.tracking.book import OrderBook
from poolmaker.market.tracking.mid_average import DepthTwaps
from poolmaker.market.tracking.model import ExchangeOrder, NoMarket, VenueMarket
from poolmaker.messages.market import MarketSpec, QuoteGate

_LOG: Final = get_logger("market")
_RESTART_US: Final = 500_000
_RESTART_MAX_US: Final = 10_000_000
_LOOK_US: Final = 50_000
_CANCEL_AGAIN_US: Final = 250_000
_SENTENCE_MAX: Final = 300
_REOPEN_US: Final = 5_000_000
_ENDED_RESTORED_US: Final = 120_000_000


def postgres_engine() -> EngineStore:
    """The rows in PostgreSQL."""
    return PgEngine()


class Session:
    """One life of an engine between two failures: memory, and the tasks that share it."""

    def __init__(self, config: EngineConfig, ports: EnginePorts, epoch: int) -> None:
        clock = ports.clock
        self.state = EngineState(config, epoch, ports.kill)
        self.state.unready_since_us = clock.monotonic_us()
        self.state.started_us = clock.now_us()
        self._ports = ports
        self._asked_for_markets = asyncio.Event()
        self._restored = False
        self._ended_us: int | None = None
        self._gone: set[IntentId] = set()
        self._journal = Journal(self.state, ports.stores, clock)
        asked = AccountPorts(ports.venue, ports.feeds, self._journal)
        self._account = AccountStreamHandler(self.state, asked, clock)
        reconcile = self._account.reconcile_wanted.set
        keeping = BookPorts(ports.venue, ports.feeds, self._journal, reconcile)
        self._books = OrderBookManager(self.state, keeping, clock)
        outcomes = VenueOrderOutcomes(self.state, ports.throttle, clock)
        sending = SenderPorts(ports.entry, self._journal, outcomes, ports.throttle)
        self._sender = Sender(sending, self._fence)
        ticking = TickPorts(self._sender, self._journal, ports.entry, ports.ids)
        self._ticker = QuoteLoop(self.state, ticking, clock)
        asking = OrderReconcilerPorts(
            ports.venue, ports.entry, self._journal, self._account, self._ticker
        )
        self._evidence = OrderReconciler(self.state, asking, clock)
        self._control = ControlConsumer(self.state, ports.stores, self._journal, clock)
        self._reporter = Reporter(self.state, self._journal, clock)

    async def run(self) -> None:
        """Work until cancelled or until something fails."""
        await self._restore()
        self._restored = True
        while await self._control.consume():
            pass
        async with asyncio.TaskGroup() as tasks:
            for work in (
                self._publish(),
                self._ports.feeds.run_account(self.state.rules, self._account),
                self._sender.run(),
                self._ticker.run(),
                self._reconcile(),
                self._evidence.run_resolver(),
                self._control.run(),
                self._reporter.run(),
                self._keep_markets_open(tasks),
            ):
                tasks.create_task(work)

    async def _publish(self) -> None:
        """Facts and barriers, from when it is known of which markets."""
        await self._asked_for_markets.wait()
        await self._account.run()

    async def _reconcile(self) -> None:
        """Compare with the venue, once it is known which markets there are to compare."""
        await self._asked_for_markets.wait()
        await self._evidence.run_reconciler()

    async def withdraw(self) -> None:
        """Cancel what may rest, without a database, until nothing that had left can still arrive.

        Best effort after a failure; called again it asks for what is not proven to be gone.
        """
        clock, entry = self._ports.clock, self._ports.entry
        self._ended_us = clock.monotonic_us() if self._ended_us is None else self._ended_us
        while True:
            is_last = clock.monotonic_us() >= self._ended_us + entry.arrival_max_us
            await asyncio.gather(*(self._withdraw(order) for order in self._may_rest()))
            if is_last or not self._may_rest():
                return
            await clock.sleep_us(_CANCEL_AGAIN_US)

    def _may_rest(self) -> list[ExchangeOrder]:
        living = self.state.shadow.living()
        return [order for order in living if order.intent not in self._gone]

    async def _withdraw(self, order: ExchangeOrder) -> None:
        await self._ports.throttle.take(CANCEL_WEIGHTS, urgent=True)
        try:
            reply = await self._ports.entry.cancel(self._ticker.cancel_intent(order))
        except (OutcomeUnknown, VenueUnavailable) as problem:
            _LOG.warning("an order may still rest", intent=order.intent, why=str(problem))
            return
        if isinstance(reply, CancelAccepted):
            self._gone.add(order.intent)

    async def drained(self, timeout_us: int) -> bool:
        """Wait until no own order lives and all fills are booked; False when that took longer."""
        clock = self._ports.clock
        until_us = clock.monotonic_us() + timeout_us
        # What rests is known once it was restored; a stop before that must not forget it.
        while self._leaves_something() and clock.monotonic_us() < until_us:
            self._ticker.tick()
            await clock.sleep_us(_LOOK_US)
        try:
            for symbol in list(self.state.markets):
                await self._account.sync_trades(symbol)
            await self._journal.flush()
        except (VenueUnavailable, DatabaseGone) as problem:
            # Nothing is lost by it: the next session reads both from where it stood.
            _LOG.warning("stopped without a last look at the trades", why=str(problem))
        return not self._leaves_something()

    def _leaves_something(self) -> bool:
        return not self._restored or any(self.state.shadow.at_stake())

    def _fence(self, intent: CreateIntent) -> str:
        """Why a create must not leave any more; asked right before the socket."""
        state = self.state
        desk = state.pool(intent.pool)
        age_us = self._ports.clock.now_us() - intent.decided_us
        if killed := state.kill.holds(state.config.account, intent.pool):
            return f"killed: {killed}"
        if state.halted or state.stopping:
            return "the account is halted"
        if not self._ports.stores.lease.holds():
            return LEASE_LOST
        if not desk.wish.quoting or intent.decided_us <= desk.fenced_us:
            return "the pool was asked for something else since"
        market = state.markets.get(intent.market.symbol)
        if market is None or market.rules.market.version != intent.market.version:
            return "the market's rules changed since"
        if age_us > state.config.decision_age_max_ms * 1_000:
            return "the decision is too old"
        return ""

    async def _restore(self) -> None:
        stores, account = self._ports.stores, self.state.config.account
        since_us = self._ports.clock.now_us() - _ENDED_RESTORED_US
        async with stores.transactions.begin("engine restore") as tx:
            self.state.facts_seq = await stores.engine.facts_seq(tx, account)
            for wish in await stores.engine.wishes(tx, account):
                desk = self.state.pool(wish.pool)
                desk.wish = wish
                seq = wish.capital.includes_stream_seq if wish.capital is not None else 0
                for fill in await stores.tracking.fills_after(tx, account, wish.pool, seq):
                    desk.add_fill(fill)
            orders = await stores.tracking.living_orders(tx, account, since_us)
            self.state.shadow.restore(orders)
            for wanted in await stores.engine.barriers(tx, account, 100):
                self.state.want_barrier(wanted)
            self.state.orders_placed = await stores.intents.count_creates(tx, account)
            self.state.fills_booked = await stores.tracking.count_fills(tx, account)
            self.state.rows_accepted = await stores.engine.accepted_rows(tx, account)

    async def _open_markets(self, tasks: asyncio.TaskGroup) -> None:
        """Load what pools need and start its streams; what cannot be opened is asked for again."""
        wanted = self.state.markets_wanted(self._ports.clock.monotonic_us())
        for spec in wanted.values():
            try:
                rules = await self._ports.venue.market(spec)
            except VenueUnavailable as problem:
                self._not_opened(spec, QuoteGate.NOT_READY, str(problem), _RESTART_US)
            except PreconditionError as problem:
                self._not_opened(spec, QuoteGate.MARKET_CLOSED, str(problem), _REOPEN_US)
            else:
                if isinstance(rules, NoMarket):
                    self._not_opened(spec, QuoteGate.MARKET_CLOSED, rules.reason, _REOPEN_US)
                else:
                    await self._open_market(spec, rules, tasks)

    def _not_opened(self, spec: MarketSpec, gate: QuoteGate, reason: str, pause_us: int) -> None:
        """One market that cannot be opened stops only its own pools."""
        known = self.state.unopened.get(spec.symbol)
        if known is None or known.reason != reason:
            _LOG.warning("market cannot be opened", symbol=spec.symbol, why=reason)
        again_us = self._ports.clock.monotonic_us() + pause_us
        self.state.unopened[spec.symbol] = Unopened(gate, reason, again_us)

    async def _open_market(
        self, spec: MarketSpec, seen: VenueMarket, tasks: asyncio.TaskGroup
    ) -> None:
        self.state.unopened.pop(spec.symbol, None)
        rules = await self._journal.know_rules(seen)
        self.state.shadow.restore(await self._journal.adopt_orders(rules.market))
        averages = DepthTwaps(self.state.config.twap_ms * 1_000)
        self.state.markets[spec.symbol] = MarketQuoting(
            spec, rules, OrderBook(rules.market), averages
        )
        self.state.rules[spec.symbol] = rules.market
        tasks.create_task(self._books.run(spec.symbol))
        self._account.reconcile_wanted.set()

    async def _keep_markets_open(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self._open_markets(tasks)
            self._asked_for_markets.set()
            await self._ports.clock.sleep_us(_LOOK_US)


class AccountEngine:
    """Quotes for every pool of one venue account.

    ``run`` works until cancelled or stopped and starts a new session after a failure, always from
    what is stored. A broken invariant halts: everything is cancelled, nothing is created until a
    person releases it, restarts or not. Raises TakenOver when another process has taken over: no
    epoch is taken back.
    """

    def __init__(self, config: EngineConfig, ports: EnginePorts) -> None:
        self._config = config
        self._ports = ports
        self._session: Session | None = None
        self._halted = ""
        self._failure = ""
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Work until ``stop``."""
        back_off_us = _RESTART_US
        while not self._stopped.is_set():
            began_us = self._ports.clock.monotonic_us()
            failure = await self._live_once()
            if failure is None:
                return
            await self._after(failure)
            if self._ports.clock.monotonic_us() - began_us > _RESTART_MAX_US:
                back_off_us = _RESTART_US
            await self._ports.clock.sleep_us(back_off_us)
            back_off_us = min(2 * back_off_us, _RESTART_MAX_US)

    async def stop(self) -> None:
        """Create nothing more, cancel everything, wait for the proof, then end ``run``."""
        if self._session is not None:
            self._session.state.stopping = True
            if not await self._session.drained(self._config.stop_ms * 1_000):
                _LOG.warning("stopped with orders alive", account=self._config.account)
        self._stopped.set()

    def halt(self, reason: str) -> None:
        """Cancel everything and create nothing until a person releases it."""
        self._halted = reason
        if self._session is not None:
            self._session.state.halt(reason, self._ports.clock.now_us())

    async def release(self, kind: LatchKind, subject: str, by: str, reason: str) -> bool:
        """A person lets a latch go; whether it held. CallerFault where that is done elsewhere."""
        session = self._session
        rule = LATCHES[kind]
        require(rule.by_engine, f"{kind.value}: released by {rule.released_by}")
        if session is None or session.state.latches.held(kind, subject) is None:
            return False
        stores, account = self._ports.stores, self._config.account
        rows = session.state.unread_keys(subject) if kind is LatchKind.UNREADABLE_TRADES else ()
        async with stores.transactions.begin("engine release") as tx:
            if kind is LatchKind.HALTED:
                await stores.engine.set_halted(tx, account, "")
            now_us = self._ports.clock.now_us()
            await stores.engine.accept_rows(tx, account, rows, f"{by}: {reason}", now_us)
        self._halted = "" if kind is LatchKind.HALTED else self._halted
        session.state.released(kind, subject, rows)
        _LOG.warning("latch released", account=account, latch=kind, subject=subject, by=by)
        return True

    def symbols(self) -> dict[PoolId, str]:
        """The market of every pool that it was asked to quote, also long ago."""
        pools = self._session.state.pools if self._session is not None else {}
        return {pool: desk.symbol for pool, desk in pools.items() if desk.symbol}

    def latches(self) -> list[Latch]:
        """What holds it back, the oldest first."""
        return self._session.state.latches.all() if self._session is not None else []

    def health(self) -> EngineHealth:
        """How it is doing."""
        if self._session is None:
            return not_started(self._config.account, self._failure, 0)
        return health_of(self._session.state, self._failure, self._ports.clock.now_us())

    async def attention(self) -> Sequence[AttentionItem]:
        if self._session is None:
            return ()
        odd = self._ports.venue.odd_rows()
        return attention_of(self._session.state, odd, self._ports.clock.now_us())

    def live(self) -> LiveView | None:
        """What the page shows; None before the first session."""
        if self._session is None:
            return None
        return live_view(self._session.state, self._ports.clock)

    async def _live_once(self) -> BaseException | None:
        """One session; None when it was stopped."""
        work = asyncio.create_task(self._session_run())
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
        return None if work.cancelled() else work.exception()

    async def _session_run(self) -> None:
        now_us = self._ports.clock.now_us()
        stores = self._ports.stores
        async with stores.transactions.begin("engine take-over") as tx:
            await stores.lease.check(tx)
            epoch = await stores.engine.take_over(tx, self._config.account, now_us)
            if self._halted:
                await stores.engine.set_halted(tx, self._config.account, self._halted)
            self._halted = await stores.engine.halted(tx, self._config.account)
        session = Session(self._config, self._ports, epoch)
        if self._halted:
            session.state.halt(self._halted, now_us)
        self._session, self._failure = session, ""
        await session.run()

    async def _after(self, failure: BaseException) -> None:
        """Take a failure for what it is; an engine that was replaced must not touch the venue."""
        causes = list(_leaves(failure))
        for cause in causes:
            if isinstance(cause, TakenOver):
                raise cause
        self._failure = f"the session failed: {causes[0]!r}"[:_SENTENCE_MAX]
        _LOG.error("engine session failed", causes=[repr(cause) for cause in causes])
        if any(isinstance(cause, InvariantBroken) for cause in causes):
            self._halted = "; ".join(str(cause) for cause in causes)
        if self._session is not None:
            await self._session.withdraw()


def _leaves(failure: BaseException) -> list[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        return [leaf for inner in failure.exceptions for leaf in _leaves(inner)]
    return [failure]
