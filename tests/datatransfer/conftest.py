"""A site a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datatransfer.agent.courier import Courier
from tests.support.agents import Agent, agent, courier, shared_token
from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Agent, Agent, Courier]]:
    token = shared_token(tmp_path)
    async with (
        agent(tmp_path, "node1", token) as one,
        agent(tmp_path, "node2", token) as two,
        courier(one.trust) as asked,
    ):
        yield one, two, asked
