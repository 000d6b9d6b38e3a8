"""Names of accounts and things in a person's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poolmaker.views.catalogue import Translator
from poolmaker.views.model import OrderView

# (beginning, end, key of the catalogue); what stands between is the name. The first match wins.
_CHART = (
    ("custody:venue:", "", "account.venue"),
    ("custody:mixin:", "", "account.mixin"),
    ("custody:evm:", "", "account.evm"),
    ("rewards:", ":unallocated", "account.unallocated"),
    ("rewards:", ":allocated", "account.allocated"),
    ("transit:", "", "account.transit"),
    ("deficit:", "", "account.deficit"),
    ("user:", ":available", "account.available"),
    ("order:", ":locked", "account.locked"),
    ("order:", ":shares", "account.shares"),
    ("pool:", ":capital", "account.pool"),
    ("pool:", ":issued", "account.issued"),
    ("exit:", "", "account.exit"),
    ("withdrawal:", ":held", "account.withdrawal"),
    ("platform:equity", "", "account.equity"),
    ("platform:fees", "", "account.fees"),
    ("platform:fee_float", "", "account.fee_float"),
    ("platform:dust", "", "account.dust"),
    ("suspense:", "", "account.suspense"),
    ("share:", "", "asset.share"),
)


def owners(orders: Sequence[OrderView]) -> dict[str, str]:
    """Names of users by their own ids and by those of their orders."""
    names = {order.user_id: order.user_name for order in orders}
    return names | {order.order_id: order.user_name for order in orders}


def short_id(value: str) -> str:
    """The end of a long id, which differs where its beginning is only its time."""
    return value if len(value) <= 16 else f"…{value[-6:]}"  # noqa: PLR2004


def account_words(words: Translator, account: str, names: Mapping[str, str]) -> str:
    """``user:us_…:available`` as ``ada · available``."""
    for head, tail, key in _CHART:
        if account.startswith(head) and account.endswith(tail):
            inner = account[len(head) : len(account) - len(tail)]
            if head == "custody:evm:":
                inner = inner.rpartition(":")[2]
            return words.say(key, name=names.get(inner, short_id(inner)))
    return account


def asset_words(words: Translator, asset: str) -> str:
    """An asset's code; the asset of a pool's shares is called what it is."""
    return words.say("asset.share") if asset.startswith("share:") else asset
