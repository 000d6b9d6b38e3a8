"""A draft collects what one command moves, and turns what is missing for a fact into deficits."""

from __future__ import annotations

from poolmaker.business.ledger.accounts import Normal, deficit, may_go_below, normal_of
from poolmaker.business.ledger.model import Leg
from poolmaker.business.ledger.rules.books import LedgerState, PostingDecision, Record, check_legs
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.money import UNITS_MAX, Asset


class PostingBuilder:
    """Moves in normal terms: ``gain`` and ``lose`` of an account's normal balance."""

    def __init__(self, books: LedgerState) -> None:
        self._books = books
        self._deltas: dict[tuple[str, str], int] = {}

    def balance(self, account: str, asset: str) -> int:
        """The normal balance behind everything drafted so far."""
        raw = self._books.raw(account, asset) + self._deltas.get((account, asset), 0)
        return raw if normal_of(account) is Normal.HELD else -raw

    def _change(self, account: str, asset: str, normal_units: int) -> None:
        held = normal_of(account) is Normal.HELD
        place = account, asset
        raw = normal_units if held else -normal_units
        self._deltas[place] = self._deltas.get(place, 0) + raw

    def gain(self, account: str, asset: str, units: int) -> None:
        """The account's balance grows; an open deficit of it in that asset is repaid first."""
        ensure(units >= 0, f"{account}: a gain of {units}")
        repaid = 0
        if not may_go_below(account):
            repaid = min(units, self.balance(deficit(account), asset))
            self._change(deficit(account), asset, -repaid)
        self._change(account, asset, units - repaid)

    def lose(self, account: str, asset: str, units: int) -> None:
        """The account's balance falls. Its caller has checked that it covers that."""
        ensure(units >= 0, f"{account}: a loss of {units}")
        self._change(account, asset, -units)

    def lose_at_once(self, account: str, asset: str, units: int) -> None:
        """A fact takes from an account: what is not there becomes its deficit."""
        ensure(units >= 0, f"{account}: a loss of {units}")
        covered = units
        if not may_go_below(account):
            covered = min(units, self.balance(account, asset))
            self._change(deficit(account), asset, units - covered)
        self._change(account, asset, -covered)

    def change_at_once(self, account: str, asset: str, units: int) -> None:
        """A fact adds (positive) or takes (negative)."""
        if units < 0:
            self.lose_at_once(account, asset, -units)
        else:
            self.gain(account, asset, units)

    def too_large(self) -> bool:
        """Whether any leg or balance would go beyond 38 digits."""
        return any(
            abs(units) > UNITS_MAX or abs(self._books.raw(*place) + units) > UNITS_MAX
            for place, units in self._deltas.items()
        )

    def decision(self, *records: Record, assets: tuple[Asset, ...] = ()) -> PostingDecision:
        """The finished decision: one leg per account and asset, none of zero."""
        legs = tuple(Leg(*place, units) for place, units in self._deltas.items() if units)
        check_legs(self._books, legs)
        return PostingDecision(legs, records, assets)
