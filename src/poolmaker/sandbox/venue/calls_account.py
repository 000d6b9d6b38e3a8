"""Account and wallet calls: balances, fees, counts, deposits, withdrawals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from poolmaker.sandbox.venue import refusals, render
from poolmaker.sandbox.venue.calls import Access, VenueCall, VenueCaller, names
from poolmaker.sandbox.venue.catalog import ASSETS, AssetSpec, Network
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.quotas import BY_ACCOUNT, BY_ADDRESS, BY_ADDRESS_AND_SECOND
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.units import to_short_text, to_text
from poolmaker.sandbox.venue.wallet import CREDITED, Receiver, VenueDeposit, VenueWithdrawal

_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WITHDRAW_ORDER_ID = re.compile(r"[a-zA-Z0-9\-_]{1,64}")


def account_status(caller: VenueCaller, params: Params) -> object:
    """Balances and permissions."""
    return render.account_info(caller.account, omit_zero=params.flag("omitZeroBalances"))


def commission(caller: VenueCaller, params: Params) -> object:
    """Commission rates of a symbol."""
    market = caller.exchange.market(params.symbol())
    return render.commission(market, caller.account)


def order_counts(caller: VenueCaller, _params: Params) -> object:
    """Unfilled orders counted against the limits."""
    limiter = caller.exchange.limiter
    short, day = limiter.order_counts(caller.account.account_id, caller.time_us)
    rows = [row for row in limiter.settings.announce() if row["rateLimitType"] == "ORDERS"]
    return [{**row, "count": count} for row, count in zip(rows, (short, day), strict=True)]


def trade_fee(caller: VenueCaller, params: Params) -> object:
    """Commission rates of one or all symbols."""
    exchange, account = caller.exchange, caller.account
    markets = list(exchange.engine.markets.values())
    if params.has("symbol"):
        markets = [exchange.market(params.symbol())]
    return [
        {
            "symbol": market.spec.name,
            "makerCommission": to_short_text(market.rates_of(account)[0]),
            "takerCommission": to_short_text(market.rates_of(account)[1]),
        }
        for market in markets
    ]


def key_restrictions(caller: VenueCaller, _params: Params) -> object:
    """What the key in use may do."""
    may_trade = caller.key is not None and caller.key.may_trade
    return {
        "ipRestrict": False,
        "createTime": 1_700_000_000_000,
        "enableReading": True,
        "enableSpotAndMarginTrading": may_trade,
        "enableWithdrawals": may_trade,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": not may_trade,
        "enablePortfolioMarginTrading": False,
    }


def normal(_caller: VenueCaller, _params: Params) -> object:
    """Whether the account is restricted: never."""
    return {"data": "Normal"}


def trading_status(_caller: VenueCaller, _params: Params) -> object:
    """Whether the account's trading by API is locked: never."""
    return {"data": {"isLocked": False, "plannedRecoverTime": 0, "triggerCondition": {},
                     "updateTime": 0}}  # fmt: skip


def user_assets(caller: VenueCaller, params: Params) -> object:
    """The balances that are not zero, or that of one asset."""
    wanted = params.text("asset")
    return [
        {
            "asset": asset, "free": to_text(held.free), "locked": to_text(held.locked),
            "freeze": "0", "withdrawing": "0", "ipoable": "0", "btcValuation": "0",
        }
        for asset, held in sorted(caller.account.balances.items())
        if (held.free or held.locked) and wanted in {None, asset}
    ]  # fmt: skip


def all_coins(caller: VenueCaller, _params: Params) -> object:
    """Every asset with its networks and the caller's balance."""
    return [_coin(caller, spec) for spec in ASSETS.values()]


def _coin(caller: VenueCaller, spec: AssetSpec) -> render.Json:
    held = caller.account.balance(spec.name)
    withdrawing = sum(
        one.units
        for one in caller.exchange.wallet.pending()
        if one.account is caller.account and one.asset == spec.name
    )
    return {
        "coin": spec.name, "name": spec.title, "depositAllEnable": True,
        "withdrawAllEnable": True, "free": to_text(held.free), "locked": to_text(held.locked),
        "freeze": "0", "withdrawing": to_text(withdrawing), "ipoing": "0", "ipoable": "0",
        "storage": "0", "isLegalMoney": False, "trading": True,
        "networkList": [
            _network(spec, network, is_default=index == 0)
            for index, network in enumerate(spec.networks)
        ],
    }  # fmt: skip


