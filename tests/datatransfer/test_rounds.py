"""Rounds: the audit comes of itself and only reports; room is made where it is short, if that is allowed."""

from pathlib import Path

from dbclient.schema import Discrepancy, RequestKind, RequestState
from dbclient.stores import Audits, Events, Requests
from tests.datatransfer.test_retention import ALL_GOES, DAY, superseded
from tests.support.keeping import placed
from tests.support.site import Site, settings_for


async def test_the_audit_comes_once_a_day_and_changes_nothing(site: Site) -> None:
    _, file = await placed(site)
    file.unlink()
    for days, audits in ((0.5, 0), (0.6, 1), (0.5, 1), (0.6, 2)):
        site.clock.advance(days * DAY)
        await site.coordinator.pass_()
        await site.coordinator.rounds.settled()
        async with site.database.read() as session:
            latest = await Audits().latest(session)
        assert (latest.id if latest else 0) == audits
    assert latest is not None
    assert (latest.asked_by, latest.repaired) == ("clock", 0)
    async with site.database.read() as session:
        assert Discrepancy.FILE_GONE in await Audits().counts(session, latest.id)


async def test_room_is_made_by_itself_above_the_high_water_only(site: Site, tmp_path: Path) -> None:
    await placed(site)
    await superseded(site)
    await site.settle()
    site.clock.advance(2 * DAY)
    for high, frames in ((1.0, 2), (0.0002, 1)):  # a disk of this host is filled somewhere in between
        allowed = {**ALL_GOES, "automatic": True, "high_water": high, "low_water": high / 2}
        await site.coordinator.close()
        site.settings = settings_for(tmp_path, retention=allowed)
        await site.restarted().start()
        await site.coordinator.pass_()
        await site.coordinator.rounds.settled()
        files = [file for node in ("node1", "node2") for file in site.files(node) if file.startswith("frames/")]
        assert len(files) == frames
    assert files == ["frames/08AC14/979412p.g2.fits.fz"]
    async with site.database.read() as session:
        said = [event.message for event in await Events().latest(session) if event.kind == "retention"]
    assert any("1 file went" in line and "nothing more may go" in line for line in said)


async def test_what_an_operator_asks_for_is_done_and_answered_in_words(site: Site) -> None:
    _, file = await placed(site)
    file.unlink()
    wishes: list[tuple[RequestKind, dict[str, object]]] = [
        (RequestKind.AUDIT, {"node": "node1", "repair": False}),
        (RequestKind.AUDIT, {"node": None, "repair": True}),
        (RequestKind.AUDIT, {"node": "node9", "repair": False}),
        (RequestKind.CLEAR, {"node": "node1"}),
        (RequestKind.CLEAR, {"node": "node9"}),
    ]
    async with site.database.write() as session:
        numbers = [
            await Requests().ask(session, kind, arguments, by="ada", now=site.clock.now()) for kind, arguments in wishes
        ]
    await site.coordinator.pass_()
    await site.coordinator.rounds.settled()
    async with site.database.read() as session:
        answers = [await Requests().get(session, number) for number in numbers]
    done, refused = RequestState.DONE, RequestState.REFUSED
    assert [answer.state for answer in answers] == [done, done, refused, done, refused]
    for answer, words in zip(
        answers,
        ("found that differ, nothing was changed", "put right", "no node 'node9'", "0 files", "does not answer now"),
        strict=True,
    ):
        assert words in (answer.answer or "")
