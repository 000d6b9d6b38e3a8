"""Help for tests of the ledger: short commands, and a page on which they are posted."""

from __future__ import annotations

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import LedgerRefusal, LedgerTransaction, Leg
from poolmaker.business.ledger.rules import (
    BlockedCommand,
    LedgerState,
    PostingDecision,
    Verdict,
    apply,
    decide,
    kind_of,
    trial_balance,
)
from poolmaker.kernel.ids import (
    MAIN_LEDGER,
    CommandKey,
    OrderId,
    PoolId,
    UserId,
    VenueAccountId,
    WithdrawalId,
)
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Money, Rate, encode

BTC = Asset("BTC", 8)
USDT = Asset("USDT", 6)
BNB = Asset("BNB", 8)
VENUE = VenueAccountId("acc")
PLACE = "custody:venue:acc"
STREAM = "account:acc"
ALICE, BOB = UserId("alice"), UserId("bob")
ORDER, OTHER = OrderId("o1"), OrderId("o2")
POOL = PoolId("p1")
START_US = 1_700_000_000_000_000
PRICE = Rate(numerator=500, denominator=1)
"""Atomic USDT for an atomic BTC: 50,000 USDT for one BTC."""


def btc(units: int) -> Money:
    return Money(asset="BTC", units=units)


def usdt(units: int) -> Money:
    return Money(asset="USDT", units=units)


def bnb(units: int) -> Money:
    return Money(asset="BNB", units=units)


def key(text: str) -> CommandKey:
    return CommandKey(text)


def deposit(name: str, money: Money, user: UserId = ALICE, location: str = PLACE) -> c.Command:
    return c.CreditDeposit(
        key=key(name), user=user, location=location, money=money, reference=f"ref {name}"
    )


def operator_in(name: str, money: Money) -> c.Command:
    return c.OperatorIn(key=key(name), location=PLACE, money=money, reference="r")


def lock(name: str, *money: Money, order: OrderId = ORDER, user: UserId = ALICE) -> c.Command:
    return c.Lock(key=key(name), user=user, order=order, money=money)


def unlock(name: str, *money: Money, order: OrderId = ORDER, user: UserId = ALICE) -> c.Command:
    return c.Unlock(key=key(name), user=user, order=order, money=money)


def hold(name: str, money: Money, user: UserId = ALICE, withdrawal: str = "w1") -> c.Command:
    return c.HoldWithdraw(
        key=key(name), user=user, withdrawal=WithdrawalId(withdrawal), money=money
    )


def join(
    name: str,
    base: int,
    quote: int,
    *,
    order: OrderId = ORDER,
    pool: PoolId = POOL,
    account: VenueAccountId = VENUE,
    mid: Rate = PRICE,
    twap: Rate | None = None,
    price_time_us: int = START_US,
    cost_cbps: int = 0,
    first_min: int = 1,
    floor: int = 0,
    facts_seq: int = 0,
    stream: str = "",
) -> c.JoinPoolV1:
    return c.JoinPoolV1(
        key=key(name),
        order=order,
        pool=pool,
        account=account,
        base=btc(base),
        quote=usdt(quote),
        mid=mid,
        twap_60s=twap or mid,
        book_version=1,
        price_time_us=price_time_us,
        price_age_max_us=2_000_000,
        join_cost_cbps=cost_cbps,
        first_join_min=usdt(first_min),
        nav_floor=usdt(floor),
        stream=stream or f"account:{account}",
        barrier_seq=facts_seq + 1,
        facts_seq=facts_seq,
    )


def leave(
    name: str,
    shares: int,
    *,
    order: OrderId = ORDER,
    exit_id: str = "e1",
    pool: PoolId = POOL,
    stay_min_us: int = 0,
    facts_seq: int = 0,
    barrier_us: int = START_US,
    stream: str = STREAM,
) -> c.LeavePoolV1:
    return c.LeavePoolV1(
        key=key(name),
        order=order,
        pool=pool,
        exit_id=exit_id,
        shares=shares,
        stay_min_us=stay_min_us,
        stream=stream,
        barrier_seq=facts_seq + 1,
        facts_seq=facts_seq,
        barrier_venue_time_us=barrier_us,
    )


