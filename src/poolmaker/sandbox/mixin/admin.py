"""The admin port: what people and other chains do, what goes wrong, what the world looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin.codec.amounts import to_short_text, to_text, to_units
from poolmaker.mixin.codec.encoding import from_hex
from poolmaker.mixin.codec.ids import check_uuid, conversation_id
from poolmaker.mixin.codec.links import PaymentLink, parse_payment_link
from poolmaker.sandbox.mixin import render
from poolmaker.sandbox.mixin.calls import House
from poolmaker.sandbox.mixin.catalog import Asset, new_token
from poolmaker.sandbox.mixin.crossing import Arrival
from poolmaker.sandbox.mixin.invariants import audit
from poolmaker.sandbox.mixin.model import MixinDeposit, MixinPerson, MixinWithdrawal, uuid_from
from poolmaker.sandbox.mixin.post import Letter
from poolmaker.sandbox.mixin.refusals import SUSPENSIONS, MixinError
from poolmaker.sandbox.mixin.wallets import Wallets
from poolmaker.sandbox.serving import Handler, guarded, read
from poolmaker.sandbox.venue.rest import answer

Body = dict[str, Any]


class PayOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A user pays a link, or an opponent an amount with a memo."""

    user: str
    link: str | None = None
    opponent: str = ""
    asset: str = ""
    amount: str = "0"
    memo: str = ""
    memo_hex: str | None = None
    """A stranger's memo may be any bytes, which no text says."""
    trace: str = ""


class WithdrawOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A user withdraws to another chain."""

    user: str
    asset: str
    amount: str
    destination: str
    trace: str = ""


class MixinDepositOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Something came from another chain, to an address or to a user's own."""

    amount: str
    tx_id: str
    asset: str
    destination: str = ""
    user: str = ""
    index: int = 0
    tag: str = ""
    sender: str = ""
    confirmations: int | None = None


class CompleteOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A withdrawal is on its chain."""

    tx_id: str


class AssetOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A token that the server has not heard of."""

    chain_id: str
    symbol: str
    asset_key: str
    fee: str = "0"


class MixinFeeOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Withdrawals of an asset cost so much of another from now on."""

    asset: str
    fee_asset: str
    amount: str


class SuspensionOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Withdrawals of an asset are refused with ``code`` from now on; 0 takes them again."""

    asset: str
    code: int = 20137


class ConsentOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A user lets the bot see some of his data."""

    user: str
    scopes: tuple[str, ...] = ("PROFILE:READ",)
    client_id: str = ""
    code_challenge: str = ""


class MessageOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A user writes to the bot."""

    user: str
    text: str
    category: str = "PLAIN_TEXT"
    message_id: str = ""


class UserOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody new."""

    name: str


class MixinAdmin:
    """Serves the admin port."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._world = house.world
        self._wallets = Wallets(house.world, house.safe)
        self._rng = house.world.rng.fork("admin")

    def routes(self) -> list[web.RouteDef]:
        """The admin port's routes."""
        return [
            web.post("/pay", self._guard(self._pay)),
            web.post("/withdraw", self._guard(self._withdraw)),
            web.post("/deposit", self._guard(self._deposit)),
            web.get("/deposits", self._guard(self._deposits)),
            web.get("/addresses", self._guard(self._addresses)),
            web.get("/withdrawals", self._guard(self._withdrawals)),
            web.post("/withdrawals/{id}/complete", self._guard(self._complete)),
            web.get("/assets", self._guard(self._assets)),
            web.post("/assets", self._guard(self._asset)),
            web.post("/fees", self._guard(self._fee)),
            web.post("/suspensions", self._guard(self._suspend)),
            web.get("/users", self._guard(self._users)),
            web.post("/users", self._guard(self._user)),
            web.post("/oauth/codes", self._guard(self._consent)),
            web.post("/oauth/revoke", self._guard(self._revoke)),
            web.post("/messages", self._guard(self._write)),
            web.get("/messages/{user}", self._guard(self._inbox)),
            web.get("/invariants", self._guard(self._invariants)),
            web.get("/log", self._guard(self._log)),
            web.delete("/log", self._guard(self._forget)),
        ]

    @staticmethod
    def _guard(act: Callable[[web.Request], Awaitable[Body]]) -> Handler:
        """An admin call that may also be refused in the API's own words."""
        judged = guarded(act)

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await judged(request)
            except MixinError as refusal:
                return answer(refusal.body(), 400, {})

        return handle

    def _person(self, name: str) -> MixinPerson:
        """Somebody by id or by number."""
        people = list(self._world.people.values())
        if name.isdigit() and int(name) < len(people):
            return people[int(name)]
        found = self._world.people.get(name)
        if found is None:
            raise PreconditionError(f"user: nobody is called {name!r}")
        return found

    async def _pay(self, request: web.Request) -> Body:
        order = await read(request, PayOrder)
        payer = self._person(order.user)
        if order.link is not None:
            payment = parse_payment_link(order.link)
        else:
            payment = PaymentLink(
                recipient=order.opponent or self._world.bot.user_id, asset_id=order.asset,
                units=to_units(order.amount), trace=order.trace or uuid_from(self._rng),
                memo=order.memo,
            )  # fmt: skip
        extra = payment.memo.encode() if order.memo_hex is None else from_hex(order.memo_hex)
        return render.request(self._world, self._wallets.pay(payer, payment, extra))

    async def _withdraw(self, request: web.Request) -> Body:
        order = await read(request, WithdrawOrder)
        trace = check_uuid(order.trace or uuid_from(self._rng))
        made = self._wallets.withdraw(
            self._person(order.user), order.asset, to_units(order.amount), order.destination, trace
        )
        return render.request(self._world, made)

    async def _deposit(self, request: web.Request) -> Body:
        order = await read(request, MixinDepositOrder)
        destination = order.destination or self._own_address(order)
        arrival = Arrival(
            tx_id=order.tx_id, asset_id=order.asset, units=to_units(order.amount),
            destination=destination, index=order.index, tag=order.tag, sender=order.sender,
            confirmations=order.confirmations,
        )  # fmt: skip
        deposit, repeated = self._house.crossing.arrive(arrival)
        return render.pending(self._world, deposit) | {"repeated": repeated}

    def _own_address(self, order: MixinDepositOrder) -> str:
        person, asset = self._person(order.user), self._world.asset(order.asset)
        return self._house.crossing.entry(asset.chain.chain_id, [person.user_id], 1).destination

    async def _deposits(self, _request: web.Request) -> Body:
        found: list[MixinDeposit] = list(self._world.books.deposits.values())
        return {"deposits": [render.pending(self._world, one) for one in found]}

    async def _addresses(self, _request: web.Request) -> Body:
        entries = self._world.books.entries.values()
        return {
            "addresses": [{"chain_id": one.chain_id, "address": one.destination} for one in entries]
        }

    async def _withdrawals(self, request: web.Request) -> Body:
        state = request.query.get("state", "")
        found = [self._leaving(one) for one in self._world.books.withdrawals.values()]
        return {"withdrawals": [one for one in found if state in {"", one["state"]}]}

    def _leaving(self, found: MixinWithdrawal) -> Body:
        asset = self._world.assets[found.asset_id]
        return {
            "id": found.withdrawal_id, "user": found.user_id, "request_id": found.request_id,
            "transaction_hash": found.hash, "asset_id": found.asset_id, "symbol": asset.symbol,
            "chain_id": asset.chain.chain_id, "asset_key": asset.asset_key,
            "amount": to_short_text(found.units), "destination": found.destination,
            "tag": found.tag, "tx_id": found.tx_id,
            "state": "completed" if found.tx_id else "pending",
            "created_at": render.instant(found.created_us),
        }  # fmt: skip

    async def _complete(self, request: web.Request) -> Body:
        order = await read(request, CompleteOrder)
        found = self._house.crossing.complete(request.match_info["id"], order.tx_id)
        return self._leaving(found)

    async def _assets(self, _request: web.Request) -> Body:
        return {"assets": [self._listed(one) for one in self._world.assets.values()]}

    @staticmethod
    def _listed(asset: Asset) -> Body:
        fees = {asset_id: to_short_text(units) for asset_id, units in asset.fees.items()}
        return render.asset(asset) | {"chain": asset.chain.name, "fees": fees}

    async def _asset(self, request: web.Request) -> Body:
        order = await read(request, AssetOrder)
        native = self._world.asset(order.chain_id)
        made = new_token(native, order.symbol, order.asset_key, to_units(order.fee))
        return self._listed(self._world.assets.setdefault(made.asset_id, made))

    async def _fee(self, request: web.Request) -> Body:
        order = await read(request, MixinFeeOrder)
        asset, fee_asset = self._world.asset(order.asset), self._world.asset(order.fee_asset)
        asset.fees[fee_asset.asset_id] = to_units(order.amount)
        return self._listed(asset)

    async def _suspend(self, request: web.Request) -> Body:
        order = await read(request, SuspensionOrder)
        known = ", ".join(str(code) for code in SUSPENSIONS)
        require(order.code in {0, *SUSPENSIONS}, f"code: expected 0 or one of {known}")
        asset = self._world.asset(order.asset)
        asset.suspended = order.code
        return self._listed(asset)

    async def _users(self, _request: web.Request) -> Body:
        return {"users": [self._shown(one) for one in self._world.people.values()]}

    def _shown(self, person: MixinPerson) -> Body:
        balances = self._world.balances(person)
        return {
            "user_id": person.user_id, "number": person.number, "name": person.name,
            "keystore": person.keystore(self._world.server_key),
            "balances": {asset_id: to_text(units) for asset_id, units in balances.items()},
        }  # fmt: skip

    async def _user(self, request: web.Request) -> Body:
        order = await read(request, UserOrder)
        return self._shown(self._world.add_person(order.name))

    async def _consent(self, request: web.Request) -> Body:
        order = await read(request, ConsentOrder)
        client_id = order.client_id or self._world.bot.user_id
        code = self._house.grants.consent(
            self._person(order.user), client_id, order.scopes, order.code_challenge
        )
        return {"code": code}

    async def _revoke(self, request: web.Request) -> Body:
        order = await read(request, ConsentOrder)
        return {"revoked": self._house.grants.revoke(self._person(order.user))}

    async def _write(self, request: web.Request) -> Body:
        order = await read(request, MessageOrder)
        bot, sender = self._world.bot, self._person(order.user)
        letter = Letter(
            message_id=check_uuid(order.message_id or uuid_from(self._rng)),
            sender_id=sender.user_id, recipient_id=bot.user_id, category=order.category,
            data=order.text.encode(), time_us=self._world.time_us(),
        )  # fmt: skip
        self._house.post.deliver(letter)
        return {"message_id": letter.message_id,
                "conversation_id": conversation_id(sender.user_id, bot.user_id)}  # fmt: skip

    async def _inbox(self, request: web.Request) -> Body:
        letters = self._house.post.pending(self._person(request.match_info["user"]))
        return {
            "messages": [
                one.shown() | {"text": one.data.decode("utf-8", "replace")} for one in letters
            ]
        }

    async def _invariants(self, _request: web.Request) -> Body:
        return audit(self._world)

    async def _log(self, _request: web.Request) -> Body:
        return {"calls": list(self._world.log)}

    async def _forget(self, _request: web.Request) -> Body:
        count = len(self._world.log)
        self._world.log.clear()
        return {"forgotten": count}
