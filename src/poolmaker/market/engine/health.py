"""How an engine is doing, and what of it needs a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.market.engine.latches import Latch, LatchKind
from poolmaker.market.engine.model import EngineHealth
from poolmaker.market.engine.state import EngineState, PoolQuoting
from poolmaker.market.tracking.model import OddRow, VenueOrderState
from poolmaker.messages.market import QuoteGate

SOURCE: Final = "market"
STARTING_US: Final = 10_000_000
"""How long after its start an engine may be on its way without being called ill."""
_RESTING: Final = (VenueOrderState.OPEN, VenueOrderState.PARTLY_FILLED)
_WELL: Final = frozenset(
    {
        QuoteGate.NONE,
        QuoteGate.STOPPED,
        QuoteGate.NO_CAPITAL,
        QuoteGate.INVENTORY_BAND,
        QuoteGate.BELOW_MINIMUM,
        QuoteGate.DRAINING,
        QuoteGate.OWN_ORDER,
        QuoteGate.BUDGET,
    }
)
"""Gates of a side that does what it should; any other that lasts is told."""
LASTING_US: Final = 30_000_000
_PERSON: Final = frozenset({LatchKind.HALTED, LatchKind.CONTROL_STOPPED, LatchKind.KILLED})


def health_of(state: EngineState, failure: str, now_us: int) -> EngineHealth:
    """How one engine is doing. ``failure`` ended its session, empty while it works."""
    connection = state.connection
    resting = any(order.state in _RESTING for order in state.shadow.at_stake())
    wanted = [desk for desk in state.pools.values() if desk.wish.quoting]
    why_not = failure or _why_not(state, wanted, now_us)
    starting = now_us - state.started_us < STARTING_US and not _told_why(state, failure)
    ok = starting or not (why_not and (wanted or not (connection.is_up and state.ready)))
    if not why_not and not resting:
        why_not = "no pool is asked to quote" if not wanted else _gates(wanted[0])
    return EngineHealth(
        account=state.config.account,
        ok=ok,
        connected=connection.is_up,
        reconciled=state.ready,
        quoting=resting,
        since_us=connection.since_us or state.started_us,
        why_not=why_not,
    )


def not_started(account: VenueAccountId, failure: str, since_us: int) -> EngineHealth:
    """An engine before its first session."""
    return EngineHealth(
        account=account,
        ok=not failure,
        connected=False,
        reconciled=False,
        quoting=False,
        since_us=since_us,
        why_not=failure or "starting",
    )


def _told_why(state: EngineState, failure: str) -> bool:
    """Whether somebody has said what is wrong, so that there is nothing to wait for."""
    return bool(failure or state.connection.why_not or state.unready_why or state.latches.all())


def _why_not(state: EngineState, wanted: Sequence[PoolQuoting], now_us: int) -> str:
    if not state.connection.is_up:
        return f"not connected: {state.connection.why_not or 'the stream is being opened'}"
    if not state.ready:
        return f"not reconciled: {state.unready_why or 'the first round is under way'}"
    for latch in state.latches.all():
        if latch.kind is not LatchKind.CREATES_REFUSED or now_us - latch.since_us > LASTING_US:
            return f"{latch.gate.value}: {latch.cause}"
    for desk in wanted:
        shown = [desk.gates[side] for side in Side if side in desk.gates]
        if shown and all(g.gate not in _WELL and now_us - g.since_us > LASTING_US for g in shown):
            return f"pool {desk.wish.pool}: {_gates(desk)}"
    return ""


def _gates(desk: PoolQuoting) -> str:
    """Each side's gate in words for programs, with what more is known of it."""
    told = [
        f"{side.value} {shown.gate.value}" + (f" ({shown.detail})" if shown.detail else "")
        for side, shown in desk.gates.items()
    ]
    return ", ".join(told) or "not decided yet"


def attention_of(
    state: EngineState, odd: Sequence[tuple[OddRow, int]], now_us: int
) -> list[AttentionItem]:
    """Latches that hold for long or wait for a person, and rows that are set aside."""
    account = state.config.account
    lasting = [
        latch
        for latch in state.latches.all()
        if latch.kind in _PERSON or now_us - latch.since_us > LASTING_US or _is_key(latch)
    ]
    rows = [one for one in odd if one[0].source != "trades" and one[0].matters]
    return [*(_latch(account, latch) for latch in lasting), *(_row(account, *one) for one in rows)]


def _is_key(latch: Latch) -> bool:
    return latch.gate in (QuoteGate.KEY_REFUSED, QuoteGate.UNREADABLE_TRADES)


def _latch(account: VenueAccountId, latch: Latch) -> AttentionItem:
    names = {"account": account, "kind": latch.kind.value, "subject": latch.subject}
    return AttentionItem(
        source=SOURCE,
        kind=latch.kind.value,
        subject=f"{account}/{latch.subject}",
        since_us=latch.since_us,
        evidence={"cause": latch.cause, "cleared_by": latch.rule.cleared_by or "a person only"},
        blocks=("quoting",),
        remedies=(
            Remedy(
                action="release",
                command=latch.rule.command.format(**names),
                route=latch.rule.route.format(**names),
            ),
        ),
    )


def _row(account: VenueAccountId, row: OddRow, since_us: int) -> AttentionItem:
    """Closed by evidence: the next read in which every row can be read."""
    return AttentionItem(
        source=SOURCE,
        kind="odd_row",
        subject=f"{account}/{row.source}/{row.key}",
        since_us=since_us,
        evidence={"market": row.subject, "problem": row.problem, "row": row.excerpt},
    )
