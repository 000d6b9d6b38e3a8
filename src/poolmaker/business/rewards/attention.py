"""What of rewards needs a person, and the ways forward of each trouble."""

from __future__ import annotations

from typing import Final, assert_never

from poolmaker.business.rewards.model import RewardIncident, RewardTrouble
from poolmaker.infra.attention import AttentionItem, Remedy, closed_by_a_person

SOURCE: Final = "rewards"


def reward_item(one: RewardIncident) -> AttentionItem:
    """An open incident of a reward."""
    return AttentionItem(
        source=SOURCE,
        kind=one.trouble.value,
        subject=one.reward,
        since_us=one.opened_us,
        evidence={"note": one.note},
        blocks=_blocks(one.trouble),
        remedies=_remedies(one),
    )


def _blocks(trouble: RewardTrouble) -> tuple[str, ...]:
    """A payment told otherwise is not believed: the reward itself goes on."""
    return () if trouble is RewardTrouble.CONTRADICTED else ("reward",)


def _remedies(one: RewardIncident) -> tuple[Remedy, ...]:
    retry = Remedy(
        action="retry",
        command=f"poolmaker saga retry {one.reward}",
        route="POST /api/v1/sagas/{saga_id}/retry",
    )
    match one.trouble:
        case RewardTrouble.CONTRADICTED:
            return (closed_by_a_person(SOURCE, one.trouble.value, one.reward),)
        case RewardTrouble.TRANSFER_REFUSED:
            return (retry,)
        case RewardTrouble.NO_POOL | RewardTrouble.NO_WEIGHT:
            return (retry, _assign(one.reward), _keep(one.reward))
        case _:
            assert_never(one.trouble)


def _assign(reward: str) -> Remedy:
    return Remedy(
        action="assign",
        command=f"poolmaker reward assign {reward} POOL --reason TEXT",
        route="POST /api/v1/rewards/{reward_id}/assign",
    )


def _keep(reward: str) -> Remedy:
    return Remedy(
        action="keep",
        command=f"poolmaker reward keep {reward} --reason TEXT",
        route="POST /api/v1/rewards/{reward_id}/keep",
    )
