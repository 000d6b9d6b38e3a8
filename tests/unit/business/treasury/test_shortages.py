"""What a place lacks is told once for all who wait there, after a while, until it is there."""

from __future__ import annotations

from poolmaker.business.treasury.shortages import PATIENCE_US, Shortage, Shortages
from poolmaker.kernel.money import Asset

PLACE = "custody:venue:main"
ASSETS = {"USDT": Asset("USDT", 6)}


def _short(who: str, units: int, since_us: int, asset: str = "USDT") -> Shortage:
    return Shortage(who=who, source=PLACE, asset=asset, units=units, since_us=since_us)


def test_found_39_a_payout_waiting_for_one_unit_says_what_is_missing_and_where() -> None:
    found = Shortages()
    found.lacks(_short("wd_1", 1, 5))
    found.lacks(_short("wd_2", 1_000, 7))
    found.lacks(_short("wd_3", 3, 8, "BTC"))
    assert list(found.attention("withdrawals", 4 + PATIENCE_US, ASSETS)) == []
    found.lacks(_short("wd_1", 2, 9))
    (first,) = found.attention("withdrawals", 5 + PATIENCE_US, ASSETS)
    assert (first.subject, first.since_us) == (f"{PLACE} USDT", 5), "since it had to wait"
    usdt, btc = found.attention("withdrawals", 8 + PATIENCE_US, ASSETS)
    assert usdt.evidence == {"missing": "0.001000 USDT", "waiting": "2", "first": "wd_1"}
    assert usdt.blocks == (f"{PLACE} USDT",)
    command = f"poolmaker treasury operator-in {PLACE} USDT 0.001000 --reference TEXT"
    assert [one.command for one in usdt.remedies] == [command]
    assert btc.evidence["missing"] == "3 units of BTC"
    for who in ("wd_1", "wd_2", "wd_3", "wd_4"):
        found.solved(who)
    assert list(found.attention("withdrawals", 10 * PATIENCE_US, ASSETS)) == []
