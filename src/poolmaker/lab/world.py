"""A simulated world: people, the real platform, an engine and a venue; faults at every gate.

Safety is checked at the end of every run. Faults stop after a while, and from then on liveness is
demanded: whatever was begun must end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from poolmaker.business.ledger.model import Fenced
from poolmaker.business.pools.model import PoolConfig, PoolParameters
from poolmaker.business.treasury.booking import Booking
from poolmaker.business.treasury.model import (
    Disposition,
)
from poolmaker.infra.logging import silenced
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, PoolmakerError, Unavailable
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.money import Amount
from poolmaker.kernel.rng import Rng
from poolmaker.lab.audit import Findings, audit, under_way
from poolmaker.lab.defects import Defect, bus_with, provider_with, rows_with
from poolmaker.lab.engine import SimEngine
from poolmaker.lab.gate import FaultGate, Faults, GatedTransactions, ProcessCrash, SimProcess
from poolmaker.lab.loop import VirtualClock, VirtualLoop, run_virtual
from poolmaker.lab.mixin import FORMS, SimMixin, routes
from poolmaker.lab.people import (
    ACCOUNT,
    BTC,
    ETH,
    USDT,
    ApiClient,
    Operator,
    Person,
    all_of,
    booked,
)
from poolmaker.lab.platform import Outside, SimPlatform, WorldStores, room_settings
from poolmaker.lab.routes import FixedRoutes
from poolmaker.lab.stores.all import model_stores
from poolmaker.lab.venue import SimPlaces, SimProvider, SimVenue
from poolmaker.lab.wrapping import Hints, hinted
from poolmaker.messages.market import MarketSpec, StrategySnapshot

FAULTS_S: Final = 600
CALM_S_MAX: Final = 3_600
OpenStores = Callable[[VirtualClock], AbstractAsyncContextManager[WorldStores]]


@dataclass(frozen=True, slots=True)
class WorldReport:
    """What one seed did. ``violations`` is empty or the run has found a defect."""

    seed: int
    violations: tuple[str, ...]
    trace: str
    books: str
    virtual_s: int
    crashes: int
    transactions: int
    counts: Mapping[str, int]
    tail: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class _Plan:
    seed: int
    defect: Defect | None
    people_max: int


def run_world(
    seed: int,
    stores: OpenStores | None = None,
    defect: Defect | None = None,
    people_max: int = 4,
) -> WorldReport:
    """Run one seed to its end. ``stores`` None: everything in memory."""
    plan = _Plan(seed, defect, people_max)

    async def work(loop: VirtualLoop) -> WorldReport:
        clock = VirtualClock(loop)
        with silenced(clock):
            if stores is None:
                return await _World(loop, clock, model_stores(clock), plan).run()
            async with _real(loop, stores(clock)) as opened:
                return await _World(loop, clock, opened, plan).run()

    return run_virtual(work)


@asynccontextmanager
async def _real(
    loop: VirtualLoop, stores: AbstractAsyncContextManager[WorldStores]
) -> AsyncIterator[WorldStores]:
    """Open and close real stores while virtual time stands still."""
    with loop.real():
        opened = await stores.__aenter__()
    try:
        yield opened
    finally:
        with loop.real():
            await stores.__aexit__(None, None, None)


class _World:
    def __init__(
        self,
        loop: VirtualLoop,
        clock: VirtualClock,
        stores: WorldStores,
        plan: _Plan,
    ) -> None:
        self._plan = plan
        self._rng = rng = Rng(f"world {plan.seed}")
        self._loop = loop
        self._clock = clock
        self._stores = stores
        self._gate = FaultGate(loop, clock, rng.fork("gate"), Faults.drawn(rng.fork("faults")))
        self._venue = SimVenue()
        self._mixin = SimMixin(clock, rng.fork("mixin"))
        self._has_mixin = rng.fork("has mixin").chance_ppm(500_000)
        places = SimPlaces(self._venue, self._mixin)
        self._provider = SimProvider(places, self._gate, loop, rng.fork("provider"))
        ways = routes(ACCOUNT, dict(self._provider.fees)) if self._has_mixin else ()
        self._hints = Hints(rng.fork("hints"), lost_ppm=100_000)
        self._outside = Outside(
            clock=clock,
            gate=self._gate,
            stores=replace(stores, ledger_rows=rows_with(stores.ledger_rows, plan.defect)),
            provider=provider_with(self._provider, plan.defect),
            evidence=self._venue,
            routes=FixedRoutes(ways),
            settings=room_settings(FORMS if self._has_mixin else {}),
            hints=self._hints,
            rng=rng.fork("platform"),
            pools=_pools(rng.fork("pools")),
            assets=(BTC, ETH, USDT),
        )
        self._engine = self._new_engine()
        observer = SimProcess("observer", mortal=False)
        self._observer = GatedTransactions(stores.transactions, self._gate, observer)
        self._door = ApiClient(clock)
        self._crashes = 0
        self._unexpected: list[str] = []

    def _new_engine(self) -> SimEngine:
        process = SimProcess("engine", mortal=False)
        bus = bus_with(self._stores.bus, self._plan.defect)
        engine = SimEngine(
            ACCOUNT,
            GatedTransactions(self._stores.transactions, self._gate, process),
            hinted(bus, self._gate, ("append",), self._hints.about("events")),
            self._venue,
            self._clock,
            self._rng.fork("engine"),
        )
        self._hints.listen("events", engine.woken.set)
        return engine

    async def run(self) -> WorldReport:
        """Live through faults, then calm down, then audit."""
        self._loop.set_exception_handler(self._lost_exception)
        background = [
            asyncio.create_task(self._supervise("platform", writes=True)),
            asyncio.create_task(self._supervise("worker", writes=False)),
            asyncio.create_task(self._engine.run()),
            asyncio.create_task(self._operator().live()),
        ]
        if self._has_mixin:
            background.append(asyncio.create_task(self._tell_outputs()))
        people = asyncio.create_task(self._people())
        await self._clock.sleep_us(FAULTS_S * SECOND_US)
        self._calm_down()
        quiet = await self._settles(people, background)
        await self._gate.close()
        trace = self._gate.trace.digest()
        for task in (people, *background):
            task.cancel()
        ended = await asyncio.gather(people, *background, return_exceptions=True)
        self._note_failures(ended)
        with self._loop.real():
            findings = await audit(self._stores, self._venue, self._mixin, self._provider)
        return self._report(findings, trace, quiet=quiet)

    def _operator(self) -> Operator:
        return Operator(self._door, self._provider, self._clock, self._rng.fork("operator"))

    async def _people(self) -> None:
        less = 50 if self._has_mixin else 1
        for asset, units in ((BTC, 10**8 // less), (USDT, 10**10 // less)):
            self._venue.receive(asset.code, units, f"operator {asset.code}")
            state = _operator_in(Amount(asset, units), f"operator {asset.code}")
            await booked(self._door, self._clock, state)
        await all_of(
            [
                Person(
                    name=f"user{number}",
                    door=self._door,
                    venue=self._venue,
                    clock=self._clock,
                    rng=self._rng.fork(f"user {number}"),
                    pools=self._outside.pools,
                    mixin=self._mixin if self._has_mixin else None,
                )
                for number in range(self._rng.between(2, self._plan.people_max))
            ]
        )

    async def _tell_outputs(self) -> None:
        """Walk what came to Mixin, as its room does: until each has been judged."""
        while True:
            arrival = self._mixin.due()
            if arrival is None:
                await self._clock.sleep_us(SECOND_US)
                continue
            judged = await self._door.ask(lambda p, arrival=arrival: p.arrive(arrival))  # type: ignore[misc]
            self._mixin.told(arrival, waits=judged is Disposition.WAITING)

    def _calm_down(self) -> None:
        self._gate.faults = Faults()
        self._provider.calm = True
        self._engine.calm = True

    # ------------------------------------------------------------------------------- processes

    async def _supervise(self, name: str, *, writes: bool) -> None:
        """Start the process again and again."""
        rng = self._rng.fork(f"supervisor {name}")
        for start in range(1, 10_000):
            process = SimProcess(f"{name}-{start}")
            platform = SimPlatform(self._outside, process, writes=writes)
            opens = self._opener(platform) if writes else lambda: None
            await self._live_and_die(platform, opens)
            if writes:
                self._door.closes()
            await self._clock.sleep_us(rng.exponential_us(5 * SECOND_US))

    def _opener(self, platform: SimPlatform) -> Callable[[], None]:
        return lambda: self._door.opens(platform)

    async def _live_and_die(self, platform: SimPlatform, opens: Callable[[], None]) -> None:
        main = asyncio.create_task(platform.main(opens))
        dead = asyncio.create_task(_until(platform.process.dead))
        try:
            await asyncio.wait([main, dead], return_when=asyncio.FIRST_COMPLETED)
            if main.done():
                main.result()
        except ProcessCrash:
            pass
        except (Fenced, OutcomeUnknown, Unavailable) as error:
            # A process that cannot go on ends and is started again, as on a real machine.
            self._gate.note(platform.process.name, type(error).__name__)
        except PoolmakerError as error:
            self._unexpected.append(f"{platform.process.name}: {type(error).__name__}: {error}")
        finally:
            self._crashes += platform.process.dead.is_set()
            platform.process.kill("stopped")
            main.cancel()
            dead.cancel()
            await asyncio.gather(main, dead, return_exceptions=True)

    # --------------------------------------------------------------------------------- the end

    async def _settles(
        self, people: asyncio.Task[None], background: Iterable[asyncio.Task[None]]
    ) -> bool:
        """Wait until nothing is under way; False when that takes too long."""
        until_us = self._clock.now_us() + CALM_S_MAX * SECOND_US
        while self._clock.now_us() < until_us:
            await self._clock.sleep_us(20 * SECOND_US)
            if any(task.done() for task in background):
                return False
            if (
                people.done()
                and self._engine.idle
                and self._mixin.idle
                and not await self._under_way()
            ):
                return True
        return False

    async def _under_way(self) -> bool:
        with self._loop.real():
            if await self._stores.ledger_store().pending(0, 1):
                return True
        async with self._observer.begin("observe") as tx:
            return await under_way(tx, self._stores)

    def _note_failures(self, ended: Iterable[object]) -> None:
        for result in ended:
            expected = result is None or isinstance(result, asyncio.CancelledError)
            if not expected:
                self._unexpected.append(f"{type(result).__name__}: {result}")

    def _lost_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task of a dead process ends with its crash; anything else is a defect."""
        error = context.get("exception")
        if not isinstance(error, ProcessCrash):
            self._unexpected.append(f"{context.get('message')}: {error!r}")

    def _report(self, findings: Findings, trace: str, *, quiet: bool) -> WorldReport:
        late = [] if quiet else [f"not everything ended within {CALM_S_MAX} s without faults"]
        if self._engine.doubles:
            late.append(f"{self._engine.doubles} events have two places in their stream")
        counts = Counter(findings.counts)
        counts.update({f"gate {fate}": count for fate, count in self._gate.fates.items()})
        counts.update({f"provider {name}": n for name, n in self._provider.calls.items()})
        counts["fills"] = self._engine.fills
        return WorldReport(
            seed=self._plan.seed,
            violations=(*self._unexpected, *late, *findings.violations),
            trace=trace,
            books=findings.books,
            virtual_s=self._loop.now_us // SECOND_US,
            crashes=self._crashes,
            transactions=sum(self._gate.fates.values()),
            counts=dict(sorted(counts.items())),
            tail=tuple(self._gate.trace.tail),
        )


