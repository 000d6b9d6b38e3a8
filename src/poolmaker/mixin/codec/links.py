"""Links that open in the Mixin app: payments and apps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from poolmaker.mixin.codec.addresses import MixAddress, parse_mix, parse_xin
from poolmaker.mixin.codec.amounts import to_short_text, to_units
from poolmaker.mixin.codec.encoding import Malformed, demand
from poolmaker.mixin.codec.ids import check_uuid
from poolmaker.mixin.codec.transactions import EXTRA_BYTES_MAX

PAY_URL: Final = "https://mixin.one/pay/"
_FIELDS: Final = frozenset({"asset", "amount", "memo", "trace", "return_to"})
_LINK_CHARACTERS_MAX: Final = 8_192
_FIELDS_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentLink:
    """What a payment link asks for. ``trace`` makes it payable once, and names what is paid."""

    recipient: str
    asset_id: str
    units: int
    trace: str
    memo: str = ""
    return_to: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be paid."""
        recipient_address(self.recipient)
        check_uuid(self.asset_id, "asset")
        check_uuid(self.trace, "trace")
        demand(self.units > 0, "amount: expected more than 0")
        demand(len(self.memo.encode()) <= EXTRA_BYTES_MAX, "memo: more than 256 bytes")


def recipient_address(text: str) -> MixAddress:
    """Whom a uuid, a XIN or a MIX address names."""
    if text.startswith("MIX"):
        return parse_mix(text)
    if text.startswith("XIN"):
        parse_xin(text)
        return MixAddress(1, xins=(text,))
    return MixAddress(1, uuids=(check_uuid(text, "recipient"),))


def payment_link(payment: PaymentLink) -> str:
    """The link that asks for a payment."""
    query = {"asset": payment.asset_id, "amount": to_short_text(payment.units)}
    query |= {"memo": payment.memo} if payment.memo else {}
    query |= {"trace": payment.trace}
    query |= {"return_to": payment.return_to} if payment.return_to else {}
    return f"{PAY_URL}{payment.recipient}?{_query(query)}"


def parse_payment_link(link: str) -> PaymentLink:
    """What a link asks for; Malformed when it asks for less or for more than we know."""
    demand(len(link) <= _LINK_CHARACTERS_MAX, "link: too long")
    demand(link.startswith(PAY_URL), f"link: expected one under {PAY_URL}")
    try:
        parts = urlsplit(link)
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=_FIELDS_MAX,
            errors="strict",
        )  # fmt: skip
    except ValueError:
        raise Malformed("link: its query cannot be read") from None
    fields = dict(pairs)
    demand(len(fields) == len(pairs) and fields.keys() <= _FIELDS, "link: unknown or double fields")
    demand({"asset", "amount", "trace"} <= fields.keys(), "link: without asset, amount or trace")
    return PaymentLink(
        recipient=parts.path.removeprefix("/pay/"),
        asset_id=fields["asset"],
        units=to_units(fields["amount"]),
        trace=fields["trace"],
        memo=fields.get("memo", ""),
        return_to=fields.get("return_to", ""),
    )


def app_link(app_id: str, params: Mapping[str, str]) -> str:
    """The link that opens a bot's page with parameters."""
    query = dict(sorted({"action": "open", **params}.items()))
    return f"mixin://apps/{check_uuid(app_id, 'app')}?{_query(query)}"


def _query(fields: Mapping[str, str]) -> str:
    return urlencode(fields, quote_via=quote, safe="")
