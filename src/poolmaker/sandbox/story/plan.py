"""What the seed decides, and the configuration that the platform is given. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.money import format_units
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.story.model import ACCOUNT, BASE, POOL, QUOTE, Person, Plan

OPERATORS_OWN: Final = f"{BASE}=0.05,{QUOTE}=5000"
BASE_NETWORK: Final = "ETH"
QUOTE_NETWORK: Final = "ETH"
# (mid to first level, level to level, tolerance) in cbps: as far out as takers reach some times a
# second. The recorded market is tighter than the made-up one.
SEEDED_LEVELS: Final = (80, 80, 60)
RECORDED_LEVELS: Final = (8, 40, 30)
_CENTI: Final = 100
_HEX_DIGITS: Final = 40


def make_plan(seed: int) -> Plan:
    """The people, the moment of the crash and the length of the pause."""
    rng = Rng(seed).fork("story")
    ada = _person(rng.fork("ada"), "ada", base_centi=(14, 22), quote_hundreds=(80, 120))
    bo = _person(rng.fork("bo"), "bo", base_centi=(4, 8), quote_hundreds=(25, 45))
    return Plan(
        people=(ada, bo),
        crash_after_fills=rng.between(4, 10),
        crash_delay_us=rng.below(1_500) * 1_000,
        pause_us=rng.between(1, 3) * SECOND_US,
    )


def _person(
    rng: Rng, name: str, *, base_centi: tuple[int, int], quote_hundreds: tuple[int, int]
) -> Person:
    return Person(
        name=name,
        base=format_units(rng.between(*base_centi), 2),
        quote=str(rng.between(*quote_hundreds) * _CENTI),
        payout=(
            _destination(rng, BASE, BASE_NETWORK),
            _destination(rng, QUOTE, QUOTE_NETWORK),
        ),
    )


def _destination(rng: Rng, asset: str, network: str) -> Mapping[str, str]:
    address = f"0x{rng.bits(4 * _HEX_DIGITS):0{_HEX_DIGITS}x}"
    return {"asset": asset, "network": network, "address": address}


def configuration(
    venue: Mapping[str, Any], home: Path, port: int, levels: tuple[int, int, int] = SEEDED_LEVELS
) -> str:
    """The platform's configuration file: the same form as a live one, with short waits.

    Only addresses, keys and the waits differ from what an operator would write. ``levels`` is from
    mid to the first level, from level to level, and how far off a live order is kept, in cbps.
    """
    keys = venue["accounts"][0]
    return f"""\
# Written by `poolmaker demo` for its sandbox. A live file has the same form.
mode = "sandbox"
home = {_text(str(home))}
barrier_interval_s = 1

[web]
host = "127.0.0.1"
port = {port}

[log]
format = "json"

[payout]
poll_s = 1
absent_after_s = 5
fees = [
  {{ asset = "{BASE}", amount = "0.00004" }},
  {{ asset = "{QUOTE}", amount = "1.5" }},
]
networks = [
  {{ asset = "{BASE}", network = "{BASE_NETWORK}" }},
  {{ asset = "{QUOTE}", network = "{QUOTE_NETWORK}" }},
]

[[assets]]
code = "{BASE}"
scale = 8

[[assets]]
code = "{QUOTE}"
scale = 8

[[venue_accounts]]
id = "{ACCOUNT}"
venue = "binance"
api_key = {_text(keys["key"])}
secret = {_text(keys["secret"])}
read_only_api_key = {_text(keys["ro_key"])}
read_only_secret = {_text(keys["ro_secret"])}
rest_url = {_text(venue["rest"])}
ws_url = {_text(venue["ws"])}
ws_api_url = {_text(venue["ws_api"])}
symbols = ["{BASE}/{QUOTE}"]
tick_ms = 500

[[pools]]
id = "{POOL}"
account = "{ACCOUNT}"
symbol = "{BASE}/{QUOTE}"
first_join_min = "100"

[pools.strategy]
levels = 3
spread_cbps = {levels[0]}
level_spacing_cbps = {levels[1]}
level_size_ppm = 60000
spread_floor_cbps = 1
refresh_tolerance_cbps = {levels[2]}
inventory_band_ppm = 400000
"""


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value)
