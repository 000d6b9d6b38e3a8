"""Assets of the configuration beside those that the ledger knows: the ledger's decimals hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from poolmaker.app.data import Data, open_writer
from poolmaker.business.ledger.service import LedgerWriter, open_store
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.settings.model import AssetSettings
from poolmaker.kernel.errors import EnvironmentProblem
from tests.support.ledgers import OpenDatabase


async def _opened(data: Data, **scales: int) -> LedgerWriter:
    assets = [AssetSettings(code=code, scale=scale) for code, scale in scales.items()]
    settings = cast("Any", SimpleNamespace(assets=assets))
    return await open_writer(data, settings, SystemClock(), "test")


async def test_an_asset_that_a_venue_named_first_is_refused_at_the_start_with_what_to_do(
    open_database: OpenDatabase,
) -> None:
    """A fee in BNB came before BNB was configured: the ledger knows it with eight decimals."""
    app, writing = await open_database(DatabaseRole.APP), await open_database(DatabaseRole.WRITER)
    data = Data(cast("Any", None), app, writing)
    await _opened(data, USDT=6, BNB=8)
    with pytest.raises(EnvironmentProblem, match=r"BNB with 8 decimals.*scale = 8") as problem:
        await _opened(data, BNB=18, USDT=7, POL=18)
    assert "USDT with 6 decimals" in str(problem.value)
    known = {one.code for one in await open_store(app, SystemClock()).assets()}
    assert "POL" not in known, "nothing is registered by a start that is refused"
    await _opened(data, USDT=6, BNB=8, POL=18)
