"""The admin port: what the outside world does to the venue, what goes wrong, what it looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from poolmaker.kernel.errors import PreconditionError
from poolmaker.sandbox.venue.calls_public import DEPTH_MAX
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.faults import SNAPSHOT_CALLS, Effect, Fault, When
from poolmaker.sandbox.venue.flow_recorded import RecordedFlow
from poolmaker.sandbox.venue.invariants import audit
from poolmaker.sandbox.venue.keys import ApiKey, read_public_key
from poolmaker.sandbox.venue.model import Account, AccountId, SymbolStatus
from poolmaker.sandbox.venue.peers import Peer
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.render import millis
from poolmaker.sandbox.venue.render_market import depth_snapshot
from poolmaker.sandbox.venue.rest import answer
from poolmaker.sandbox.venue.units import BadDecimal, TooPrecise, to_text, to_units
from poolmaker.sandbox.venue.wallet import VenueWithdrawal, known_network

T = TypeVar("T", bound=msgspec.Struct)
Body = dict[str, object]


class VenueDepositOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Pay in, to an account or to one of the addresses that the venue gave out."""

    asset: str
    amount: str
    tx_id: str
    account: int | None = None
    address: str | None = None
    network: str | None = None
    index: int = 0


class StatusOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Open, halt or close a symbol."""

    status: SymbolStatus


class FilterOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Change a symbol's filters while it trades; orders that rest stay as they are."""

    tick_size: str | None = None
    step_size: str | None = None
    min_qty: str | None = None
    min_notional: str | None = None
    max_num_orders: int | None = None


class VenueFeeOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What everybody pays in a symbol from now on; without rates each account's own terms."""

    maker_rate: str | None = None
    taker_rate: str | None = None


class VenueFaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Plan a fault."""

    endpoint: str
    effect: Effect
    when: When = When.BEFORE
    account: int | None = None
    count: int = 1
    delay_ms: int = 1_000
    status: int | None = None
    code: int = -1001
    msg: str = "Internal error; unable to process your request. Please try again."
    body: str = "<html><body><h1>502 Bad Gateway</h1></body></html>"
    headers: dict[str, str] = {}


class StreamOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Cut, close, silence, wake or end streams, or announce that the server will shut down."""

    action: str
    kind: str = "all"
    account: int | None = None
    code: int = 1001


class ClockOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Set the venue's clock off by so much."""

    skew_ms: int


class AccountOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Change an account's terms."""

    pays_in_bnb: bool | None = None
    maker_rate: str | None = None
    taker_rate: str | None = None


class KeyOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Register an Ed25519 public key, PEM or base64 of DER, as one more key of an account."""

    account: int
    key: str
    public_key: str
    may_trade: bool = True


class LimitOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Ban the caller's address from ``/api`` for a while; 0 lifts it and forgets all counts."""

    ban_ms: int


class SettleOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The outside world has received a withdrawal."""

    tx_id: str | None = None


class VenueAdmin:
    """Serves the admin port."""

    def __init__(self, exchange: Exchange, control: Callable[[bool], bool]) -> None:
        self._exchange = exchange
        self._control = control
        self.recorded: RecordedFlow | None = None
        self.violations: list[str] = []
        self.audits = 0

    def routes(self) -> list[web.RouteDef]:
        """The admin port's routes."""
        return [
            web.post("/deposit", self._guard(self._deposit)),
            web.get("/addresses", self._guard(self._addresses)),
            web.get("/accounts", self._guard(self._accounts)),
            web.post("/accounts/{account}", self._guard(self._terms)),
            web.get("/invariants", self._guard(self._invariants)),
            web.get("/log", self._guard(self._log)),
            web.delete("/log", self._guard(self._forget_log)),
            web.post("/symbols/{symbol}/status", self._guard(self._status)),
            web.post("/symbols/{symbol}/filters", self._guard(self._filters)),
            web.post("/symbols/{symbol}/fees", self._guard(self._fees)),
            web.post("/faults", self._guard(self._fault)),
            web.delete("/faults", self._guard(self._no_faults)),
            web.post("/streams", self._guard(self._streams)),
            web.post("/clock", self._guard(self._clock)),
            web.post("/limits", self._guard(self._limits)),
            web.get("/flow", self._guard(self._flow_state)),
            web.post("/flow/{action}", self._guard(self._flow)),
            web.get("/withdrawals", self._guard(self._withdrawals)),
            web.post("/withdrawals/{id}/complete", self._guard(self._complete)),
            web.post("/keys", self._guard(self._register)),
            web.delete("/keys/{key}", self._guard(self._revoke)),
        ]

    @staticmethod
    def _guard(
        act: Callable[[web.Request], Awaitable[Body]],
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return answer(await act(request), 200, {})
            except (PreconditionError, WireRefusal, BadDecimal, TooPrecise, ValueError) as problem:
                return answer({"error": str(problem)}, 400, {})

        return handle

    @staticmethod
    async def _read(request: web.Request, kind: type[T]) -> T:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)

    def _account(self, number: int) -> Account:
        account = self._exchange.engine.accounts.get(AccountId(number))
        if account is None or not account.is_client:
            raise PreconditionError(f"account: expected one of the clients, was {number}")
        return account

    async def _deposit(self, request: web.Request) -> Body:
        order = await self._read(request, VenueDepositOrder)
        exchange, network = self._exchange, known_network(order.asset, order.network)
        if network is None:
            raise PreconditionError(
                f"asset: {order.asset} is not listed on network {order.network}"
            )
        units = to_units(order.amount)
        if units <= 0:
            raise PreconditionError(f"amount: expected more than zero, was {order.amount}")
        account = self._payee(order)
        known = exchange.wallet.same_deposit(order.tx_id, order.index)
        if known is not None:
            same = (known.account, known.asset, known.units) == (account, order.asset, units)
            if not same:
                raise PreconditionError(f"tx_id: {order.tx_id} was a different deposit")
            return {"id": known.deposit_id, "repeated": True}
        made = exchange.wallet.deposit(
            account, order.asset, network, units, (order.tx_id, order.index), exchange.time_us()
        )
        exchange.publish()
        return {"id": made.deposit_id, "repeated": False}

    def _payee(self, order: VenueDepositOrder) -> Account:
        if order.account is not None:
            return self._account(order.account)
        found = self._exchange.wallet.owner_of(order.asset, order.address or "")
        if found is None:
            raise PreconditionError("address: the venue never gave it out for this asset")
        account, network = found
        if order.network not in {None, network}:
            raise PreconditionError(
                f"address: the venue gave it out on {network}, not {order.network}"
            )
        return account

    async def _addresses(self, _request: web.Request) -> Body:
        given = self._exchange.wallet.addresses()
        return {
            "addresses": [
                {"asset": asset, "network": network, "address": address}
                for asset, network, address in given
            ]
        }

    async def _accounts(self, _request: web.Request) -> Body:
        accounts = [one for one in self._exchange.engine.accounts.values() if one.is_client]
        return {"accounts": [self._shown(account) for account in accounts]}

    @staticmethod
    def _shown(account: Account) -> Body:
        return {
            "account": int(account.account_id),
            "pays_in_bnb": account.pays_in_bnb,
            "maker_rate": to_text(account.maker_rate),
            "taker_rate": to_text(account.taker_rate),
            "open_orders": sum(len(some) for some in account.open_orders.values()),
            "balances": {
                asset: {
                    "free": to_text(held.free),
                    "locked": to_text(held.locked),
                    "total": to_text(held.free + held.locked),
                }
                for asset, held in sorted(account.balances.items())
            },
        }

    async def _terms(self, request: web.Request) -> Body:
        order = await self._read(request, AccountOrder)
        account = self._account(int(request.match_info["account"]))
        if order.pays_in_bnb is not None:
            account.pays_in_bnb = order.pays_in_bnb
        if order.maker_rate is not None:
            account.maker_rate = to_units(order.maker_rate)
        if order.taker_rate is not None:
            account.taker_rate = to_units(order.taker_rate)
        return self._shown(account)

    def sample(self) -> None:
        """Check the invariants now and remember what is violated."""
        self.audits += 1
        for violation in audit(self._exchange.engine).violations:
            if len(self.violations) < 1_000:
                self.violations.append(violation)

    async def _invariants(self, _request: web.Request) -> Body:
        self.audits += 1
        result = audit(self._exchange.engine)
        return {
            "ok": result.ok and not self.violations,
            "violations": result.violations,
            "violations_before": self.violations,
            "audits": self.audits,
            "accounts": result.accounts,
            "assets": result.assets,
            "orders": result.orders,
            "levels": result.levels,
            "commands": self._exchange.engine.commands,
            "fees": {
                asset: to_text(units) for asset, units in sorted(self._exchange.engine.fees.items())
            },
        }

    async def _log(self, _request: web.Request) -> Body:
        return {"calls": list(self._exchange.log)}

    async def _forget_log(self, _request: web.Request) -> Body:
        count = len(self._exchange.log)
        self._exchange.log.clear()
        return {"forgotten": count}

    async def _status(self, request: web.Request) -> Body:
        order = await self._read(request, StatusOrder)
        market = self._exchange.market(request.match_info["symbol"].upper())
        market.status = order.status
        return {"symbol": market.spec.name, "status": market.status}

    async def _filters(self, request: web.Request) -> Body:
        order = await self._read(request, FilterOrder)
        market = self._exchange.market(request.match_info["symbol"].upper())
        spec = market.spec
        changed: dict[str, Any] = {}
        for name, text, unit in (
            ("tick_multiple", order.tick_size, spec.tick_units),
            ("step_multiple", order.step_size, spec.step_units),
            ("min_lots", order.min_qty, spec.step_units),
        ):
            if text is not None:
                changed[name] = _multiple(name, text, unit)
        if order.min_notional is not None:
            changed["min_notional_units"] = to_units(order.min_notional)
        if order.max_num_orders is not None:
            changed["open_orders_max"] = order.max_num_orders
        market.spec = spec = replace(spec, **changed)
        return {
            "symbol": spec.name,
            "tick_size": to_text(spec.tick_size_units),
            "step_size": to_text(spec.step_size_units),
            "min_qty": to_text(spec.min_quantity_units),
            "min_notional": to_text(spec.min_notional_units),
            "max_num_orders": spec.open_orders_max,
        }

    async def _fees(self, request: web.Request) -> Body:
        order = await self._read(request, VenueFeeOrder)
        market = self._exchange.market(request.match_info["symbol"].upper())
        rates = order.maker_rate, order.taker_rate
        if (rates[0] is None) is not (rates[1] is None):
            raise PreconditionError("rates: expected both or none")
        market.rates = None if None in rates else tuple(to_units(rate or "0") for rate in rates)  # type: ignore[assignment]
        return {"symbol": market.spec.name, "maker_rate": rates[0], "taker_rate": rates[1]}

    async def _fault(self, request: web.Request) -> Body:
        order = await self._read(request, VenueFaultOrder)
        books: dict[str, Body] = {}
        if order.effect is Effect.STALE:
            if order.endpoint not in SNAPSHOT_CALLS:
                raise PreconditionError(f"endpoint: stale is for {sorted(SNAPSHOT_CALLS)}")
            books = {
                symbol: depth_snapshot(market, DEPTH_MAX)
                for symbol, market in self._exchange.engine.markets.items()
            }
        self._exchange.faults.add(
            Fault(
                endpoint=order.endpoint, effect=order.effect, when=order.when,
                account=order.account, count=order.count, delay_ms=order.delay_ms,
                status=order.status, code=order.code, message=order.msg, body=order.body,
                headers=order.headers, books=books,
            )
        )  # fmt: skip
        return {"planned": True}

    async def _no_faults(self, _request: web.Request) -> Body:
        for peer in self._exchange.peers:
            peer.is_stalled = False
        self._exchange.skew_us = 0
        return {"cleared": self._exchange.faults.clear()}

    async def _streams(self, request: web.Request) -> Body:
        order = await self._read(request, StreamOrder)
        if order.action == "terminate":
            return self._terminate(order)
        chosen = self._peers(order)
        for peer in chosen:
            match order.action:
                case "kill":
                    peer.cut()
                case "close":
                    await peer.close(order.code)
                case "shutdown":
                    peer.announce_shutdown(millis(self._exchange.time_us()))
                case "stall":
                    peer.is_stalled = True
                case "resume":
                    peer.is_stalled = False
                case _:
                    raise PreconditionError(f"action: {order.action} is not known")
        return {"peers": len(chosen)}

    def _peers(self, order: StreamOrder) -> list[Peer]:
        found = [one for one in self._exchange.peers if order.kind in {"all", one.kind}]
        if order.account is None:
            return found
        subscriptions = self._exchange.users.all(AccountId(order.account))
        return [one for one in found if any(sub.peer is one for sub in subscriptions)]

    def _terminate(self, order: StreamOrder) -> Body:
        users = self._exchange.users
        account = None if order.account is None else AccountId(order.account)
        subscriptions = users.all(account)
        for subscription in subscriptions:
            users.terminate(subscription, self._exchange.time_us())
        return {"subscriptions": len(subscriptions)}

    async def _clock(self, request: web.Request) -> Body:
        order = await self._read(request, ClockOrder)
        self._exchange.skew_us = order.skew_ms * 1_000
        return {"skew_ms": order.skew_ms}

    async def _limits(self, request: web.Request) -> Body:
        order = await self._read(request, LimitOrder)
        if order.ban_ms:
            self._exchange.limiter.ban(self._exchange.time_us(), order.ban_ms * 1_000)
        else:
            self._exchange.limiter.clear()
        return {"ban_ms": order.ban_ms}

    async def _flow(self, request: web.Request) -> Body:
        action = request.match_info["action"]
        if action not in {"pause", "resume"}:
            raise PreconditionError(f"action: expected pause or resume, was {action}")
        return {"is_running": self._control(action == "resume")}

    async def _flow_state(self, _request: web.Request) -> Body:
        recorded = self.recorded
        if recorded is None:
            return {"recording": None}
        return {
            "recording": {
                "symbol": recorded.recording.symbol,
                "round": recorded.rounds,
                "frames": recorded.played,
                "last_recorded_id": recorded.last_recorded_id,
                "last_update_id": recorded.market.update_id,
            }
        }

    async def _withdrawals(self, _request: web.Request) -> Body:
        wallet = self._exchange.wallet
        clients = [one for one in self._exchange.engine.accounts.values() if one.is_client]
        return {
            "withdrawals": [
                self._outgoing(one) for client in clients for one in wallet.withdrawals(client)
            ]
        }

    @staticmethod
    def _outgoing(one: VenueWithdrawal) -> Body:
        return {
            "id": one.withdrawal_id, "account": int(one.account.account_id), "asset": one.asset,
            "network": one.network, "address": one.address, "tag": one.tag,
            "amount": to_text(one.units), "fee": to_text(one.fee_units),
            "sent": to_text(one.sent_units), "tx_id": one.tx_id, "status": one.status,
            "withdraw_order_id": one.order_id,
        }  # fmt: skip

    async def _complete(self, request: web.Request) -> Body:
        order = await self._read(request, SettleOrder)
        wallet = self._exchange.wallet
        found = wallet.find(request.match_info["id"])
        if found is None:
            raise PreconditionError("id: no such withdrawal")
        wallet.complete(found, self._exchange.time_us(), order.tx_id)
        return self._outgoing(found)

    async def _register(self, request: web.Request) -> Body:
        order = await self._read(request, KeyOrder)
        account, public_key = self._account(order.account), read_public_key(order.public_key)
        if not order.key or self._exchange.keys.is_known(order.key):
            raise PreconditionError(f"key: {order.key!r} is empty or taken")
        self._exchange.keys.add(ApiKey(order.key, "", account, order.may_trade, public_key))
        return {"key": order.key, "account": order.account, "may_trade": order.may_trade}

    async def _revoke(self, request: web.Request) -> Body:
        self._exchange.keys.revoke(request.match_info["key"])
        return {"revoked": True}


def _multiple(name: str, text: str, unit: int) -> int:
    """How many of the engine's own units a size is; a size between them cannot be asked for."""
    times, rest = divmod(to_units(text), unit)
    if rest or times < 1:
        raise PreconditionError(f"{name}: expected a multiple of {to_text(unit)}, was {text}")
    return times
