"""What a call of the wire is: who may make it, which parameters it takes, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from poolmaker.kernel.checks import ensure
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.keys import ApiKey
from poolmaker.sandbox.venue.model import Account
from poolmaker.sandbox.venue.params import Params
from poolmaker.sandbox.venue.quotas import Quota


class Access(StrEnum):
    """Who may make a call."""

    PUBLIC = "PUBLIC"
    KEY_ONLY = "KEY_ONLY"
    READ = "READ"
    TRADE = "TRADE"


@dataclass(frozen=True, slots=True)
class VenueCaller:
    """The venue and the key that a call comes with; public calls have none."""

    exchange: Exchange
    key: ApiKey | None
    time_us: int

    @property
    def account(self) -> Account:
        """The account of a signed call."""
        ensure(self.key is not None, "a signed call without a key reached its handler")
        return self.key.account  # type: ignore[union-attr]


Handler = Callable[[VenueCaller, Params], object]
Weight = Callable[[Params], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCall:
    """One call: its handler and everything that is checked before it.

    A call with a quota weighs on that alone, one without on the request weight of ``/api``.
    """

    handler: Handler
    access: Access = Access.PUBLIC
    weight: int | Weight = 1
    quota: Quota | None = None
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    is_free_on_success: bool = False
    counts_orders: bool = False

    def cost(self, params: Params) -> int:
        """The request weight."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)


def names(text: str) -> frozenset[str]:
    """Parameter names from a line of words."""
    return frozenset(text.split())
