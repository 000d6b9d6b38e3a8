"""What can be seen: plain frozen values for the API, the pages and the command line.

Amounts, prices and quantities are exact plain decimal texts in whole units of their asset; times
are microseconds since the Unix epoch; shares of a whole are parts per million. ``None`` always
means "not known", never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class WorldMode(StrEnum):
    """What kind of world the platform is connected to."""

    SANDBOX = "sandbox"
    PAPER = "paper"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class AmountView:
    """An amount of one asset."""

    asset: str
    amount: str


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset of the register: ``display`` is how many decimals a person wants to read."""

    code: str
    scale: int
    display: int


# --------------------------------------------------------------------------------------- market


@dataclass(frozen=True, slots=True)
class DepthLevel:
    """One price level of the book; ``own`` is how much of ``quantity`` is ours."""

    price: str
    quantity: str
    own: str


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """One live exchange order of the pool: ``side`` BUY or SELL, ``state`` the shadow ledger's."""

    intent: str
    side: str
    price: str
    quantity: str
    remaining: str
    state: str
    since_us: int


@dataclass(frozen=True, slots=True)
class SideGate:
    """The one gate that prevents a quote on a side (``none`` while quoting), and since when."""

    side: str
    gate: str
    since_us: int


@dataclass(frozen=True, slots=True)
class MarketLive:
    """One pool's market as the engine sees it now.

    ``bids`` fall and ``asks`` rise; at most 25 levels each. ``book_age_ms`` is None before the
    first book. ``orders_placed`` and ``orders_unknown`` count since the engine's first start and
    now.
    """

    pool_id: str
    symbol: str
    base: str
    quote: str
    venue_account: str
    price_decimals: int
    quantity_decimals: int
    at_us: int
    book_age_ms: int | None
    mid: str | None
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]
    own: tuple[OwnOrder, ...]
    gates: tuple[SideGate, ...]
    orders_placed: int
    orders_unknown: int


@dataclass(frozen=True, slots=True)
class FillView:
    """One fill of the pool as the account stream told it; ``seq`` is its place there."""

    seq: int
    pool_id: str
    at_us: int
    side: str
    price: str
    base: AmountView
    quote: AmountView
    is_maker: bool
    trade_id: str
    fee: AmountView | None = None


@dataclass(frozen=True, slots=True)
class MarketPoint:
    """One moment of the charts: mid, best own quotes, and base share of the pool's value."""

    at_us: int
    mid: str | None
    own_bid: str | None
    own_ask: str | None
    inventory_ppm: int | None


# ----------------------------------------------------------------------------------------- pool


@dataclass(frozen=True, slots=True)
class PoolProfitView:
    """What made a pool's value change besides the price of what it holds, since it was opened.

    ``trading`` is in quote at mid: what its fills brought against holding what it had, before
    ``trade_fees``. Fees are positive amounts that were paid; a rebate is negative.
    """

    trading: AmountView | None
    trade_fees: tuple[AmountView, ...]


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool: what it owns, what it is worth at mid, and the band its inventory should stay in.

    ``nav`` is in quote. ``share_price`` is quote per share, 1 at the first join of an epoch, so
    its distance from 1 is the change of the epoch, the price of what the pool holds included.
    """

    pool_id: str
    name: str
    symbol: str
    venue_account: str
    state: str
    epoch: int
    base: AmountView
    quote: AmountView
    exits: tuple[AmountView, ...]
    shares: str
    holders: int
    nav: AmountView | None
    share_price: str | None
    inventory_ppm: int | None
    target_ppm: int
    band_ppm: int
    fills: int
    profit: PoolProfitView | None = None


# --------------------------------------------------------------------------------------- people


class MoneyBarPart(StrEnum):
    """The five parts of an order's money bar."""

    AVAILABLE = "available"
    LOCKED = "locked"
    ON_THE_WAY = "on_the_way"
    IN_POOL = "in_pool"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class BarPart:
    """One part of the money bar: its amounts, its value in quote, and the account behind it."""

    part: MoneyBarPart
    amounts: tuple[AmountView, ...]
    value: str | None
    account: str