def prices(
    mid: Rate | None = PRICE,
    *,
    twap: Rate | None = None,
    bid: Rate | None = None,
    ask: Rate | None = None,
    depth: tuple[int, int] = (10**15, 10**15),
    fee_ppm: int | None = None,
    at_us: int = START_US,
) -> c.DealingPrices:
    """Prices of a barrier; what is not given is as the mid."""
    return c.DealingPrices(
        mid=mid,
        twap_60s=twap or mid,
        bid_depth=bid or mid,
        ask_depth=ask or mid,
        depth_base_units=depth[0],
        depth_quote_units=depth[1],
        taker_fee_ppm=fee_ppm,
        rules_version=1,
        book_version=1,
        price_time_us=at_us,
    )


def join_terms(**given: int) -> c.JoinTerms:
    """Terms of a join, without any bound but those that are given."""
    none = dict.fromkeys(c.JoinTerms.__struct_fields__, 0)
    return c.JoinTerms(
        **none | {"price_age_max_us": 2_000_000, "divergence_max_ppm": 10_000} | given
    )


def join_v2(
    name: str,
    base: int,
    quote: int,
    at: c.DealingPrices | None = None,
    *,
    order: OrderId = ORDER,
    pool: PoolId = POOL,
    account: VenueAccountId = VENUE,
    unknown: int = 0,
    unpriced: int = 0,
    shares_min: int = 0,
    facts_seq: int = 0,
    barrier_seq: int = 0,
    stream: str = "",
    **terms: int,
) -> c.JoinPool:
    """A join at a barrier whose prices are ``at``; None: it named no price."""
    return c.JoinPool(
        key=key(name),
        order=order,
        pool=pool,
        account=account,
        base=btc(base),
        quote=usdt(quote),
        prices=at,
        unknown_orders=unknown,
        unpriced_fees=unpriced,
        terms=join_terms(**terms),
        shares_min=shares_min,
        stream=stream or f"account:{account}",
        barrier_seq=barrier_seq or facts_seq + 1,
        facts_seq=facts_seq,
    )


def leave_v2(
    name: str,
    shares: int,
    *,
    order: OrderId = ORDER,
    exit_id: str = "e1",
    pool: PoolId = POOL,
    at: c.DealingPrices | None = None,
    stay_min_us: int = 0,
    holding_min: int = 0,
    facts_seq: int = 0,
    barrier_us: int = START_US,
    stream: str = STREAM,
) -> c.LeavePool:
    """A leave at a barrier."""
    return c.LeavePool(
        key=key(name),
        order=order,
        pool=pool,
        exit_id=exit_id,
        shares=shares,
        prices=at,
        terms=c.LeaveTerms(version=0, stay_min_us=stay_min_us, holding_min=holding_min),
        stream=stream,
        barrier_seq=facts_seq + 1,
        facts_seq=facts_seq,
        barrier_venue_time_us=barrier_us,
    )


def settle(
    name: str,
    *,
    exit_id: str = "e1",
    order: OrderId = ORDER,
    base_risk: int = 0,
    quote_risk: int = 0,
    final: bool = True,
) -> c.Command:
    return c.SettleExit(
        key=key(name),
        order=order,
        exit_id=exit_id,
        base_at_risk_units=base_risk,
        quote_at_risk_units=quote_risk,
        final=final,
    )


def fill(
    name: str,
    side: Side,
    base: int,
    quote: int,
    *,
    seq: int = 1,
    pool: str = POOL,
    venue_us: int = START_US + 1,
    account: VenueAccountId = VENUE,
) -> c.Fill:
    return c.Fill(
        key=key(name),
        pool=PoolId(pool),
        account=account,
        side=side,
        base=btc(base),
        quote=usdt(quote),
        venue_time_us=venue_us,
        stream=f"account:{account}",
        stream_seq=seq,
    )


