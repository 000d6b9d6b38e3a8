"""Joining: asked first, refused by type, reconciled with the oracle's own list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from poolmaker.hufi.joiner import CHECK_AGAIN_US, CHECK_EVERY_US, Joiner, JoinerPorts
from poolmaker.hufi.model import (
    AccountKeys,
    HufiRefused,
    JoinedCampaign,
    JoinStatus,
    Participation,
    ParticipationState,
    RegisteredKey,
)
from poolmaker.hufi.verdicts import campaign_id
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import DAY_US, ManualClock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable, VenueUnavailable
from poolmaker.lab.stores.base import ModelDatabase

ESCROW = "0x" + "0e" * 20
NAME = campaign_id(137, ESCROW)
KEYS = AccountKeys("ro", "ro-secret", "key", "secret")
AT = "2026-11-20T00:00:00.000Z"


@dataclass
class Oracle:
    """A recording oracle that says what a test wants."""

    held: list[RegisteredKey] = field(default_factory=list)
    inside: set[str] = field(default_factory=set)
    refuses: Callable[[], Exception | None] = lambda: None
    closed: str = ""
    joins: int = 0
    asked: list[str] = field(default_factory=list)

    async def keys(self) -> list[RegisteredKey]:
        return self.held

    async def register_key(self, exchange: str, key: str, secret: str) -> None:
        self.asked.append(f"{key}:{secret}")
        if secret == "bad":
            raise HufiRefused(422, "Provided API key can't be authorized on exchange")
        self.held = [RegisteredKey(exchange, key, True)]

    async def revalidate_key(self, exchange: str) -> bool:
        self.asked.append("revalidate")
        return False

    async def joined(self) -> list[JoinedCampaign]:
        return [JoinedCampaign(137, one) for one in sorted(self.inside)]

    async def join_status(self, chain_id: int, escrow: str) -> JoinStatus:
        if escrow in self.inside:
            return JoinStatus("already_joined", joined_at=AT)
        return (
            JoinStatus("join_closed", reason=self.closed) if self.closed else JoinStatus("can_join")
        )

    async def join(self, chain_id: int, escrow: str) -> None:
        self.joins += 1
        problem = self.refuses()
        if problem is None or isinstance(problem, OutcomeUnknown):
            self.inside.add(escrow)
        if problem is not None:
            raise problem


@dataclass
class Room:
    """The desk and the store in memory."""

    wishes: list[str] = field(default_factory=lambda: [NAME])
    rows: dict[str, Participation] = field(default_factory=dict)
    told: list[tuple[str, ...]] = field(default_factory=list)

    async def all(self, tx: Tx) -> Sequence[Participation]:
        return list(self.rows.values())

    async def save(self, tx: Tx, participation: Participation) -> None:
        self.rows[participation.campaign] = participation

    async def seen(self, tx: Tx, campaign: Any) -> None:
        raise NotImplementedError

    async def wanted(self, tx: Tx) -> Sequence[str]:
        return self.wishes

    async def joined(self, tx: Tx, campaign: str, at_us: int) -> None:
        self.told.append(("joined", campaign))

    async def refused(self, tx: Tx, campaign: str, reason: str, *, final: bool) -> None:
        self.told.append(("refused", campaign, reason, "final" if final else "later"))


@dataclass
class Scene:
    oracle: Oracle = field(default_factory=Oracle)
    room: Room = field(default_factory=Room)
    clock: ManualClock = field(default_factory=ManualClock)
    keys: AccountKeys = KEYS
    known: bool = True
    said: str | Exception = ""
    """What the venue says of the key."""
    asked_venue: int = 0
    joiner: Joiner | None = None

    async def problem(self) -> str:
        self.asked_venue += 1
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def __post_init__(self) -> None:
        self.health = HealthBoard(self.clock)

    async def look(self) -> int:
        """A round of a fresh process, a day after the last one."""
        self.clock.advance(DAY_US)
        ports = JoinerPorts(
            is_known=lambda _: self.known, transactions=ModelDatabase(), store=self.room,
            desk=self.room, clock=self.clock, health=self.health, key_check=self,
        )  # fmt: skip
        self.joiner = Joiner(cast("Any", self.oracle), "mexc", self.keys, ports)
        return await self.joiner.look()


async def test_the_read_only_pair_is_handed_over_once() -> None:
    """hufi invariant 5."""
    scene = Scene()
    for _ in range(3):
        await scene.look()
    assert scene.oracle.asked == ["ro:ro-secret"]
    assert scene.room.told == [("joined", NAME)]
    assert scene.oracle.joins == 1


async def test_another_key_at_the_oracle_is_replaced_and_an_invalid_one_joins_nothing() -> None:
    scene = Scene()
    scene.oracle.held = [RegisteredKey("mexc", "old", True), RegisteredKey("gate", "x", True)]
    await scene.look()
    assert scene.oracle.asked == ["ro:ro-secret"]
    scene = Scene()
    scene.oracle.held = [RegisteredKey("mexc", "ro", False)]
    await scene.look()
    assert scene.oracle.joins == 0
    assert not scene.health.ok()
    scene = Scene(keys=AccountKeys("ro", "bad", "key", "secret"))
    await scene.look()
    assert scene.oracle.joins == 0
    assert "authorized" in scene.health.parts()[0].sentence


@pytest.mark.parametrize(
    ("words", "again"),
    [("Campaign already finished", False), ("Campaign not found", True)],
)
async def test_a_refusal_keeps_its_words_and_only_what_may_change_is_asked_again(
    words: str, again: bool
) -> None:
    scene = Scene()
    scene.oracle.refuses = lambda: HufiRefused(422, words)
    await scene.look()
    assert scene.room.told == [("refused", NAME, words, "later" if again else "final")]
    assert scene.room.rows[NAME].reason == words
    await scene.look()
    assert scene.oracle.joins == 1 + again
    scene.oracle.refuses = lambda: None
    assert await scene.look() == again


async def test_an_escrow_that_closed_is_not_joined_and_a_met_target_may_open_again() -> None:
    scene = Scene()
    scene.oracle.closed = "ended"
    await scene.look()
    scene.oracle.closed = ""
    await scene.look()
    assert scene.oracle.joins == 0
    scene = Scene()
    scene.oracle.closed = "target_met"
    await scene.look()
    scene.oracle.closed = ""
    assert await scene.look() == 1


async def test_a_join_without_an_answer_is_believed_only_when_the_oracle_says_so() -> None:
    """hufi invariant 6."""
    scene = Scene()
    scene.oracle.refuses = lambda: OutcomeUnknown("no answer")
    assert await scene.look() == 0
    assert scene.room.rows[NAME].state is ParticipationState.ASKING
    assert scene.room.told == []
    assert await scene.look() == 1
    assert scene.oracle.joins == 1


async def test_a_server_in_trouble_is_asked_again_without_a_refusal_for_ever() -> None:
    scene = Scene()
    scene.oracle.refuses = lambda: HufiRefused(500, "Internal server error")
    await scene.look()
    scene.oracle.refuses = lambda: None
    assert await scene.look() == 1


async def test_what_the_oracle_joined_by_itself_is_told_when_the_desk_knows_the_campaign() -> None:
    other = "0x" + "0d" * 20
    scene = Scene(room=Room(wishes=[]), known=False)
    scene.oracle.inside = {other}
    assert await scene.look() == 0
    scene.known = True
    assert await scene.look() == 1
    assert scene.room.told == [("joined", campaign_id(137, other))]


async def test_a_campaign_that_the_oracle_lost_is_asked_for_again() -> None:
    scene = Scene()
    await scene.look()
    scene.oracle.inside.clear()
    scene.room.wishes = []
    scene.oracle.refuses = lambda: HufiRefused(422, "Exchange API key not found")
    await scene.look()
    lost = ("refused", NAME, "the oracle no longer lists us", "later")
    assert scene.room.told[1:2] == [lost]
    scene.oracle.refuses = lambda: None
    assert await scene.look() == 1
    assert scene.room.told[-1] == ("joined", NAME)
    assert scene.oracle.joins == 3


async def test_a_wallet_that_is_refused_as_a_whole_waits() -> None:
    scene = Scene()

    async def keys() -> list[RegisteredKey]:
        raise HufiRefused(401, "Invalid signature")

    scene.oracle.keys = keys  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await scene.look()
    assert not scene.health.ok()


@pytest.mark.parametrize(
    "said",
    ["the key is of another account than the one that trades", "the key may do more than read"],
)
async def test_found_30_a_key_that_the_venue_speaks_against_is_never_given_and_joins_nothing(
    said: str,
) -> None:
    scene = Scene(said=said)
    for _ in range(3):
        assert await scene.look() == 0
    assert scene.oracle.asked == []
    assert scene.oracle.joins == 0
    (part,) = scene.health.parts()
    assert not part.ok
    assert said in part.sentence
    assert scene.joiner is not None
    (item,) = scene.joiner.attention()
    assert item.evidence["reason"] == said
    assert item.blocks == ("joining campaigns",)
    scene.said = ""
    assert await scene.look() == 1
    assert scene.joiner.attention() == ()


async def test_found_30_a_silent_venue_says_nothing_of_the_key() -> None:
    scene = Scene(said=VenueUnavailable("no answer"))
    assert await scene.look() == 0
    assert scene.oracle.asked == []
    assert scene.joiner is not None
    assert scene.joiner.attention() == ()


async def test_found_30_the_rights_of_a_key_are_asked_for_again_and_again() -> None:
    scene = Scene()
    await scene.look()
    joiner = scene.joiner
    assert joiner is not None
    for _ in range(5):
        await joiner.look()
    assert scene.asked_venue == 1
    scene.said = "the key may do more than read: enableWithdrawals"
    scene.room.wishes.append(campaign_id(137, "0x" + "0f" * 20))
    scene.clock.advance(CHECK_EVERY_US)
    await joiner.look()
    assert scene.oracle.joins == 1
    for _ in range(5):
        await joiner.look()
    assert scene.asked_venue == 2
    scene.clock.advance(CHECK_AGAIN_US)
    await joiner.look()
    assert scene.asked_venue == 3
