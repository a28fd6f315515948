"""A site a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()
