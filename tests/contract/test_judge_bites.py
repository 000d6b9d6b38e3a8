"""The judge says what is false, and only that: one thing is corrupted at a time.

The platform's own writer makes the books; venue, Mixin, chain and results file are what the test
says they are. What is corrupted in the database is corrupted as its superuser, triggers off.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp import web
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import Posted
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.money import Asset, split_units
from poolmaker.messages.base import Money
from tests.support.clusters import Workshop
from tests.support.ledger import (
    ALICE,
    BOB,
    ORDER,
    OTHER,
    btc,
    deposit,
    join,
    key,
    lock,
    operator_in,
    usdt,
)
from tests.support.ledgers import OpenDatabase, Running, running_ledger
from tools.judge.config import read_config
from tools.judge.model import Verdict
from tools.judge.reading import judged

Dsn = Callable[[DatabaseRole], str]
FLAGS = ("trial_balance_ok", "ledger_verify_ok", "custody_ok", "allocations_ok")
WALLET_KEY = "0x" + "11" * 32
WALLET = str(Account.from_key(WALLET_KEY).address)
ESCROW = "0x" + "ab" * 20
FACTORY = "0x" + "fa" * 20
HMT = "0x" + "5f" * 20
HMT_MIXIN = "b6f3a2a4-0000-4000-8000-000000000001"
CAMPAIGN = f"hufi-1338-{ESCROW}"
PAYOUT, TX_HASH = "batch-1", "0x" + "77" * 32
STEP = 10**10
FEE_PPM = 50_000
RECEIVED = 7 * 10**18 + 3
DAY_US = 20_000_000


def _hmt(units: int) -> Money:
    return Money(asset="HMT", units=units)


@dataclass
class Outside:
    """What venue, Mixin and chain say."""

    venue: dict[str, str] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    token_units: int = 0
    paid_units: int = RECEIVED
    results: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    url: str = ""

    async def account(self, request: web.Request) -> web.Response:
        assert request.headers["X-MBX-APIKEY"] == "ro"
        rows = [{"asset": a, "free": v, "locked": "0"} for a, v in self.venue.items()]
        return web.json_response({"balances": rows})

    async def open_orders(self, _: web.Request) -> web.Response:
        return web.json_response(self.orders)

    async def safe_outputs(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("Bearer ey")
        rows = [
            {"asset_id": HMT_MIXIN, "amount": amount, "sequence": at}
            for at, amount in enumerate(self.outputs)
        ]
        return web.json_response({"data": rows})

    async def file(self, _: web.Request) -> web.Response:
        return web.Response(body=self.body())

    def body(self) -> bytes:
        return json.dumps(self.results).encode()

    async def rpc(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        answer = getattr(self, asked["method"])(*asked["params"])
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": answer})

    def eth_call(self, call: Mapping[str, str], tag: str) -> str:
        assert tag == "finalized"
        if call["to"] == FACTORY:
            return "0x" + "1".rjust(64, "0")
        return hex(self.token_units)

    def eth_getLogs(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        padded = [f"0x{one[2:].lower().rjust(64, '0')}" for one in (ESCROW, WALLET)]
        assert wanted["topics"][2] == padded[1]
        log = {
            "address": HMT,
            "topics": [wanted["topics"][0], *padded],
            "data": hex(self.paid_units),
            "transactionHash": TX_HASH,
        }
        return [log]

    def eth_getTransactionReceipt(self, _: str) -> dict[str, Any]:  # noqa: N802
        said = (
            [WALLET.lower()],
            [self.paid_units],
            False,
            self.url,
            self.digest,
        )
        types = ["address[]", "uint256[]", "bool", "string", "string"]
        name = "BulkTransferV3(bytes32,address[],uint256[],bool,string,string)"
        log = {
            "address": ESCROW,
            "topics": ["0x" + keccak(text=name).hex(), "0x" + keccak(text=PAYOUT).hex()],
            "data": "0x" + encode(types, said).hex(),
        }
        return {"logs": [log]}


@pytest.fixture
async def outside() -> AsyncIterator[tuple[Outside, str]]:
    world = Outside()
    app = web.Application()
    app.router.add_get("/api/v3/account", world.account)
    app.router.add_get("/api/v3/openOrders", world.open_orders)
    app.router.add_get("/safe/outputs", world.safe_outputs)
    app.router.add_get("/results.json", world.file)
    app.router.add_post("/rpc", world.rpc)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield world, f"http://127.0.0.1:{port}"
    await runner.cleanup()


def _config(base: str) -> str:
    return f"""
