"""Full differences on both databases: opened, told of, closed, and the database's side page by page."""

from dbclient.schema import DifferenceState, FrameKind
from dbclient.stores import Differences, Frames
from tests.support.night import NOW, later, md5, sight, sighting

KINDS = {FrameKind.OBJECT, FrameKind.PRODUCT}


async def test_what_is_known_comes_by_name_in_pages_without_calibrations_and_old_generations(database):
    async with database.write() as session:
        for name in ("3p", "1p", "2p"):
            await sight(session, name)
        await sight(session, "08Am03.flat.r.36.02", kind=FrameKind.FLAT)
        await Frames().sight(session, sighting("1p", digest=md5("2")), now=NOW, source="t")
        first = await Differences().known(session, after="", kinds=KINDS, limit=2)
        rest = await Differences().known(session, after="2p", kinds=KINDS, limit=2)
        assert [(row.name, row.wire_digest) for row in first] == [("1p", md5("2")), ("2p", md5("1"))]
        assert [row.name for row in rest] == ["3p"]
        assert len(await Differences().of_run(session, "08AC14", names=["3p"])) == 4


async def test_a_difference_is_opened_told_of_and_closed(database):
    async with database.write() as session:
        number = await Differences().begin(session, "a", asked_by="clock", now=NOW)
        await Differences().progress(session, number, listed=5, missed=1)
        await Differences().end(session, number, DifferenceState.DONE, now=later(9), listed=6)
        found = await Differences().get(session, number)
        assert (found.state, found.listed, found.missed, found.ended_at) == (DifferenceState.DONE, 6, 1, later(9))
        assert await Differences().latest(session, archive="b") == []
        assert await Differences().last_done(session) == found
