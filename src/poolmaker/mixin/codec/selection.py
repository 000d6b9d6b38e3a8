"""Which outputs pay for a transaction: at most 256, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PoolmakerError
from poolmaker.mixin.codec.transactions import INPUTS_MAX


class Spendable(Protocol):
    """An output of ours."""

    @property
    def units(self) -> int:
        """What it holds."""
        ...

    @property
    def is_unspent(self) -> bool:
        """Whether it may still be spent."""
        ...


T = TypeVar("T", bound=Spendable)


class InsufficientOutputs(PoolmakerError):
    """All that is unspent together does not pay; nothing was chosen."""

    code = "mixin_insufficient"


class TooManyOutputs(PoolmakerError):
    """It would pay, but not with 256 inputs: small outputs must be joined first."""

    code = "mixin_consolidate"


@dataclass(frozen=True, slots=True)
class Selection(Generic[T]):
    """The outputs to spend and what comes back."""

    picked: tuple[T, ...]
    change_units: int


def select_outputs(
    outputs: Sequence[T], need_units: int, inputs_max: int = INPUTS_MAX
) -> Selection[T]:
    """The first unspent outputs that pay; the largest where the first ones are too many.

    Raises InsufficientOutputs or TooManyOutputs.
    """
    require(need_units > 0, f"need: expected more than 0, was {need_units}")
    unspent = [one for one in outputs if one.is_unspent]
    total = sum(one.units for one in unspent)
    if total < need_units:
        raise InsufficientOutputs(f"needed {need_units}, unspent {total}")
    chosen = _until(unspent, need_units)
    if len(chosen) > inputs_max:
        largest = sorted(unspent, key=lambda one: one.units, reverse=True)
        chosen = _until(largest, need_units)
    if len(chosen) > inputs_max:
        raise TooManyOutputs(f"{len(chosen)} inputs are needed, {inputs_max} are allowed")
    return Selection(tuple(chosen), sum(one.units for one in chosen) - need_units)


def _until(outputs: Sequence[T], need_units: int) -> list[T]:
    chosen, sum_units = [], 0
    for one in outputs:
        if sum_units >= need_units:
            break
        chosen.append(one)
        sum_units += one.units
    return chosen