[[venue_accounts]]
id = "acc"
rest_url = "{base}"
read_only_api_key = "ro"
read_only_secret = "s"
symbols = ["BTC/USDT"]

[[pools]]
id = "p1"
symbol = "BTC/USDT"

[[forms]]
name = "hmt"
asset = "HMT"
decimals = 18
mixin_id = "{HMT_MIXIN}"
evm_contract = "{HMT}"

[mixin]
api_url = "{base}"
app_id = "a"
session_id = "s"
session_private_key = "{"22" * 32}"

[evm]
rpc_url = "{base}/rpc"
wallet_private_key = "{WALLET_KEY}"

[hufi]
escrow_factory = "{FACTORY}"

[rewards]
fee_ppm = {FEE_PPM}
"""


async def _say(running: Running, *commands: c.Command) -> int:
    """Post commands that are all applied; ledger time of the last."""
    at_us = 0
    for command in commands:
        outcome = await running.ledger.submit(command)
        assert isinstance(outcome, Posted), (command, outcome)
        at_us = outcome.at_us
    return at_us


async def _days(running: Running) -> tuple[int, int, int, int]:
    """Two users join; the times of the window and of both joins."""
    clock = SystemClock()
    await _say(running, operator_in("o", usdt(50_000_000)))
    for user, order in ((ALICE, ORDER), (BOB, OTHER)):
        money = (btc(3_000_000), usdt(1_500_000_000))
        for one in money:
            await _say(running, deposit(f"d-{user}-{one.asset}", one, user=user))
        await _say(running, lock(f"l-{user}", *money, order=order, user=user))
    joins = []
    for name, order in (("j1", ORDER), ("j2", OTHER)):
        now = clock.now_us()
        joins.append(
            await _say(
                running,
                join(name, 3_000_000, 1_500_000_000, order=order, price_time_us=now),
            )
        )
        await clock.sleep_us(20_000)
    to_us = clock.now_us() // 1_000 * 1_000
    return to_us - DAY_US, to_us, joins[0], joins[1]


async def _reward(running: Running, parts: Mapping[OrderId, tuple[UserId, int]], fee: int) -> None:
    evm, mixin = f"custody:evm:{WALLET.lower()}:hmt", "custody:mixin:hmt"
    payable, dust = RECEIVED // STEP * STEP, RECEIVED % STEP
    await _say(
        running,
        c.ReceiveReward(
            key=key("rr"),
            campaign=CAMPAIGN,
            location=evm,
            money=_hmt(RECEIVED),
            reference=TX_HASH,
        ),
        c.Dust(key=key("du"), campaign=CAMPAIGN, money=_hmt(dust)),
        c.MoveOut(key=key("mo"), transfer="t1", location=evm, money=_hmt(payable)),
        c.MoveIn(key=key("mi"), transfer="t1", location=mixin, money=_hmt(payable), reference="x"),
        c.AllocateReward(
            key=key("al"),
            campaign=CAMPAIGN,
            reward="rw_1",
            fee=_hmt(fee),
            users=_hmt(payable - fee),
            digest="00",
        ),
        *(
            c.CreditReward(
                key=key(f"cr-{order}"),
                campaign=CAMPAIGN,
                reward="rw_1",
                user=user,
                order=order,
                money=_hmt(units),
            )
            for order, (user, units) in parts.items()
        ),
    )


def _results(from_us: int, to_us: int) -> dict[str, Any]:
    def iso(at_us: int) -> str:
        seconds, rest = divmod(at_us, 1_000_000)
        days, second = divmod(seconds, 86_400)
        # The civil date of a day number, by the well-known algorithm of eras.
        z = days + 719_468
        era, doe = divmod(z, 146_097)
        yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
        doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
        mp = (5 * doy + 2) // 153
        day, month = doy - (153 * mp + 2) // 5 + 1, mp + 3 if mp < 10 else mp - 9
        year = yoe + era * 400 + (month <= 2)
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        return f"{year:04d}-{month:02d}-{day:02d}T{clock}.{rest // 1000:03d}Z"

    day = {
        "from": iso(from_us),
        "to": iso(to_us),
        "participants_outcomes_batches": [{"id": PAYOUT, "results": []}],
    }
    return {"symbol": "BTC/USDT", "results": [day]}


@dataclass
class Court:
    """True books, a true world, and a judge."""

    world: Outside
    config: Path
    dsn: Dsn
    admin: asyncpg.Connection

    async def verdict(self) -> Verdict:
        config = read_config(self.config)
        return await judged(config, self.dsn(DatabaseRole.READER), 0)

    async def corrupt(self, *statements: str) -> None:
        """As the superuser, with every trigger off."""
        await self.admin.execute("SET session_replication_role = replica")
        for table in ("tx", "entry", "balance"):
            await self.admin.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
        for statement in statements:
            assert not (await self.admin.execute(statement)).endswith(" 0"), statement


@pytest.fixture
async def court(
    open_database: OpenDatabase,
    migrated_dsn: Dsn,
    database_workshop: Workshop,
    outside: tuple[Outside, str],
    tmp_path: Path,
) -> AsyncIterator[Court]:
    world, base = outside
    async with running_ledger(open_database) as running:
        await running.writer.register_asset(Asset("HMT", 18))
        from_us, to_us, first, second = await _days(running)
        payable = RECEIVED // STEP * STEP
        fee = payable * FEE_PPM // 1_000_000 // STEP * STEP
        shares = await _shares(migrated_dsn(DatabaseRole.READER))
        weights = [shares[ORDER] * (to_us - first), shares[OTHER] * (to_us - second)]
        one, two = (part * STEP for part in split_units((payable - fee) // STEP, weights))
        await _reward(running, {ORDER: (ALICE, one), OTHER: (BOB, two)}, fee)
    world.results = _results(from_us, to_us)
    world.digest = hashlib.sha256(world.body()).hexdigest()
    world.url = f"{base}/results.json"
    world.venue = {"BTC": "0.06", "USDT": "3050", "DOGE": "1"}
    world.outputs = ["6.5", "0.5"]
    world.token_units = 3
    file = tmp_path / "live.toml"
    file.write_text(_config(base), "utf-8")
    database = urlsplit(migrated_dsn(DatabaseRole.READER)).path.lstrip("/")
    admin = await asyncpg.connect(database_workshop.cluster.admin_dsn(database))
    await _name_the_reward(admin, from_us, to_us, fee)
    yield Court(world, file, migrated_dsn, admin)
    await admin.close()


async def _shares(dsn: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT a.code, -b.raw AS shares FROM ledger.balance b"
        " JOIN ledger.account a USING (ledger_id, account_id) WHERE a.code LIKE 'order:%:shares'"
    )
    await connection.close()
    return {row["code"].split(":")[1]: int(row["shares"]) for row in rows}


async def _name_the_reward(admin: asyncpg.Connection, from_us: int, to_us: int, fee: int) -> None:
    """As the platform keeps it; the judge takes nothing of it but the names."""
    payable, dust = RECEIVED // STEP * STEP, RECEIVED % STEP
    await admin.execute(
        "INSERT INTO business.reward VALUES ('rw_1', 'k', $1, $2, 'HMT', $3, $4, $5, $6, true,"
        " 1, 'done', 'p1', 't1', $7, $8, $9, 2, $9)",
        CAMPAIGN,
        f"custody:evm:{WALLET.lower()}:hmt",
        RECEIVED,
        from_us,
        to_us,
        TX_HASH,
        dust,
        fee,
        payable - fee,
    )


def _false(verdict: Verdict) -> list[str]:
    return [flag for flag in FLAGS if not getattr(verdict, flag)]


async def test_true_books_of_a_true_world_hold(court: Court) -> None:
    verdict = await court.verdict()
    assert _false(verdict) == [], verdict.problems
    assert verdict.open_orders_unknown == 0
    assert verdict.custody["custody:venue:acc"] == {
        "BTC": {"ledger": "0.06", "reported": "0.06"},
        "USDT": {"ledger": "3050", "reported": "3050"},
    }
    assert verdict.custody["custody:mixin:hmt"]["HMT"] == {"ledger": "7", "reported": "7"}
    assert set(verdict.custody) == {
        "custody:venue:acc",
        "custody:mixin:hmt",
        f"custody:evm:{WALLET.lower()}:hmt",
    }


async def test_an_entry_that_was_moved_to_another_user_breaks_only_the_proof(court: Court) -> None:
    """A thief who knows the tables moves Bob's deposit to Alice and mends every sum."""
    both = (
        "SELECT account_id FROM ledger.account WHERE code = 'user:{}:available'"
        " AND asset_id = (SELECT asset_id FROM ledger.asset WHERE code = 'HMT')"
    )
    alice, bob = both.format(ALICE), both.format(BOB)
    await court.corrupt(
        f"UPDATE ledger.entry SET units = units - 5, balance_after = balance_after - 5"
        f" WHERE account_id = ({alice}) AND units < 0",
        f"UPDATE ledger.entry SET units = units + 5, balance_after = balance_after + 5"
        f" WHERE account_id = ({bob}) AND units < 0",
        f"UPDATE ledger.balance SET raw = raw - 5 WHERE account_id = ({alice})",
        f"UPDATE ledger.balance SET raw = raw + 5 WHERE account_id = ({bob})",
        "UPDATE ledger.entry e SET units = e.units + CASE WHEN e.seq ="
        f" (SELECT max(seq) FROM ledger.entry WHERE account_id = ({alice})) THEN 5 ELSE -5 END,"
        " balance_after = e.balance_after + CASE WHEN e.seq ="
        f" (SELECT max(seq) FROM ledger.entry WHERE account_id = ({alice})) THEN 5 ELSE 0 END"
        " FROM ledger.account a WHERE a.account_id = e.account_id"
        f" AND a.code = 'rewards:{CAMPAIGN}:allocated' AND e.units > 0",
    )
    verdict = await court.verdict()
    assert _false(verdict) == ["ledger_verify_ok"], verdict.problems
    assert any("chain of hashes" in one for one in verdict.problems["ledger_verify_ok"])


