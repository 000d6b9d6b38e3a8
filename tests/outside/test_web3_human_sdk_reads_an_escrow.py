"""HUMAN's published Python SDK, unmodified, over the sandbox chain's RPC.

Its built-in localhost addresses of token and staking are ours; those of factory and registry are
of an older order of deployment than the one that HuFi's servers expect.
"""

from __future__ import annotations

import json

import pytest

from tests.support import programs
from tests.support.hufi import running_worlds

pytestmark = pytest.mark.timeout(400)  # the first run makes an environment for the SDK
SDK = ("human-protocol-sdk==7.3.1", "web3==8.0.0")


async def test_the_sdk_reads_an_escrow_and_finds_token_and_stake_where_it_expects_them() -> None:
    python = await programs.environment_with(*SDK)
    async with running_worlds(people=0) as worlds:
        manifest = {"type": "HOLDING", "symbol": "HMT", "daily_balance_target": 5}
        made = await worlds.launch(manifest, "12.5")
        campaign = await worlds.campaign(made["address"])
        contracts = worlds.chain.ready["contracts"]
        asked = {
            "rpc": worlds.chain.ready["rpc"],
            "escrow": made["address"],
            "launcher": campaign["launcher"],
        }
        output = await programs.run_program(
            python, "chain/human_sdk_reads.py", worlds.venue, json.dumps(asked)
        )
        seen = json.loads(output)
        assert json.loads(seen.pop("manifest")) == made["manifest"]
        assert seen == {
            "staking": contracts["staking"],
            "hmt": contracts["hmt"],
            "status": "Pending",
            "balance": 12_500_000,
            "token": contracts["usdt"],
            "recording_oracle": campaign["recording_oracle"],
            "staked": 10**18,
        }