def _network(spec: AssetSpec, network: Network, *, is_default: bool) -> render.Json:
    return {
        "network": network.name, "coin": spec.name, "name": network.title,
        "isDefault": is_default, "depositEnable": True, "withdrawEnable": True,
        "depositDesc": "", "withdrawDesc": "", "specialTips": "", "resetAddressStatus": False,
        "addressRegex": network.address_pattern, "memoRegex": "",
        "withdrawIntegerMultiple": "0.00000001",
        "withdrawFee": to_short_text(network.withdraw_fee_units),
        "withdrawMin": to_short_text(network.withdraw_min_units),
        "withdrawMax": "9999999", "depositDust": "0.00000001",
        "minConfirm": network.confirmations, "unLockConfirm": 2 * network.confirmations,
        "sameAddress": False, "estimatedArrivalTime": 1, "busy": False, "contractAddress": "",
    }  # fmt: skip


def _asset_and_network(params: Params) -> tuple[AssetSpec, Network]:
    spec = ASSETS.get(params.text("coin") or "")
    if spec is None:
        raise WireRefusal(-4001, "Invalid coin.")
    network = spec.network(params.text("network"))
    if network is None:
        raise WireRefusal(-4007, "The network of this coin is not supported.")
    return spec, network


def deposit_address(caller: VenueCaller, params: Params) -> object:
    """Where to pay in."""
    spec, network = _asset_and_network(params)
    address = caller.exchange.wallet.address(caller.account, spec.name, network)
    return {"coin": spec.name, "address": address, "tag": "", "url": ""}


def withdraw(caller: VenueCaller, params: Params) -> object:
    """Take value out; ``amount`` includes the fee."""
    spec, network = _asset_and_network(params)
    wallet, account = caller.exchange.wallet, caller.account
    units = params.units("amount") or 0
    address, order_id = params.text("address") or "", params.text("withdrawOrderId")
    if order_id is not None and _WITHDRAW_ORDER_ID.fullmatch(order_id) is None:
        raise refusals.illegal("withdrawOrderId", r"^[a-zA-Z0-9-_]{1,64}$")
    if re.fullmatch(network.address_pattern, address) is None:
        raise WireRefusal(-4021, "The withdrawal address is not valid.")
    if units < network.withdraw_min_units or units <= network.withdraw_fee_units:
        raise WireRefusal(-4024, "The withdrawal amount is below the minimum.")
    if order_id is not None and wallet.with_order_id(account, order_id) is not None:
        raise WireRefusal(-4014, "Duplicate withdrawOrderId.")
    receiver = Receiver(network, address, params.text("addressTag") or "", order_id)
    made = wallet.apply(account, spec.name, units, receiver, caller.time_us)
    if made is None:
        raise WireRefusal(-4026, "User has insufficient balance.")
    caller.exchange.publish()
    return {"id": made.withdrawal_id}


def withdrawals(caller: VenueCaller, params: Params) -> object:
    """Past withdrawals, newest first."""
    wallet = caller.exchange.wallet
    wallet.settle_due(caller.time_us)
    status, order_id = params.integer("status"), params.text("withdrawOrderId")
    ids = (params.text("idList") or "").split(",") if params.has("idList") else None
    start, end = _span(params, caller, by_reference=order_id is not None)
    found = [
        _withdrawal(one)
        for one in wallet.withdrawals(caller.account)
        if (status is None or one.status == status)
        and (order_id is None or one.order_id == order_id)
        and (ids is None or one.withdrawal_id in ids)
        and _fits(params, one.asset, render.millis(one.applied_us), start, end)
    ]
    return _page(params, found)


def deposits(caller: VenueCaller, params: Params) -> object:
    """Past deposits, newest first."""
    status, tx_id = params.integer("status"), params.text("txId")
    start, end = _span(params, caller)
    found = [
        _deposit(one)
        for one in caller.exchange.wallet.deposits(caller.account)
        if status in {None, CREDITED}
        and (tx_id is None or one.tx_id == tx_id)
        and _fits(params, one.asset, render.millis(one.time_us), start, end)
    ]
    return _page(params, found)


def _span(params: Params, caller: VenueCaller, *, by_reference: bool = False) -> tuple[int, int]:
    """Between which times rows are shown: at most 90 days, and 7 where one reference is asked.

    What is left out ends now and begins 90 days ago, or 7 where both are left out.
    """
    now, start, end = render.millis(caller.time_us), *_times(params)
    days = 7 if by_reference else 90
    begins = days if end is None else 90
    first = now - begins * _DAY_MS if start is None else start
    last = now if end is None else end
    if last - first > days * _DAY_MS:
        raise WireRefusal(-1127, f"The time between startTime and endTime exceeds {days} days.")
    return first, last


