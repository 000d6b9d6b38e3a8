"""Proof of the books: everything is computed again from the commands, and nothing is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from poolmaker.business.ledger.codec import decode_command
from poolmaker.business.ledger.commands import Command, Reversal
from poolmaker.business.ledger.model import (
    GENESIS_HASH,
    Audited,
    BooksDiverged,
    Checkpoint,
    LedgerHead,
)
from poolmaker.business.ledger.ports import AuditReader
from poolmaker.business.ledger.rules import (
    LedgerState,
    PostingDecision,
    apply,
    decide,
    image_of,
    in_order,
    kind_of,
    link,
    trial_balance,
)
from poolmaker.kernel.errors import OutcomeUnknown, PoolmakerError, Unavailable
from poolmaker.kernel.ids import content_hash
from poolmaker.messages.base import encode

PAGE: Final = 500
PROBLEMS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification saw. ``problems`` are sentences, at most ``PROBLEMS_MAX``."""

    ok: bool
    transactions: int
    entries: int
    head_hash: str
    problems: tuple[str, ...]


NOTHING_WRITTEN: Final = VerifyReport(
    ok=True, transactions=0, entries=0, head_hash=GENESIS_HASH.hex(), problems=()
)
"""What is seen where no ledger was ever begun."""


@dataclass(slots=True)
class _Replay:
    books: LedgerState
    head: LedgerHead = field(default_factory=lambda: LedgerHead(0, 0, GENESIS_HASH, 0))
    entries: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


async def verify(evidence: AuditReader) -> VerifyReport:
    """Replay the whole log through the rules and compare every number and hash that is stored.

    Reads page by page; memory is bounded by the books themselves. Safe beside a running writer:
    the log is checked up to the head at the beginning.
    """
    image = await evidence.load()
    replay = _Replay(_books_before_the_log(image))
    while replay.head.seq < image.head.seq:
        page = [
            found
            for found in await evidence.audit(replay.head.seq, PAGE)
            if found.transaction.seq <= image.head.seq
        ]
        if not page:
            replay.note(f"the log ends at {replay.head.seq}, the head says {image.head.seq}")
            break
        for found in page:
            await _follow(replay, found, evidence)
    _compare(replay, image)
    for sentence in await evidence.strays():
        replay.note(sentence)
    await _compare_sums(replay, image, evidence)
    return VerifyReport(
        ok=not replay.problems,
        transactions=replay.head.seq,
        entries=replay.entries,
        head_hash=image.head.hash.hex(),
        problems=tuple(replay.problems),
    )


async def refuse_to_start_on_a_mismatch(evidence: AuditReader) -> VerifyReport:
    """Verify before the writer starts; raises BooksDiverged with the first problem."""
    report = await verify(evidence)
    if not report.ok:
        raise BooksDiverged(f"the ledger does not verify: {report.problems[0]}")
    return report


def _books_before_the_log(image: Checkpoint) -> LedgerState:
    """Empty books that know the registered assets; share assets appear with their first join."""
    books = LedgerState()
    registered = (asset for asset in image.assets if not asset.code.startswith("share:"))
    books.assets.update((asset.code, asset) for asset in registered)
    return books


async def _follow(replay: _Replay, found: Audited, evidence: AuditReader) -> None:
    stored = found.transaction
    try:
        command = decode_command(stored.body)
        if isinstance(command, Reversal):
            replay.books.recalled = dict(await evidence.recall([command.reverses]))
        problems = list(_differences(replay, found, command))
    except (Unavailable, OutcomeUnknown):
        # The database did not answer: that says nothing about the books.
        raise
    except PoolmakerError as error:
        problems = [f"cannot be replayed: {error}"]
    for problem in problems:
        replay.note(f"transaction {stored.seq}: {problem}")
    replay.entries += len(found.lines)
    replay.head = LedgerHead(found.epoch, stored.seq, found.chain_hash, stored.at_us)


def _differences(replay: _Replay, found: Audited, command: Command) -> Iterator[str]:
    stored, before = found.transaction, replay.head
    yield from _header_differences(before, found, command)
    verdict = decide(replay.books, command, stored.at_us)
    if not isinstance(verdict, PostingDecision):
        yield f"the rules say {verdict}, but it was posted"
        verdict = PostingDecision(stored.legs)
    elif verdict.legs != stored.legs:
        yield "its entries are not what the rules compute"
    if apply(replay.books, verdict) != found.lines:
        yield "a balance after an entry is not the sum of the entries before it"


def _header_differences(before: LedgerHead, found: Audited, command: Command) -> Iterator[str]:
    stored = found.transaction
    if stored.seq != before.seq + 1:
        yield f"follows {before.seq}"
    if stored.at_us <= before.at_us or found.epoch < before.epoch:
        yield "ledger time or epoch runs backwards"
    if (stored.key, stored.kind, stored.body) != (command.key, kind_of(command), encode(command)):
        yield "key, kind or body is not the command's"
    if found.body_hash != content_hash(stored.body):
        yield "the hash is not the body's"
    if found.chain_hash != link(
        before.hash, stored.seq, stored.at_us, found.body_hash, stored.legs
    ):
        yield "the chain of hashes is broken"
    if (found.idem_seq, found.idem_body_hash) != (stored.seq, found.body_hash):
        yield "its key is not recorded as answered by it"


def _compare(replay: _Replay, image: Checkpoint) -> None:
    """What the writer would start from against what the log says."""
    wanted, stored = image_of(replay.books, image.head), in_order(image)
    if (replay.head.seq, replay.head.hash) != (image.head.seq, image.head.hash):
        replay.note("the head does not name the last transaction")
    if wanted.assets != stored.assets:
        replay.note("the register of assets is not the replayed one")
    if wanted.states != stored.states:
        replay.note("pools, exits, orders or streams are not the replayed ones")
    if wanted.balances != stored.balances:
        differing = sorted(set(wanted.balances) ^ set(stored.balances), key=lambda leg: leg.account)
        replay.note(f"the balance of {differing[0].account} is not the replayed one")
    for row in trial_balance(replay.books):
        if row.difference:
            replay.note(f"{row.asset}: held and owed differ by {row.difference}")


async def _compare_sums(replay: _Replay, image: Checkpoint, evidence: AuditReader) -> None:
    """The database's own sums, if the log has not grown meanwhile."""
    rows = list(await evidence.trial_balance())
    now = await evidence.load()
    for row in rows:
        if row.difference:
            replay.note(f"{row.asset}: the entries do not sum to zero")
    if now.head.seq == image.head.seq:
        mine = {row.asset: row for row in trial_balance(replay.books)}
        for row in rows:
            other = mine.get(row.asset)
            sums = (other.held_units, other.owed_units) if other else (0, 0)
            if sums != (row.held_units, row.owed_units):
                replay.note(f"{row.asset}: held or owed is not the replayed one")