async def test_a_balance_that_is_not_the_sum_of_its_entries_breaks_only_the_trial_balance(
    court: Court,
) -> None:
    await court.corrupt(
        "UPDATE ledger.balance b SET raw = raw - 1 FROM ledger.account a"
        f" WHERE a.account_id = b.account_id AND a.code = 'user:{BOB}:available'"
        " AND b.raw < 0"
    )
    assert _false(await court.verdict()) == ["trial_balance_ok"]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("venue", {"BTC": "0.06", "USDT": "3049.999999"}),
        ("venue", {"BTC": "0.06", "USDT": "3050", "HMT": "1"}),
        ("outputs", ["6.5", "0.49999999"]),
        ("token_units", 4),
    ],
)
async def test_a_place_that_holds_something_else_breaks_only_custody(
    court: Court, place: str, wrong: Any
) -> None:
    setattr(court.world, place, wrong)
    assert _false(await court.verdict()) == ["custody_ok"]


async def test_money_that_left_and_did_not_arrive_breaks_only_custody(
    court: Court, open_database: OpenDatabase
) -> None:
    async with running_ledger(open_database, holder="writer-2") as running:
        place = "custody:venue:acc"
        out = c.MoveOut(key=key("m9"), transfer="t9", location=place, money=usdt(1_000_000))
        await _say(running, out)
    court.world.venue["USDT"] = "3049"
    verdict = await court.verdict()
    assert _false(verdict) == ["custody_ok"]
    assert verdict.custody["transit:t9"]["USDT"] == {"ledger": "1", "reported": "0"}


