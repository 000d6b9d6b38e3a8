"""Random commands against the rules: what must hold after every one of them."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.accounts import may_go_below
from poolmaker.business.ledger.codec import decode_command, encode_command
from poolmaker.business.ledger.model import (
    GENESIS_HASH,
    LedgerHead,
    LedgerRefusal,
    LedgerTransaction,
    Posted,
    Posting,
    PostingRefused,
    StoredAnswer,
    Unbookable,
)
from poolmaker.business.ledger.proposal import BatchBuilder, EncodedCommand, StoppedStreams
from poolmaker.business.ledger.rules import (
    LedgerState,
    books_of,
    image_of,
    link,
    net_asset_value,
    trial_balance,
    users_surplus,
)
from poolmaker.business.ledger.rules.shares import Holding, joined_shares, left_part
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, OrderId, PoolId, UserId, WithdrawalId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Ratio
from poolmaker.messages.base import Money, Rate
from tests.support.ledger import (
    BNB,
    BTC,
    PLACE,
    POOL,
    START_US,
    STREAM,
    USDT,
    VENUE,
    join,
    join_v2,
    leave,
    leave_v2,
    settle,
)
from tests.support.ledger import prices as dealing

ORDERS = {OrderId(f"o{n}"): UserId(f"u{n % 2}") for n in range(3)}
orders = st.sampled_from(sorted(ORDERS))
units = st.integers(min_value=-1, max_value=2_000_000)
parts = st.integers(min_value=0, max_value=1000)
prices = st.builds(
    Rate, numerator=st.integers(min_value=1, max_value=900), denominator=st.integers(1, 3)
)


def _money(asset: str, count: int) -> Money:
    return Money(asset=asset, units=count)


class Books_(RuleBasedStateMachine):  # noqa: N801 - pytest shows the test case made from it
    """Everything goes through ``BatchBuilder``, as in the writer, one command per batch."""

    def __init__(self) -> None:
        super().__init__()
        self.books = LedgerState()
        self.books.assets = {asset.code: asset for asset in (BTC, USDT, BNB)}
        self.head = LedgerHead(1, 0, GENESIS_HASH, START_US)
        self.answers: dict[CommandKey, StoredAnswer] = {}
        self.stopped = StoppedStreams()
        self.log: list[Posting] = []
        self.names = 0
        self.stream_seq = 0
        self.barrier_us = START_US
        self.exits: list[tuple[OrderId, str]] = []

    def name(self) -> str:
        self.names += 1
        return f"k{self.names}"

    def say(self, command: c.Command) -> Posted | PostingRefused | Unbookable:
        asked = encode_command(command)
        proposal = BatchBuilder(self.books, self.head, self.answers, self.stopped)
        proposal.assets_are_fresh = True
        if isinstance(command, c.Reversal):
            self.books.recalled = {found.key: _transaction(found) for found in self.log}
        reply = proposal.take(asked, START_US)
        assert reply is not None
        batch = proposal.batch()
        if batch is not None:
            self.log += batch.postings
            self.head = proposal.head
        if command.key not in self.answers and not isinstance(reply, Unbookable):
            self.answers[command.key] = StoredAnswer(asked.body_hash, reply)
        return reply

    @initialize()
    def _fund(self) -> None:
        for order, user in ORDERS.items():
            for asset, count in (("USDT", 10**9), ("BTC", 10**7)):
                self.deposit(user, asset, count)
            moneys = (_money("USDT", 5 * 10**8), _money("BTC", 5 * 10**6))
            locking = c.Lock(key=CommandKey(self.name()), user=user, order=order, money=moneys)
            assert isinstance(self.say(locking), Posted)

    def deposit(self, user: UserId, asset: str, count: int) -> None:
        self.say(
            c.CreditDeposit(
                key=CommandKey(self.name()),
                user=user,
                location=PLACE,
                money=_money(asset, count),
                reference="r",
            )
        )

    @rule(order=orders, asset=st.sampled_from(["USDT", "BTC"]), count=units, back=st.booleans())
    def lock_or_unlock(self, order: OrderId, asset: str, count: int, back: bool) -> None:
        kind = c.Unlock if back else c.Lock
        key = CommandKey(self.name())
        self.say(kind(key=key, user=ORDERS[order], order=order, money=(_money(asset, count),)))

    @rule(order=orders, base=units, quote=units, mid=prices, twap=prices, cost=parts)
    def join_pool(
        self, order: OrderId, base: int, quote: int, mid: Rate, twap: Rate, cost: int
    ) -> None:
        before = self._per_share(mid)
        said = self.say(
            join(
                self.name(),
                base,
                quote,
                order=order,
                mid=mid,
                twap=twap,
                cost_cbps=cost,
                price_time_us=self.head.at_us,
                facts_seq=self.stream_seq,
            )
        )
        if isinstance(said, Posted):
            assert self._per_share(mid) >= before, "a join took value from the holders"
            for asset in ("BTC", "USDT"):
                claims = self.books.claims_at(VENUE, asset)
                assert claims <= self.books.balance(PLACE, asset), "ledger invariant 9"

    @rule(
        order=orders,
        base=units,
        quote=units,
        mid=prices,
        apart_ppm=st.integers(-8_000, 8_000),
        depth=st.sampled_from([(0, 0), (1_000, 10**6), (10**9, 10**9)]),
        cost=parts,
        priced=st.booleans(),
        least=st.sampled_from([0, 0, 1]),
    )
    def join_pool_v2(
        self,
        order: OrderId,
        base: int,
        quote: int,
        mid: Rate,
        apart_ppm: int,
        depth: tuple[int, int],
        cost: int,
        priced: bool,
        least: int,
    ) -> None:
        """At any price near the mid nobody who was there loses by a join."""
        twap = Rate(
            numerator=mid.numerator * (10**6 + apart_ppm), denominator=mid.denominator * 10**6
        )
        before = self._per_share(mid), self._per_share(twap)
        at = dealing(mid, twap=twap, depth=depth, at_us=self.head.at_us) if priced else None
        said = self.say(
            join_v2(
                self.name(),
                base,
                quote,
                at,
                order=order,
                facts_seq=self.stream_seq,
                shares_min=least,
                join_cost_min_ppm=cost,
            )
        )
        if isinstance(said, Posted):
            after = self._per_share(mid), self._per_share(twap)
            if self._issued() != self._shares(order):
                assert after[0] >= before[0], "a join took value from the holders"
                assert after[1] >= before[1], "a join took value from the holders"
            for asset in ("BTC", "USDT"):
                claims = self.books.claims_at(VENUE, asset)
                assert claims <= self.books.balance(PLACE, asset), "ledger invariant 9"

    @rule(
        order=orders,
        part=st.integers(min_value=1, max_value=1000),
        price=prices,
        least=st.sampled_from([0, 10**4]),
    )
    def leave_pool_v2(self, order: OrderId, part: int, price: Rate, least: int) -> None:
        """What stays is nothing or at least the minimum."""
        self.barrier_us += 10
        before, held = self._per_share(price), self._shares(order)
        exit_id = f"e{self.names}"
        command = leave_v2(
            self.name(),
            max(1, held * part // 1000),
            order=order,
            exit_id=exit_id,
            barrier_us=self.barrier_us,
            facts_seq=self.stream_seq,
            holding_min=least,
        )
        if isinstance(self.say(command), Posted):
            self.exits.append((order, exit_id))
            assert not 0 < self._shares(order) < least
            if self._issued():
                assert self._per_share(price) >= before, "a leave took value from the holders"

    @rule(order=orders, part=st.integers(min_value=1, max_value=1000), price=prices)
    def leave_pool(self, order: OrderId, part: int, price: Rate) -> None:
        self.barrier_us += 10
        before = self._per_share(price)
        held = self._shares(order)
        exit_id = f"e{self.names}"
        command = leave(
            self.name(),
            max(1, held * part // 1000),
            order=order,
            exit_id=exit_id,
            barrier_us=self.barrier_us,
            facts_seq=self.stream_seq,
        )
        if isinstance(self.say(command), Posted):
            self.exits.append((order, exit_id))
            if self._issued():
                assert self._per_share(price) >= before, "a leave took value from the holders"

    @rule(index=st.integers(0, 20), risk=units, final=st.booleans())
    def settle_exit(self, index: int, risk: int, final: bool) -> None:
        if self.exits:
            order, exit_id = self.exits[index % len(self.exits)]
            self.say(
                settle(
                    self.name(),
                    order=order,
                    exit_id=exit_id,
                    base_risk=risk,
                    quote_risk=risk,
                    final=final,
                )
            )

    @rule(
        buy=st.booleans(),
        base=units,
        quote=units,
        early_us=st.integers(0, 40),
        pool=st.sampled_from([POOL, ""]),
    )
    def fill(self, buy: bool, base: int, quote: int, early_us: int, pool: str) -> None:
        self.stream_seq += 1
        said = self.say(
            c.Fill(
                key=CommandKey(self.name()),
                pool=PoolId(pool),
                account=VENUE,
                side=Side.BUY if buy else Side.SELL,
                base=_money("BTC", base),
                quote=_money("USDT", quote),
                venue_time_us=self.barrier_us + 10 - early_us,
                stream=STREAM,
                stream_seq=self.stream_seq,
            )
        )
        assert not isinstance(said, PostingRefused), "ledger invariant 3"
        if isinstance(said, Unbookable):
            self.stopped = StoppedStreams()
            self.stream_seq -= 1

    @rule(count=units, third=st.booleans(), rate=prices)
    def fee(self, count: int, third: bool, rate: Rate) -> None:
        self.stream_seq += 1
        where = {
            "key": CommandKey(self.name()),
            "pool": POOL,
            "account": VENUE,
            "venue_time_us": self.barrier_us + 5,
            "stream": STREAM,
            "stream_seq": self.stream_seq,
        }
        fact: c.Command
        if third:
            fact = c.RechargeFee(fee=_money("BNB", count), quote_asset="USDT", rate=rate, **where)  # type: ignore[arg-type]
        else:
            fact = c.TradeFee(money=_money("USDT", count), **where)  # type: ignore[arg-type]
        assert isinstance(self.say(fact), Posted), "ledger invariant 3"

    @rule(user=st.sampled_from(["u0", "u1"]), count=units, taken=units, way=st.integers(0, 2))
    def withdraw(self, user: str, count: int, taken: int, way: int) -> None:
        withdrawal = WithdrawalId(f"w-{user}-{self.names}")
        money = _money("USDT", count)
        common = {"withdrawal": withdrawal, "money": money}
        self.say(c.HoldWithdraw(key=CommandKey(self.name()), user=UserId(user), **common))  # type: ignore[arg-type]
        if way == 0:
            self.say(c.ReleaseWithdraw(key=CommandKey(self.name()), user=UserId(user), **common))  # type: ignore[arg-type]
            return
        kind = c.DebitWithdraw if way == 1 else c.NetworkFee
        said = self.say(
            kind(
                key=CommandKey(self.name()),
                withdrawal=withdrawal,
                location=PLACE,
                money=_money("USDT", taken),
                reference="r",
            )
        )
        assert not isinstance(said, PostingRefused), "ledger invariant 3"

    @rule(user=st.sampled_from(["u0", "u1"]), count=units)
    def deposit_more(self, user: str, count: int) -> None:
        self.deposit(UserId(user), "USDT", count)

    @rule(count=units, way=st.integers(0, 6))
    def operator(self, count: int, way: int) -> None:
        key, money = CommandKey(self.name()), _money("USDT", count)
        before = self.books.balance("platform:equity", "USDT")
        if way == 0:
            self.say(c.OperatorIn(key=key, location=PLACE, money=money, reference="r"))
        elif way == 1:
            said = self.say(c.OperatorOut(key=key, location=PLACE, money=money, reference="r"))
            assert isinstance(said, PostingRefused) or before >= count, "ledger invariant 8"
        elif way == 2:
            said = self.say(c.BearShortfall(key=key, location=PLACE, money=money, reference="r"))
            assert isinstance(said, PostingRefused) or before >= count, "ledger invariant 8"
        elif way in (3, 4):
            said = self.say(c.FloatTrade(key=key, money=money, into_float=way == 3))
            assert isinstance(said, PostingRefused) or way == 4 or before >= count, (
                "ledger invariant 8"
            )
        else:
            account = "platform:fees" if way == 5 else "platform:dust"
            before = self.books.balance(account, "USDT")
            said = self.say(c.SettleFees(key=key, account=account, money=money))
            assert isinstance(said, PostingRefused) or before >= count

    @rule(count=units, at=st.integers(0, 9))
    def bear_a_deficit(self, count: int, at: int) -> None:
        """Found row 39: equity bears at most what is missing, and never what it has not got."""
        places = sorted(self.books.deficits)
        if not places:
            return
        account, asset = places[at % len(places)]
        before, equity = (
            self.books.balance(account, asset),
            self.books.balance("platform:equity", asset),
        )
        said = self.say(
            c.BearDeficit(
                key=CommandKey(self.name()),
                account=account.removeprefix("deficit:"),
                money=_money(asset, count),
                reason="r",
            )
        )
        if isinstance(said, Posted):
            assert count <= min(before, equity)
            assert self.books.balance(account, asset) == before - count

    @rule(count=units, at=st.integers(0, 9), to=st.integers(0, 2))
    def resolve_suspense(self, count: int, at: int, to: int) -> None:
        places = sorted(one for one in self.books.balances if one[0].startswith("suspense:"))
        if not places:
            return
        account, asset = places[at % len(places)]
        before = self.books.balance(account, asset)
        said = self.say(
            c.ResolveSuspenseTo(
                key=CommandKey(self.name()),
                source=account.removeprefix("suspense:"),
                target=("user:alice:available", "pool:p1:capital", "platform:equity")[to],
                money=_money(asset, count),
                reason="r",
            )
        )
        if isinstance(said, Posted):
            assert self.books.balance(account, asset) == before - count >= 0

    @rule(count=units, fee=units, arrives=units)
    def move(self, count: int, fee: int, arrives: int) -> None:
        transfer = f"t{self.names}"
        out = c.MoveOut(
            key=CommandKey(self.name()),
            transfer=transfer,
            location=PLACE,
            money=_money("USDT", count),
        )
        if isinstance(self.say(out), Posted):
            claims = self.books.claims_at(VENUE, "USDT")
            assert claims <= self.books.balance(PLACE, "USDT"), "ledger invariant 9"
        for kind, location, taken in (
            (c.MoveFee, f"transit:{transfer}", fee),
            (c.MoveIn, PLACE, arrives),
        ):
            said = self.say(
                kind(
                    key=CommandKey(self.name()),
                    transfer=transfer,
                    location=location,
                    money=_money("USDT", taken),
                    reference="r",
                )
            )
            assert not isinstance(said, PostingRefused), "ledger invariant 3"

    @rule(count=units, fee=units, rest=units, order=orders)
    def reward(self, count: int, fee: int, rest: int, order: OrderId) -> None:
        money = _money("USDT", count)
        arrived = c.ReceiveReward(
            key=CommandKey(self.name()), campaign="c1", location=PLACE, money=money, reference="r"
        )
        assert not isinstance(self.say(arrived), PostingRefused), "ledger invariant 3"
        self.say(c.Dust(key=CommandKey(self.name()), campaign="c1", money=_money("USDT", fee)))
        self.say(
            c.AllocateReward(
                key=CommandKey(self.name()),
                campaign="c1",
                reward="r1",
                fee=_money("USDT", fee),
                users=_money("USDT", rest),
                digest="00",
            )
        )
        self.say(
            c.CreditReward(
                key=CommandKey(self.name()),
                campaign="c1",
                reward="r1",
                user=ORDERS[order],
                order=order,
                money=_money("USDT", rest),
            )
        )

    @rule(count=units, back=st.booleans())
    def suspense(self, count: int, back: bool) -> None:
        source, money = f"mixin:{self.names % 3}", _money("USDT", count)
        arrived = c.CreditSuspense(
            key=CommandKey(self.name()), source=source, location=PLACE, money=money, reference="r"
        )
        assert not isinstance(self.say(arrived), PostingRefused), "ledger invariant 3"
        key = CommandKey(self.name())
        if back:
            withdrawal = WithdrawalId(f"w-{self.names}")
            self.say(c.Refund(key=key, source=source, withdrawal=withdrawal, money=money))
        else:
            self.say(c.ResolveSuspense(key=key, source=source, user=UserId("u0"), money=money))

    @rule(index=st.integers(0, 200))
    def reverse(self, index: int) -> None:
        if self.log:
            named = self.log[index % len(self.log)]
            key = CommandKey(self.name())
            said = self.say(c.Reversal(key=key, reverses=named.key, reason="r"))
            if isinstance(said, Posted):
                again = self.say(
                    c.Reversal(key=CommandKey(self.name()), reverses=named.key, reason="r")
                )
                assert again == PostingRefused(LedgerRefusal.UNKNOWN_TRANSACTION)

    @rule(index=st.integers(0, 200), same=st.booleans())
    def resend(self, index: int, same: bool) -> None:
        """Ledger invariant 5."""
        if not self.log:
            return
        old = self.log[index % len(self.log)]
        before = dict(self.books.balances)
        command = c.OperatorIn(
            key=old.key, location=PLACE, money=_money("USDT", 1), reference="another body"
        )
        if same:
            proposal = BatchBuilder(self.books, self.head, self.answers, self.stopped)
            again = proposal.take(_asked_again(old), START_US)
            assert isinstance(again, Posted)
            assert (again.seq, again.at_us, again.already) == (old.seq, old.at_us, True)
            assert proposal.batch() is None
        else:
            assert self.say(command) == PostingRefused(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        assert self.books.balances == before

    def _shares(self, order: OrderId) -> int:
        held = (
            self.books.balance(account, asset)
            for account, asset in self.books.balances
            if account == f"order:{order}:shares"
        )
        return sum(held)

    def _issued(self) -> int:
        return sum(
            self.books.balance(account, asset)
            for account, asset in self.books.balances
            if account == f"pool:{POOL}:issued"
        )

    def _per_share(self, price: Rate) -> Fraction:
        """Exact net asset value of a share; 0 before anybody joined."""
        issued = self._issued()
        if not issued:
            return Fraction(0)
        base = self.books.balance(f"pool:{POOL}:capital", "BTC")
        quote = self.books.balance(f"pool:{POOL}:capital", "USDT")
        return (quote + base * Fraction(price.numerator, price.denominator)) / issued

    @invariant()
    def held_equals_owed(self) -> None:
        """Ledger invariant 1."""
        assert not any(row.difference for row in trial_balance(self.books))

    @invariant()
    def nobody_is_below_zero(self) -> None:
        """Ledger invariant 2."""
        for account, asset in self.books.balances:
            assert may_go_below(account) or self.books.balance(account, asset) >= 0, account

    @invariant()
    def the_log_is_whole(self) -> None:
        """Ledger invariants 4, 6 and 7: no gap, chained, and any balance is the sum of its legs."""
        sums: defaultdict[tuple[str, str], int] = defaultdict(int)
        chain = GENESIS_HASH
        for seq, posting in enumerate(self.log, 1):
            legs = [line.leg for line in posting.lines]
            chain = link(chain, posting.seq, posting.at_us, posting.body_hash, legs)
            assert (posting.seq, posting.chain_hash) == (seq, chain)
            for line in posting.lines:
                sums[line.leg.account, line.leg.asset] += line.leg.units
                assert sums[line.leg.account, line.leg.asset] == line.after_units
        assert {place: raw for place, raw in sums.items() if raw} == self.books.balances

    @invariant()
    def shares_issued_are_shares_held(self) -> None:
        assert self._issued() == sum(self._shares(order) for order in ORDERS)

    @invariant()
    def the_surplus_is_the_operators(self) -> None:
        """Ledger invariant 8 as a gauge: what nobody else is owed is the platform's or missing."""
        for asset, surplus in users_surplus(self.books).items():
            own = sum(
                self.books.balance(account, asset)
                for account, owned in self.books.balances
                if account.startswith("platform:") and owned == asset
            )
            missing = sum(
                self.books.raw(account, owed)
                for account, owed in self.books.deficits
                if owed == asset
            )
            assert surplus == own - missing

    def teardown(self) -> None:
        """The stored image makes the same books again."""
        image = image_of(self.books, self.head)
        assert image_of(books_of(image), self.head) == image
        assert net_asset_value(self.books, POOL, Ratio(1, 1)) >= -(10**12)


