"""Facts of an account stream as the commands that book them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.ledger.commands import Fill, RechargeFee, TradeFee
from poolmaker.kernel.ids import PoolId, fact_key
from poolmaker.messages.base import Envelope, Money, decode
from poolmaker.messages.market import AccountEvent, FeeFact, FillFact

UNPRICED: Final = PoolId("")
"""Whose fee it is when nobody can say what it cost: no pool's, so suspense bears it."""


def fee_assets(events: Sequence[Envelope]) -> set[str]:
    """Assets of fees in neither asset of their market."""
    facts: list[AccountEvent] = [
        decode(envelope.body, AccountEvent)  # type: ignore[arg-type]
        for envelope in events
    ]
    return {
        fact.asset
        for fact in facts
        if isinstance(fact, FeeFact) and fact.asset not in (fact.market.base, fact.market.quote)
    }


def fill_of(event: FillFact, envelope: Envelope) -> Fill:
    """The command that books a trade."""
    return Fill(
        key=fact_key(
            "fill", event.account, event.market.symbol, event.exchange_order_id, event.trade_id
        ),
        pool=event.pool,
        account=event.account,
        side=event.side,
        base=Money(asset=event.market.base, units=event.base_units),
        quote=Money(asset=event.market.quote, units=event.quote_units),
        venue_time_us=event.venue_time_us,
        stream=envelope.stream,
        stream_seq=envelope.seq,
    )


def fee_of(event: FeeFact, envelope: Envelope) -> TradeFee | RechargeFee:
    """A fee in base or quote is the pool's; in a third asset it is recharged at its stored rate."""
    key = fact_key(
        "fee", event.account, event.market.symbol, event.exchange_order_id, event.trade_id
    )
    fee = Money(asset=event.asset, units=event.units)
    third = event.asset not in (event.market.base, event.market.quote)
    if third and event.recharge_rate is not None:
        return RechargeFee(
            key=key,
            pool=event.pool,
            account=event.account,
            fee=fee,
            quote_asset=event.market.quote,
            rate=event.recharge_rate,
            venue_time_us=event.venue_time_us,
            stream=envelope.stream,
            stream_seq=envelope.seq,
        )
    return TradeFee(
        key=key,
        pool=UNPRICED if third else event.pool,
        account=event.account,
        money=fee,
        venue_time_us=event.venue_time_us,
        stream=envelope.stream,
        stream_seq=envelope.seq,
    )
