"""An address that carries its own leave expires: it is asked for anew once, and never kept."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbclient.database import Database
from dbclient.stores import Transfers
from snooppix.breaker import Breakers, Rules
from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.errors import FetchError, NotAllowed, NotSignedIn
from snooppix.fetcher import Fetcher, Running
from snooppix.reception import Reception, Receptions
from terapix.clock import SystemClock
from terapix.identity import Digest
from tests.support import night

ARRIVED = Arrived(1, Digest("md5", "0" * 32))


class Leaves:
    """An archive whose addresses hold a token that grows old at once, and the server behind it."""

    name = "archive"

    def __init__(self, problem: type[FetchError], *, good_from: int) -> None:
        self.problem = problem
        self.good_from = good_from
        self.located = 0
        self.asked: list[str] = []

    async def locate(self, uri: str) -> list[str]:
        del uri
        self.located += 1
        return [f"https://minoc.example/token-{self.located}/979412p.fits.fz"]

    async def fetch(self, wanted: Wanted, source: str, progress: Progress) -> Arrived:
        del progress
        self.asked.append(source)
        if self.located < self.good_from:
            raise self.problem(wanted.name, "minoc.example", "the server refuses")
        return ARRIVED


async def carried(archive: Any, tmp_path: Path) -> Arrived:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    nothing: Any = None
    outlook: Any = SimpleNamespace(full=False)
    try:
        async with database.write() as session:
            frame = await night.sight(session)
        receptions = Receptions(Reception(tmp_path, reserve=0))
        clock = SystemClock()
        breakers = Breakers(database, clock=clock, rules=Rules())
        carriers = {"https": archive}
        fetcher = Fetcher(database, archive, carriers, breakers, receptions, nothing, outlook, clock=clock, attempts=3)
        sources = await archive.locate(frame.uri)
        try:
            return await fetcher._carry(Running(frame), Wanted(frame.name, tmp_path / "a.part", 1, None), sources)
        finally:
            async with database.read() as session:
                assert "token" not in str(await Transfers().history(session))
    finally:
        await database.close()


@pytest.mark.parametrize("problem", [NotSignedIn, NotAllowed])
async def test_a_leave_that_expired_is_asked_for_once_anew(problem: type[FetchError], tmp_path: Path) -> None:
    archive = Leaves(problem, good_from=2)
    assert await carried(archive, tmp_path) == ARRIVED
    assert [address.split("/")[3] for address in archive.asked] == ["token-1", "token-2"]


async def test_a_frame_that_we_may_not_have_is_not_asked_for_again_and_again(tmp_path: Path) -> None:
    archive = Leaves(NotAllowed, good_from=9)
    with pytest.raises(NotAllowed):
        await carried(archive, tmp_path)
    assert archive.located == 2
