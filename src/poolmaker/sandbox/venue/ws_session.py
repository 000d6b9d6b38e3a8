"""A WebSocket API connection's session: who is logged on, and the user data streams it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from poolmaker.sandbox.venue import dispatch, refusals, render
from poolmaker.sandbox.venue.calls import Access, VenueCall
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.keys import ApiKey, check_time, signed_text_of_json
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.peers import Peer
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.users import Subscription

_SIGNED = frozenset({"apiKey", "timestamp", "signature"})
_WINDOW = frozenset({"recvWindow"})
_IGNORED = frozenset({"returnRateLimits"})
SESSION_WEIGHT = 2


class Session:
    """One connection's state; its calls are those that only a connection can answer."""

    def __init__(self, exchange: Exchange, peer: Peer, request: web.Request) -> None:
        self.peer = peer
        self.request = request
        self.tasks: set[asyncio.Task[None]] = set()
        self.tells_limits = request.query.get("returnRateLimits") != "false"
        self._exchange = exchange
        self._connected_us = exchange.time_us()
        self._key: ApiKey | None = None
        self._authorized_us = 0
        self._next_subscription = 0

    def identify(self, call: VenueCall, values: Mapping[str, str]) -> ApiKey | None:
        """The key behind a call: its own where it brings one, else the one logged on with."""
        if call.access is Access.PUBLIC or self._key is None or self._brings_key(values):
            text = signed_text_of_json(values)
            return dispatch.identify(self._exchange, call, values.get("apiKey"), values, text)
        key = self._logged_on()
        if call.access is not Access.KEY_ONLY:
            check_time(values, self._exchange.time_us())
        return dispatch.permit(call, key)

    @staticmethod
    def _brings_key(values: Mapping[str, str]) -> bool:
        return "apiKey" in values or "signature" in values

    def _logged_on(self) -> ApiKey:
        """The key of the session, as long as the venue still knows it."""
        if self._key is None:
            raise WireRefusal(-2014, "API-key format invalid.", 401)
        if self._exchange.keys.is_current(self._key):
            return self._key
        self._key = None
        raise refusals.bad_key()

    def answer(self, method: str, values: Mapping[str, str]) -> object:
        """Carry out a session method; its weight has not been counted yet."""
        self._exchange.limiter.admit(SESSION_WEIGHT, self._exchange.time_us())
        match method:
            case "session.logon":
                return self._logon(values)
            case "session.status":
                return self._status(values)
            case "session.logout":
                return self._logout(values)
            case "session.subscriptions":
                return self._subscriptions(values)
            case "userDataStream.subscribe":
                return self._subscribe(self._logged_on(), values, signed=False)
            case "userDataStream.subscribe.signature":
                return self._subscribe(self._authenticate(values), values, signed=True)
            case _:
                return self._unsubscribe(values)

    def _authenticate(self, values: Mapping[str, str]) -> ApiKey:
        text = signed_text_of_json(values)
        return dispatch.authenticate(self._exchange, values.get("apiKey"), values, text)

    def _logon(self, values: Mapping[str, str]) -> object:
        key = self._authenticate(values)
        Params(values).check_names(_SIGNED, _WINDOW, _IGNORED)
        if key.public_key is None:
            raise WireRefusal(-4056, "HMAC_SHA256 API key is not supported.")
        self._key, self._authorized_us = key, self._exchange.time_us()
        return self._shown()

    def _status(self, values: Mapping[str, str]) -> object:
        Params(values).check_names((), (), _IGNORED)
        return self._shown()

    def _logout(self, values: Mapping[str, str]) -> object:
        Params(values).check_names((), (), _IGNORED)
        self._key = None
        for subscription in self._heard():
            if not subscription.is_signed:
                self._exchange.users.terminate(subscription, self._exchange.time_us())
        return self._shown()

    def _shown(self) -> render.Json:
        key = self._key
        return {
            "apiKey": key.key if key else None,
            "authorizedSince": render.millis(self._authorized_us) if key else None,
            "connectedSince": render.millis(self._connected_us),
            "returnRateLimits": self.tells_limits,
            "serverTime": render.millis(self._exchange.time_us()),
            "userDataStream": bool(self._heard()),
        }

    def _heard(self) -> list[Subscription]:
        return self._exchange.users.of_peer(self.peer)

    def _subscribe(self, key: ApiKey, values: Mapping[str, str], *, signed: bool) -> object:
        names = (_SIGNED, _WINDOW) if signed else (frozenset[str](), frozenset[str]())
        Params(values).check_names(*names, _IGNORED)
        account_id = key.account.account_id
        if any(one.account_id == account_id for one in self._heard()):
            raise WireRefusal(-2035, "User Data Stream subscription already active.")
        number = self._next_subscription
        self._next_subscription += 1
        self.peer.kind = "user"
        self._exchange.users.subscribe(
            Subscription(self.peer, account_id, number, is_signed=signed)
        )
        return {"subscriptionId": number}

    def _unsubscribe(self, values: Mapping[str, str]) -> object:
        params = Params(values)
        params.check_names((), ("subscriptionId",), _IGNORED)
        wanted = params.integer("subscriptionId")
        found = [one for one in self._heard() if wanted in {None, one.subscription_id}]
        if not found:
            raise WireRefusal(-2036, "User Data Stream subscription not active.")
        for subscription in found:
            self._exchange.users.terminate(subscription, self._exchange.time_us())
        return {}

    def _subscriptions(self, values: Mapping[str, str]) -> object:
        Params(values).check_names((), (), _IGNORED)
        return [
            {
                "subscriptionId": one.subscription_id,
                "subscriptionType": "signature" if one.is_signed else "session",
            }
            for one in self._heard()
        ]


SESSION_METHODS = frozenset(
    {
        "session.logon", "session.status", "session.logout", "session.subscriptions",
        "userDataStream.subscribe", "userDataStream.subscribe.signature",
        "userDataStream.unsubscribe",
    }
)  # fmt: skip
