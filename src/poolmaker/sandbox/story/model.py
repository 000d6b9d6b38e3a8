"""Values of the story: what is asked, what was seen, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from poolmaker.kernel.errors import PoolmakerError

ACCOUNT: Final = "main"
POOL: Final = "btc-usdt"
BASE: Final = "BTC"
QUOTE: Final = "USDT"
REWARD: Final = "HMT"
GAS: Final = "ETH"
VENUE_ACCOUNT: Final = 1
LOCATION: Final = f"custody:venue:{ACCOUNT}"

FILLS_MIN: Final = 30
DAYS: Final = 2
DAY_S: Final = 20
FINALITY_BLOCKS: Final = 2
"""A short finality: what happens on the chain is final two blocks, two seconds, later."""

Sums = dict[str, str]
"""Asset -> exact decimal text."""


class StoryFailed(PoolmakerError):
    """Something did not happen in its time, or not as it should; the sentence says what."""

    code = "story_failed"


class ActName(StrEnum):
    """The acts in their order; the values are keys of the page's catalogue."""

    BEGIN = "begin"
    DEPOSIT = "deposit"
    STRANGER = "stranger"
    JOIN = "join"
    CAMPAIGN = "campaign"
    DAY_ONE = "day_one"
    PAUSE = "pause"
    REWARD_ONE = "reward_one"
    LEAVE = "leave"
    DAY_TWO = "day_two"
    REWARD_TWO = "reward_two"
    SETTLE = "settle"
    JUDGE = "judge"


ACTS: Final = tuple(ActName)
CRASHES: Final = ACTS[ACTS.index(ActName.DEPOSIT) : ACTS.index(ActName.REWARD_TWO) + 1]
"""Acts in which the platform may be killed: from the first deposit to the last credit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryOptions:
    """What the command was asked to do. ``seed`` None draws one, ``port`` 0 takes a free one."""

    home: Path
    port: int
    once: bool
    as_json: bool
    seed: int | None
    recording: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPerson:
    """A user of the story: what he brings, and the number of his wallet at the sandbox Mixin."""

    name: str
    wallet: int
    base: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the seed decides.

    Three people with orders, a stranger to his own memo, the act in which the platform is killed
    and how long after its beginning, and the key of the platform's wallet on the chain.
    """

    people: tuple[DemoPerson, DemoPerson, DemoPerson]
    stranger: DemoPerson
    crash_act: ActName
    crash_delay_us: int
    pause_us: int
    late_us: int
    wallet_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person at the platform.

    ``wallet`` is what his Mixin wallet held before, ``left`` what he was paid when he left.
    """

    person: DemoPerson
    user_id: str
    mixin_id: str
    token: str
    wallet: Mapping[str, str]
    order_id: str = ""
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Told:
    """What has come out so far; the fields of the last line of ``--json``.

    ``verdict`` is what the judge printed, empty before it has spoken.
    """

    seed: int
    seconds: float = 0.0
    users: int = 0
    deposits: Sums = field(default_factory=dict)
    orders_placed: int = 0
    fills: int = 0
    rewards_received: Sums = field(default_factory=dict)
    rewards_allocated: Sums = field(default_factory=dict)
    withdrawn: Sums = field(default_factory=dict)
    refunded: Sums = field(default_factory=dict)
    restart_survived: bool | None = None
    """None before the platform was killed and came back."""
    verdict: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Everything holds."""
        return (
            self.finished
            and self.restart_survived is True
            and self.fills >= FILLS_MIN
            and all(self._flag(name) is True for name in FLAGS)
            and self.verdict.get("open_orders_unknown") == 0
        )

    def _flag(self, name: str) -> bool | None:
        """What the judge said; None where nothing was judged."""
        return self.verdict.get(name) is True if self.verdict else None

    def document(self) -> dict[str, Any]:
        """The last line of ``--json``; what was not judged is None."""
        return {
            "seconds": round(self.seconds, 1),
            "seed": self.seed,
            "users": self.users,
            "deposits": self.deposits,
            "orders_placed": self.orders_placed,
            "fills": self.fills,
            "rewards_received": self.rewards_received,
            "rewards_allocated": self.rewards_allocated,
            "withdrawn": self.withdrawn,
            "refunded": self.refunded,
            "restart_survived": self.restart_survived,
            "open_orders_unknown": self.verdict.get("open_orders_unknown"),
            **{name: self._flag(name) for name in FLAGS},
            "custody": self.verdict.get("custody"),
        }


FLAGS: Final = ("trial_balance_ok", "ledger_verify_ok", "allocations_ok", "custody_ok")
