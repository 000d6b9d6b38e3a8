"""What HuFi's client needs of other rooms, and of its store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.campaigns.model import ObservedCampaign
from poolmaker.business.rewards.model import ObservedReward
from poolmaker.hufi.model import Participation
from poolmaker.infra.transactions import Tx


class CampaignRegistry(Protocol):
    """Who decides about campaigns; the room of campaigns. Each call in the caller's transaction."""

    async def seen(self, tx: Tx, campaign: ObservedCampaign) -> None:
        """A campaign as it is offered now; the same one again changes nothing."""
        ...

    async def wanted(self, tx: Tx) -> Sequence[str]:
        """Ids of campaigns to join: those of our venue and of markets that our pools quote."""
        ...

    async def joined(self, tx: Tx, campaign: str, at_us: int) -> None:
        """We take part since ``at_us``, by the oracle's own word."""
        ...

    async def refused(self, tx: Tx, campaign: str, reason: str, *, final: bool) -> None:
        """The oracle does not let us in, or no longer lists us; in its own words.

        Only what is ``final`` is never asked again.
        """
        ...


class RewardBooking(Protocol):
    """Who shares rewards out; the room of rewards. Each call in the caller's transaction."""

    async def confirmed(self, tx: Tx, reward: ObservedReward) -> None:
        """A payment that is final and attributed; told once."""
        ...

    async def observed(self, tx: Tx, reward: ObservedReward) -> None:
        """A payment that may still vanish, for display; may be told again and again."""
        ...


class KeyCheck(Protocol):
    """Asks the venue about the key that HuFi is given; the connector."""

    async def problem(self) -> str:
        """Why it must not be given away, empty when it is our account's and only reads.

        Raises Unavailable when the venue does not say.
        """
        ...


class ParticipationStore(Protocol):
    """Wishes to join. Every method runs in the caller's transaction."""

    async def all(self, tx: Tx) -> Sequence[Participation]:
        """Every wish."""
        ...

    async def save(self, tx: Tx, participation: Participation) -> None:
        """Write a wish, new or known."""
        ...
