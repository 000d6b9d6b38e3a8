"""What the rooms record and what waits too long is told in health, and so is that it is over."""

from __future__ import annotations

from types import SimpleNamespace

from poolmaker.app.troubles import PATIENCE_US, TroublePorts, TroubleWatch
from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.money import Amount
from tests.support.business import ACCOUNT, USDT, World, mixin_world


class Nothing:
    """A room without troubles."""

    async def open_incidents(self) -> tuple[()]:
        return ()

    async def troubles(self) -> tuple[()]:
        return ()


def _watch(world: World, board: HealthBoard, *incidents: str, problem: str = "") -> TroubleWatch:
    async def told() -> list[SimpleNamespace]:
        return [SimpleNamespace(kind=kind, subject="s", note="n") for kind in incidents]

    mixin = SimpleNamespace(
        walker=SimpleNamespace(problem=problem), desk=SimpleNamespace(incidents=told)
    )
    return TroubleWatch(
        TroublePorts(
            treasury=world.rooms.treasury,
            withdrawals=world.withdrawals,
            rewards=Nothing(),  # type: ignore[arg-type]
            campaigns=Nothing(),  # type: ignore[arg-type]
            mixin=mixin,  # type: ignore[arg-type]
            health=board,
            clock=world.clock,
        )
    )


def _red(board: HealthBoard) -> dict[str, str]:
    return {part.component: part.sentence for part in board.parts() if not part.ok}


async def test_an_order_that_waits_for_cash_for_long_is_told_until_it_has_it() -> None:
    async with mixin_world() as world:
        board = HealthBoard(world.clock)
        watch = _watch(world, board)
        world.places.ways = []
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent)
        await world.rest(MINUTE_US)
        await watch.look()
        assert _red(board) == {}
        world.clock.advance(PATIENCE_US)
        await watch.look()
        assert intent.order in _red(board)["money_under_way"]
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 1_000), "cash")
        await world.until_state(intent.order, "in_mm")
        await watch.look()
        assert _red(board) == {}


async def test_a_payout_a_transfer_and_a_freeze_that_hold_money_are_told() -> None:
    async with mixin_world() as world:
        board = HealthBoard(world.clock)
        watch = _watch(world, board)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent, USDT=400)
        await world.withdrawals.freeze("a drill", "olga")
        await world.until_state(intent.order, "expired")
        await world.rest(MINUTE_US)
        world.clock.advance(PATIENCE_US)
        await watch.look()
        assert _red(board)["outgoing_money"] == "frozen by olga: a drill"
        assert "is held" in _red(board)["money_under_way"]
        await world.withdrawals.unfreeze()
        await world.rest(MINUTE_US)
        await watch.look()
        assert _red(board) == {}


async def test_a_refused_refund_is_told_while_the_money_is_nobodys() -> None:
    async with mixin_world() as world:
        board = HealthBoard(world.clock)
        watch = _watch(world, board)
        world.provider.mood("USDT", "refuse")
        await world.arrive("USDT", 5, "stray", sender="somebody")
        await world.rest(5 * MINUTE_US)
        await watch.look()
        assert "refund_refused of mixin:stray" in _red(board)["treasury"]


async def test_a_way_that_was_refused_is_told_until_it_works() -> None:
    async with mixin_world() as world:
        board = HealthBoard(world.clock)
        watch = _watch(world, board)
        world.provider.mood("USDT", "refuse")
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent)

        async def refused() -> bool:
            return any(row.state == "returned" for row in await world.transfers())

        await world.until(refused)
        await watch.look()
        assert "transfer_refused" in _red(board)["treasury"]
        await world.until_state(intent.order, "in_mm")
        await watch.look()
        assert _red(board) == {}


async def test_mixin_that_does_not_answer_and_what_only_we_can_cause_there_is_told() -> None:
    async with mixin_world() as world:
        board = HealthBoard(world.clock)
        await _watch(world, board, "unknown_asset", "conflict", problem="no connection").look()
        assert _red(board) == {"mixin.money": "conflict s: n", "mixin.walk": "no connection"}
