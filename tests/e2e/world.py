"""A made-up platform in memory: it implements every port of the surfaces and moves when told to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from poolmaker.api.access import ROLE_SCOPES, Role, Scope
from poolmaker.api.ports import (
    ActionReceipt,
    ActionRefused,
    BearableView,
    Claim,
    Incoming,
    NewOrder,
    NewPayout,
    OutgoingDecision,
    OwnMoney,
    Platform,
    UnlistedReturn,
    WithdrawalDestination,
)
from poolmaker.api.tokens import NewToken, Principal, TokenView
from poolmaker.infra.approvals.model import (
    APPROVAL_TABLE,
    Approval,
    ApprovalAsk,
    ApprovalGranted,
    ApprovalPending,
    ApprovalRefusal,
    ApprovalRefused,
    ApprovalState,
    ApprovalStep,
    Approver,
)
from poolmaker.infra.approvals.rules import approving, canonical, is_open
from poolmaker.kernel.clock import DAY_US, SECOND_US, Clock, ManualClock
from poolmaker.kernel.ids import ApprovalId, Ids, OrderId, PoolId, UserId
from poolmaker.kernel.money import format_units, parse_units
from poolmaker.kernel.rng import Rng
from poolmaker.views.custody import CustodyIncidentView, UnlistedView
from poolmaker.views.model import (
    Act,
    ActivityView,
    AmountView,
    AssetView,
    BalanceView,
    BarPart,
    Check,
    CustodyLine,
    CustodyLocation,
    DepthLevel,
    Entry,
    FillView,
    HealthView,
    MarketLive,
    MarketPoint,
    MoneyBarPart,
    OrderProfitView,
    OrderView,
    OwnOrder,
    Page,
    PoolProfitView,
    PoolView,
    SideGate,
    StatementView,
    Step,
    TrialBalance,
    TrialLine,
    UserView,
    WalletClaimView,
    WithdrawalView,
    WorldMode,
)
from poolmaker.web.ports import PageContext
from tests.e2e.attention import FakeAttention, FakeInterventions
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
    working: set[tuple[str, str]] = field(default_factory=set)

    async def claim(self, caller: str, key: str, fingerprint: bytes, fresh_id: str) -> Claim:
        stored, claim = self.rows.setdefault(
            (caller, key), (fingerprint, Claim(fresh_id, same=True, answer=None, is_mine=False))
        )
        same = stored == fingerprint
        is_mine = same and claim.answer is None and (caller, key) not in self.working
        if is_mine:
            self.working.add((caller, key))
        return replace(claim, same=same, is_mine=is_mine)

    async def answered(self, caller: str, key: str, status: int, body: bytes) -> None:
        stored, claim = self.rows[caller, key]
        if claim.answer is None:
            self.rows[caller, key] = (stored, replace(claim, answer=(status, body)))

    async def given_up(self, caller: str, key: str, made_id: str) -> None:
        self.working.discard((caller, key))

    async def forget(self, before_us: int, limit: int) -> int:
        return 0


@dataclass
class FakePeople:
    clock: Clock
    ids: Ids
    people: dict[str, UserView] = field(default_factory=dict)
    made: dict[str, UserView] = field(default_factory=dict)
    granted: dict[str, NewToken] = field(default_factory=dict)
    revoked: dict[str, int] = field(default_factory=dict)
    staff: dict[bytes, Principal] = field(default_factory=dict)
    claimed: list[tuple[str, str]] = field(default_factory=list)

    async def create(self, request_id: str, name: str, mixin_id: str) -> UserView | ActionRefused:
        if request_id not in self.made:
            if any(user.name == name for user in self.people.values()):
                return ActionRefused("name_taken", {"name": name})
            if any(user.mixin_id == mixin_id for user in self.people.values()):
                return ActionRefused("mixin_id_taken")
            user = UserView(self.ids.user(), name, self.clock.now_us(), mixin_id)
            self.made[request_id] = self.people[user.user_id] = user
        return self.made[request_id]

    async def users(self, after: str, limit: int) -> Sequence[UserView]:
        found = sorted(self.people.values(), key=lambda user: user.user_id)
        return [user for user in found if user.user_id > after][:limit]

    async def user(self, user_id: UserId) -> UserView | None:
        return self.people.get(user_id)

    async def claim_wallet(self, user_id: UserId, mixin_id: str) -> WalletClaimView | ActionRefused:
        user = self.people.get(user_id)
        if user is None:
            return ActionRefused("unknown_user")
        if user.mixin_id:
            return ActionRefused("wallet_taken")
        self.claimed.append((user_id, mixin_id))
        return WalletClaimView(user_id, mixin_id, "trace", "memo", "https://mixin.one/pay", 1)

    async def disable(self, user_id: UserId, *, disabled: bool) -> UserView | ActionRefused:
        if user_id not in self.people:
            return ActionRefused("unknown_user")
        at_us = self.clock.now_us() if disabled else 0
        self.people[user_id] = replace(self.people[user_id], disabled_at_us=at_us)
        return self.people[user_id]

    # -------------------------------------------------------------------------------- tokens

    async def grant(self, token: NewToken) -> None:
        if token.token_id not in self.revoked:
            self.granted[token.token_id] = token

    def filed(self, token_hash: bytes) -> Principal | None:
        return self.staff.get(token_hash)

    async def principal(self, token_hash: bytes) -> Principal | None:
        if token_hash in self.staff:
            return self.staff[token_hash]
        for one in self.granted.values():
            if one.token_hash == token_hash and self._lives(one):
                return Principal(
                    role=one.role,
                    name=one.name,
                    user_id=one.user_id,
                    scopes=one.scopes,
                    token_id=one.token_id,
                    expires_us=one.expires_us,
                    binds_wallet=one.binds_wallet,
                )
        return None

    def _lives(self, token: NewToken) -> bool:
        return token.token_id not in self.revoked and token.expires_us > self.clock.now_us()

    async def token(self, token_id: str) -> TokenView | None:
        one = self.granted.get(token_id)
        if one is None:
            return None
        return TokenView(
            token_id=token_id,
            role=one.role,
            name=one.name,
            user_id=one.user_id or "",
            scopes=tuple(sorted(one.scopes)),
            granted_at_us=0,
            expires_at_us=one.expires_us,
            revoked_at_us=self.revoked.get(token_id, 0),
            granted_by=one.granted_by,
        )

    async def tokens(self, user_id: UserId | None, after: str, limit: int) -> list[TokenView]:
        mine = [one for one in self.granted.values() if user_id in (None, one.user_id)]
        ids = sorted(one.token_id for one in mine if one.token_id > after)[:limit]
        return [seen for one in ids if (seen := await self.token(one)) is not None]

    async def alive(self, token_ids: frozenset[str]) -> frozenset[str]:
        living = {one.token_id for one in self.granted.values() if self._lives(one)}
        return token_ids & (living | {one.token_id for one in self.staff.values()})

    async def revoke(self, token_id: str) -> None:
        self.revoked.setdefault(token_id, self.clock.now_us())

    async def revoke_all(self, user_id: UserId) -> None:
        for one in self.granted.values():
            if one.user_id == user_id:
                await self.revoke(one.token_id)

    async def approvers(self) -> frozenset[str]:
        living = [one for one in self.granted.values() if self._lives(one)]
        found: list[Principal | NewToken] = [*self.staff.values(), *living]
        return frozenset(one.name for one in found if Scope.APPROVE in one.scopes)

    async def unvouched(self) -> frozenset[tuple[str, str]]:
        staff = (one for one in self.granted.values() if one.role is not Role.USER)
        return frozenset((one.name, one.granted_by) for one in staff if not one.vouched)


@dataclass
class FakeApprovals:
    """Approvals in a list; the rules are those of ``infra.approvals``."""

    clock: Clock
    ids: Ids
    rows: dict[ApprovalId, Approval] = field(default_factory=dict)

    async def permit(
        self, ask: ApprovalAsk, approver: Approver
    ) -> ApprovalGranted | ApprovalPending:
        body = canonical(ask.body)
        for row in self.rows.values():
            same = (row.action, row.subject, row.body) == (ask.action, ask.subject, body)
            if same and row.used_for == ask.request_id:
                return ApprovalGranted(row)
            if same and is_open(row.state):
                return self._used(row, ask, approver)
        made = Approval(
            id=self.ids.approval(),
            action=ask.action,
            subject=ask.subject,
            body=body,
            state=ApprovalState.WAITING,
            requested_by=approver.name,
            requested_us=self.clock.now_us(),
        )
        self.rows[made.id] = made
        return ApprovalPending(made)

    def _used(
        self, row: Approval, ask: ApprovalAsk, approver: Approver
    ) -> ApprovalGranted | ApprovalPending:
        said = approving(row, approver, self.clock.now_us(), DAY_US)
        allowed = APPROVAL_TABLE.next(ApprovalState.WAITING, said) is ApprovalState.APPROVED
        if row.state is ApprovalState.WAITING and not allowed:
            return ApprovalPending(row)
        used = replace(
            row,
            state=ApprovalState.USED,
            approved_by=row.approved_by or approver.name,
            used_for=ask.request_id,
        )
        self.rows[row.id] = used
        return ApprovalGranted(used)

    async def granted(self, request_id: str, action: str, subject: str) -> Approval | None:
        asked = (request_id, action, subject)
        found = (row for row in self.rows.values() if asked == (row.used_for, *_named(row)))
        return next(found, None)

    async def approve(
        self, approval_id: ApprovalId, approver: Approver
    ) -> Approval | ApprovalRefused:
        row = self.rows.get(approval_id)
        if row is None:
            return ApprovalRefused(ApprovalRefusal.UNKNOWN)
        if approver.may_be(row.requested_by):
            return ApprovalRefused(ApprovalRefusal.SAME_PERSON)
        self.rows[row.id] = replace(
            row, state=ApprovalState.APPROVED, approved_by=approver.name, approved_us=1
        )
        return self.rows[row.id]

    async def cancel(
        self, approval_id: ApprovalId, approver: Approver
    ) -> Approval | ApprovalRefused:
        row = self.rows.get(approval_id)
        if row is None:
            return ApprovalRefused(ApprovalRefusal.UNKNOWN)
        self.rows[row.id] = replace(row, state=ApprovalState.CANCELLED)
        return self.rows[row.id]

    async def page(
        self, after: ApprovalId, limit: int, *, ended: bool = False
    ) -> Sequence[Approval]:
        found = [row for row in self.rows.values() if row.id > after]
        return [row for row in found if ended or is_open(row.state)][:limit]

    async def history(self, approval_id: ApprovalId) -> Sequence[ApprovalStep]:
        return ()


@dataclass
class FakeLimits:
    """Whole units of any asset that one person may move alone; ``taken`` by request."""

    limits: dict[str, int]
    taken: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    async def take(self, limit: str, money: AmountView, request_id: str, by: str) -> bool:
        if (limit, request_id) in self.taken:
            return True
        spent = sum(units for (name, _), units in self.taken.items() if name == limit)
        if spent + Decimal(money.amount) > self.limits[limit]:
            return False
        self.taken[limit, request_id] = Decimal(money.amount)
        return True

    async def settle(
        self, limit: str, money: AmountView, request_id: str, by: str, *, done: bool
    ) -> None:
        if not done:
            self.taken.pop((limit, request_id), None)


def _named(row: Approval) -> tuple[str, str]:
    return row.action, row.subject


def staff(role: Role) -> Principal:
    return Principal(role, role.value, None, ROLE_SCOPES[role], f"file-{role}")


class FakeOutgoing:
    """Payments in doubt: ``wd_1`` waits for a person, and so does the chain's ``aa…``."""

    def __init__(self) -> None:
        self.decided: list[OutgoingDecision] = []
        self.acted: list[tuple[str, str]] = []
        self.sending = 1

    async def undecided(self, decision: OutgoingDecision) -> int | ActionRefused:
        return self.sending if decision.payment_id == "wd_1" else ActionRefused("unknown_payment")

    async def decide(self, decision: OutgoingDecision) -> ActionRefused | None:
        if decision.payment_id != "wd_1":
            return ActionRefused("unknown_payment")
        self.decided.append(decision)
        return None

    async def act_on_chain(self, reference: str, action: str) -> ActionRefused | None:
        if reference != "aa" * 16:
            return ActionRefused("unknown_payment")
        self.acted.append((reference, action))
        return None


