"""HUMAN's own SDK finds its contracts where it expects them: {"rpc", "escrow", "launcher"}."""

from __future__ import annotations

import json
import sys

from human_protocol_sdk.constants import NETWORKS, ChainId  # type: ignore[import-not-found]
from human_protocol_sdk.escrow import EscrowClient  # type: ignore[import-not-found]
from human_protocol_sdk.staking import StakingClient  # type: ignore[import-not-found]
from web3 import Web3  # type: ignore[import-not-found]

asked = json.loads(sys.argv[1])
w3 = Web3(Web3.HTTPProvider(asked["rpc"]))
network, escrows = NETWORKS[ChainId.LOCALHOST], EscrowClient(w3)
where = asked["escrow"]
print(
    json.dumps(
        {
            "staking": network["staking_address"],
            "hmt": network["hmt_address"],
            "status": escrows.get_status(where).name,
            "balance": escrows.get_balance(where),
            "token": escrows.get_token_address(where),
            "manifest": escrows.get_manifest(where),
            "recording_oracle": escrows.get_recording_oracle_address(where),
            "staked": StakingClient(w3).get_staker_info(asked["launcher"])["stakedAmount"],
        }
    )
)
