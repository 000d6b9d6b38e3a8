"""User data streams: which connections hear which account, and the events they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poolmaker.sandbox.venue import render
from poolmaker.sandbox.venue.book import Market
from poolmaker.sandbox.venue.faults import EventFaults
from poolmaker.sandbox.venue.model import AccountId, BalanceMoved, PositionSeen, Report
from poolmaker.sandbox.venue.peers import Peer, encode


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One connection's ear on one account, by a signed request or by the session's key."""

    peer: Peer
    account_id: AccountId
    subscription_id: int
    is_signed: bool


class UserHub:
    """Sends account events in the order in which the engine made them."""

    def __init__(self, markets: Mapping[str, Market], faults: EventFaults) -> None:
        self._markets = markets
        self._faults = faults
        self._by_account: dict[AccountId, list[Subscription]] = {}

    def subscribe(self, subscription: Subscription) -> None:
        """Start sending an account's events to a connection."""
        self._by_account.setdefault(subscription.account_id, []).append(subscription)

    def of_peer(self, peer: Peer) -> list[Subscription]:
        """The subscriptions of one connection."""
        return [one for some in self._by_account.values() for one in some if one.peer is peer]

    def all(self, account_id: AccountId | None) -> list[Subscription]:
        """The subscriptions of one account, or of everybody."""
        if account_id is not None:
            return list(self._by_account.get(account_id, ()))
        return [one for some in self._by_account.values() for one in some]

    def remove(self, subscription: Subscription) -> None:
        """Stop sending."""
        found = self._by_account.get(subscription.account_id, [])
        if subscription in found:
            found.remove(subscription)

    def leave(self, peer: Peer) -> None:
        """Forget a connection."""
        for subscription in self.of_peer(peer):
            self.remove(subscription)

    def terminate(self, subscription: Subscription, time_us: int) -> None:
        """Tell the reader that the stream is over, and end it."""
        event = {"e": "eventStreamTerminated", "E": render.millis(time_us)}
        self._send(subscription, encode(event))
        self.remove(subscription)

    def publish(self, event: Report | PositionSeen | BalanceMoved) -> None:
        """Send one account event to whoever listens to that account."""
        account = event.order.account if isinstance(event, Report) else event.account
        subscriptions = self._by_account.get(account.account_id)
        if not subscriptions:
            return
        body = self._body(event)
        encoded = encode(body)
        names: tuple[str, ...] = (f"event:{body['e']}",)
        if isinstance(event, Report):
            names = (f"{names[0]}/{event.execution}", *names)

        def send() -> None:
            for subscription in list(self._by_account.get(account.account_id, ())):
                self._send(subscription, encoded)

        self._faults.deliver(names, int(account.account_id), send)

    def _body(self, event: Report | PositionSeen | BalanceMoved) -> render.Json:
        if isinstance(event, Report):
            return render.execution_report(self._markets[event.order.symbol], event)
        if isinstance(event, PositionSeen):
            return render.position(event)
        return render.balance_update(event)

    @staticmethod
    def _send(subscription: Subscription, body: bytes) -> None:
        head = b'{"subscriptionId":%d,"event":' % subscription.subscription_id
        subscription.peer.send(head + body + b"}")
