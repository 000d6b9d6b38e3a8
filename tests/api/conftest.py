from __future__ import annotations

import pytest

from poolmaker.api.server import create_api
from poolmaker.views.model import WorldMode
from tests.api.client import Client
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.furnish()
    return made


@pytest.fixture
def client(world: FakeWorld) -> Client:
    return Client(create_api(world.platform()), OPERATOR_TOKEN)


@pytest.fixture
def live_client(world: FakeWorld) -> Client:
    return Client(create_api(world.platform(WorldMode.LIVE)), OPERATOR_TOKEN)