def _transaction(found: Posting) -> LedgerTransaction:
    legs = tuple(line.leg for line in found.lines)
    return LedgerTransaction(
        MAIN_LEDGER, found.seq, found.key, found.kind, found.at_us, found.body, legs
    )


def _asked_again(old: Posting) -> EncodedCommand:
    return encode_command(decode_command(old.body))


TestBooks = Books_.TestCase
TestBooks.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


holdings = st.builds(Holding, st.integers(0, 10**24), st.integers(0, 10**24))
ratios = st.builds(Ratio, st.integers(1, 10**12), st.integers(1, 10**12))


@given(
    pool=holdings,
    offer=holdings,
    issued=st.integers(1, 10**24),
    price=ratios,
    cost=st.integers(0, 999_999),
)
def test_a_join_never_lowers_the_value_of_a_share(
    pool: Holding, offer: Holding, issued: int, price: Ratio, cost: int
) -> None:
    if pool.value_numerator(price) <= 0:
        return
    shares = joined_shares(issued, pool, offer, price, cost)
    after = Holding(pool.base + offer.base, pool.quote + offer.quote)
    assert after.value_numerator(price) * issued >= pool.value_numerator(price) * (issued + shares)


@given(pool=holdings, offer=holdings, issued=st.integers(1, 10**24), price=ratios)
def test_join_then_leave_at_one_price_gives_no_more_than_was_put_in(
    pool: Holding, offer: Holding, issued: int, price: Ratio
) -> None:
    if pool.value_numerator(price) <= 0:
        return
    shares = joined_shares(issued, pool, offer, price, 0)
    after = Holding(pool.base + offer.base, pool.quote + offer.quote)
    got = left_part(after, shares, issued + shares)
    assert got.value_numerator(price) <= offer.value_numerator(price)


@given(pool=holdings, issued=st.integers(1, 10**24), shares=st.integers(1, 10**24), price=ratios)
def test_a_leave_never_lowers_the_value_of_a_share(
    pool: Holding, issued: int, shares: int, price: Ratio
) -> None:
    if shares >= issued:
        return
    part = left_part(pool, shares, issued)
    after = Holding(pool.base - part.base, pool.quote - part.quote)
    assert after.value_numerator(price) * issued >= pool.value_numerator(price) * (issued - shares)
