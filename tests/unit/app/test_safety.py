"""What surfaces may do to engines and latches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from poolmaker.api.ports import ActionRefused, LatchReleased
from poolmaker.api.problems import CATALOGUES
from poolmaker.app.safety import SafetyCommands
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.market.engine.latches import LATCHES, LatchKind
from poolmaker.market.execution.kill import ReleaseVerdict

MAIN = VenueAccountId("main")


class Engine:
    """Lets every latch go."""

    async def release(self, kind: LatchKind, subject: str, by: str, reason: str) -> bool:
        return bool(kind and subject and by and reason)


@pytest.mark.parametrize("kind", LatchKind)
async def test_the_api_releases_at_an_engine_only_what_the_table_sends_there(
    kind: LatchKind,
) -> None:
    """An unread stop among them: one person alone does not let it go."""
    desks: Any = {MAIN: SimpleNamespace(engine=Engine())}
    nothing: Any = None
    safety = SafetyCommands(nothing, desks, nothing)
    answer = await safety.release_latch("main", kind.value, "main", "operator: looked")
    wanted = LatchReleased(released=True) if LATCHES[kind].by_engine else ActionRefused("not_found")
    assert answer == wanted


@pytest.mark.parametrize("language", CATALOGUES.languages)
def test_every_verdict_of_a_release_has_its_sentence(language: str) -> None:
    said = CATALOGUES.words(language).sentences
    sentences = {said[f"release.{verdict}"] for verdict in [*ReleaseVerdict, "held"]}
    assert len(sentences) == len(ReleaseVerdict) + 1