@dataclass(frozen=True, slots=True)
class Step:
    """A state that an order reached. ``entry_seq`` is the entry that moved money, 0 for none."""

    state: str
    at_us: int
    by: str
    entry_seq: int = 0


@dataclass(frozen=True, slots=True)
class DepositLegView:
    """One payment that an order waits for: ``link`` opens it in a wallet, ``memo`` does the same.

    ``trace`` is the payment's identity at Mixin: paying the link twice pays once. ``arrived`` is
    whether it has been credited.
    """

    asset: str
    amount: str
    trace: str
    memo: str
    link: str
    arrived: bool


@dataclass(frozen=True, slots=True)
class DepositView:
    """What an order is still to be paid with, and until when."""

    expires_at_us: int
    legs: tuple[DepositLegView, ...]


@dataclass(frozen=True, slots=True)
class OrderProfitView:
    """Why an order has more or less than was put in, each cause apart.

    ``trading`` is in quote at mid: what it has and what came out of it, less what was put in,
    before fees and rewards; 0 where nothing was put in. ``fees`` are what the platform and networks
    took for moving it, ``rewards`` what was credited for it.
    """

    trading: AmountView | None
    fees: tuple[AmountView, ...]
    rewards: tuple[AmountView, ...]


@dataclass(frozen=True, slots=True)
class OrderView:
    """A user order.

    ``asked`` is what it was opened for, ``deposited`` what of it has arrived and was locked,
    ``paid_out`` what has reached the user's address. ``result`` is what trading made of what
    arrived, in quote at mid: see ``profit``, where fees and rewards stand apart.
    ``deposit`` is None for an order that is paid from the user's balance.
    """

    order_id: str
    user_id: str
    user_name: str
    pool_id: str
    state: str
    waiting_for: str
    opened_at_us: int
    deposited: tuple[AmountView, ...]
    paid_out: tuple[AmountView, ...]
    shares: str
    value: AmountView | None
    result: AmountView | None
    bar: tuple[BarPart, ...]
    steps: tuple[Step, ...]
    deposit: DepositView | None = None
    asked: tuple[AmountView, ...] = ()
    profit: OrderProfitView | None = None


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as the operator lists them. ``mixin_id`` is empty for who has none."""

    user_id: str
    name: str
    created_at_us: int
    mixin_id: str = ""
    disabled_at_us: int = 0


@dataclass(frozen=True, slots=True)
class WalletClaimView:
    """How a claimed wallet is proven: a payment from it with this trace or memo.

    ``link`` pays the smallest amount that Mixin takes; the money is the user's own deposit.
    """

    user_id: str
    mixin_id: str
    trace: str
    memo: str
    link: str
    expires_at_us: int


@dataclass(frozen=True, slots=True)
class BalanceView:
    """A user's money in one asset, over all his orders."""

    user_id: str
    asset: str
    available: str
    locked: str
    in_withdrawal: str


# ---------------------------------------------------------------------------- campaigns, rewards


@dataclass(frozen=True, slots=True)
class CampaignWindow:
    """The day that runs, or the next one: ``number`` of ``of``, counted from 1."""

    number: int
    of: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class CampaignStandingView:
    """How we stand in the running day: our score, everybody's result so far, our part of the day.

    ``score`` and ``result`` are exact texts in the campaign's own measure, None while unknown.
    """

    score: str | None
    result: str | None
    estimated_reward: AmountView | None


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign: what is offered (``status``) and what we do about it (``state``).

    ``window`` is None before the first day and after the last. ``joined_at_us`` is 0 while we do
    not take part; ``note`` says why not, or what a person should know.
    """

    campaign_id: str
    source: str
    kind: str
    venue: str
    market: str
    pool_id: str
    state: str
    status: str
    start_us: int
    end_us: int
    day_us: int
    window: CampaignWindow | None
    fund: AmountView
    joined_at_us: int
    note: str
    standing: CampaignStandingView | None


@dataclass(frozen=True, slots=True)
class RewardView:
    """One payment of a campaign: what came, and what became of it.

    ``received`` = ``users`` + ``fee`` + ``dust`` once it is allocated; ``transaction_id`` is the
    chain's.
    """

    reward_id: str
    campaign_id: str
    state: str
    received: AmountView
    fee: AmountView
    dust: AmountView
    users: AmountView
    from_us: int
    to_us: int
    transaction_id: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class AllocationView:
    """One order's part of a reward. ``weight`` is share units times microseconds."""

    order_id: str
    user_id: str
    user_name: str
    weight: str
    amount: AmountView
    credited: bool


