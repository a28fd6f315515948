"""The bookkeeper folds what happened, now and then, and a long backlog pass by pass."""

from datatransfer import bookkeeper
from datatransfer.bookkeeper import EVERY, Bookkeeper
from dbclient.schema import FrameState
from dbclient.stores import Frames, Sighting, Tallies
from terapix.clock import SetClock
from tests.support.night import NOW, bring


async def test_what_happened_is_folded_and_then_it_rests(database):
    clock = SetClock(NOW)
    keeper = Bookkeeper(database, clock)
    async with database.write() as session:
        await bring(session, "1p", FrameState.VALID)
    assert await keeper.pass_() > 0
    async with database.write() as session:
        assert await Tallies().idle(session)
        await bring(session, "2p", FrameState.VALID)
    assert await keeper.pass_() == 0
    clock.advance(EVERY)
    assert await keeper.pass_() > 0
    clock.advance(EVERY)
    assert await keeper.pass_() == 0


async def test_a_long_backlog_is_folded_pass_by_pass(database, monkeypatch):
    monkeypatch.setattr(bookkeeper, "STINT", 2)
    fold = Tallies.fold
    monkeypatch.setattr(Tallies, "fold", lambda self, session: fold(self, session, most=10))
    keeper = Bookkeeper(database, SetClock(NOW))
    seen = [Sighting(name=f"{number}p", uri="x", runid=f"R{number}") for number in range(35)]
    async with database.write() as session:
        for one in seen:
            await Frames().sight(session, one, now=NOW, source="t")
    passes = [await keeper.pass_(), await keeper.pass_(), await keeper.pass_()]
    assert passes == [20, 15, 0]
    async with database.read() as session:
        assert await Tallies().idle(session)
        assert await Frames().counts(session) == {FrameState.SPOTTED: 35}
