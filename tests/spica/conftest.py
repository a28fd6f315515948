"""A night as the page of SNOOPPIX shows it, filled once for all tests that look at it."""

import pytest

from tests.support.console import console
from tests.support.databases import apart
from tests.support.exchange import follow, write_log
from tests.support.full_night import NOW


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """Give the database of a night, filled once."""
    directory = tmp_path_factory.mktemp("snooped")

    async def fill():
        async with console(directory) as running:
            await follow(running.database, directory, now=NOW)

    apart(fill())
    return directory / "terapix.sqlite"


@pytest.fixture
async def snooped(tmp_path, filled):
    write_log(tmp_path / "log", NOW)
    async with console(tmp_path, held=filled) as running:
        yield running