def _times(params: Params) -> tuple[int | None, int | None]:
    return params.integer("startTime"), params.integer("endTime")


def _fits(params: Params, asset: str, time_ms: int, start: int, end: int) -> bool:
    return params.text("coin") in {None, asset} and start <= time_ms <= end


def _page(params: Params, found: list[render.Json]) -> list[render.Json]:
    offset = params.integer("offset") or 0
    return found[offset : offset + params.limit(1_000, 1_000)]


def _clock_text(time_us: int) -> str:
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _withdrawal(one: VenueWithdrawal) -> render.Json:
    body: render.Json = {
        "id": one.withdrawal_id,
        "amount": to_short_text(one.sent_units),
        "transactionFee": to_short_text(one.fee_units),
        "coin": one.asset,
        "status": one.status,
        "address": one.address,
        "addressTag": one.tag,
        "txId": one.tx_id if one.completed_us else "",
        "applyTime": _clock_text(one.applied_us),
        "network": one.network,
        "transferType": 0,
        "info": "",
        "confirmNo": 12 if one.completed_us else 0,
        "walletType": 0,
        "txKey": "",
    }
    if one.order_id is not None:
        body["withdrawOrderId"] = one.order_id
    if one.completed_us:
        body["completeTime"] = _clock_text(one.completed_us)
    return body


def _deposit(one: VenueDeposit) -> render.Json:
    return {
        "id": one.deposit_id,
        "amount": to_short_text(one.units),
        "coin": one.asset,
        "network": one.network,
        "status": CREDITED,
        "address": one.address,
        "addressTag": "",
        "txId": one.tx_id,
        "insertTime": render.millis(one.time_us),
        "completeTime": render.millis(one.time_us),
        "transferType": 0,
        "confirmTimes": "12/12",
        "unlockConfirm": 12,
        "walletType": 0,
        "travelRuleStatus": 0,
    }


_TIMES: Final = names("startTime endTime limit offset")

ACCOUNT_CALLS: Final[Mapping[str, VenueCall]] = {
    "GET /api/v3/account": VenueCall(
        handler=account_status, access=Access.READ, weight=20, optional=names("omitZeroBalances")
    ),
    "GET /api/v3/account/commission": VenueCall(
        handler=commission, access=Access.READ, weight=20, required=names("symbol")
    ),
    "GET /api/v3/rateLimit/order": VenueCall(handler=order_counts, access=Access.READ, weight=40),
    "GET /sapi/v1/asset/tradeFee": VenueCall(
        handler=trade_fee, access=Access.READ, quota=BY_ADDRESS, optional=names("symbol")
    ),
    "GET /sapi/v1/account/apiRestrictions": VenueCall(
        handler=key_restrictions, access=Access.READ, quota=BY_ADDRESS
    ),
    "GET /sapi/v1/account/status": VenueCall(handler=normal, access=Access.READ, quota=BY_ADDRESS),
    "GET /sapi/v1/account/apiTradingStatus": VenueCall(
        handler=trading_status, access=Access.READ, quota=BY_ADDRESS
    ),
    "POST /sapi/v3/asset/getUserAsset": VenueCall(
        handler=user_assets, access=Access.READ, weight=5, quota=BY_ADDRESS,
        optional=names("asset needBtcValuation"),
    ),
    "GET /sapi/v1/capital/config/getall": VenueCall(
        handler=all_coins, access=Access.READ, weight=10, quota=BY_ADDRESS
    ),
    "GET /sapi/v1/capital/deposit/address": VenueCall(
        handler=deposit_address, access=Access.READ, weight=10, quota=BY_ADDRESS,
        required=names("coin"), optional=names("network amount"),
    ),
    "POST /sapi/v1/capital/withdraw/apply": VenueCall(
        handler=withdraw, access=Access.TRADE, weight=900, quota=BY_ACCOUNT,
        required=names("coin address amount"),
        optional=names("withdrawOrderId network addressTag transactionFeeFlag name walletType"),
    ),
    "GET /sapi/v1/capital/withdraw/history": VenueCall(
        handler=withdrawals, access=Access.READ, weight=18_000, quota=BY_ADDRESS_AND_SECOND,
        optional=_TIMES | names("coin withdrawOrderId status idList"),
    ),
    "GET /sapi/v1/capital/deposit/hisrec": VenueCall(
        handler=deposits, access=Access.READ, quota=BY_ADDRESS,
        optional=_TIMES | names("includeSource coin status txId"),
    ),
}  # fmt: skip
