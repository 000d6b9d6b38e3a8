"""From queued commands to one batch: each key once, each command decided on the books before it.

Nothing here waits. The books are changed as if the batch were durable; when its append fails they
are thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from poolmaker.business.ledger.commands import Command, Reversal, SetAside, StreamFact
from poolmaker.business.ledger.model import (
    Batch,
    BlockReason,
    CommandConflict,
    IncidentKind,
    LedgerHead,
    LedgerIncident,
    LedgerRefusal,
    Leg,
    Line,
    Outcome,
    Posted,
    Posting,
    PostingRefused,
    RowAnswer,
    State,
    StoredAnswer,
    StoredRefusal,
    Unbookable,
)
from poolmaker.business.ledger.rules import (
    BlockedCommand,
    LedgerState,
    PostingDecision,
    Verdict,
    apply,
    decide,
    kind_of,
    link,
    state_of,
)
from poolmaker.kernel.clock import next_ledger_time
from poolmaker.kernel.ids import CommandKey
from poolmaker.kernel.money import Asset

_HEXADECIMAL: Final = frozenset("0123456789abcdef")
_DIGEST_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class EncodedCommand:
    """A command as it came in. ``row`` is its command row, or None when it came by the queue."""

    command: Command
    body: bytes
    body_hash: bytes
    row: int | None = None


Reply = Outcome | Unbookable


@dataclass(slots=True)
class _Parts:
    postings: list[Posting] = field(default_factory=list)
    refusals: list[StoredRefusal] = field(default_factory=list)
    conflicts: list[CommandConflict] = field(default_factory=list)
    incidents: list[LedgerIncident] = field(default_factory=list)
    assets: list[Asset] = field(default_factory=list)
    states: dict[tuple[str, str], State] = field(default_factory=dict)
    touched: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: list[RowAnswer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unread:
    """A command row that cannot be read. ``streams`` it may be of; None: it may be of any."""

    row: int
    streams: frozenset[str] | None

    def may_precede(self, stream: str, row: int | None) -> bool:
        """Whether it may stand before what is asked for in a later row, or by the queue."""
        is_later = row is None or row > self.row
        return is_later and (self.streams is None or stream in self.streams)


class StoppedStreams:
    """Streams with a fact that could not be booked or read: what comes behind it waits, too."""

    def __init__(
        self,
        at: Mapping[str, tuple[int, BlockedCommand]] | None = None,
        unread: Mapping[CommandKey, Unread] | None = None,
    ) -> None:
        self._at = dict(at or {})
        self._unread = dict(unread or {})

    def copy(self) -> StoppedStreams:
        """What a batch may change: it becomes the truth when the batch is durable."""
        return StoppedStreams(self._at, self._unread)

    def hold(self, key: CommandKey, unread: Unread) -> None:
        """A row cannot be read: nothing of its streams passes it until it is set aside."""
        self._unread[key] = unread

    def let_go(self, key: CommandKey) -> None:
        """It was set aside; no effect for what was not held."""
        self._unread.pop(key, None)

    def stands_at(self, stream: str, stream_seq: int) -> bool:
        """Whether a fact is the one that stopped its stream: nothing before it waits."""
        seq, stuck = self._at.get(stream, (-1, None))
        return seq == stream_seq and (stuck is None or stuck.subject not in self._unread)

    def stands_before(self, fact: StreamFact, row: int | None) -> BlockedCommand | None:
        """The obstacle of what comes before a fact of its stream, or None."""
        for key, unread in self._unread.items():
            if unread.may_precede(fact.stream, row):
                return BlockedCommand(BlockReason.MALFORMED, key)
        seq, stuck = self._at.get(fact.stream, (fact.stream_seq, None))
        return stuck if seq < fact.stream_seq else None

    def stop(self, fact: StreamFact, stuck: BlockedCommand) -> None:
        """Remember the earliest fact of a stream that could not be booked."""
        seq, _ = self._at.get(fact.stream, (fact.stream_seq, stuck))
        if fact.stream_seq <= seq:
            self._at[fact.stream] = fact.stream_seq, stuck

    def passed(self, stream: str, stream_seq: int) -> None:
        """The stream goes on when what stopped it is booked or set aside."""
        seq, _ = self._at.get(stream, (-1, None))
        if seq == stream_seq:
            del self._at[stream]


class BatchBuilder:
    """One batch in the making, on top of ``head``."""

    def __init__(
        self,
        books: LedgerState,
        head: LedgerHead,
        answers: Mapping[CommandKey, StoredAnswer],
        stopped: StoppedStreams,
    ) -> None:
        self.assets_are_fresh = False
        self._books = books
        self._from = head
        self.head = head
        self._answers = dict(answers)
        self._stopped = stopped
        self._parts = _Parts()

    def take(self, asked: EncodedCommand, clock_us: int) -> Reply | None:
        """Decide one command and answer it; the answer holds once the batch is durable.

        None: an asset is not known and the register was not read again for this batch. Read it,
        say so by ``assets_are_fresh``, and ask again.
        """
        key = asked.command.key
        earlier = self._answers.get(key)
        at_us = next_ledger_time(self.head.at_us, clock_us)
        if earlier is None:
            verdict = self._verdict(asked, at_us)
            if _lacks_asset(verdict) and not self.assets_are_fresh:
                return None
            reply = self._settle(asked, verdict, at_us)
        elif earlier.body_hash == asked.body_hash:
            reply = _again(earlier.outcome)
            self._go_on(asked.command, reply)
        else:
            self._parts.conflicts.append(CommandConflict(key, asked.body, asked.body_hash, at_us))
            reply = PostingRefused(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)
        self._answer_row(asked, reply)
        return reply

    def batch(self) -> Batch | None:
        """Everything to be written, or None when there is nothing."""
        parts = self._parts
        if not (parts.postings or parts.refusals or parts.conflicts or parts.rows):
            return None
        return Batch(
            epoch=self._from.epoch,
            from_seq=self._from.seq,
            postings=tuple(parts.postings),
            refusals=tuple(parts.refusals),
            conflicts=tuple(parts.conflicts),
            incidents=tuple(parts.incidents),
            assets=tuple(parts.assets),
            states=tuple(parts.states.values()),
            balances=tuple(Leg(*place, units) for place, units in parts.touched.items()),
            rows=tuple(parts.rows),
        )

    def _answer_row(self, asked: EncodedCommand, reply: Reply) -> None:
        if asked.row is None:
            return
        match reply:
            case Posted():
                self._parts.rows.append(RowAnswer(asked.row, reply.seq, None))
            case PostingRefused():
                self._parts.rows.append(RowAnswer(asked.row, None, reply.reason))
            case Unbookable():
                pass
            case _:
                assert_never(reply)

    def _verdict(self, asked: EncodedCommand, at_us: int) -> Verdict:
        command = asked.command
        held_up: LedgerRefusal | BlockedCommand | None = None
        if isinstance(command, SetAside):
            held_up = self._not_aside(command)
        elif isinstance(command, StreamFact):
            held_up = self._stopped.stands_before(command, asked.row)
        return held_up or decide(self._books, command, at_us)

    def _not_aside(self, command: SetAside) -> LedgerRefusal | None:
        """Only what has no answer yet, only under the hash of its whole body, and in order.

        A fact that another holds up may not go before it: a barrier behind both would be passed
        while the first is still to be booked. After a start that is known once both were tried.
        """
        digest = command.digest
        is_hash = len(digest) == _DIGEST_LENGTH and set(digest) <= _HEXADECIMAL
        if not is_hash or command.aside in (*self._answers, command.key):
            return LedgerRefusal.UNKNOWN_TRANSACTION
        is_first = self._stopped.stands_at(command.stream, command.stream_seq)
        return LedgerRefusal.BEHIND_BARRIER if command.stream and not is_first else None

    def _set_aside(self, command: SetAside, at_us: int) -> None:
        body_hash, reason = bytes.fromhex(command.digest), LedgerRefusal.SET_ASIDE
        refusal = StoredRefusal(command.aside, body_hash, at_us, reason)
        self._parts.refusals.append(refusal)
        self._answers[command.aside] = StoredAnswer(body_hash, PostingRefused(reason))

    def _settle(self, asked: EncodedCommand, verdict: Verdict, at_us: int) -> Reply:
        command = asked.command
        match verdict:
            case PostingDecision():
                return self._post(asked, verdict, at_us)
            case LedgerRefusal():
                refusal = StoredRefusal(command.key, asked.body_hash, at_us, verdict)
                self._parts.refusals.append(refusal)
                return self._remember(asked, PostingRefused(verdict))
            case BlockedCommand():
                if isinstance(command, StreamFact):
                    self._stopped.stop(command, verdict)
                return Unbookable(verdict.obstacle, verdict.subject)
            case _:
                assert_never(verdict)

    def _remember(self, asked: EncodedCommand, outcome: Outcome) -> Outcome:
        self._answers[asked.command.key] = StoredAnswer(asked.body_hash, outcome)
        return outcome

    def _post(self, asked: EncodedCommand, decision: PostingDecision, at_us: int) -> Outcome:
        command, seq = asked.command, self.head.seq + 1
        lines = apply(self._books, decision)
        chain = link(self.head.hash, seq, at_us, asked.body_hash, decision.legs)
        posting = Posting(
            seq=seq,
            key=command.key,
            kind=kind_of(command),
            at_us=at_us,
            body=asked.body,
            body_hash=asked.body_hash,
            chain_hash=chain,
            lines=lines,
        )
        self.head = replace(self.head, seq=seq, hash=chain, at_us=at_us)
        self._parts.postings.append(posting)
        self._parts.assets += decision.assets
        for record in decision.records:
            state = state_of(record)
            self._parts.states[state.kind, state.name] = state
        for line in lines:
            self._parts.touched[line.leg.account, line.leg.asset] = line.after_units
            self._parts.incidents += _incidents(line, posting)
        if isinstance(command, SetAside):
            self._set_aside(command, at_us)
        posted = Posted(seq, at_us)
        self._go_on(command, posted)
        return self._remember(asked, posted)

    def _go_on(self, command: Command, outcome: Outcome) -> None:
        """A stream goes on when what stopped it is answered, or set aside by what was posted."""
        if isinstance(command, StreamFact) or (
            isinstance(command, SetAside) and isinstance(outcome, Posted)
        ):
            self._stopped.passed(command.stream, command.stream_seq)
        if isinstance(command, SetAside) and isinstance(outcome, Posted):
            self._stopped.let_go(command.aside)


def _lacks_asset(verdict: Verdict) -> bool:
    if isinstance(verdict, BlockedCommand):
        return verdict.obstacle is BlockReason.UNKNOWN_ASSET
    return verdict is LedgerRefusal.UNKNOWN_ASSET


def _again(outcome: Outcome) -> Outcome:
    return replace(outcome, already=True) if isinstance(outcome, Posted) else outcome


def _incidents(line: Line, posting: Posting) -> list[LedgerIncident]:
    account, asset = line.leg.account, line.leg.asset
    subject = f"{account} {asset}"
    if account.startswith("deficit:") and line.leg.units > 0:
        return [LedgerIncident(IncidentKind.DEFICIT, subject, posting.key, posting.at_us)]
    below = account.startswith("custody:") and line.leg.units < 0 and line.after_units < 0
    if below and line.after_units - line.leg.units >= 0:
        return [
            LedgerIncident(IncidentKind.CUSTODY_BELOW_ZERO, subject, posting.key, posting.at_us)
        ]
    return []


def answered_keys(batch: list[EncodedCommand]) -> list[CommandKey]:
    """Keys whose earlier answers decide a batch: its own, and those that it sets aside."""
    own = (asked.command.key for asked in batch)
    aside = (asked.command.aside for asked in batch if isinstance(asked.command, SetAside))
    return list(dict.fromkeys([*own, *aside]))


def recalled_keys(batch: list[EncodedCommand]) -> list[CommandKey]:
    """The transactions that have to be at hand before a batch is decided."""
    return [asked.command.reverses for asked in batch if isinstance(asked.command, Reversal)]