def _operator_in(
    amount: Amount, reference: str
) -> Callable[[SimPlatform], Coroutine[Any, Any, Booking]]:
    return lambda p: p.rooms.treasury.operator_in(ACCOUNT, amount, reference)


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def _pools(rng: Rng) -> tuple[PoolConfig, ...]:
    """One pool or two on the one account, each seed its own parameters."""
    bases = ("BTC", "ETH")[: rng.between(1, 2)]
    return tuple(_pool(base, rng.fork(base)) for base in bases)


def _pool(base: str, rng: Rng) -> PoolConfig:
    market = MarketSpec(symbol=f"{base}/USDT", base=base, base_scale=8, quote="USDT", quote_scale=6)
    bounds = rng.fork("bounds")
    order_min = bounds.choice([0, 10**6, 10**8])
    parameters = PoolParameters(
        order_min_units=order_min,
        holding_min_units=order_min // 10,
        depth_min_units=bounds.choice([0, 10**8]),
        cool_off_us=bounds.choice([0, 20 * SECOND_US]),
        join_cost_cbps=rng.choice([0, 2_000, 50_000]),
        first_join_min_units=rng.choice([0, 10**10]),
        nav_floor_units=0,
        stay_min_us=rng.choice([0, 30 * SECOND_US]),
    )
    return PoolConfig(
        id=PoolId(base.lower()),
        account=ACCOUNT,
        market=market,
        strategy=StrategySnapshot(version=1),
        parameters=parameters,
    )