@dataclass(frozen=True, slots=True)
class ShareChangeView:
    """One change of an order's shares in ledger time; ``units`` is signed."""

    order_id: str
    user_id: str
    at_us: int
    units: str
    balance_units: str


# ------------------------------------------------------------------------------ money that moves


@dataclass(frozen=True, slots=True)
class TransferView:
    """Money between two places of ours."""

    transfer_id: str
    source: str
    target: str
    money: AmountView
    state: str
    transaction_id: str
    started_at_us: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ArrivalView:
    """Money that a place received, and what it was taken for."""

    reference: str
    location: str
    money: AmountView
    disposition: str
    state: str
    sender: str
    at_us: int


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """A payout of one asset to one address; ``reason`` is the provider's word when it refused."""

    withdrawal_id: str
    user_id: str
    user_name: str
    money: AmountView
    network: str
    address: str
    state: str
    transaction_id: str
    reason: str
    steps: tuple[Step, ...]


# ---------------------------------------------------------------------------------------- books


@dataclass(frozen=True, slots=True)
class Entry:
    """One leg of one transaction as an owner reads it: ``amount`` is positive when it grew."""

    seq: int
    at_us: int
    kind: str
    key: str
    account: str
    asset: str
    amount: str
    balance: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of entries in order; ask again with ``next_after`` until it is None."""

    entries: tuple[Entry, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class StatementView:
    """A page of a user's entries, and each order they name with its profit and loss by cause."""

    entries: tuple[Entry, ...]
    next_after: int | None
    orders: tuple[OrderView, ...]


@dataclass(frozen=True, slots=True)
class CustodyLocation:
    """A line of the books: an account or a group of accounts and what it holds or is owed."""

    name: str
    group: str
    amount: str


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One asset: where it is, whose it is, and the difference, which must be zero."""

    asset: str
    held: tuple[CustodyLocation, ...]
    owed: tuple[CustodyLocation, ...]
    held_total: str
    owed_total: str
    difference: str


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All assets at ledger sequence ``seq``; ``ok`` when every difference is zero."""

    seq: int
    at_us: int
    lines: tuple[TrialLine, ...]
    ok: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """What an independent replay of the whole log found."""

    ok: bool
    transactions: int
    entries: int
    head_hash: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CustodyLine:
    """One asset at one place: what the ledger says, what the place says, what explains the rest.

    ``reported`` is None while the place has not been asked since the last change of the ledger.
    ``in_flight`` is booked here and has left there already, so ledger less in flight is reported.
    ``agreed_at_us`` is when both last said the same, 0 for never.
    """

    location: str
    asset: str
    ledger: str
    reported: str | None
    in_flight: str
    seen_at_us: int
    agreed_at_us: int = 0


@dataclass(frozen=True, slots=True)
class ActivityView:
    """One line of EVENTS, worded by the catalogue; ``seq`` opens it.

    ``facts`` and ``sums`` fill the sentence of ``kind``: names as they are, sums as amounts.
    """

    seq: int
    at_us: int
    kind: str
    key: str
    facts: Mapping[str, str]
    sums: Mapping[str, tuple[AmountView, ...]]
    entries: tuple[Entry, ...] = ()


# --------------------------------------------------------------------------------------- health


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the platform by name; ``facts`` fill the catalogue's sentence."""

    name: str
    ok: bool
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthView:
    """Whether the platform can do its work; ``ok`` when every check is."""

    mode: WorldMode
    version: str
    started_at_us: int
    restarts: int
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Every check holds."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Act:
    """Where a told story stands; ``name`` is a key of the catalogue, times are microseconds."""

    number: int
    of: int
    name: str
    facts: Mapping[str, str]
    started_at_us: int
    act_at_us: int
    done: bool = False