def fee(name: str, money: Money, *, seq: int = 1, venue_us: int = START_US + 1) -> c.TradeFee:
    return c.TradeFee(
        key=key(name),
        pool=POOL,
        account=VENUE,
        money=money,
        venue_time_us=venue_us,
        stream=STREAM,
        stream_seq=seq,
    )


def recharge(name: str, units: int, rate: Rate, *, seq: int = 1) -> c.RechargeFee:
    return c.RechargeFee(
        key=key(name),
        pool=POOL,
        account=VENUE,
        fee=bnb(units),
        quote_asset="USDT",
        rate=rate,
        venue_time_us=START_US + 1,
        stream=STREAM,
        stream_seq=seq,
    )


def reversal(name: str, reverses: str) -> c.Command:
    return c.Reversal(key=key(name), reverses=key(reverses), reason="reorg")


class Page:
    """Books on which commands are posted one after another, without a store."""

    def __init__(self, *assets: Asset) -> None:
        self.books = LedgerState()
        for asset in assets or (BTC, USDT, BNB):
            self.books.assets[asset.code] = asset
        self.now_us = START_US
        self.log: dict[CommandKey, LedgerTransaction] = {}

    def say(self, command: c.Command) -> Verdict:
        """What the rules say, without applying it."""
        if isinstance(command, c.Reversal):
            found = self.log.get(command.reverses)
            self.books.recalled = {command.reverses: found} if found else {}
        return decide(self.books, command, self.now_us)

    def post(self, *commands: c.Command) -> Verdict:
        """Apply each; the verdict of the last. A fact must be booked."""
        verdict: Verdict = LedgerRefusal.UNKNOWN_TRANSACTION
        for command in commands:
            verdict = self.say(command)
            if isinstance(verdict, PostingDecision):
                apply(self.books, verdict)
                self.now_us += 1
                self._remember(command, verdict.legs)
        return verdict

    def must(self, *commands: c.Command) -> None:
        """Post commands that are all applied."""
        for command in commands:
            verdict = self.post(command)
            assert isinstance(verdict, PostingDecision), (command, verdict)

    def _remember(self, command: c.Command, legs: tuple[Leg, ...]) -> None:
        seq = len(self.log) + 1
        self.log[command.key] = LedgerTransaction(
            MAIN_LEDGER, seq, command.key, kind_of(command), self.now_us, encode(command), legs
        )

    def balance(self, account: str, asset: str) -> int:
        return self.books.balance(account, asset)

    def page(self) -> dict[str, dict[str, int]]:
        """Every account that is not empty: account -> asset -> normal balance."""
        page: dict[str, dict[str, int]] = {}
        for account, asset in sorted(self.books.balances):
            page.setdefault(account, {})[asset] = self.books.balance(account, asset)
        return page

    def balanced(self) -> bool:
        return not any(row.difference for row in trial_balance(self.books))


def refused(verdict: Verdict) -> LedgerRefusal:
    assert isinstance(verdict, LedgerRefusal), verdict
    return verdict


def stuck(verdict: Verdict) -> BlockedCommand:
    assert isinstance(verdict, BlockedCommand), verdict
    return verdict


def started_page(quote: int = 1_000_000_000, base: int = 100_000_000) -> Page:
    """Alice has money at the venue, half of it locked for her order; nobody has joined."""
    page = Page()
    page.must(
        deposit("d-usdt", usdt(quote)),
        deposit("d-btc", btc(base)),
        lock("l1", usdt(quote // 2), btc(base // 2)),
    )
    return page


def pooled_page() -> Page:
    """As ``started_page``, and Alice's order has joined with 1,000,000 BTC and 500,000,000 USDT."""
    page = started_page()
    page.must(join("j1", 1_000_000, 500_000_000))
    return page
