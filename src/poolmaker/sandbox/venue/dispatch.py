"""One door for every call, whichever wire it came by: limits, key, signature, names, handler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from poolmaker.kernel.checks import ensure
from poolmaker.sandbox.venue import refusals
from poolmaker.sandbox.venue.calls import Access, VenueCall, VenueCaller
from poolmaker.sandbox.venue.calls_account import ACCOUNT_CALLS
from poolmaker.sandbox.venue.calls_orders import ORDER_CALLS
from poolmaker.sandbox.venue.calls_public import PUBLIC_CALLS
from poolmaker.sandbox.venue.calls_windows import WINDOW_CALLS
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.keys import ApiKey, check_signature, check_time
from poolmaker.sandbox.venue.params import SIGNED, Params
from poolmaker.sandbox.venue.quotas import Scope
from poolmaker.sandbox.venue.refusals import WireRefusal

CALLS: Final[Mapping[str, VenueCall]] = {
    **PUBLIC_CALLS,
    **WINDOW_CALLS,
    **ORDER_CALLS,
    **ACCOUNT_CALLS,
}
NOTHING: Final[frozenset[str]] = frozenset()


def authenticate(
    exchange: Exchange, key_text: str | None, values: Mapping[str, str], signed_text: str
) -> ApiKey:
    """The key of a signed request, or the refusal: key, time, signature in this order."""
    if not key_text:
        raise WireRefusal(-2014, "API-key format invalid.", 401)
    if not values.get("signature"):
        raise refusals.missing("signature")
    key = exchange.keys.find(key_text)
    check_time(values, exchange.time_us())
    check_signature(key, signed_text, values["signature"])
    return key


def identify(
    exchange: Exchange,
    call: VenueCall,
    key_text: str | None,
    values: Mapping[str, str],
    signed_text: str,
) -> ApiKey | None:
    """The key behind a call, as far as the call needs one, with the permission it needs."""
    if call.access is Access.PUBLIC:
        return None
    if call.access is Access.KEY_ONLY:
        return exchange.keys.find(key_text)
    return permit(call, authenticate(exchange, key_text, values, signed_text))


def permit(call: VenueCall, key: ApiKey) -> ApiKey:
    """The key, when it may make this call."""
    if call.access is Access.TRADE and not key.may_trade:
        raise refusals.bad_key()
    return key


def run(
    exchange: Exchange,
    call: VenueCall,
    key: ApiKey | None,
    values: Mapping[str, str],
    extra_names: frozenset[str] = NOTHING,
) -> object:
    """Check the parameters' names and carry the call out."""
    ignored = extra_names if call.access is Access.PUBLIC else SIGNED | extra_names
    params = Params(values)
    params.check_names(call.required, call.optional, ignored)
    caller = VenueCaller(exchange, key, exchange.time_us())
    try:
        return call.handler(caller, params)
    except WireRefusal:
        if call.is_free_on_success:
            exchange.limiter.charge(1, caller.time_us)
        raise


def admit(exchange: Exchange, name: str, call: VenueCall, values: Mapping[str, str]) -> None:
    """Count what the request costs its address; orders and cancels that succeed weigh nothing."""
    weight, time_us = _cost(call, values), exchange.time_us()
    if call.quota is None:
        exchange.limiter.admit(weight, time_us)
    elif call.quota.scope is Scope.IP:
        exchange.limiter.quotas.admit(name, call.quota, weight, None, time_us)


def admit_account(
    exchange: Exchange, name: str, call: VenueCall, key: ApiKey | None, values: Mapping[str, str]
) -> None:
    """Count what the request costs its account, where the endpoint counts by account."""
    if call.quota is None or call.quota.scope is not Scope.UID:
        return
    ensure(key is not None, "a call counted by account has no key")
    account_id = key.account.account_id  # type: ignore[union-attr]
    weight, time_us = _cost(call, values), exchange.time_us()
    exchange.limiter.quotas.admit(name, call.quota, weight, account_id, time_us)


def _cost(call: VenueCall, values: Mapping[str, str]) -> int:
    try:
        return 0 if call.is_free_on_success else call.cost(Params(values))
    except WireRefusal:
        return 1


def weight_headers(
    exchange: Exchange, name: str, call: VenueCall, key: ApiKey | None
) -> Mapping[str, str]:
    """The headers that tell how much of the call's limit is used."""
    time_us = exchange.time_us()
    if call.quota is None:
        return exchange.limiter.weight_headers(time_us)
    account_id = None if key is None else key.account.account_id
    return exchange.limiter.quotas.headers(name, call.quota, account_id, time_us)


def order_count_headers(exchange: Exchange, call: VenueCall, key: ApiKey | None) -> dict[str, str]:
    """The headers that tell how many unfilled orders count."""
    if not call.counts_orders:
        return {}
    ensure(key is not None, "an order call without a key")
    account_id = key.account.account_id  # type: ignore[union-attr]
    short, day = exchange.limiter.order_counts(account_id, exchange.time_us())
    return {"x-mbx-order-count-10s": str(short), "x-mbx-order-count-1d": str(day)}
