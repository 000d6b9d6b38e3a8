"""What of custody needs a person: places that are short, silent, unknown, or hold too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from poolmaker.business.treasury.custody import (
    STOPS,
    CustodyIncident,
    CustodyIncidentKind,
)
from poolmaker.business.treasury.service.custody import CustodyRecords
from poolmaker.infra.attention import (
    LISTED_MAX,
    AttentionItem,
    Remedy,
    and_more,
    closed_by_a_person,
)

SOURCE: Final = "custody"
_K = CustodyIncidentKind


class CustodyAttention:
    """Open custody incidents. ``text`` writes units of an asset as an exact decimal."""

    def __init__(self, records: CustodyRecords, text: Callable[[str, int], str]) -> None:
        self._records = records
        self._text = text

    async def attention(self) -> Sequence[AttentionItem]:
        found = await self._records.incidents()
        items: list[AttentionItem] = []
        for kind in _K:
            of_kind = [self._item(one) for one in found if one.finding.kind is kind]
            items += and_more(of_kind[:LISTED_MAX], len(of_kind))
        return items

    def _item(self, one: CustodyIncident) -> AttentionItem:
        finding = one.finding
        subject = f"{finding.location} {finding.asset}".strip()
        return AttentionItem(
            source=SOURCE,
            kind=finding.kind.value,
            subject=subject,
            since_us=one.opened_us,
            evidence=self._evidence(one),
            blocks=tuple(sorted(what.value for what in STOPS[finding.kind])),
            remedies=_remedies(one, subject),
        )

    def _evidence(self, one: CustodyIncident) -> dict[str, str]:
        finding = one.finding
        found = {"incident": one.name, "owner": one.owner}
        if finding.asset:
            found["booked"] = self._amount(finding.asset, finding.booked_units)
            found["difference"] = self._amount(finding.asset, finding.units)
        if finding.kind in (_K.SHORTFALL, _K.SURPLUS):
            found["reported"] = self._amount(finding.asset, finding.reported_units)
        if one.covered_units:
            found["borne"] = self._amount(finding.asset, one.covered_units)
        return found

    def _amount(self, asset: str, units: int) -> str:
        return f"{self._text(asset, units)} {asset}"


def _remedies(one: CustodyIncident, subject: str) -> tuple[Remedy, ...]:
    finding = one.finding
    take = Remedy(
        action="take",
        command=f"poolmaker custody take {one.name!r}",
        route="POST /api/v1/custody/incidents/take",
    )
    match finding.kind:
        case _K.SHORTFALL:
            return (_bear(one), take)
        case _K.SURPLUS:
            return (
                _state(finding.location, finding.asset),
                closed_by_a_person(SOURCE, "surplus", subject),
            )
        case _K.UNCONFIGURED:
            return (_reverse(), take)
        case _K.SILENCE:
            return (take,)
        case _:
            assert_never(finding.kind)


def _bear(one: CustodyIncident) -> Remedy:
    return Remedy(
        action="bear",
        command=f"poolmaker custody bear {one.name!r} --reason TEXT",
        route="POST /api/v1/custody/incidents/bear",
    )


def _state(location: str, asset: str) -> Remedy:
    return Remedy(
        action="state",
        command=f"poolmaker treasury operator-in {location} {asset} AMOUNT --reference REFERENCE",
        route="POST /api/v1/treasury/operator-in",
    )


def _reverse() -> Remedy:
    return Remedy(
        action="reverse",
        command="poolmaker treasury reverse ENTRY --reason TEXT",
        route="POST /api/v1/treasury/reversals",
    )