async def test_a_payout_of_another_amount_breaks_only_the_allocations(court: Court) -> None:
    court.world.paid_units = RECEIVED + STEP
    assert _false(await court.verdict()) == ["allocations_ok"]


async def test_another_results_file_than_the_chain_names_breaks_only_the_allocations(
    court: Court,
) -> None:
    court.world.results["results"][0]["to"] = "2026-01-01T00:00:00.000Z"
    assert _false(await court.verdict()) == ["allocations_ok"]


async def test_another_day_than_was_allocated_breaks_only_the_allocations(court: Court) -> None:
    """The parts are by time: in a window after both joins they are the same."""
    day = court.world.results["results"][0]
    day["from"], day["to"] = day["to"], f"2099{day['to'][4:]}"
    court.world.digest = hashlib.sha256(court.world.body()).hexdigest()
    assert _false(await court.verdict()) == ["allocations_ok"]


async def test_a_credit_that_is_not_the_orders_part_breaks_only_the_allocations(
    court: Court, open_database: OpenDatabase
) -> None:
    """The platform itself may be wrong: then its books are in order and its sums are not."""
    async with running_ledger(open_database, holder="writer-2") as running:
        back = c.Reversal(key=key("rv"), reverses=key(f"cr-{ORDER}"), reason="test")
        await _say(running, back)
        await _say(
            running,
            c.CreditReward(
                key=key("cr-again"),
                campaign=CAMPAIGN,
                reward="rw_1",
                user=ALICE,
                order=ORDER,
                money=_hmt(5 * STEP),
            ),
        )
    assert _false(await court.verdict()) == ["allocations_ok"]


