"""A placed frame becomes a job once its flat and mask are on its node; until then it says what it waits for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbclient.schema import FrameKind, FrameState, JobState, Level, NodeState
from dbclient.stores import Chronicles, Events, Frames, Jobs, Nodes
from spica.chain import summarise
from spica.pipeline.dispatcher import Dispatcher
from spica.story import tell
from terapix.instruments import load_instrument
from terapix.sections import SnooppixSection
from tests.support.site import Site, open_site

FLAT, MASK = "08Am03.flat.r.36.02", "2003A.mask.0.36.02"
RECIPE = "sha256:recipe"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def dispatch(site: Site, recipe: str = RECIPE) -> tuple[int, int]:
    return await Dispatcher(site.database, site.clock, source="spica").pass_(recipe)


async def jobs(site: Site, name: str = "979412p") -> list[JobState]:
    frame = await site.frame(name)
    async with site.database.read() as session:
        return [job.state for job in await Jobs().of_frame(session, frame.id)]


async def placed(site: Site) -> None:
    await site.valid("979412p", flat=FLAT, mask=MASK)
    await site.settle()


async def test_a_frame_with_its_calibrations_on_its_node_becomes_one_job(site: Site) -> None:
    await site.valid(FLAT, kind=FrameKind.FLAT)
    await site.valid(MASK, kind=FrameKind.MASK)
    await placed(site)

    assert await dispatch(site) == (1, 0)
    assert await dispatch(site) == (0, 0)

    assert await jobs(site) == [JobState.DUE]


async def test_a_frame_without_calibrations_in_its_header_becomes_a_job(site: Site) -> None:
    await site.valid("979412p")
    await site.settle()

    assert await dispatch(site) == (1, 0)


async def test_frames_of_a_camera_that_names_no_flat_are_placed_and_say_so_without_alarm(site: Site) -> None:
    why = load_instrument("wircam").unweighted
    assert why == "weights of WIRCam are not made: its frames name no flat"
    await site.valid("2281792p")
    await site.settle()
    assert await site.open_things() == (1, 0)  # this one was promised room for maps

    dispatcher = Dispatcher(site.database, site.clock, source="spica", unweighted=why)
    assert [await dispatcher.pass_(RECIPE) for _ in range(3)] == [(0, 0)] * 3

    frame = await site.frame("2281792p")
    assert (frame.state, frame.reason, frame.retry_at) == (FrameState.PLACED, why, None)
    assert await jobs(site, "2281792p") == []
    assert await site.open_things() == (0, 0)
    async with site.database.read() as session:
        events = await Events().of_frame(session, frame.id)
        settings = site.settings.model_copy(update={"snooppix": SnooppixSection(instrument="wircam")})
        summary = await summarise(session, now=site.clock.now(), settings=settings)
    assert [event.message for event in events if event.kind == "unweighted"] == [f"2281792p stays as it is: {why}"]
    assert {event.level for event in events} == {Level.INFO}
    assert summary.sentence == f"All is well: 1 of 1 frame placed ({why}), none on the way."
    assert (summary.finished, summary.warnings) == (True, ())
    async with site.database.read() as session:
        chronicle = await Chronicles().of(session, frame)
    story = tell(chronicle, now=site.clock.now())
    assert story[1] == f"It is on its node, and nothing is left to do: {why}."


async def test_no_room_is_held_for_maps_that_are_not_made(site: Site) -> None:
    room = {"frame": 6000, "unpacked": 12000, "weight": 0, "flag": 0, "scratch": 0}
    await site.valid("2281792p", needs=room)
    await site.settle()
    assert await site.open_things() == (0, 0)


async def test_a_frame_says_which_calibration_it_waits_for(site: Site) -> None:
    await site.valid(MASK, kind=FrameKind.MASK)
    await placed(site)

    assert await dispatch(site) == (0, 1)

    frame = await site.frame("979412p")
    assert frame.state is FrameState.PLACED
    assert frame.reason == f"flat {FLAT} is asked of the archive"
    assert frame.attempts == 0


async def test_the_reason_is_told_once_and_ends_with_the_job(site: Site) -> None:
    await site.valid(MASK, kind=FrameKind.MASK)
    await placed(site)
    for _ in range(3):
        await dispatch(site)
    frame = await site.frame("979412p")
    async with site.database.read() as session:
        assert [e.kind for e in await Events().of_frame(session, frame.id)].count("waits") == 1

    await site.valid(FLAT, kind=FrameKind.FLAT)
    await site.settle()
    await dispatch(site)

    assert await jobs(site) == [JobState.DUE]
    assert (await site.frame("979412p")).reason is None


async def test_a_calibration_that_failed_says_why(site: Site) -> None:
    flat = await site.valid(FLAT, kind=FrameKind.FLAT)
    async with site.database.write() as session:
        await Frames().fail(session, flat.id, reason="its digest is wrong", now=site.clock.now(), source="test")
    await placed(site)

    await dispatch(site)

    reason = str((await site.frame("979412p")).reason)
    assert f"flat {FLAT} is failed: its digest is wrong" in reason
    assert f"and mask {MASK} is asked of the archive" in reason


async def test_a_frame_on_a_node_that_is_down_says_so(site: Site) -> None:
    await site.valid("979412p")
    await site.settle()
    [(node, _)] = await site.replicas("979412p")
    async with site.database.write() as session:
        await Nodes().set_state(
            session, node, NodeState.DOWN, reason="its disk is gone", now=site.clock.now(), source="test"
        )

    assert await dispatch(site) == (0, 1)

    assert (await site.frame("979412p")).reason == f"its node {node} is down: its disk is gone"


async def test_jobs_of_another_recipe_are_set_aside(site: Site) -> None:
    await site.valid("979412p")
    await site.settle()
    await dispatch(site, "sha256:old")

    await Dispatcher(site.database, site.clock, source="spica").retire(RECIPE)
    await dispatch(site)

    assert await jobs(site) == [JobState.SUPERSEDED, JobState.DUE]


async def test_another_recipe_is_another_job(site: Site) -> None:
    await site.valid("979412p")
    await site.settle()
    await dispatch(site)

    assert await dispatch(site, "sha256:other") == (1, 0)

    assert len(await jobs(site)) == 2
