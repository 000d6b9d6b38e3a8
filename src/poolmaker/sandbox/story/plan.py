"""What the seed decides. Pure."""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.money import format_units
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.story.model import BASE, CRASHES, QUOTE, DemoPerson, Plan

OPERATORS_OWN: Final = {BASE: "0.05", QUOTE: "5000"}
_CENTI: Final = 100
_KEY_BITS: Final = 250
_CRASH_MS_MAX: Final = 3_000


def make_plan(seed: int) -> Plan:
    """The people, the moment of the crash and the length of the pause."""
    rng = Rng(seed).fork("story")
    ada = _person(rng.fork("ada"), "ada", 1, base_centi=(14, 22), quote_hundreds=(80, 120))
    bo = _person(rng.fork("bo"), "bo", 2, base_centi=(4, 8), quote_hundreds=(25, 45))
    cy = _person(rng.fork("cy"), "cy", 3, base_centi=(9, 13), quote_hundreds=(50, 75))
    dan = _person(rng.fork("dan"), "dan", 4, base_centi=(1, 3), quote_hundreds=(6, 19))
    return Plan(
        people=(ada, bo, cy),
        stranger=dan,
        crash_act=CRASHES[rng.below(len(CRASHES))],
        crash_delay_us=rng.below(_CRASH_MS_MAX) * 1_000,
        pause_us=rng.between(1, 3) * SECOND_US,
        late_us=rng.between(500, 2_000) * 1_000,
        # Never zero and always below the order of the curve.
        wallet_key=f"0x{rng.bits(_KEY_BITS) + 1:064x}",
    )


def _person(
    rng: Rng,
    name: str,
    wallet: int,
    *,
    base_centi: tuple[int, int],
    quote_hundreds: tuple[int, int],
) -> DemoPerson:
    return DemoPerson(
        name=name,
        wallet=wallet,
        base=format_units(rng.between(*base_centi), 2),
        quote=str(rng.between(*quote_hundreds) * _CENTI),
    )


def broken(memo: str) -> str:
    """A memo with one letter that a hand got wrong: another one of its own alphabet."""
    at = len(memo) // 2
    return f"{memo[:at]}{'2' if memo[at] != '2' else '3'}{memo[at + 1 :]}"
