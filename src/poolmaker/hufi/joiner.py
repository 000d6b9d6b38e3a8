"""Takes part in campaigns: hands in the read-only key, joins, and believes only the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.hufi.api import OracleApi
from poolmaker.hufi.model import (
    AccountKeys,
    HufiRefused,
    JoinStatus,
    Participation,
    ParticipationState,
)
from poolmaker.hufi.ports import CampaignRegistry, KeyCheck, ParticipationStore
from poolmaker.hufi.verdicts import FINAL_CLOSINGS, campaign_id, instant_us, is_final, place_of
from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.logging import get_logger
from poolmaker.infra.sagas.model import NEVER_US, back_off_us
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable

BACK_OFF_FIRST_US: Final = SECOND_US
BACK_OFF_MAX_US: Final = 10 * MINUTE_US
COMPONENT: Final = "hufi.join"
CHECK_EVERY_US: Final = 10 * MINUTE_US
CHECK_AGAIN_US: Final = 30 * SECOND_US
_JOINED: Final = "already_joined"
_CLOSED: Final = "join_closed"
_LOG: Final = get_logger("hufi")
Known = Mapping[str, Participation]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinerPorts:
    """What the joiner reaches the outside through.

    ``is_known`` says whether the desk was told of a campaign; of others it is told nothing.
    """

    is_known: Callable[[str], bool]
    transactions: Transactions
    store: ParticipationStore
    desk: CampaignRegistry
    clock: Clock
    health: HealthReporter
    key_check: KeyCheck


class Joiner:
    """One wallet with one venue account. A crash at any point asks before it joins again."""

    def __init__(
        self, oracle: OracleApi, exchange: str, keys: AccountKeys, ports: JoinerPorts
    ) -> None:
        require(
            keys.read_only_key != keys.trading_key and keys.read_only_secret != keys.trading_secret,
            "HuFi must not be given the key that trades; it needs a read-only pair of its own",
        )
        self._oracle = oracle
        self._exchange = exchange
        self._keys = keys
        self._ports = ports
        self._checked_us = -CHECK_EVERY_US
        self._is_good = False
        self.key_problem = ""
        """Why the venue speaks against the key; empty when it does not, or was not asked yet."""

    async def look(self) -> int:
        """One round: the key, what the oracle says we are in, what is wanted and not joined.

        Answers how many campaigns were joined. Raises Unavailable and OutcomeUnknown: the next
        round begins by asking.
        """
        try:
            usable = await self._ensure_key()
            joined = await self._reconcile()
            return joined + (await self._join_wanted() if usable else 0)
        except HufiRefused as refused:
            self._ports.health.report(COMPONENT, ok=False, sentence=str(refused))
            raise Unavailable(str(refused)) from refused

    # ------------------------------------------------------------------------------ the key

    async def _ensure_key(self) -> bool:
        """Whether the venue says that the key is ours and only reads, and the oracle holds it."""
        if not await self._is_ours():
            return False
        held = {one.exchange_name: one for one in await self._oracle.keys()}
        mine = held.get(self._exchange)
        try:
            if mine is None or mine.api_key != self._keys.read_only_key:
                await self._oracle.register_key(
                    self._exchange, self._keys.read_only_key, self._keys.read_only_secret
                )
                usable = True
            else:
                usable = mine.is_valid or await self._oracle.revalidate_key(self._exchange)
        except HufiRefused as refused:
            self._ports.health.report(COMPONENT, ok=False, sentence=f"the key: {refused.words}")
            return False
        sentence = "the oracle reads our account" if usable else "the oracle finds our key invalid"
        self._ports.health.report(COMPONENT, ok=usable, sentence=sentence)
        return usable

    async def _is_ours(self) -> bool:
        """Ask the venue, now and then again: the rights of a key can be changed."""
        now_us = self._ports.clock.monotonic_us()
        if self._is_good and now_us - self._checked_us < CHECK_EVERY_US:
            return True
        if not self._is_good and now_us - self._checked_us < CHECK_AGAIN_US:
            return False
        self._checked_us = now_us
        try:
            self.key_problem = await self._ports.key_check.problem()
            self._is_good = not self.key_problem
            sentence = f"the key is not given to HuFi: {self.key_problem}"
        except Unavailable as problem:
            sentence = f"the venue does not say what the key may do: {problem}"
        if not self._is_good:
            self._ports.health.report(COMPONENT, ok=False, sentence=sentence)
        return self._is_good

    def attention(self) -> Sequence[AttentionItem]:
        """The key, while the venue speaks against it."""
        if not self.key_problem:
            return ()
        remedy = Remedy(
            action="change_key",
            command="poolmaker config show, then set read_only_api_key and read_only_secret",
        )
        item = AttentionItem(
            source="hufi",
            kind="key_refused",
            subject=self._exchange,
            since_us=0,
            evidence={"reason": self.key_problem},
            blocks=("joining campaigns",),
            remedies=(remedy,),
        )
        return (item,)

    # ------------------------------------------------------------------------- reconciling

    async def _reconcile(self) -> int:
        """Hold our rows against the oracle's own list; it also joins by itself."""
        there = {campaign_id(one.chain_id, one.address) for one in await self._oracle.joined()}
        known = await self._known()
        is_joined = {name for name, one in known.items() if one.state is ParticipationState.JOINED}
        for name in sorted(is_joined - there):
            await self._lost(known[name])
        new = 0
        for name in sorted(there - is_joined):
            if not self._ports.is_known(name):
                continue
            status = await self._status(name)
            if status.status == _JOINED:
                await self._joined(self._row(known, name), status)
                new += 1
        return new

    async def _known(self) -> Known:
        async with self._ports.transactions.look("hufi.participations") as tx:
            return {one.campaign: one for one in await self._ports.store.all(tx)}

    async def _lost(self, row: Participation) -> None:
        """The oracle no longer lists it: a key was deleted there, or a threshold was missed."""
        _LOG.warning("no_longer_joined", campaign=row.campaign)
        reason = "the oracle no longer lists us"
        asking = replace(row, state=ParticipationState.ASKING, reason=reason, due_us=self._now_us())
        async with self._ports.transactions.begin("hufi.lost") as tx:
            await self._ports.store.save(tx, asking)
            await self._ports.desk.refused(tx, row.campaign, reason, final=False)

    # ----------------------------------------------------------------------------- joining

    async def _join_wanted(self) -> int:
        known, now_us, joined = await self._known(), self._now_us(), 0
        async with self._ports.transactions.begin("hufi.wanted") as tx:
            wanted = await self._ports.desk.wanted(tx)
        # What we were once in is asked for again by itself: the desk believes us in.
        was_in = [name for name, one in known.items() if one.joined_us]
        for name in dict.fromkeys([*wanted, *was_in]):
            row = self._row(known, name)
            is_due = row.state is not ParticipationState.JOINED and row.due_us <= now_us
            if is_due and self._ports.is_known(name):
                joined += await self._ask(row)
        return joined

    async def _ask(self, row: Participation) -> bool:
        """Store the wish, ask whether we are in, and only then join."""
        now_us = self._now_us()
        wait_us = back_off_us(row.tries, BACK_OFF_FIRST_US, BACK_OFF_MAX_US)
        row = replace(row, asked_us=now_us, due_us=now_us + wait_us, tries=row.tries + 1)
        async with self._ports.transactions.begin("hufi.asking") as tx:
            await self._ports.store.save(tx, row)
        try:
            status = await self._status(row.campaign)
            if status.status not in {_JOINED, _CLOSED}:
                await self._oracle.join(*_place(row.campaign))
                status = await self._status(row.campaign)
        except HufiRefused as refused:
            await self._refused(row, refused.words, final=is_final(refused))
            return False
        except OutcomeUnknown as problem:
            _LOG.info("join_without_an_answer", campaign=row.campaign, problem=str(problem))
            return False
        if status.status == _JOINED:
            await self._joined(row, status)
            return True
        words = f"{status.status} {status.reason}".strip()
        await self._refused(row, words, final=status.reason in FINAL_CLOSINGS)
        return False

    async def _status(self, name: str) -> JoinStatus:
        return await self._oracle.join_status(*_place(name))

    async def _joined(self, row: Participation, status: JoinStatus) -> None:
        joined_us = instant_us(status.joined_at)
        done = replace(
            row, state=ParticipationState.JOINED, joined_us=joined_us, due_us=NEVER_US, tries=0
        )
        async with self._ports.transactions.begin("hufi.joined") as tx:
            await self._ports.store.save(tx, done)
            await self._ports.desk.joined(tx, row.campaign, joined_us)

    async def _refused(self, row: Participation, words: str, *, final: bool) -> None:
        due_us = NEVER_US if final else row.due_us
        done = replace(row, state=ParticipationState.REFUSED, reason=words, due_us=due_us)
        async with self._ports.transactions.begin("hufi.refused") as tx:
            await self._ports.store.save(tx, done)
            await self._ports.desk.refused(tx, row.campaign, words, final=final)

    def _row(self, known: Known, name: str) -> Participation:
        fresh = Participation(
            campaign=name, state=ParticipationState.ASKING, asked_us=self._now_us(), due_us=0
        )
        return known.get(name, fresh)

    def _now_us(self) -> int:
        return self._ports.clock.now_us()


def _place(name: str) -> tuple[int, str]:
    place = place_of(name)
    require(place is not None, f"campaign: {name!r} is none of HuFi's")
    return place or (0, "")
