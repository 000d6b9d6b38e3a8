"""What is offered for gas: what the chain asks, under the cap, and what replaces an offer."""

from __future__ import annotations

from typing import Final

from eth_utils.address import to_checksum_address

from poolmaker.evm.abi import TRANSFER_CALL, call_data
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import Attempt, GasBid
from poolmaker.evm.rpc import RpcRefused
from poolmaker.evm.rules import (
    demanded_bid,
    demanded_tip_wei,
    first_bid,
    higher_bid,
    with_margin,
)
from poolmaker.infra.logging import get_logger
from poolmaker.kernel.errors import PoolmakerError

_REVERTED: Final = 3
_LOG: Final = get_logger("evm")


class NotNow(PoolmakerError):
    """It cannot be signed as things are; a person may change that."""

    code = "evm_not_now"


class WouldRevert(PoolmakerError):
    """The token says that the transfer would fail."""

    code = "evm_would_revert"


class GasMarket:
    """Offers of one wallet. Everything raises Unavailable while the node does not answer."""

    def __init__(self, chain: Chain, wallet: str, fee_max_wei: int, tip_min_wei: int) -> None:
        self._chain = chain
        self._wallet = wallet
        self._fee_max_wei = fee_max_wei
        self._tip_min_wei = tip_min_wei

    async def offer(self, contract: str, recipient: str, units: int) -> tuple[int, GasBid]:
        """Limit of gas and bid of a transfer that would succeed now.

        Raises NotNow when gas costs more than is allowed or the wallet cannot pay it, WouldRevert
        when the transfer would fail.
        """
        bid = await self._bid()
        call = {"from": self._wallet, "to": contract, "data": transfer_data(recipient, units)}
        try:
            gas = with_margin(await self._chain.rpc.number("eth_estimateGas", call))
        except RpcRefused as refused:
            if refused.number == _REVERTED:
                raise WouldRevert(f"the token refuses the transfer: {refused.message}") from None
            raise
        await self._require_money(gas * bid.max_fee_wei)
        return gas, bid

    async def next_bid(self, last: Attempt) -> GasBid | None:
        """What replaces an attempt: more of it where a pool may have it, else what is asked now.

        None where the cap leaves no room. A bid that no pool has taken is not raised step by step:
        that would only reach the cap.
        """
        paid = GasBid(last.max_fee_wei, last.tip_wei)
        try:
            fresh = await self._bid(demanded_tip_wei(last.refusal))
        except NotNow as problem:
            _LOG.warning("gas_at_its_cap", tx_hash=last.tx_hash, problem=str(problem))
            return None
        if last.refusal:
            return demanded_bid(paid, fresh, self._fee_max_wei)
        return higher_bid(paid, fresh, self._fee_max_wei)

    async def cancel_gas(self) -> int:
        """The limit of gas of nothing to ourselves."""
        call = {"from": self._wallet, "to": self._wallet, "data": "0x"}
        return with_margin(await self._chain.rpc.number("eth_estimateGas", call))

    async def _bid(self, tip_min_wei: int = 0) -> GasBid:
        """What the chain asks now, the tip no less than ``tip_min_wei`` and the chain's own least.

        Raises NotNow when that is more than is allowed.
        """
        base_wei, advised_wei = await self._chain.base_fee_wei(), await self._chain.tip_wei()
        tip_wei = max(advised_wei, self._tip_min_wei, tip_min_wei)
        bid = first_bid(base_wei, tip_wei, self._fee_max_wei)
        if bid is None:
            raise NotNow(f"gas costs {base_wei + tip_wei} wei, more than gas_price_max_gwei")
        return bid

    async def _require_money(self, needed_wei: int) -> None:
        has_wei = await self._chain.rpc.number("eth_getBalance", self._wallet, "latest")
        if has_wei < needed_wei:
            raise NotNow(f"{self._wallet} has {has_wei} wei for gas and needs {needed_wei}")


def transfer_data(recipient: str, units: int) -> str:
    """The call data of a transfer."""
    return call_data(TRANSFER_CALL, to_checksum_address(recipient), units)
