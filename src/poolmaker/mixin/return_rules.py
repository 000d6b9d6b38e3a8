"""Pure decisions about what goes back of assets without a form: when, which outputs, by what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.ledger.accounts import custody_mixin
from poolmaker.business.treasury.model import SendRequest
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import SagaId, request_uuid
from poolmaker.mixin.model import NETWORK, SeenOutput, Unlisted
from poolmaker.mixin.rules import INPUTS_MAX, is_ours, sender_of

RETURN_FIRST_US: Final = 60 * SECOND_US
RETURN_MAX_US: Final = 24 * 60 * 60 * SECOND_US


def return_due_us(row: Unlisted) -> int:
    """When what a sender paid of an unlisted asset goes back by itself; 0 for never.

    Each return to the same sender waits twice as long as the one before, up to a day: nobody
    makes us work for every payment that costs them nothing.
    """
    if not row.sender or row.reason or row.returning_units or not row.units:
        return 0
    if not row.returns:
        return row.last_us
    return row.returned_us + min(RETURN_MAX_US, RETURN_FIRST_US << min(row.returns, 11))


def return_request(row: Unlisted) -> SendRequest:
    """The payment by which it goes back, the same for ever."""
    saga = SagaId(f"unlisted {row.asset_id} {row.sender}")
    return SendRequest(
        source=custody_mixin(row.asset_id),
        reference=request_uuid(saga, f"return {row.returns}").hex,
        asset=row.asset_id,
        units=row.returning_units,
        network=NETWORK,
        address=row.return_to,
        tag="",
    )


def payer_of(one: SeenOutput, app_id: str) -> str:
    """Whose row counts it: the one user who sent it, nobody's where it came from ourselves."""
    return "" if is_ours(one, app_id) else sender_of(one)


def fitting(outputs: Sequence[SeenOutput], units: int) -> list[SeenOutput]:
    """The oldest outputs, as many as one payment can spend, that hold ``units`` at most."""
    found, left = [], units
    for one in outputs[:INPUTS_MAX]:
        left -= one.units
        if left < 0:
            break
        found.append(one)
    return found


def units_of(outputs: Sequence[SeenOutput]) -> int:
    """What outputs hold together, in the network's units."""
    return sum(one.units for one in outputs)
