"""The platform's Mixin client over a sandbox and a database of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic import SecretStr

from poolmaker.business.treasury.model import (
    Arrival,
    Disposition,
    SendRequest,
    SendStatus,
)
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database, connection_of
from poolmaker.infra.settings.outside import MixinSettings
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.mixin.model import MixinForm
from poolmaker.mixin.service import Mixin, MixinPorts, open_mixin
from tests.support.mixin import ETHER, ETHER_USDT, POLYGON, USDT, LocalMixin, local_mixin

UNIT = 10**8
USDT_FORM = MixinForm(
    name="usdt-polygon", asset="USDT", scale=8, decimals=6, mixin_id=USDT,
    mixin_chain_id=POLYGON, venue_network="MATIC",
)  # fmt: skip
ETHER_FORM = MixinForm(
    name="eth", asset="ETH", scale=18, decimals=18, mixin_id=ETHER, mixin_chain_id=ETHER,
    venue_network="ETH",
)  # fmt: skip
ERC20_FORM = MixinForm(
    name="usdt-ethereum", asset="EUSDT", scale=6, decimals=6, mixin_id=ETHER_USDT,
    mixin_chain_id=ETHER, venue_network="ETH",
)  # fmt: skip
FORMS = (USDT_FORM, ETHER_FORM, ERC20_FORM)


@dataclass
class Desk:
    """Stands for the treasury: judges as told, counts in the caller's transaction."""

    verdicts: dict[str, Disposition] = field(default_factory=dict)
    default: Disposition = Disposition.SUSPENSE
    seen: list[Arrival] = field(default_factory=list)
    crash: bool = False
    looks: list[int] = field(default_factory=list)

    async def looked(self, _tx: Tx, place: str, at_us: int) -> None:
        assert place == "custody:mixin"
        self.looks.append(at_us)

    async def arrived(self, tx: Tx, arrival: Arrival) -> Disposition:
        self.seen.append(arrival)
        verdict = self.verdicts.get(arrival.reference, self.default)
        if verdict is not Disposition.WAITING:
            await connection_of(tx).execute(
                "INSERT INTO business.request (key, body_hash, subject, at_us) "
                "VALUES ($1, $2, $3, 1)",
                f"arrival:{arrival.location}:{arrival.reference}", b"", str(arrival.units),
            )  # fmt: skip
        if self.crash:
            raise Crash
        return verdict


class Crash(Exception):
    """The process dies here."""


@dataclass
class House:
    """One life of the client, and what it talks to."""

    mixin: LocalMixin
    database: Database
    client: Mixin
    desk: Desk
    owner_dsn: str = ""

    @contextlib.asynccontextmanager
    async def owner(self) -> AsyncIterator[Any]:
        """The database as nobody of the platform reaches it."""
        connection = await asyncpg.connect(self.owner_dsn)
        yield connection
        await connection.close()

    async def funded(self, *amounts: str, asset: str = USDT) -> None:
        """Payments of these amounts, seen by the client."""
        for amount in amounts:
            await self.mixin.fund(amount, asset)
        await self.client.walker.walk()

    async def booked(self, form: MixinForm = USDT_FORM) -> int:
        """Units that the treasury has booked, in the register's."""
        async with self.database.acquire() as connection:
            rows = await connection.fetch("SELECT key, subject FROM business.request")
        place = f"arrival:custody:mixin:{form.name}:"
        return sum(int(row["subject"]) for row in rows if row["key"].startswith(place))

    async def rows(self, query: str, *args: Any) -> list[Any]:
        async with self.database.acquire() as connection:
            return list(await connection.fetch(query, *args))

    async def held(self, form: MixinForm = USDT_FORM) -> int:
        """Units that the network says are the bot's."""
        return (await self.client.desk.balances())[form.name].units

    async def user_holds(self, number: int = 0, asset: str = USDT) -> int:
        """The network's units of a user."""
        person = self.mixin.server.house.world.people[self.mixin.users[number]["app_id"]]
        return self.mixin.server.house.world.balances(person).get(asset, 0)

    def restart(self) -> House:
        """Another life over the same database: nothing is in its memory."""
        client = make_client(self.mixin, self.database)
        client.walker.plug(self.desk)
        return House(self.mixin, self.database, client, self.desk)

    async def until(self, request: SendRequest, kind: type[SendStatus], tries: int = 8) -> Any:
        """Follow a payment as a saga does: send, and after any doubt find."""
        house = self
        for _ in range(tries):
            with contextlib.suppress(Unavailable, OutcomeUnknown):
                status = await house.client.wallet.find(request, 0)
                if isinstance(status, kind):
                    return status
        raise AssertionError(f"never {kind.__name__}")

    async def fault(self, endpoint: str, effect: str, **more: object) -> None:
        order = {"endpoint": endpoint, "effect": effect, **more}
        assert await self.mixin.admin("POST", "/faults", order) == {"planned": True}

    async def audit(self) -> None:
        """The network's own invariants hold."""
        assert (await self.mixin.admin("GET", "/invariants"))["violations"] == []


def settings_of(mixin: LocalMixin) -> MixinSettings:
    bot = mixin.bot
    return MixinSettings(
        api_url=mixin.addresses.api, app_id=bot["app_id"], session_id=bot["session_id"],
        session_private_key=SecretStr(bot["session_private_key"]),
        server_public_key=SecretStr(bot["server_public_key"]),
        spend_private_key=SecretStr(bot["spend_private_key"]), poll_ms=50,
    )  # fmt: skip


def make_client(mixin: LocalMixin, database: Database, forms: Sequence[MixinForm] = FORMS) -> Mixin:
    """One life of the client."""
    ports = MixinPorts(
        session=mixin.session, transactions=database, clock=SystemClock(), rng=Rng("client")
    )
    return open_mixin(settings_of(mixin), forms, ports)


@contextlib.asynccontextmanager
async def house(database: Database, **changes: Any) -> AsyncIterator[House]:
    """A sandbox and a client; at the end the network's books must balance."""
    async with local_mixin(**changes) as mixin:
        desk = Desk()
        client = make_client(mixin, database)
        client.walker.plug(desk)
        found = House(mixin, database, client, desk)
        yield found
        await found.audit()


def request(
    number: int, units: int, address: str, *, network: str = "mixin", tag: str = "",
    form: MixinForm = USDT_FORM,
) -> SendRequest:  # fmt: skip
    """A payment with a reference of its own."""
    return SendRequest(
        source=f"custody:mixin:{form.name}", reference=f"{number:032x}", asset=form.asset,
        units=units, network=network, address=address, tag=tag,
    )  # fmt: skip
