"""What the demo says while a night goes by: the way in is told in any case, whoever reads."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dbclient.database import Database
from dbclient.stores import Nodes
from spica.nightwatch import follow
from tests.support.night import NOW


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'night.sqlite'}", create=True)
    yield opened
    await opened.close()


class LittleDemo:
    """A demo whose night is over at the third look, and whose page opens at the second."""

    password = "word of honour"
    painting, painted = "", 1.0

    def __init__(self, database: Database) -> None:
        self.database = database
        self.looks = 0

    async def look(self) -> SimpleNamespace:
        self.looks += 1
        async with self.database.write() as session:
            await Nodes().upsert(session, name=f"node{self.looks}", directory="/n", capacity=10**9, reserve=0, now=NOW)
        return SimpleNamespace()

    async def page(self) -> str | None:
        return "http://127.0.0.1:8081/" if self.looks > 1 else None

    async def finished(self, _: object) -> bool:
        return self.looks > 2


@pytest.mark.parametrize("quiet", [True, False])
async def test_the_address_of_the_page_and_the_password_are_told_once_on_standard_error(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, quiet: bool
) -> None:
    monkeypatch.setattr("spica.nightwatch.REDRAW", 0.01)
    assert not await follow(LittleDemo(database), once=True, quiet=quiet, deadline=None)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("Page: http://127.0.0.1:8081/\n") == 1
    assert "word of honour" in said.err
    if quiet:
        assert len(said.err.splitlines()) == 2
