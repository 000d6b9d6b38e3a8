"""The configuration that the platform is given: the same form as a live one. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from poolmaker.sandbox.relay.routes import BY_COIN
from poolmaker.sandbox.story.model import ACCOUNT, BASE, GAS, POOL, QUOTE, REWARD

# (mid to first level, level to level, tolerance) in cbps: as far out as takers reach some times a
# second. The recorded market is tighter than the made-up one.
SEEDED_LEVELS: Final = (80, 80, 60)
RECORDED_LEVELS: Final = (8, 40, 30)
NETWORKS: Final = {BASE: "BTC", QUOTE: "MATIC", REWARD: "MATIC"}
FORMS: Final = {BASE: "btc", QUOTE: "usdt-polygon", REWARD: "hmt-polygon"}
GAS_PLACE: Final = "gas"
"""What the place of the chain's own coin is called beside those of the forms."""
DECIMALS: Final = {BASE: 8, QUOTE: 6, REWARD: 18}
"""Of the tokens on their chains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worlds:
    """The ready lines of all worlds."""

    venue: Mapping[str, Any]
    mixin: Mapping[str, Any]
    chain: Mapping[str, Any]
    hufi: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What is the platform's own: its data, its page, its wallet, its quoting."""

    home: Path
    port: int
    wallet_key: str
    levels: tuple[int, int, int] = SEEDED_LEVELS


def asset_id(asset: str) -> str:
    """What Mixin calls an asset of the story."""
    return BY_COIN[asset, NETWORKS[asset]].asset_id


def configuration(worlds: Worlds, own: Own) -> str:
    """The platform's configuration file: the same form as a live one, with short waits.

    Only addresses, keys and the waits differ from what an operator would write.
    """
    parts = (
        _head(own),
        _money(),
        _venue(worlds.venue),
        _pool(own.levels),
        _mixin(worlds.mixin),
        _chain(worlds.chain, own.wallet_key),
        _hufi(worlds),
    )
    return "\n".join(parts)


def _head(own: Own) -> str:
    return f"""\
# Written by `poolmaker demo` for its sandbox. A live file has the same form.
mode = "sandbox"
home = {_text(str(own.home))}
barrier_interval_s = 1
take_back_s = 20

[web]
host = "127.0.0.1"
port = {own.port}

[log]
format = "json"
"""


def _money() -> str:
    networks = "".join(
        f'  {{ asset = "{asset}", network = "mixin" }},\n' for asset in (BASE, QUOTE, REWARD)
    )
    forms = "".join(_form(asset) for asset in (BASE, QUOTE, REWARD))
    return f"""\
[payout]
poll_s = 1
fees = [
  {{ asset = "{BASE}", amount = "0.00005" }},
  {{ asset = "{QUOTE}", amount = "0.1" }},
]
minimums = [
  {{ asset = "{BASE}", amount = "0.001" }},
  {{ asset = "{QUOTE}", amount = "5" }},
]
networks = [
{networks}]

[treasury]
poll_ms = 1000
funding_fees = [
  {{ asset = "{BASE}", amount = "0.0001" }},
  {{ asset = "{QUOTE}", amount = "0.1" }},
]
exit_fees = [
  {{ asset = "{BASE}", amount = "0.00005" }},
  {{ asset = "{QUOTE}", amount = "0.1" }},
]

[rewards]
fee_ppm = 20000
payout_min = [{{ asset = "{REWARD}", amount = "0.01" }}]

[[assets]]
code = "{BASE}"
scale = 8

[[assets]]
code = "{QUOTE}"
scale = 8

[[assets]]
code = "{REWARD}"
scale = 18

[[assets]]
code = "{GAS}"
scale = 18

{forms}"""


def _form(asset: str) -> str:
    route = BY_COIN[asset, NETWORKS[asset]]
    contract = f"evm_contract = {_text(route.token.address)}\n" if route.token else ""
    return f"""\
[[forms]]
name = "{FORMS[asset]}"
asset = "{asset}"
decimals = {DECIMALS[asset]}
mixin_id = "{route.asset_id}"
mixin_chain_id = "{route.chain_id}"
venue_network = "{route.network}"
{contract}
"""


def _venue(venue: Mapping[str, Any]) -> str:
    keys = venue["accounts"][0]
    return f"""\
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
"""


def _pool(levels: tuple[int, int, int]) -> str:
    return f"""\
[[pools]]
id = "{POOL}"
account = "{ACCOUNT}"
symbol = "{BASE}/{QUOTE}"
first_join_min = "100"
order_min = "10"
holding_min = "1"
depth_min = "100"
stay_min_s = 2
cool_off_s = 2

[pools.strategy]
levels = 3
spread_cbps = {levels[0]}
level_spacing_cbps = {levels[1]}
level_size_ppm = 60000
spread_floor_cbps = 1
refresh_tolerance_cbps = {levels[2]}
inventory_band_ppm = 400000
"""


def _mixin(mixin: Mapping[str, Any]) -> str:
    bot = mixin["bot"]
    return f"""\
[mixin]
api_url = {_text(mixin["api"])}
app_id = {_text(bot["app_id"])}
session_id = {_text(bot["session_id"])}
session_private_key = {_text(bot["session_private_key"])}
server_public_key = {_text(bot["server_public_key"])}
spend_private_key = {_text(bot["spend_private_key"])}
poll_ms = 1000
deposit_wait_s = 45
"""


def _chain(chain: Mapping[str, Any], wallet_key: str) -> str:
    return f"""\
[evm]
rpc_url = {_text(chain["rpc"])}
chain_id = {chain["chain_id"]}
wallet_private_key = {_text(wallet_key)}
gas_asset = "{GAS}"
poll_ms = 1000
"""


def _hufi(worlds: Worlds) -> str:
    hufi = worlds.hufi
    return f"""\
[hufi]
oracle_url = {_text(hufi["oracle"])}
launcher_url = {_text(hufi["launcher"])}
file_hosts = [{_text(urlsplit(hufi["files"]).netloc)}]
account = "{ACCOUNT}"
exchange = "mexc"
escrow_factory = {_text(worlds.chain["contracts"]["escrow_factory"])}
poll_ms = 1000
"""


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value)
