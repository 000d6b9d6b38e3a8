"""What a person decides about money that is missing, nobody's or cannot be booked (row 39)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.codec import encode_command
from poolmaker.business.ledger.model import (
    GENESIS_HASH,
    LedgerHead,
    LedgerRefusal,
    Posted,
    PostingRefused,
    RowAnswer,
    StoredAnswer,
    Unbookable,
)
from poolmaker.business.ledger.proposal import BatchBuilder, StoppedStreams, answered_keys
from poolmaker.business.ledger.rules import PostingDecision
from poolmaker.kernel.market import Side
from poolmaker.messages.base import Money
from tests.support.ledger import (
    ALICE,
    OTHER,
    PLACE,
    START_US,
    STREAM,
    Page,
    btc,
    deposit,
    fee,
    fill,
    join,
    join_v2,
    key,
    leave,
    leave_v2,
    lock,
    operator_in,
    pooled_page,
    usdt,
)

HEAD = LedgerHead(3, 10, GENESIS_HASH, START_US)
POOL_USDT = "pool:p1:capital"


def _bear(name: str, account: str, money: Money) -> c.Command:
    return c.BearDeficit(key=key(name), account=account, money=money, reason="rounding")


def _resolve(name: str, target: str, money: Money, source: str = "x") -> c.Command:
    return c.ResolveSuspenseTo(
        key=key(name), source=source, target=target, money=money, reason="it is theirs"
    )


def test_found_39_a_pool_with_a_deficit_of_one_unit_is_let_go_on_by_equity() -> None:
    page = pooled_page()
    have = page.balance(POOL_USDT, "USDT")
    page.must(fee("f", usdt(have + 1)))
    assert page.balance(f"deficit:{POOL_USDT}", "USDT") == 1
    page.must(deposit("d", usdt(500), user=ALICE), lock("l", usdt(500), order=OTHER))
    newcomer = join("j", 0, 500, order=OTHER, facts_seq=1)
    assert page.say(newcomer) is LedgerRefusal.BLOCKED_BY_DEFICIT
    assert page.say(_bear("b", POOL_USDT, usdt(1))) is LedgerRefusal.EQUITY_BELOW_ZERO
    page.must(operator_in("o", usdt(5)))
    assert page.say(_bear("b", POOL_USDT, usdt(2))) is LedgerRefusal.INSUFFICIENT
    page.must(_bear("b", POOL_USDT, usdt(1)))
    assert page.balance(f"deficit:{POOL_USDT}", "USDT") == 0
    assert page.balance("platform:equity", "USDT") == 4
    assert page.say(leave("e", 1, facts_seq=1)) is not LedgerRefusal.BLOCKED_BY_DEFICIT
    assert page.balanced()


@settings(deadline=None)
@given(
    loss=st.integers(1, 10**12),
    equity=st.integers(0, 10**12),
    units=st.integers(0, 10**12),
    account=st.sampled_from([POOL_USDT, "user:alice:available", "suspense:pool:gone"]),
)
def test_found_39_equity_bears_at_most_what_is_missing_and_what_it_has(
    loss: int, equity: int, units: int, account: str
) -> None:
    page = pooled_page()
    if equity:
        page.must(operator_in("o", usdt(equity)))
    if account == "user:alice:available":
        page.must(deposit("d", usdt(loss)))
        page.must(lock("l", usdt(page.balance(account, "USDT")), order=OTHER))
        page.must(c.Reversal(key=key("r"), reverses=key("d"), reason="reorg"))
    elif account == POOL_USDT:
        page.must(fee("f", usdt(page.balance(POOL_USDT, "USDT") + loss)))
    else:
        page.must(replace_pool(fee("f", usdt(loss))))
    missing = max(
        page.balance(f"deficit:{account}", "USDT")
        if account != "suspense:pool:gone"
        else -page.balance(account, "USDT"),
        0,
    )
    assert missing > 0
    verdict = page.post(_bear("b", account, usdt(units)))
    may = 0 < units <= min(missing, equity)
    assert isinstance(verdict, PostingDecision) == may
    if may:
        assert page.balance("platform:equity", "USDT") == equity - units
        left = (
            page.balance(f"deficit:{account}", "USDT")
            if account != "suspense:pool:gone"
            else -page.balance(account, "USDT")
        )
        assert left == missing - units
    assert page.balanced()


def replace_pool(one: c.TradeFee) -> c.TradeFee:
    """The same fee of a pool that nobody knows: suspense bears it."""
    return c.TradeFee(
        key=one.key,
        pool=type(one.pool)("gone"),
        account=one.account,
        money=one.money,
        venue_time_us=one.venue_time_us,
        stream=one.stream,
        stream_seq=one.stream_seq,
    )


@pytest.mark.parametrize("account", ["platform:equity", PLACE, "transit:t", "nonsense", ""])
def test_found_39_equity_bears_nothing_of_accounts_that_have_no_deficit(account: str) -> None:
    page = Page()
    page.must(operator_in("o", usdt(50)))
    assert page.say(_bear("b", account, usdt(1))) is LedgerRefusal.INSUFFICIENT


def _suspended() -> Page:
    page = pooled_page()
    page.must(
        c.CreditSuspense(key=key("s"), source="x", location=PLACE, money=usdt(30), reference="r"),
        c.CreditSuspense(
            key=key("m"),
            source="y",
            location="custody:mixin:usdt",
            money=usdt(30),
            reference="r",
        ),
    )
    return page


@pytest.mark.parametrize("target", ["user:bob:available", POOL_USDT, "platform:equity"])
def test_found_39_money_that_is_nobodys_goes_to_a_user_a_pool_or_the_operator(target: str) -> None:
    page = _suspended()
    before = page.balance(target, "USDT")
    page.must(_resolve("a", target, usdt(12)))
    assert page.balance(target, "USDT") == before + 12
    assert page.balance("suspense:x", "USDT") == 18
    assert page.say(_resolve("b", target, usdt(19))) is LedgerRefusal.INSUFFICIENT
    assert page.say(_resolve("c", target, usdt(1), source="")) is LedgerRefusal.INSUFFICIENT
    assert page.balanced()


@pytest.mark.parametrize(
    ("target", "money", "refusal"),
    [
        ("user:bob:locked", usdt(1), LedgerRefusal.UNKNOWN_POOL),
        ("user::available", usdt(1), LedgerRefusal.UNKNOWN_ORDER),
        ("user:bob:x:available", usdt(1), LedgerRefusal.UNKNOWN_ORDER),
        ("order:o1:locked", usdt(1), LedgerRefusal.UNKNOWN_POOL),
        ("pool:gone:capital", usdt(1), LedgerRefusal.UNKNOWN_POOL),
        ("pool:p1:issued", usdt(1), LedgerRefusal.UNKNOWN_POOL),
        ("platform:fees", usdt(1), LedgerRefusal.UNKNOWN_POOL),
        (POOL_USDT, Money(asset="BNB", units=1), LedgerRefusal.POOL_MISMATCH),
        (POOL_USDT, Money(asset="SHIB", units=1), LedgerRefusal.UNKNOWN_ASSET),
        (POOL_USDT, usdt(0), LedgerRefusal.BAD_AMOUNT),
    ],
)
def test_found_39_money_that_is_nobodys_goes_nowhere_else(
    target: str, money: Money, refusal: LedgerRefusal
) -> None:
    assert _suspended().say(_resolve("a", target, money)) is refusal


def test_what_lies_elsewhere_cannot_become_a_pools_without_cover_where_it_trades() -> None:
    """Ledger invariant 9."""
    page = _suspended()
    surplus = page.balance(PLACE, "USDT") - page.balance(POOL_USDT, "USDT")
    page.must(c.MoveOut(key=key("o"), transfer="t", location=PLACE, money=usdt(surplus)))
    assert page.say(_resolve("b", POOL_USDT, usdt(1), source="y")) is LedgerRefusal.NOT_FUNDED


def test_found_39_a_reward_that_nobody_has_a_part_in_becomes_the_operators_once() -> None:
    page = Page()
    page.must(
        c.ReceiveReward(key=key("r"), campaign="c", location=PLACE, money=usdt(100), reference="r")
    )

    def keep(name: str, units: int) -> c.Command:
        return c.KeepReward(
            key=key(name), campaign="c", reward="w", money=usdt(units), reason="nobody was there"
        )

    assert page.say(keep("k", 0)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(keep("k", 101)) is LedgerRefusal.INSUFFICIENT
    page.must(keep("k", 100))
    assert page.page() == {PLACE: {"USDT": 100}, "platform:equity": {"USDT": 100}}


def _stuck_stream() -> tuple[Page, StoppedStreams, c.TradeFee]:
    page, stopped = pooled_page(), StoppedStreams()
    bad = fee("f5", Money(asset="SHIB", units=1), seq=5)
    proposal = BatchBuilder(page.books, HEAD, {}, stopped)
    proposal.assets_are_fresh = True
    assert isinstance(proposal.take(encode_command(bad), START_US), Unbookable)
    return page, stopped, bad


def _aside(bad: c.StreamFact, digest: str = "", name: str = "aside") -> c.SetAside:
    return c.SetAside(
        key=key(name),
        aside=bad.key,
        digest=digest or encode_command(bad).body_hash.hex(),
        stream=STREAM,
        stream_seq=bad.stream_seq,
        reason="the venue has taken the asset back",
    )


def test_found_39_what_can_never_be_booked_is_set_aside_and_its_stream_goes_on() -> None:
    page, stopped, bad = _stuck_stream()
    behind = fill("f6", Side.BUY, 1, 500, seq=6)
    proposal = BatchBuilder(page.books, HEAD, {}, stopped)
    proposal.assets_are_fresh = True
    assert isinstance(proposal.take(encode_command(behind), START_US), Unbookable)
    assert isinstance(proposal.take(encode_command(_aside(bad)), START_US), Posted)
    assert isinstance(proposal.take(encode_command(behind), START_US), Posted)
    again = proposal.take(replace(encode_command(bad), row=7), START_US)
    assert again == PostingRefused(LedgerRefusal.SET_ASIDE)
    assert page.books.applied(STREAM) == 6
    batch = proposal.batch()
    assert batch is not None
    assert [one.kind for one in batch.postings] == ["SET_ASIDE", "FILL"]
    assert batch.postings[0].lines == ()
    (refusal,) = batch.refusals
    assert (refusal.key, refusal.reason) == (bad.key, LedgerRefusal.SET_ASIDE)
    assert batch.rows == (RowAnswer(7, None, LedgerRefusal.SET_ASIDE),)


_DEALINGS: dict[str, Callable[[str], c.Command]] = {
    "join": lambda name: join_v2(name, 1000, 500_000, facts_seq=6),
    "leave": lambda name: leave_v2(name, 1000, exit_id=name, facts_seq=6),
    "old join": lambda name: join(name, 1000, 500_000, facts_seq=6),
    "old leave": lambda name: leave(name, 1000, exit_id=name, facts_seq=6),
}


@pytest.mark.parametrize("dealing", _DEALINGS)
def test_no_barrier_is_passed_by_a_fact_that_is_set_aside_behind_a_stuck_one(dealing: str) -> None:
    """Whoever joins or leaves at a barrier has every fact before it booked or decided."""
    page, stopped, bad = _stuck_stream()
    page.must(deposit("b", btc(1000)), deposit("q", usdt(500_000)))
    page.must(lock("more", btc(1000), usdt(500_000)))
    behind = fill("f6", Side.BUY, 1, 500, seq=6)
    proposal = BatchBuilder(page.books, HEAD, {}, stopped)
    proposal.assets_are_fresh = True

    def say(command: c.Command) -> object:
        return proposal.take(encode_command(command), START_US)

    behind_barrier = PostingRefused(LedgerRefusal.BEHIND_BARRIER)
    assert isinstance(say(behind), Unbookable)
    assert say(_aside(behind, name="early")) == behind_barrier
    assert say(_DEALINGS[dealing]("w1")) == behind_barrier
    # What stands first may go; what it held up is then decided by itself.
    assert isinstance(say(_aside(bad)), Posted)
    assert say(_DEALINGS[dealing]("w2")) == behind_barrier
    assert isinstance(say(behind), Posted)
    assert isinstance(say(_DEALINGS[dealing]("w3")), Posted)


def test_what_this_writer_has_not_seen_stand_still_is_not_set_aside() -> None:
    """After a start nobody knows yet what stands before it in its stream."""
    page, _, bad = _stuck_stream()
    proposal = BatchBuilder(page.books, HEAD, {}, StoppedStreams())
    refused = proposal.take(encode_command(_aside(bad)), START_US)
    assert refused == PostingRefused(LedgerRefusal.BEHIND_BARRIER)


def test_only_what_has_no_answer_is_set_aside_and_only_under_its_whole_hash() -> None:
    page, stopped, bad = _stuck_stream()
    digest = encode_command(bad).body_hash
    answers = {bad.key: StoredAnswer(digest, Posted(4, START_US))}
    for known, command in (
        (answers, _aside(bad)),
        ({}, _aside(bad, digest="00")),
        ({}, _aside(bad, digest="Z" * 64)),
        ({}, _aside(replace_key(bad, "aside"))),
    ):
        proposal = BatchBuilder(page.books, HEAD, known, stopped)
        assert proposal.take(encode_command(command), START_US) == PostingRefused(
            LedgerRefusal.UNKNOWN_TRANSACTION
        )
    asked = [encode_command(_aside(bad)), encode_command(deposit("d", btc(1)))]
    assert answered_keys(asked) == [key("aside"), key("d"), bad.key]


def replace_key(one: c.TradeFee, name: str) -> c.TradeFee:
    return c.TradeFee(
        key=key(name),
        pool=one.pool,
        account=one.account,
        money=one.money,
        venue_time_us=one.venue_time_us,
        stream=one.stream,
        stream_seq=one.stream_seq,
    )


def test_another_body_under_the_key_of_what_was_set_aside_is_a_conflict() -> None:
    page, stopped, bad = _stuck_stream()
    proposal = BatchBuilder(page.books, HEAD, {}, stopped)
    proposal.take(encode_command(_aside(bad)), START_US)
    other = fee("f5", usdt(1), seq=5)
    assert proposal.take(encode_command(other), START_US) == PostingRefused(
        LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT
    )