async def test_an_order_that_the_books_do_not_know_is_counted(court: Court) -> None:
    court.world.orders = [{"orderId": 5, "clientOrderId": "stranger"}]
    verdict = await court.verdict()
    assert (verdict.open_orders_unknown, _false(verdict)) == (1, [])


async def test_a_place_that_does_not_answer_is_not_believed(court: Court) -> None:
    text = court.config.read_text("utf-8").replace('/rpc"', '/nowhere"')
    court.config.write_text(text, "utf-8")
    assert set(_false(await court.verdict())) == {"custody_ok", "allocations_ok"}


async def test_a_venue_that_does_not_answer_leaves_its_orders_unknown(court: Court) -> None:
    text = court.config.read_text("utf-8").replace('rest_url = "http', 'rest_url = "gopher')
    court.config.write_text(text, "utf-8")
    verdict = await court.verdict()
    assert (verdict.open_orders_unknown, _false(verdict)) == (None, ["custody_ok"])
    assert not verdict.holds


async def test_the_judge_knows_nothing_of_the_platform(court: Court) -> None:
    folder = Path(__file__).parents[2] / "tools" / "judge"
    lines = [line for file in folder.glob("*.py") for line in file.read_text("utf-8").splitlines()]
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports
    assert not [line for line in imports if "poolmaker" in line]


def test_wrong_use_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "tools.judge", "--config", str(tmp_path / "none.toml")]
    done = subprocess.run(
        [*asked, "--database", "postgresql://nobody@127.0.0.1:1/x"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("judge: ")
    assert len(done.stderr.splitlines()) == 1
