"""A made-up platform in memory: it implements every port of the surfaces and moves when told to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from poolmaker.api.ports import (
    Claim,
    Destination,
    Incoming,
    NewOrder,
    NewPayout,
    Platform,
    Principal,
    Receipt,
    Refused,
    Role,
)
from poolmaker.kernel.clock import SECOND_US, Clock, ManualClock
from poolmaker.kernel.ids import Ids, OrderId, PoolId, UserId
from poolmaker.kernel.money import format_units, parse_units
from poolmaker.kernel.rng import Rng
from poolmaker.views.model import (
    Act,
    AssetSeen,
    Balance,
    BarPart,
    Check,
    CustodyLine,
    DepthLevel,
    Entry,
    FillSeen,
    Happening,
    Health,
    MarketLive,
    MarketPoint,
    Mode,
    Money,
    OrderSeen,
    OwnOrder,
    Page,
    Part,
    Place,
    PoolSeen,
    SideGate,
    Step,
    TrialBalance,
    TrialLine,
    UserSeen,
    WithdrawalSeen,
)
from poolmaker.web.ports import Showing
from tests.e2e.outside import Outside

POOL = PoolId("btcusdt")
OPERATOR_TOKEN = "pm_operator_token_of_the_tests"
VIEWER_TOKEN = "pm_viewer_token_of_the_tests"
TREASURER_TOKEN = "pm_treasurer_token_of_the_tests"
START_US = 1_780_000_000 * SECOND_US


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _two(units: int) -> str:
    return format_units(units, 2)


@dataclass
class FakeRequests:
    rows: dict[tuple[str, str], tuple[bytes, Claim]] = field(default_factory=dict)

    async def claim(self, caller: str, key: str, fingerprint: bytes, fresh_id: str) -> Claim:
        stored, claim = self.rows.setdefault(
            (caller, key), (fingerprint, Claim(fresh_id, same=True, answer=None))
        )
        return replace(claim, same=stored == fingerprint)

    async def answered(self, caller: str, key: str, status: int, body: bytes) -> None:
        stored, claim = self.rows[caller, key]
        if claim.answer is None:
            self.rows[caller, key] = (stored, replace(claim, answer=(status, body)))


@dataclass
class FakePeople:
    clock: Clock
    ids: Ids
    people: dict[str, UserSeen] = field(default_factory=dict)
    made: dict[str, UserSeen] = field(default_factory=dict)
    known: dict[bytes, Principal] = field(default_factory=dict)

    async def create(self, request_id: str, name: str, mixin_id: str) -> UserSeen | Refused:
        if request_id not in self.made:
            if any(user.name == name for user in self.people.values()):
                return Refused("name_taken", {"name": name})
            user = UserSeen(self.ids.user(), name, self.clock.now_us(), mixin_id)
            self.made[request_id] = self.people[user.user_id] = user
        return self.made[request_id]

    async def users(self) -> Sequence[UserSeen]:
        return list(self.people.values())

    async def user(self, user_id: UserId) -> UserSeen | None:
        return self.people.get(user_id)

    async def grant(self, token_hash: bytes, role: Role, name: str, user_id: UserId | None) -> None:
        self.known[token_hash] = Principal(role, name, user_id)

    async def principal(self, token_hash: bytes) -> Principal | None:
        return self.known.get(token_hash)


class FakeWorld(Outside):
    """Treasury, orders, reading, live and stage of a small invented market."""

    def __init__(self, clock: Clock | None = None, seed: int = 7) -> None:
        self.clock = clock or ManualClock(START_US)
        self.rng = Rng(seed)
        self.ids = Ids(self.clock, self.rng.fork("ids"))
        self.people = FakePeople(self.clock, self.ids)
        self.requests = FakeRequests()
        self.stopping = asyncio.Event()
        self.mid = 61_250_00
        self.base_units = 41_250_000
        self.points: list[MarketPoint] = []
        self.fill_rows: list[FillSeen] = []
        self.rows: list[Happening] = []
        self.order_rows: dict[str, OrderSeen] = {}
        self.told: Act | None = None
        self.difference = "0"
        self.reported_off = "0"
        self.gate = "none"
        self.calls: list[tuple[str, object]] = []
        self.refuse: Refused | None = None
        Outside.__init__(self)
        self.people.known[digest(VIEWER_TOKEN)] = Principal(Role.VIEWER, "viewer")
        self.people.known[digest(TREASURER_TOKEN)] = Principal(Role.TREASURER, "treasurer")

    def platform(self, mode: Mode = Mode.SANDBOX) -> Platform:
        return Platform(
            mode=mode,
            clock=self.clock,
            ids=self.ids,
            rng=self.rng.fork("tokens"),
            operator_token_hash=digest(OPERATOR_TOKEN),
            tokens=self.people,
            requests=self.requests,
            people=self.people,
            treasury=self,
            orders=self,
            payouts=self,
            reading=self,
            live=self,
            stage=self,
            stopping=self.stopping,
        )

    def showing(self, mode: Mode = Mode.SANDBOX) -> Showing:
        return Showing(
            mode=mode,
            clock=self.clock,
            reading=self,
            live=self,
            stage=self,
            stopping=self.stopping,
        )

    # ------------------------------------------------------------------------------ movement

    def furnish(self) -> None:
        """A market that has run for two minutes, two users, a few entries."""
        now = self.clock.now_us()
        self.told = Act(10, 13, "day_two", {"fills": "23"}, now - 72 * SECOND_US, now)
        for back in range(120, 0, -1):
            self.step(now - back * SECOND_US)
        legs = (("custody:venue:main", "USDT", "9000"), ("user:us_ada:available", "USDT", "9000"))
        money: dict[str, tuple[Money, ...]] = {"what": (Money("USDT", "9000"),)}
        self._happened(now, "CREDIT_DEPOSIT", {"who": "ada"}, money, legs)
        self._people(now)
        self.furnish_outside(now)

    def step(self, at_us: int) -> None:
        """One second of the market: the price walks, sometimes we are filled."""
        self.mid += self.rng.between(-900, 900)
        spread = 1_800
        own_bid, own_ask = _two(self.mid - spread), _two(self.mid + spread)
        if self.rng.chance_ppm(250_000):
            self._fill(at_us, "BUY" if self.rng.chance_ppm(500_000) else "SELL", spread)
        inventory = 500_000 + (self.base_units - 41_250_000) // 25
        self.points.append(MarketPoint(at_us, _two(self.mid), own_bid, own_ask, inventory))
        del self.points[:-900]

    def _fill(self, at_us: int, side: str, spread: int) -> None:
        price = self.mid - spread if side == "BUY" else self.mid + spread
        lots = self.rng.between(20, 900)
        self.base_units += (lots if side == "BUY" else -lots) * 1_000
        seq = len(self.fill_rows) + 1
        base = Money("BTC", format_units(lots, 5))
        quote = Money("USDT", format_units(price * lots, 7))
        row = FillSeen(seq, POOL, at_us, side, _two(price), base, quote, True, f"t{seq}")
        self.fill_rows.append(row)
        sign = "" if side == "BUY" else "-"
        other = "-" if side == "BUY" else ""
        self._happened(
            at_us,
            f"FILL.{side}",
            {},
            {"base": (base,), "quote": (quote,)},
            (
                ("custody:venue:main", "BTC", sign + base.amount),
                ("pool:btcusdt:capital", "BTC", sign + base.amount),
                ("custody:venue:main", "USDT", other + quote.amount),
                ("pool:btcusdt:capital", "USDT", other + quote.amount),
            ),
        )

    def _happened(
        self,
        at_us: int,
        kind: str,
        facts: dict[str, str],
        sums: dict[str, tuple[Money, ...]],
        legs: Sequence[tuple[str, str, str]],
    ) -> int:
        seq = len(self.rows) + 1
        entries = tuple(
            Entry(seq, at_us, kind, f"key:{seq}", account, asset, amount, None)
            for account, asset, amount in legs
        )
        self.rows.append(Happening(seq, at_us, kind, f"key:{seq}", facts, sums, entries))
        return seq

    def _people(self, now: int) -> None:
        ada = self._order("us_ada", "ada", "uo_ada", "IN_MM", now - 70 * SECOND_US)
        cy = self._order("us_cy", "cy", "uo_cy", "CREATED", now - 12 * SECOND_US)
        self.order_rows[cy.order_id] = replace(
            cy, steps=cy.steps[:1], waiting_for="", deposit=self.awaited(now)
        )
        bo = self._order("us_bo", "bo", "uo_bo", "WITHDRAW", now - 64 * SECOND_US)
        self.order_rows[ada.order_id] = replace(
            ada,
            shares="18250.400000",
            value=Money("USDT", "18262.91"),
            result=Money("USDT", "12.51"),
            bar=(
                _part(Part.IN_POOL, "18262.91", ("BTC", "0.15"), ("USDT", "9075.41")),
                _part(Part.AVAILABLE, "500", ("USDT", "500")),
            ),
        )
        self.order_rows[bo.order_id] = replace(
            bo,
            shares="0",
            value=Money("USDT", "6122.10"),
            result=Money("USDT", "-2.04"),
            waiting_for="order.exit:evidence",
            paid_out=(Money("USDT", "2000.00"),),
            bar=(
                _part(Part.LEAVING, "3061.05", ("BTC", "0.05")),
                _part(Part.ON_THE_WAY, "3061.05", ("USDT", "3061.05")),
            ),
        )

    def _order(self, user: str, name: str, order: str, state: str, at_us: int) -> OrderSeen:
        states = ["CREATED", "LOCKED", "FUNDING", "IN_MM"]
        steps = tuple(
            Step(s, at_us + i * 2 * SECOND_US, "user" if i in (0, 4) else "system", i + 1)
            for i, s in enumerate(states + ([state] if state != "IN_MM" else []))
        )
        return OrderSeen(
            order,
            user,
            name,
            POOL,
            state,
            "",
            at_us,
            (Money("BTC", "0.15"), Money("USDT", "9000")),
            (),
            "0",
            None,
            None,
            (),
            steps,
        )

    # ------------------------------------------------------------------------------ treasury

    async def operator_in(self, incoming: Incoming) -> Receipt | Refused:
        return self._received("OPERATOR_IN", incoming, "platform:equity")

    async def credit_deposit(self, user_id: UserId, incoming: Incoming) -> Receipt | Refused:
        return self._received("CREDIT_DEPOSIT", incoming, f"user:{user_id}:available")

    def _received(self, kind: str, incoming: Incoming, account: str) -> Receipt | Refused:
        self.calls.append((kind, incoming))
        if self.refuse:
            return self.refuse
        now, money = self.clock.now_us(), incoming.money
        legs = (
            (incoming.location, money.asset, money.amount),
            (account, money.asset, money.amount),
        )
        seq = self._happened(now, kind, {"who": account}, {"what": (money,)}, legs)
        return Receipt(incoming.request_id, seq, now)

    # -------------------------------------------------------------------------------- orders

    async def open(self, order: NewOrder) -> OrderSeen | Refused:
        self.calls.append(("open", order))
        if self.refuse:
            return self.refuse
        user = await self.people.user(order.user_id)
        name, order_id = user.name if user else "", f"uo_{order.request_id}"
        row = self._order(order.user_id, name, order_id, "IN_MM", self.clock.now_us())
        return self.order_rows.setdefault(order_id, row)

    async def request(self, payout: NewPayout) -> WithdrawalSeen | Refused:
        self.calls.append(("payout", payout))
        if self.refuse:
            return self.refuse
        return WithdrawalSeen(
            withdrawal_id=f"wd_{payout.request_id}",
            user_id=payout.user_id,
            user_name="",
            money=payout.money,
            network="mixin",
            address="",
            state="REQUESTED",
            transaction_id="",
            reason="",
            steps=(),
        )

    async def pause(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderSeen | Refused:
        return self._wish("pause", order_id, "PAUSE")

    async def resume(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderSeen | Refused:
        return self._wish("resume", order_id, "FUNDING")

    async def withdraw(
        self,
        user_id: UserId,
        order_id: OrderId,
        payout: Sequence[Destination],
        request_id: str,
    ) -> OrderSeen | Refused:
        return self._wish("withdraw", order_id, "WITHDRAW")

    def _wish(self, wish: str, order_id: OrderId, state: str) -> OrderSeen | Refused:
        self.calls.append((wish, order_id))
        if self.refuse:
            return self.refuse
        self.order_rows[order_id] = replace(self.order_rows[order_id], state=state)
        return self.order_rows[order_id]

    # ------------------------------------------------------------------------------- reading

    async def assets(self) -> Sequence[AssetSeen]:
        return (AssetSeen("BTC", 8, 6), AssetSeen("HMT", 18, 4), AssetSeen("USDT", 8, 2))

    async def pools(self) -> Sequence[PoolSeen]:
        nav = format_units(
            25_312_42_000_000 + (self.base_units - 41_250_000) * self.mid // 100_000, 8
        )
        return (
            PoolSeen(
                pool_id=POOL,
                name="BTC/USDT",
                symbol="BTC/USDT",
                venue_account="main",
                state="OPEN",
                epoch=1,
                base=Money("BTC", format_units(self.base_units, 8)),
                quote=Money("USDT", "12630.11000000"),
                exits=(),
                shares="25250.400000",
                holders=2,
                nav=Money("USDT", nav),
                share_price="1.002471",
                inventory_ppm=self.points[-1].inventory_ppm if self.points else None,
                target_ppm=500_000,
                band_ppm=300_000,
                fills=len(self.fill_rows),
            ),
        )

    async def balances(self, user_id: UserId | None) -> Sequence[Balance]:
        return (Balance(user_id or "us_ada", "USDT", "500.00", "0", "0"),)

    async def statement(self, user_id: UserId, after: int, limit: int) -> Page:
        return await self.account(f"user:{user_id}:available", after, limit)

    async def account(self, account: str, after: int, limit: int) -> Page:
        found = [e for row in self.rows for e in row.entries if e.account == account]
        rest = [entry for entry in found if entry.seq > after]
        more = rest[limit - 1].seq if len(rest) > limit else None
        return Page(tuple(rest[:limit]), more)

    async def transaction(self, seq: int) -> Happening | None:
        return self.rows[seq - 1] if 0 < seq <= len(self.rows) else None

    async def trial_balance(self) -> TrialBalance:
        base = format_units(self.base_units, 8)
        held, owed = Place("venue", "held", base), Place("pools", "owed", base)
        usdt_owed = (
            Place("users", "owed", "500.00"),
            Place("pools", "owed", "12630.11"),
            Place("withdrawals", "owed", "3061.05"),
            Place("platform", "owed", "1000.00"),
        )
        lines = (
            TrialLine("BTC", (held,), (owed,), base, base, "0"),
            TrialLine(
                "USDT",
                (
                    Place("mixin", "held", "1000.00"),
                    Place("transit", "held", "3061.05"),
                    Place("venue", "held", "13130.11"),
                ),
                usdt_owed,
                "17191.16",
                "17191.16",
                self.difference,
            ),
        )
        ok = parse_units(self.difference, 8) == 0
        return TrialBalance(len(self.rows), self.clock.now_us(), lines, ok)

    async def custody(self) -> Sequence[CustodyLine]:
        base, now = format_units(self.base_units, 8), self.clock.now_us()
        reported = format_units(parse_units("11069.06", 8) + parse_units(self.reported_off, 8), 8)
        return (
            CustodyLine("custody:mixin:usdt-polygon", "USDT", "1000", "1000", "0", now),
            CustodyLine("custody:venue:main", "BTC", base, base, "0", now),
            CustodyLine("custody:venue:main", "USDT", "13130.11", reported, "2061.05", now),
        )

    async def happenings(self, after: int, limit: int) -> Sequence[Happening]:
        return tuple(row for row in reversed(self.rows) if row.seq > after)[:limit]

    async def order(self, order_id: OrderId) -> OrderSeen | None:
        return self.order_rows.get(order_id)

    async def orders(self, user_id: UserId | None) -> Sequence[OrderSeen]:
        return [o for o in self.order_rows.values() if user_id in (None, o.user_id)]

    async def health(self) -> Health:
        return Health(Mode.SANDBOX, "0.1.0", START_US, 0, (Check("database", ok=True),))

    # ---------------------------------------------------------------------------------- live

    def markets(self) -> Sequence[MarketLive]:
        own = tuple(
            OwnOrder(f"i{side}{i}", side, _two(price), "0.02", "0.02", "OPEN", START_US)
            for side, sign in (("BUY", -1), ("SELL", 1))
            for i in range(3)
            for price in [self.mid + sign * (1_800 + i * 1_500)]
        )
        return (
            MarketLive(
                pool_id=POOL,
                symbol="BTC/USDT",
                base="BTC",
                quote="USDT",
                venue_account="main",
                price_decimals=2,
                quantity_decimals=5,
                at_us=self.clock.now_us(),
                book_age_ms=41,
                mid=_two(self.mid),
                bids=self._levels(-1),
                asks=self._levels(1),
                own=own,
                gates=(
                    SideGate("BUY", self.gate, self.clock.now_us()),
                    SideGate("SELL", "none", START_US),
                ),
                orders_placed=212,
                orders_unknown=0,
            ),
        )

    def _levels(self, sign: int) -> tuple[DepthLevel, ...]:
        return tuple(
            DepthLevel(
                _two(self.mid + sign * (300 * i + 150)),
                format_units(9_000 + (i * i * 701 + self.mid) % 40_000, 5),
                "0.02000" if i in (6, 11, 16) else "0",
            )
            for i in range(20)
        )

    async def fills(self, pool_id: PoolId, after: int, limit: int) -> Sequence[FillSeen]:
        return tuple(f for f in reversed(self.fill_rows) if f.seq > after)[:limit]

    def history(self, pool_id: PoolId) -> Sequence[MarketPoint]:
        return tuple(self.points)

    # --------------------------------------------------------------------------------- stage

    def act(self) -> Act | None:
        return self.told

    def tell(self, act: Act) -> None:
        self.told = act


def _part(part: Part, value: str, *amounts: tuple[str, str]) -> BarPart:
    money = tuple(Money(asset, amount) for asset, amount in amounts)
    return BarPart(part, money, value, "pool:btcusdt:capital")