class FakeWorld(Outside):
    """Treasury, orders, reading, live and stage of a small invented market."""

    def __init__(self, clock: Clock | None = None, seed: int = 7) -> None:
        self.clock = clock or ManualClock(START_US)
        self.rng = Rng(seed)
        self.ids = Ids(self.clock, self.rng.fork("ids"))
        self.people = FakePeople(self.clock, self.ids)
        self.requests = FakeRequests()
        self.stopping = asyncio.Event()
        self.attending = FakeAttention()
        self.mending = FakeInterventions()
        self.mid = 61_250_00
        self.base_units = 41_250_000
        self.points: list[MarketPoint] = []
        self.fill_rows: list[FillView] = []
        self.rows: list[ActivityView] = []
        self.order_rows: dict[str, OrderView] = {}
        self.told: Act | None = None
        self.difference = "0"
        self.reported_off = "0"
        self.gate = "none"
        self.calls: list[tuple[str, object]] = []
        self.refuse: ActionRefused | None = None
        self.unconfirmed: set[str] = set()
        Outside.__init__(self)
        self.people.staff = {
            digest(OPERATOR_TOKEN): staff(Role.OPERATOR),
            digest(VIEWER_TOKEN): staff(Role.VIEWER),
            digest(TREASURER_TOKEN): staff(Role.TREASURER),
        }
        self.alone = FakeLimits({"operator_out": 100, "bear_deficit": 1})
        self.missing, self.borne = "7", 0
        self.approvals = FakeApprovals(self.clock, self.ids)
        self.outgoing = FakeOutgoing()

    def platform(self, mode: WorldMode = WorldMode.SANDBOX) -> Platform:
        return Platform(
            mode=mode,
            clock=self.clock,
            ids=self.ids,
            rng=self.rng.fork("tokens"),
            tokens=self.people,
            requests=self.requests,
            people=self.people,
            treasury=self,
            orders=self,
            payouts=self,
            outgoing=self.outgoing,
            approvals=self.approvals,
            alone=self.alone,
            reading=self,
            attention=self.attending,
            interventions=self.mending.interventions(),
            live=self,
            stage=self,
            stopping=self.stopping,
        )

    def showing(self, mode: WorldMode = WorldMode.SANDBOX) -> PageContext:
        return PageContext(
            mode=mode,
            clock=self.clock,
            reading=self,
            live=self,
            attention=self.attending,
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
        money: dict[str, tuple[AmountView, ...]] = {"what": (AmountView("USDT", "9000"),)}
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
        base = AmountView("BTC", format_units(lots, 5))
        quote = AmountView("USDT", format_units(price * lots, 7))
        row = FillView(seq, POOL, at_us, side, _two(price), base, quote, True, f"t{seq}")
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
        sums: dict[str, tuple[AmountView, ...]],
        legs: Sequence[tuple[str, str, str]],
    ) -> int:
        seq = len(self.rows) + 1
        entries = tuple(
            Entry(seq, at_us, kind, f"key:{seq}", account, asset, amount, None)
            for account, asset, amount in legs
        )
        self.rows.append(ActivityView(seq, at_us, kind, f"key:{seq}", facts, sums, entries))
        return seq

    def _people(self, now: int) -> None:
        for name in ("ada", "bo", "cy"):
            user = UserView(f"us_{name}", name, now, f"wallet-of-{name}")
            self.people.people[user.user_id] = user
        ada = self._order("us_ada", "ada", "uo_ada", "IN_MM", now - 70 * SECOND_US)
        cy = self._order("us_cy", "cy", "uo_cy", "CREATED", now - 12 * SECOND_US)
        self.order_rows[cy.order_id] = replace(
            cy, steps=cy.steps[:1], waiting_for="", deposit=self.awaited(now), deposited=()
        )
        bo = self._order("us_bo", "bo", "uo_bo", "WITHDRAW", now - 64 * SECOND_US)
        self.order_rows[ada.order_id] = replace(
            ada,
            shares="18250.400000",
            value=AmountView("USDT", "18262.91"),
            result=AmountView("USDT", "12.51"),
            profit=OrderProfitView(
                AmountView("USDT", "12.51"),
                (AmountView("USDT", "2.00"),),
                (AmountView("HMT", "4.75"),),
            ),
            bar=(
                _part(MoneyBarPart.IN_POOL, "18262.91", ("BTC", "0.15"), ("USDT", "9075.41")),
                _part(MoneyBarPart.AVAILABLE, "500", ("USDT", "500")),
            ),
        )
        self.order_rows[bo.order_id] = replace(
            bo,
            shares="0",
            value=AmountView("USDT", "6122.10"),
            result=AmountView("USDT", "-2.04"),
            profit=OrderProfitView(
                AmountView("USDT", "-2.04"),
                (AmountView("BTC", "0.00001"), AmountView("USDT", "3.00")),
                (),
            ),
            waiting_for="order.exit:evidence",
            paid_out=(AmountView("USDT", "2000.00"),),
            bar=(
                _part(MoneyBarPart.LEAVING, "3061.05", ("BTC", "0.05")),
                _part(MoneyBarPart.ON_THE_WAY, "3061.05", ("USDT", "3061.05")),
            ),
        )

    def _order(self, user: str, name: str, order: str, state: str, at_us: int) -> OrderView:
        states = ["CREATED", "LOCKED", "FUNDING", "IN_MM"]
        steps = tuple(
            Step(s, at_us + i * 2 * SECOND_US, "user" if i in (0, 4) else "system", i + 1)
            for i, s in enumerate(states + ([state] if state != "IN_MM" else []))
        )
        return OrderView(
            order,
            user,
            name,
            POOL,
            state,
            "",
            at_us,
            (AmountView("BTC", "0.15"), AmountView("USDT", "9000")),
            (),
            "0",
            None,
            None,
            (),
            steps,
            asked=(AmountView("BTC", "0.15"), AmountView("USDT", "9000")),
            profit=OrderProfitView(AmountView("USDT", "0.00"), (), ()),
        )

    # ------------------------------------------------------------------------------ treasury

    async def operator_in(
        self, incoming: Incoming, *, second_person: bool = False
    ) -> ActionReceipt | ActionRefused:
        if incoming.reference in self.unconfirmed and not second_person:
            return ActionRefused("not_confirmed")
        return self._received("OPERATOR_IN", incoming, "platform:equity")

    async def credit_deposit(
        self, user_id: UserId, incoming: Incoming, *, second_person: bool = False
    ) -> ActionReceipt | ActionRefused:
        if incoming.reference in self.unconfirmed and not second_person:
            return ActionRefused("not_confirmed")
        return self._received("CREDIT_DEPOSIT", incoming, f"user:{user_id}:available")

    async def operator_out(self, location: str, own: OwnMoney) -> ActionReceipt | ActionRefused:
        return self._moved("OPERATOR_OUT", (location, own))

    async def settle(self, account: str, own: OwnMoney) -> ActionReceipt | ActionRefused:
        return self._moved("SETTLE_FEES", (account, own))

    async def trade_float(
        self, own: OwnMoney, *, into_float: bool
    ) -> ActionReceipt | ActionRefused:
        return self._moved("FLOAT_TRADE.v2", (own, into_float))

    async def reverse(
        self, request_id: str, seq: int, reason: str
    ) -> ActionReceipt | ActionRefused:
        return self._moved("REVERSAL", (request_id, seq, reason))

    async def bearable(self, incident: str) -> BearableView | ActionRefused:
        return BearableView(AmountView("USDT", self.missing), self.borne + 1)

    async def bear(
        self, request_id: str, incident: str, what: BearableView
    ) -> ActionReceipt | ActionRefused:
        self.borne += 1
        return self._moved("BEAR_SHORTFALL", (incident, what))

    def _moved(self, kind: str, asked: object) -> ActionReceipt | ActionRefused:
        self.calls.append((kind, asked))
        return self.refuse or ActionReceipt("r", 1, self.clock.now_us())

    async def incidents(self) -> Sequence[CustodyIncidentView]:
        return ()

    async def take(self, incident: str, by: str) -> CustodyIncidentView | ActionRefused:
        self.calls.append(("take", (incident, by)))
        return ActionRefused("unknown_incident")

    async def unlisted(self, after: str, limit: int) -> Sequence[UnlistedView]:
        return ()

    async def next_return(self, asset_id: str, sender: str) -> int | ActionRefused:
        return 1

    async def return_unlisted(self, wish: UnlistedReturn) -> UnlistedView | ActionRefused:
        self.calls.append(("return_unlisted", wish))
        return ActionRefused("nothing_to_return", {"asset": wish.asset_id})

    def _received(
        self, kind: str, incoming: Incoming, account: str
    ) -> ActionReceipt | ActionRefused:
        self.calls.append((kind, incoming))
        if self.refuse:
            return self.refuse
        now, money = self.clock.now_us(), incoming.money
        legs = (
            (incoming.location, money.asset, money.amount),
            (account, money.asset, money.amount),
        )
        seq = self._happened(now, kind, {"who": account}, {"what": (money,)}, legs)
        return ActionReceipt(incoming.request_id, seq, now)

    # -------------------------------------------------------------------------------- orders

    async def open(self, order: NewOrder) -> OrderView | ActionRefused:
        self.calls.append(("open", order))
        if self.refuse:
            return self.refuse
        user = await self.people.user(order.user_id)
        name, order_id = user.name if user else "", f"uo_{order.request_id}"
        row = self._order(order.user_id, name, order_id, "IN_MM", self.clock.now_us())
        return self.order_rows.setdefault(order_id, row)

    async def request(self, payout: NewPayout) -> WithdrawalView | ActionRefused:
        self.calls.append(("payout", payout))
        if self.refuse:
            return self.refuse
        return WithdrawalView(
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
    ) -> OrderView | ActionRefused:
        return self._wish("pause", order_id, "PAUSE")

    async def resume(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ActionRefused:
        return self._wish("resume", order_id, "FUNDING")

    async def take_back(
        self, user_id: UserId, order_id: OrderId, request_id: str
    ) -> OrderView | ActionRefused:
        return self._wish("take_back", order_id, "IN_MM")

    async def withdraw(
        self,
        user_id: UserId,
        order_id: OrderId,
        payout: Sequence[WithdrawalDestination],
        request_id: str,
    ) -> OrderView | ActionRefused:
        return self._wish("withdraw", order_id, "WITHDRAW")

    def _wish(self, wish: str, order_id: OrderId, state: str) -> OrderView | ActionRefused:
        self.calls.append((wish, order_id))
        if self.refuse:
            return self.refuse
        self.order_rows[order_id] = replace(self.order_rows[order_id], state=state)
        return self.order_rows[order_id]

    # ------------------------------------------------------------------------------- reading

    async def assets(self) -> Sequence[AssetView]:
        return (AssetView("BTC", 8, 6), AssetView("HMT", 18, 4), AssetView("USDT", 8, 2))

    async def pools(self) -> Sequence[PoolView]:
        nav = format_units(
            25_312_42_000_000 + (self.base_units - 41_250_000) * self.mid // 100_000, 8
        )
        return (
            PoolView(
                pool_id=POOL,
                name="BTC/USDT",
                symbol="BTC/USDT",
                venue_account="main",
                state="OPEN",
                epoch=1,
                base=AmountView("BTC", format_units(self.base_units, 8)),
                quote=AmountView("USDT", "12630.11000000"),
                exits=(),
                shares="25250.400000",
                holders=2,
                nav=AmountView("USDT", nav),
                share_price="1.002471",
                inventory_ppm=self.points[-1].inventory_ppm if self.points else None,
                target_ppm=500_000,
                band_ppm=300_000,
                fills=len(self.fill_rows),
                profit=PoolProfitView(AmountView("USDT", "31.02"), (AmountView("USDT", "6.21"),)),
            ),
        )

    async def balances(
        self, user_id: UserId | None, after: str, limit: int
    ) -> Sequence[BalanceView]:
        return (BalanceView(user_id or "us_ada", "USDT", "500.00", "0", "0"),)

    async def statement(self, user_id: UserId, after: int, limit: int) -> StatementView:
        page = await self.account(f"user:{user_id}:available", after, limit)
        return StatementView(
            page.entries, page.next_after, tuple(await self.orders(user_id, "", 100))
        )

    async def account(self, account: str, after: int, limit: int) -> Page:
        found = [e for row in self.rows for e in row.entries if e.account == account]
        rest = [entry for entry in found if entry.seq > after]
        more = rest[limit - 1].seq if len(rest) > limit else None
        return Page(tuple(rest[:limit]), more)

    async def transaction(self, seq: int) -> ActivityView | None:
        return self.rows[seq - 1] if 0 < seq <= len(self.rows) else None

    async def trial_balance(self) -> TrialBalance:
        base = format_units(self.base_units, 8)
        held, owed = CustodyLocation("venue", "held", base), CustodyLocation("pools", "owed", base)
        usdt_owed = (
            CustodyLocation("users", "owed", "500.00"),
            CustodyLocation("pools", "owed", "12630.11"),
            CustodyLocation("withdrawals", "owed", "3061.05"),
            CustodyLocation("platform", "owed", "1000.00"),
        )
        lines = (
            TrialLine("BTC", (held,), (owed,), base, base, "0"),
            TrialLine(
                "USDT",
                (
                    CustodyLocation("mixin", "held", "1000.00"),
                    CustodyLocation("transit", "held", "3061.05"),
                    CustodyLocation("venue", "held", "13130.11"),
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

    async def happenings_before(self, before: int, limit: int) -> Sequence[ActivityView]:
        return tuple(row for row in reversed(self.rows) if row.seq < before)[:limit]

    async def happenings(self, after: int, limit: int) -> Sequence[ActivityView]:
        return tuple(row for row in reversed(self.rows) if row.seq > after)[:limit]

    async def order(self, order_id: OrderId) -> OrderView | None:
        return self.order_rows.get(order_id)

    async def order_owner(self, order_id: OrderId) -> str | None:
        found = self.order_rows.get(order_id)
        return found.user_id if found is not None else None

    async def orders(self, user_id: UserId | None, before: str, limit: int) -> Sequence[OrderView]:
        mine = [o for o in self.order_rows.values() if user_id in (None, o.user_id)]
        return [o for o in mine if not before or o.order_id < before][:limit]

    async def health(self) -> HealthView:
        return HealthView(WorldMode.SANDBOX, "0.1.0", START_US, 0, (Check("database", ok=True),))

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

    async def fills(self, pool_id: PoolId, after: int, limit: int) -> Sequence[FillView]:
        return tuple(f for f in reversed(self.fill_rows) if f.seq > after)[:limit]

    def history(self, pool_id: PoolId) -> Sequence[MarketPoint]:
        return tuple(self.points)

    # --------------------------------------------------------------------------------- stage

    def act(self) -> Act | None:
        return self.told

    def tell(self, act: Act) -> None:
        self.told = act


def _part(part: MoneyBarPart, value: str, *amounts: tuple[str, str]) -> BarPart:
    money = tuple(AmountView(asset, amount) for asset, amount in amounts)
    return BarPart(part, money, value, "pool:btcusdt:capital")
