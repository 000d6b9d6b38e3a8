"""Settings that are gone: a file that has them loads, and they are gone from the sections."""

from __future__ import annotations

from pydantic import BaseModel

from poolmaker.infra.settings.model import PayoutSettings
from poolmaker.infra.settings.outside import HufiSettings, TreasurySettings
from poolmaker.infra.settings.retired import RETIRED

SECTIONS: dict[str, type[BaseModel]] = {
    "payout": PayoutSettings,
    "treasury": TreasurySettings,
    "hufi": HufiSettings,
}


def test_found_31_a_setting_that_stated_when_absence_is_proof_is_gone_and_does_no_harm() -> None:
    for (section,), gone in RETIRED.items():
        assert gone.key not in SECTIONS[section].model_fields
    assert {gone.key for gone in RETIRED.values()} == {"absent_after_s", "day_s"}
